//! Tests of the generators: what they write, and what they refuse.

use crate::contract::generate_into;
use crate::{calls, read_records};
use std::path::Path;
use tempfile::TempDir;

const TYPES: &str = r#"
syntax = "proto3";
package shop.types.v1;
// Some money.
message Money { int64 minor = 1; }
"#;

const STOCK: &str = r#"
syntax = "proto3";
package shop.stock_room.v1;
import "shop/types/v1/money.proto";
// Keeps count.
service StockRoom {
  // How many there are.
  rpc Count(CountRequest) returns (CountResponse) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc TakeAll(CountRequest) returns (shop.types.v1.Money);
  rpc PutBack(CountRequest) returns (CountResponse) { option idempotency_level = IDEMPOTENT; }
}
message CountRequest { string id = 1; }
message CountResponse { int64 pieces = 1; }
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::create_dir_all(folder.path().join("out")).unwrap();
    folder
}

fn shop() -> TempDir {
    folder(&[("shop/types/v1/money.proto", TYPES), ("shop/stock_room/v1/stock.proto", STOCK)])
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join("out").join(file)).unwrap()
}

#[test]
fn a_contract_is_messages_a_full_trait_and_a_server() {
    let folder = shop();
    generate_into(folder.path(), "shop", &folder.path().join("out")).unwrap();
    let code = read(folder.path(), "shop.stock_room.v1.rs");
    let services = &code[code.find("#[doc(hidden)]\n#[allow(unsafe_code)]").unwrap()..];
    let shown: String = services.lines().filter(|line| !line.contains("pub static")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("contract", shown);
    insta::assert_snapshot!("modules", read(folder.path(), "contracts.rs"));
    let records = read_records(&std::fs::read(folder.path().join("out/shop.stock_room.v1.record")).unwrap()).unwrap();
    assert_eq!(records[0].header, r#"{"package":"shop.stock_room.v1","services":["StockRoom"]}"#);
    let descriptors = String::from_utf8_lossy(&records[0].descriptors).into_owned();
    assert!(descriptors.contains("shop/types/v1/money.proto"), "imports are part of it");
    assert!(!descriptors.contains("Keeps count"), "comments are not");
}

#[test]
fn a_caller_gets_only_what_it_lists() {
    let folder = shop();
    calls("", "::shop_contracts")
        .service("shop.stock_room.v1.StockRoom", &["Count", "PutBack"])
        .generate_into(folder.path(), &folder.path().join("out"))
        .unwrap();
    let code = read(folder.path(), "calls.rs");
    assert!(!code.contains("take_all"), "an unlisted method must not compile");
    let shown: String = code.lines().filter(|line| !line.contains("pub static")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("calls", shown);
    let records = read_records(&std::fs::read(folder.path().join("out/shop.stock_room.v1.StockRoom.calls")).unwrap());
    let expected = r#"{"service":"shop.stock_room.v1.StockRoom","callee":"stock-room","methods":["Count","PutBack"]}"#;
    assert_eq!(records.unwrap()[0].header, expected);
}

#[test]
fn the_same_input_gives_the_same_output() {
    let (first, second) = (shop(), shop());
    for folder in [&first, &second] {
        generate_into(folder.path(), "shop", &folder.path().join("out")).unwrap();
    }
    for file in ["contracts.rs", "shop.types.v1.rs", "shop.stock_room.v1.rs"] {
        assert_eq!(read(first.path(), file), read(second.path(), file), "{file}");
    }
}

fn refused(text: &str) -> String {
    let folder = folder(&[("p/a.proto", text)]);
    generate_into(folder.path(), "p", &folder.path().join("out")).unwrap_err().to_string()
}

#[test]
fn what_is_not_supported_says_what_to_do_instead() {
    let start = "syntax = \"proto3\";\npackage p.v1;\nmessage M {}\n";
    for (text, expected) in [
        (format!("{start}service S {{ rpc A(stream M) returns (M); }}"), "p/a.proto: `S.A` streams"),
        (format!("{start}service S {{ rpc A(M) returns (stream M); }}"), "p/a.proto: `S.A` streams"),
        (format!("{start}service M {{ rpc A(M) returns (M); }}"), "'p.v1.M' is defined twice"),
        (format!("{start}message SServer {{}}\nservice S {{}}"), "`SServer` is the name of what serves `S`"),
        ("syntax = \"proto3\";\nmessage M {}".to_owned(), "p/a.proto: it has no package"),
        ("syntax = \"proto2\";\npackage p.v1;\nmessage M {}".to_owned(), "only proto3 is supported"),
        (
            "syntax = \"proto3\";\npackage p.v1;\nimport \"google/protobuf/timestamp.proto\";\n\
             message M { google.protobuf.Timestamp at = 1; }"
                .to_owned(),
            "well-known types are not supported",
        ),
        (format!("{start}message N {{ Nothing n = 1; }}"), "p/a.proto:4:"),
        (format!("{start}nonsense"), "p/a.proto:4:1"),
    ] {
        let error = refused(&text);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn folders_without_contracts_are_named() {
    let empty = folder(&[]);
    let out = empty.path().join("out");
    let error = generate_into(empty.path(), "out", &out).unwrap_err().to_string();
    assert!(error.contains("holds no `.proto` file"), "{error}");
    let error = generate_into(empty.path(), "missing", &out).unwrap_err().to_string();
    assert!(error.contains("cannot read the folder") && error.contains("missing"), "{error}");
}

#[test]
fn lists_of_calls_are_checked() {
    let folder = shop();
    let name = "shop.stock_room.v1.StockRoom";
    let generate =
        |calls: crate::Calls| calls.generate_into(folder.path(), &folder.path().join("out")).unwrap_err().to_string();
    let all = || calls("", "::c");
    for (error, expected) in [
        (generate(all().service("shop.v1.Other", &["A"])), "there is: shop.stock_room.v1.StockRoom"),
        (generate(all().service(name, &["Cuont"])), "has no method `Cuont`; it has: Count, TakeAll, PutBack"),
        (generate(all().service(name, &[])), "no method of `shop.stock_room.v1.StockRoom` is listed"),
        (generate(all().service(name, &["Count", "Count"])), "Count` is listed twice"),
        (generate(all().service(name, &["Count"]).service(name, &["TakeAll"])), "list each once"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}
