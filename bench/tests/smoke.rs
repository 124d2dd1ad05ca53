//! Every figure can be measured: each for a moment, in a debug build. What it comes to is not looked at.
#![allow(clippy::unwrap_used)] // Tests.

use std::process::Command;

fn bench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_shoal-bench")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Measures a figure, and expects lines that begin with these words.
fn measured(figure: &str, expected: &[&str]) {
    let said = bench(&[figure, "--rounds", "1", "--seconds", "0.1"]);
    for words in expected {
        assert!(said.lines().any(|line| line.trim_start().starts_with(words)), "{words:?} is not in\n{said}");
    }
    assert!(!said.contains("NaN"), "{said}");
}

#[test]
fn the_gateway_beside_its_peers() {
    measured("gateway-cpu", &["nginx", "HAProxy", "hyper, bare", "Shoal's gateway"]);
    measured("gateway-latency", &["no proxy, p99", "Shoal's gateway, added p50", "Shoal's gateway, CPU"]);
}

#[test]
fn the_local_proxy_beside_its_peers() {
    measured(
        "grpc-proxy",
        &["nginx, CPU", "HAProxy, CPU", "Shoal's local proxy, CPU", "Shoal's local proxy, added p99"],
    );
}

#[test]
fn calls_with_the_sdk() {
    measured("sdk-call", &["tonic", "Shoal's SDK"]);
    measured("in-process", &["through the generated client"]);
    measured("balancing", &["a pick and its end, 5 endpoints"]);
}

#[test]
fn lives_of_services() {
    measured("up", &["`shoal up -d`, again"]);
    measured("replace", &["killed to replaced and ready", "requests that failed meanwhile"]);
    measured("spawn", &["the smallest service"]);
    measured("idle", &["all of them, as PSS"]);
}

#[test]
fn pages_of_the_store() {
    measured("pages", &["storefront", "catalogue", "gateway", "supervisor", "all"]);
}

#[test]
fn orders_of_the_store() {
    measured("orders", &["SQLite", "SQLite, CPU per order", "PostgreSQL", "PostgreSQL, CPU per order"]);
}

#[test]
fn many_services() {
    measured("scale", &["one change to the holders of 20 services", "memory"]);
}

#[test]
fn each_figure_is_measured_above() {
    let own = include_str!("smoke.rs");
    let listed = bench(&["--list"]);
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let forgotten: Vec<&str> = names.filter(|name| !own.contains(&format!("\"{name}\""))).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
