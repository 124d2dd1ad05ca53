//! Input that nobody wrote: random bytes, random text, valid manifests with pieces moved, and far too much of everything.

use crate::samples::{problems, samples};
use proptest::prelude::*;
use shoal_manifest::{Code, SIZE_MAX, parse, parse_bytes};
use std::path::Path;

/// Reads it and shows whatever is said of it, in every form.
fn survives(bytes: &[u8]) {
    if let Err(problems) = parse_bytes(bytes, Path::new("shoal.toml")) {
        assert!(!problems.problems().is_empty());
        assert!(!problems.render(true).is_empty());
        assert!(!problems.to_string().is_empty());
        serde_json::to_string(&problems).unwrap();
    }
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
    }

    #[test]
    fn random_text_does_no_harm(text in "\\PC{0,200}") {
        survives(text.as_bytes());
    }

    #[test]
    fn pieces_of_toml_in_any_order_do_no_harm(pieces in prop::collection::vec(piece(), 0..60)) {
        survives(pieces.concat().as_bytes());
    }

    #[test]
    fn a_manifest_with_a_piece_replaced_does_no_harm(
        which in 0usize..30, at in 0.0f64..1.0, length in 0usize..40, piece in piece(),
    ) {
        let all: Vec<_> = samples("valid").into_iter().chain(samples("invalid")).collect();
        let text = &all[which % all.len()].1;
        let start = text.floor_char_boundary((at * text.len() as f64) as usize);
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        survives(format!("{}{piece}{}", &text[..start], &text[end..]).as_bytes());
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\"",
        "\"\"\"",
        "'",
        "\n",
        "\r\n",
        "\r",
        "\t",
        " ",
        "#",
        "\u{feff}",
        "é",
        "日本",
        "\u{1f9a6}",
        "\\u0000",
        "\\",
        "1",
        "-1",
        "1e400",
        "nan",
        "2026-01-01",
        "true",
        "\"10s\"",
        "\"\"",
        "[application]\n",
        "name = ",
        "\"store\"\n",
        "[gateway]\n",
        "listen = ",
        "\"127.0.0.1:0\"\n",
        "routes = ",
        "[services.web]\n",
        "[services.a]\n",
        "run = { command = [\"x\"] }\n",
        "run = { cargo = \"x\" }\n",
        "calls = [\"a\"]\n",
        "calls = [\"web\"]\n",
        "replicas = ",
        "probe = ",
        "probes.startup.",
        "settings.",
        "env.",
        "source.",
        "[[gateway.routes]]\n",
        "path = \"/\"\n",
        "service = \"web\"\n",
        "host = \"a\"\n",
        "listen = \"fd\"\n",
        "http = ",
        "period = ",
        "[gateway.limits]\n",
        "limits = ",
        "timeout = ",
        "requests-max = ",
        "priority = ",
    ])
}

fn codes(text: &str) -> Vec<Code> {
    problems(text).problems().iter().map(|problem| problem.code).collect()
}

#[test]
fn a_manifest_of_ten_megabytes_is_refused_before_it_is_parsed() {
    let large = "#".repeat(10 * 1024 * 1024);
    assert_eq!(codes(&large), [Code::TooLarge]);
    let problems = parse_bytes(large.as_bytes(), Path::new("shoal.toml")).err().unwrap();
    assert_eq!(problems.problems()[0].code, Code::TooLarge);
    assert!(problems.to_string().len() < 300);
}

#[test]
fn bytes_that_are_not_text_are_refused_with_their_line() {
    let problems = parse_bytes(b"[application]\nname = \"\xff\"", Path::new("shoal.toml")).err().unwrap();
    assert_eq!(problems.problems()[0].code, Code::NotText);
    assert!(problems.to_string().contains("line 2"), "{problems}");
}

#[test]
fn only_so_many_problems_are_kept() {
    let many: String = (0..5000).map(|number| format!("key-{number} = 1\n")).collect();
    let problems = problems(&many);
    assert_eq!(problems.problems().len(), 50);
    assert_eq!(problems.omitted(), 4952);
    assert!(problems.render(false).ends_with("4952 more problems are not shown\n"));
}

#[test]
fn counts_and_lengths_have_limits() {
    let head = "[application]\nname = \"store\"\n";
    let service = "[services.web]\nrun = { command = [\"x\"] }\n";
    let services: String =
        (0..1001).map(|number| format!("[services.s{number}]\nrun = {{ cargo = \"x\" }}\n")).collect();
    assert_eq!(codes(&format!("{head}{services}")), [Code::PastLimit]);
    let calls = "\"a\",".repeat(10_001);
    assert_eq!(codes(&format!("{head}{service}calls = [{calls}]\n")), [Code::PastLimit]);
    let routes = "{path=\"/\",service=\"web\"},".repeat(10_001);
    let gateway = format!("[gateway]\nlisten = \"127.0.0.1:0\"\nroutes = [{routes}]\n");
    assert_eq!(codes(&format!("{head}{gateway}{service}")), [Code::PastLimit]);
    let long = "x".repeat(40_000);
    assert_eq!(codes(&format!("{head}{service}owner = \"{long}\"\n")), [Code::PastLimit]);
    assert_eq!(codes(&format!("{head}{service}owner = \"{}\"\n", &long[..1000])), [Code::PastLimit]);
    let settings: String = (0..9000).map(|number| format!("key{number} = \"value\"\n")).collect();
    assert_eq!(codes(&format!("{head}{service}[services.web.settings]\n{settings}")), [Code::PastLimit]);
}

#[test]
fn a_thousand_services_that_all_call_each_other_are_told_in_good_time() {
    let names: Vec<String> = (0..200).map(|number| format!("s{number}")).collect();
    let mut text = "[application]\nname = \"store\"\n".to_owned();
    for name in &names {
        let calls: Vec<String> =
            names.iter().filter(|callee| *callee != name).map(|name| format!("\"{name}\"")).collect();
        text.push_str(&format!("[services.{name}]\nrun = {{ cargo = \"x\" }}\ncalls = [{}]\n", calls.join(",")));
    }
    let problems = problems(&text);
    assert!(problems.problems().iter().all(|problem| problem.code == Code::StartCycle));
    assert!(problems.render(false).len() < 1_000_000);
}

#[test]
fn a_long_chain_of_calls_does_not_recurse() {
    let mut text = "[application]\nname = \"store\"\n".to_owned();
    for number in 0..999 {
        text.push_str(&format!("[services.s{number}]\nrun = {{ cargo = \"x\" }}\ncalls = [\"s{}\"]\n", number + 1));
    }
    text.push_str("[services.s999]\nrun = { cargo = \"x\" }\n");
    assert!(parse(&text, Path::new("shoal.toml")).is_ok());
    assert!(text.len() < SIZE_MAX);
}

#[test]
fn a_megabyte_of_anything_is_told_in_good_time() {
    let pieces = [
        "[",
        "{",
        "[[a]]\n",
        "a.",
        "\"",
        "a = 1\n",
        "x = [",
        "[a]\n",
        "= = ",
        "a = \"\"\"",
        "\\",
        "é",
        "a = {b = ",
        "[a.b]\n",
        "#",
        "\r",
        "1",
        "a=1,",
        "'",
        "\u{feff}",
    ];
    for piece in pieces {
        survives(piece.repeat(SIZE_MAX / piece.len()).as_bytes());
    }
}
