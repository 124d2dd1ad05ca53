//! Purity: the crates that decide use no clock, file, socket, process, thread or async. Every ban names its replacement.
//!
//! Never: looks at tests, which may read their own files.

use super::{Complaint, Project};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The crates that are pure.
const PURE: &[&str] = &["shoal-model", "shoal-manifest", "shoal-reconcile", "shoal-balance"];

/// What they may not use, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    ("std::fs", "take the text or bytes as an argument"),
    ("std::io", "take the text or bytes as an argument"),
    ("std::env", "take the value as an argument"),
    ("std::process", "return data that says what to run"),
    ("std::thread", "return data that says what to do; the caller owns the threads"),
    ("std::net", "only addresses are data; sockets belong to floor 2"),
    ("std::os", "descriptors and signals belong to floor 2"),
    ("std::time::Instant", "take `now: Millis` as an argument"),
    ("std::time::SystemTime", "take `now: Millis` as an argument"),
    ("Instant::now", "take `now: Millis` as an argument"),
    ("SystemTime::now", "take `now: Millis` as an argument"),
    ("thread::spawn", "return data that says what to do; the caller owns the threads"),
    ("tokio", "be synchronous: take events as arguments and return what to do"),
    ("futures", "be synchronous: take events as arguments and return what to do"),
    ("rustix", "system calls belong to floor 2"),
    ("libc", "system calls belong to floor 2"),
    ("tracing", "return reasons instead of logging"),
    ("log", "return reasons instead of logging"),
    ("rand", "take the random number as an argument"),
];

/// The data types among what is banned.
const ALLOWED: &[&str] = &[
    "std::net::AddrParseError",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::SocketAddrV4",
    "std::net::SocketAddrV6",
];

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for package in project.packages.iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let folder = package.folder(project.root);
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
            if let Some((name, instead)) = BANNED.iter().find(|(name, _)| *name == dependency.name) {
                let message = format!("a pure crate may not depend on `{name}`: {instead}");
                complaints.push(Complaint::at(&format!("{folder}/Cargo.toml"), 0, message));
            }
        }
        let sources = format!("{folder}/src/");
        for (path, text) in project.tree.rust().filter(|(path, _)| path.starts_with(&sources)) {
            match text.parse() {
                Ok(tokens) => complaints.extend(judge(path, tokens)),
                Err(error) => complaints.push(Complaint::at(path, 0, format!("is not Rust: {error}"))),
            }
        }
    }
    complaints
}

fn judge(path: &str, tokens: TokenStream) -> Vec<Complaint> {
    let mut found = Vec::new();
    collect(tokens, "", &mut found);
    let complaint = |(used, line): (String, usize)| {
        let used = used.strip_prefix("core::").map_or(used.clone(), |rest| format!("std::{rest}"));
        if used == "async" || used == "await" {
            let message = format!("`{used}` in a pure crate: be synchronous, take events as arguments");
            return Some(Complaint::at(path, line, message));
        }
        if ALLOWED.iter().any(|allowed| starts_with(&used, allowed)) {
            return None;
        }
        let (_, instead) = BANNED.iter().find(|(banned, _)| starts_with(&used, banned))?;
        Some(Complaint::at(path, line, format!("`{used}` in a pure crate: {instead}")))
    };
    found.into_iter().filter_map(complaint).collect()
}

fn starts_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every path with `::`, and every `async` and `await`, with its line. `std::{fs, net}` is taken apart; what stands under
/// `#[cfg(test)]` is left out. Comments and texts are no tokens, so that they are free to speak of what is banned.
fn collect(tokens: TokenStream, prefix: &str, found: &mut Vec<(String, usize)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        if is_test_attribute(&tokens[index..]) {
            index += length_of_item(&tokens[index..]);
            continue;
        }
        match token {
            TokenTree::Ident(ident) => {
                let line = ident.span().start().line;
                let mut path = format!("{prefix}{ident}");
                index += 1;
                while is_colons(&tokens[index..]) {
                    match tokens.get(index + 2) {
                        Some(TokenTree::Ident(next)) => path = format!("{path}::{next}"),
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                            collect(group.stream(), &format!("{path}::"), found);
                            path.clear();
                        }
                        _ => break,
                    }
                    index += 3;
                }
                if path.contains("::") || path == "async" || path == "await" {
                    found.push((path, line));
                }
            }
            TokenTree::Group(group) => {
                collect(group.stream(), if prefix.is_empty() { "" } else { prefix }, found);
                index += 1;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => index += 1,
        }
    }
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    let colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(tokens.first()) && colon(tokens.get(1))
}

fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => {
            let attribute = group.stream().to_string().replace(' ', "");
            group.delimiter() == Delimiter::Bracket && (attribute == "cfg(test)" || attribute == "test")
        }
        _ => false,
    }
}

/// How many tokens an item has that starts with an attribute: up to its body, or its semicolon.
fn length_of_item(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::super::{judged, package};
    use super::check;

    fn said_of(text: &str) -> Vec<String> {
        let packages = [package("crates/shoal-reconcile", "The brain.", &["serde", "dev:tokio"])];
        judged(check, &[("crates/shoal-reconcile/src/lib.rs", text)], &packages)
    }

    #[test]
    fn each_ban_shows_and_names_what_to_do_instead() {
        for impure in [
            "use std::fs;",
            "use std::{collections::BTreeMap, fs::File};",
            "fn f() { std::net::TcpStream::connect(1); }",
            "use std::{net::{IpAddr, UdpSocket}};",
            "fn f() { Instant::now(); }",
            "use std::time::{Duration, Instant};",
            "fn f() { std::thread::spawn(|| 1); }",
            "use tokio::sync::mpsc;",
            "fn f() { std::process::exit(1) }",
            "async fn f() {}",
            "fn f() { tracing::info!(1) }",
            "use std::env;",
            "mod inner { use std::fs::read; }",
            "fn f() { std::time::SystemTime::now(); }",
            "use core::{net::Ipv4Addr, time}; use std::os::fd::OwnedFd;",
        ] {
            let said = said_of(impure);
            assert_eq!(said.len(), 1, "{impure}: {said:?}");
            assert!(said[0].contains("in a pure crate: "), "{said:?}");
        }
    }

    #[test]
    fn data_tests_comments_and_texts_pass() {
        let pure = r#"
            //! Never: uses std::fs or tokio.
            use std::net::{IpAddr, SocketAddr};
            use std::time::Duration;
            /// As `std::thread::spawn` would.
            fn f(address: std::net::SocketAddrV4) -> &'static str { "std::fs::read" }
            fn log() { let catalog = log; catalog::x; }
            #[cfg(test)]
            mod tests { use std::fs; use std::time::Instant; }
            #[cfg(test)]
            use std::env;
        "#;
        assert_eq!(said_of(pure), [""; 0]);
        assert_eq!(said_of("#[cfg(test)] mod tests; use std::fs;").len(), 1);
    }

    #[test]
    fn a_dependency_that_acts_fails_also_unused() {
        let packages = [package("crates/shoal-balance", "Balances.", &["tokio"])];
        assert!(judged(check, &[], &packages)[0].contains("may not depend on `tokio`"));
        let packages = [package("crates/shoal-process", "Runs.", &["tokio"])];
        let files = [("crates/shoal-process/src/lib.rs", "use std::fs;")];
        assert_eq!(judged(check, &files, &packages), [""; 0]);
    }
}
