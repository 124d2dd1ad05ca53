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
///
/// # Errors
/// A sentence that names the variable or the socket: not a number, too many, names that do not fit, or a descriptor that
/// is not a listening TCP socket.
pub fn take_listeners() -> Result<BTreeMap<String, TcpListener>, String> {
    check_count(&std::env::var("LISTEN_FDS").unwrap_or_default())?;
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = BTreeMap::new();
    for (index, name) in named(&names, passed.len())?.into_iter().enumerate() {
        let wrong = |why: &dyn std::fmt::Display| {
            format!("the socket `{name}`, which `LISTEN_FDS` passes, is not a listening TCP socket: {why}")
        };
        let Some(listener) = passed.take_tcp_listener(index).map_err(|error| wrong(&error))? else { continue };
        if !rustix::net::sockopt::socket_acceptconn(&listener).map_err(|error| wrong(&error))? {
            return Err(wrong(&"nobody called `listen` on it"));
        }
        listener
            .set_nonblocking(true)
            .map_err(|error| format!("the socket `{name}` cannot be set to non-blocking: {error}"))?;
        listeners.insert(name, listener);
    }
    Ok(listeners)
}

/// `LISTEN_FDS` is unset, empty, or a count that is not too high.
fn check_count(count: &str) -> Result<(), String> {
    match count.parse::<usize>() {
        _ if count.is_empty() => Ok(()),
        Ok(number) if number <= SOCKETS_MAX => Ok(()),
        Ok(_) => Err(format!("`LISTEN_FDS` says {count}, but at most {SOCKETS_MAX} sockets can be passed")),
        Err(_) => Err(format!("`LISTEN_FDS` says `{count}`, which is no number of sockets")),
    }
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
    use super::{check_count, named};

    #[test]
    fn names_go_with_sockets() {
        assert_eq!(named("", 0).unwrap(), Vec::<String>::new());
        assert_eq!(named("", 1).unwrap(), ["http"]);
        assert_eq!(named("public:to-catalogue", 2).unwrap(), ["public", "to-catalogue"]);
        assert_eq!(named("public", 0).unwrap(), Vec::<String>::new(), "meant for another process");
        assert!(named("public", 2).unwrap_err().contains("names 1 sockets"));
        assert!(named("public:public", 2).unwrap_err().contains("two sockets `public`"));
    }

    #[test]
    fn the_count_is_a_number_within_the_limit() {
        for fine in ["", "0", "1000"] {
            check_count(fine).unwrap();
        }
        for wrong in ["1001", "-1", "x", "99999999999999999999"] {
            assert!(check_count(wrong).unwrap_err().contains("`LISTEN_FDS` says"));
        }
    }
}
