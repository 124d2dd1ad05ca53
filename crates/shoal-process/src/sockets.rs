//! The listening sockets of a replica: bound here, or a port claimed for a program that binds it itself.
//!
//! Never: keeps a socket after it was passed on.

use crate::ports::Ports;
use shoal_model::{Address, LaunchSettings, Listen, ReplicaName};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

/// The name of the one socket of a service.
const HTTP: &str = "http";

/// Connections that may wait to be accepted; the kernel lowers it to its own limit.
const BACKLOG: i32 = 4096;

/// What a replica listens on.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// To be passed, by name.
    pub(crate) passed: Vec<(String, TcpListener)>,
    /// Where callers find it.
    pub(crate) address: Option<Address>,
    /// For `PORT`.
    pub(crate) port: Option<u16>,
}

/// Binds or claims what the settings ask for; otherwise one sentence that says why not.
pub(crate) fn open(
    settings: &LaunchSettings,
    replica: &ReplicaName,
    ports: &Ports,
    application: &str,
    lock: &Path,
) -> Result<Sockets, String> {
    if !settings.sockets.is_empty() {
        return open_fixed(settings);
    }
    match settings.listen {
        Listen::None => Ok(Sockets::default()),
        Listen::Fd => {
            let (listener, address) = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            Ok(Sockets {
                passed: vec![(HTTP.to_owned(), listener)],
                address: Some(Address::Tcp(address)),
                port: Some(address.port()),
            })
        }
        Listen::Port => {
            let port = ports.claim_while(application, &replica.to_string(), lock).map_err(|error| error.to_string())?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            Ok(Sockets { passed: Vec::new(), address: Some(Address::Tcp(address)), port: Some(port) })
        }
    }
}

/// The sockets with fixed addresses. The replica's own address is that of `public`, or of the first.
fn open_fixed(settings: &LaunchSettings) -> Result<Sockets, String> {
    let mut sockets = Sockets::default();
    for (name, wanted) in &settings.sockets {
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            return Err(format!("`{name}` cannot be the name of a socket: leave out `:` and control characters"));
        }
        let (listener, address) = bind(*wanted)?;
        if sockets.address.is_none() || name == "public" {
            sockets.address = Some(Address::Tcp(address));
            sockets.port = Some(address.port());
        }
        sockets.passed.push((name.clone(), listener));
    }
    Ok(sockets)
}

/// Binds with `SO_REUSEADDR` (the standard library sets it), so that connections of an earlier replica that wait for their
/// end do not hold the address.
fn bind(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let bound = TcpListener::bind(wanted).and_then(|listener| {
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("the address {wanted} is taken by another program: stop that, or listen on another address (port 0 takes a free one)")
        }
        io::ErrorKind::PermissionDenied => {
            format!("the address {wanted} is not allowed for this user: ports below 1024 usually are not, choose a higher one")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine does not have the address {}: listen on 127.0.0.1 or 0.0.0.0, or mend it", wanted.ip())
        }
        _ => format!("failed to listen on {wanted}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_named() {
        let (_holder, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let why = bind(address).unwrap_err();
        assert!(why.contains(&address.to_string()) && why.contains("taken"), "{why}");
    }
}
