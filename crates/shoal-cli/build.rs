//! Links `shoal` at a fixed address. Every replica has a keeper, which is this program: linked to run anywhere, each of
//! them would write a megabyte of its own, only to correct the addresses in tables that it never reads.
//! See docs/decisions/0007-shoal-at-a-fixed-address.md.

use std::env;

fn main() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found.split(',').any(|word| word == value));
    let is_static = is("CARGO_CFG_TARGET_FEATURE", "crt-static");
    if is("CARGO_CFG_TARGET_OS", "linux") && !is_static {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
