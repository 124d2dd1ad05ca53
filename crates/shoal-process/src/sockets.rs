//! The listening sockets of a replica: one to serve on, bound here, or a port claimed for a program that binds it itself;
//! and one for each service that it may call, on which its calls are served.
//!
//! Never: keeps a socket after it was passed on.

use crate::fixed::FixedSockets;
use crate::ports::Ports;
use shoal_model::{Address, LaunchSettings, Listen, ReplicaName, ServiceName};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;

/// The name of the one socket of a service.
const HTTP: &str = "http";

/// A free port of this machine's own.
const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Connections that may wait to be accepted; the kernel lowers it to its own limit.
pub(crate) const BACKLOG: i32 = 4096;

/// The sockets of a replica.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// To be passed, by name.
    pub(crate) passed: Vec<(String, TcpListener)>,
    /// Whether those passed have fixed addresses, which others will serve on after it.
    pub(crate) is_fixed: bool,
    /// Where it finds each service that it may call. Its keeper keeps them; the program itself gets the addresses.
    pub(crate) calls: BTreeMap<ServiceName, (TcpListener, SocketAddr)>,
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
    fixed: &FixedSockets,
    application: &str,
    lock: &Path,
) -> Result<Sockets, String> {
    let mut sockets = if settings.sockets.is_empty() {
        open_free(settings, replica, ports, application, lock)?
    } else {
        open_fixed(settings, replica, fixed)?
    };
    // The gateway is who serves these.
    if replica.service != ServiceName::gateway() {
        for callee in &settings.calls {
            sockets.calls.insert(callee.clone(), bind(ANY_PORT)?);
        }
    }
    Ok(sockets)
}

fn open_free(
    settings: &LaunchSettings,
    replica: &ReplicaName,
    ports: &Ports,
    application: &str,
    lock: &Path,
) -> Result<Sockets, String> {
    match settings.listen {
        Listen::None => Ok(Sockets::default()),
        Listen::Fd => {
            let (listener, address) = bind(ANY_PORT)?;
            Ok(Sockets {
                passed: vec![(HTTP.to_owned(), listener)],
                address: Some(Address::Tcp(address)),
                port: Some(address.port()),
                ..Sockets::default()
            })
        }
        Listen::Port => {
            let port = ports.claim_while(application, &replica.to_string(), lock).map_err(|error| error.to_string())?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            Ok(Sockets { address: Some(Address::Tcp(address)), port: Some(port), ..Sockets::default() })
        }
    }
}

/// The sockets with fixed addresses. The replica's own address is that of `public`, or of the first.
fn open_fixed(settings: &LaunchSettings, replica: &ReplicaName, fixed: &FixedSockets) -> Result<Sockets, String> {
    let mut sockets = Sockets { is_fixed: true, ..Sockets::default() };
    for (name, wanted) in &settings.sockets {
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            return Err(format!("`{name}` cannot be the name of a socket: leave out `:` and control characters"));
        }
        let listener = fixed.open(*wanted, replica)?;
        let address = listener.local_addr().map_err(|error| why_not_bound(*wanted, &error))?;
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
pub(crate) fn bind(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let bound = TcpListener::bind(wanted).and_then(|listener| {
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| why_not_bound(wanted, &error))
}

/// One sentence that says why an address was not had, and the mend.
pub(crate) fn why_not_bound(wanted: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "the address {wanted} is taken by another program: stop that, or listen on another address (port 0 takes a free one)"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "the address {wanted} is not allowed for this user: ports below 1024 usually are not, choose a higher one"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "this machine does not have the address {}: listen on 127.0.0.1 or 0.0.0.0, or mend it",
                wanted.ip()
            )
        }
        _ => format!("failed to listen on {wanted}: {error}"),
    }
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
