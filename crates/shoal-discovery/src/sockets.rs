//! The listening sockets a process was passed (`LISTEN_FDS`, as systemd does), by name. Never binds one.

use std::collections::BTreeMap;
use std::net::TcpListener;

/// The name of a single socket that came without one.
pub const DEFAULT_NAME: &str = "http";

/// The most sockets that are taken.
const SOCKETS_MAX: usize = 1000;

/// Takes the TCP listeners that this process was passed, by name; empty when it was passed none, or when they are meant
/// for another process (`LISTEN_PID`). Set to non-blocking. Call it once, first thing in `main`, before any thread runs:
/// it removes `LISTEN_FDS` and `LISTEN_PID`, so that no child takes the sockets for its own.
pub fn take_listeners() -> Result<BTreeMap<String, TcpListener>, String> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = listenfd::ListenFd::from_env();
    let count = passed.len();
    if count > SOCKETS_MAX {
        return Err(format!("`LISTEN_FDS` says {count}, but at most {SOCKETS_MAX} sockets can be passed"));
    }
    let mut listeners = BTreeMap::new();
    for (index, name) in named(&names, count)?.into_iter().enumerate() {
        let taken = passed.take_tcp_listener(index);
        let listener = taken.map_err(|error| format!("the socket `{name}` in `LISTEN_FDS` cannot be used: {error}"))?;
        let Some(listener) = listener else { continue };
        listener
            .set_nonblocking(true)
            .map_err(|error| format!("the socket `{name}` cannot be set to non-blocking: {error}"))?;
        listeners.insert(name, listener);
    }
    Ok(listeners)
}

/// One name for each of `count` sockets, from `LISTEN_FDNAMES`.
fn named(names: &str, count: usize) -> Result<Vec<String>, String> {
    if names.is_empty() && count <= 1 {
        return Ok(vec![DEFAULT_NAME.to_owned(); count]);
    }
    let names: Vec<String> = names.split(':').map(str::to_owned).collect();
    if count > 0 && names.len() != count {
        return Err(format!("`LISTEN_FDNAMES` names {} sockets, but `LISTEN_FDS` says {count}", names.len()));
    }
    for (index, name) in names.iter().enumerate() {
        if names.iter().skip(index + 1).any(|other| other == name) {
            return Err(format!("`LISTEN_FDNAMES` names two sockets `{name}`"));
        }
    }
    Ok(names.into_iter().take(count).collect())
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn names_go_with_sockets() {
        assert_eq!(named("", 0).unwrap(), Vec::<String>::new());
        assert_eq!(named("", 1).unwrap(), ["http"]);
        assert_eq!(named("public:to-catalogue", 2).unwrap(), ["public", "to-catalogue"]);
        assert_eq!(named("public", 0).unwrap(), Vec::<String>::new(), "meant for another process");
        assert!(named("public", 2).unwrap_err().contains("names 1 sockets"));
        assert!(named("public:public", 2).unwrap_err().contains("two sockets `public`"));
    }
}
