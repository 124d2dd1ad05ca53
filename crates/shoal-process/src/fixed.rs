//! The listening sockets with fixed addresses: each is bound once, and passes from a replica to the one that follows.
//!
//! Copies are kept here and by the keepers of those who serve on them, so that the socket outlives either: connections
//! that come while nobody accepts wait in its queue, and none is refused.
//!
//! Never: keeps a socket that no replica is meant to serve on any more.

use crate::sockets;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use shoal_model::ReplicaName;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Those of one application.
#[derive(Debug)]
pub(crate) struct FixedSockets {
    open: Mutex<BTreeMap<SocketAddr, Fixed>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Fixed {
    listener: TcpListener,
    /// Those who serve on it, and whether a keeper of theirs is known to have it too.
    holders: BTreeMap<ReplicaName, bool>,
}

impl FixedSockets {
    pub(crate) fn new() -> Self {
        Self { open: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// A copy of the socket at this address for a replica to serve on; bound when there is none yet. Otherwise one sentence
    /// that says why not.
    pub(crate) fn open(&self, wanted: SocketAddr, replica: &ReplicaName) -> Result<TcpListener, String> {
        let mut open = self.locked();
        if !open.contains_key(&wanted) {
            let beside: Vec<&TcpListener> =
                open.iter().filter(|(held, _)| overlap(**held, wanted)).map(|(_, fixed)| &fixed.listener).collect();
            let (listener, address) = bind_beside(wanted, &beside)?;
            open.insert(address, Fixed { listener, holders: BTreeMap::from([(replica.clone(), false)]) });
            return copy(open.get(&address));
        }
        if let Some(fixed) = open.get_mut(&wanted) {
            fixed.holders.entry(replica.clone()).or_insert(false);
        }
        copy(open.get(&wanted))
    }

    /// A keeper that was found has this socket for its replica.
    pub(crate) fn found(&self, replica: &ReplicaName, listener: TcpListener) -> io::Result<()> {
        let address = listener.local_addr()?;
        let mut open = self.locked();
        let fixed = open.entry(address).or_insert_with(|| Fixed { listener, holders: BTreeMap::new() });
        fixed.holders.insert(replica.clone(), true);
        drop(open);
        self.changed.send_replace(());
        Ok(())
    }

    /// The replica runs: its keeper has what was opened for it.
    pub(crate) fn confirm(&self, replica: &ReplicaName) {
        for fixed in self.locked().values_mut() {
            fixed.holders.entry(replica.clone()).and_modify(|has_it| *has_it = true);
        }
        self.changed.send_replace(());
    }

    /// Returns once others have what this replica has, too; or when it is time.
    pub(crate) async fn passed_on(&self, replica: &ReplicaName, within: Duration) {
        let mut changed = self.changed.subscribe();
        let all = async {
            while !self.is_passed_on(replica) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        // Should nobody follow, the socket is closed.
        let _ = tokio::time::timeout(within, all).await;
    }

    fn is_passed_on(&self, replica: &ReplicaName) -> bool {
        let open = self.locked();
        let mut held = open.values().filter(|fixed| fixed.holders.contains_key(replica));
        held.all(|fixed| fixed.holders.iter().any(|(holder, has_it)| holder != replica && *has_it))
    }

    /// The replica serves no more. What nobody else serves on is closed.
    pub(crate) fn release(&self, replica: &ReplicaName) {
        self.locked().retain(|_, fixed| {
            fixed.holders.remove(replica);
            !fixed.holders.is_empty()
        });
        self.changed.send_replace(());
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Fixed>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy(fixed: Option<&Fixed>) -> Result<TcpListener, String> {
    let copied = fixed.map_or_else(|| Err(io::ErrorKind::NotFound.into()), |fixed| fixed.listener.try_clone());
    copied.map_err(|error| format!("failed to copy a listening socket: {error}"))
}

/// Whether only one of two could be bound, were they not told to bear each other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    one.port() == other.port() && (any(one.ip()) || any(other.ip()))
}

/// Binds an address that our own sockets cover in part, as when 127.0.0.1 becomes 0.0.0.0: both are open until whoever
/// serves on the old one has gone. Nobody else gets between them, as sharing is allowed for no longer than this takes.
fn bind_beside(wanted: SocketAddr, beside: &[&TcpListener]) -> Result<(TcpListener, SocketAddr), String> {
    if beside.is_empty() {
        return sockets::bind(wanted);
    }
    let share =
        |listener: &TcpListener, shared| sockopt::set_socket_reuseport(listener, shared).map_err(io::Error::from);
    let shared = beside.iter().try_for_each(|listener| share(listener, true));
    let bound = shared.and_then(|()| {
        let family = if wanted.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        rustix::net::bind(&socket, &wanted)?;
        rustix::net::listen(&socket, sockets::BACKLOG)?;
        let listener = TcpListener::from(socket);
        share(&listener, false)?;
        Ok((listener.local_addr()?, listener))
    });
    for listener in beside {
        if let Err(error) = share(listener, false) {
            tracing::warn!(%error, "a listening socket stays open to sharing");
        }
    }
    bound.map(|(address, listener)| (listener, address)).map_err(|error| sockets::why_not_bound(wanted, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ReplicaName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_socket_passes_from_one_to_the_next_and_closes_after_the_last() {
        let sockets = FixedSockets::new();
        let first = sockets.open("127.0.0.1:0".parse().unwrap(), &name("gateway-1")).unwrap();
        let address = first.local_addr().unwrap();
        sockets.confirm(&name("gateway-1"));
        drop(first);
        let waiting = std::net::TcpStream::connect(address).expect("it waits in the queue");
        assert!(!sockets.is_passed_on(&name("gateway-1")));

        let second = sockets.open(address, &name("gateway-2")).unwrap();
        assert!(!sockets.is_passed_on(&name("gateway-1")), "its keeper does not have it yet");
        sockets.confirm(&name("gateway-2"));
        sockets.passed_on(&name("gateway-1"), Duration::from_secs(60)).await;
        sockets.release(&name("gateway-1"));
        assert_eq!(second.accept().unwrap().1, waiting.local_addr().unwrap());

        drop((second, waiting));
        sockets.passed_on(&name("gateway-2"), Duration::from_millis(1)).await;
        sockets.release(&name("gateway-2"));
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody is meant to serve there");
    }

    #[test]
    fn what_a_keeper_was_found_to_have_is_not_bound_anew() {
        let sockets = FixedSockets::new();
        let kept = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = kept.local_addr().unwrap();
        sockets.found(&name("gateway-1"), kept).unwrap();
        assert_eq!(sockets.open(address, &name("gateway-2")).unwrap().local_addr().unwrap(), address);
    }

    #[test]
    fn an_address_may_grow_and_shrink_while_its_port_stays() {
        let sockets = FixedSockets::new();
        let narrow = sockets.open("127.0.0.1:0".parse().unwrap(), &name("gateway-1")).unwrap();
        let port = narrow.local_addr().unwrap().port();
        let wide = sockets.open(SocketAddr::from(([0, 0, 0, 0], port)), &name("gateway-2")).unwrap();
        assert_eq!(wide.local_addr().unwrap().port(), port);
        let other = TcpListener::bind(("127.0.0.2", port));
        assert!(other.is_err(), "no other program gets between them");
        sockets.release(&name("gateway-1"));
        drop(narrow);
        let again = sockets.open(SocketAddr::from(([127, 0, 0, 1], port)), &name("gateway-3")).unwrap();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(again.accept().unwrap().1, client.local_addr().unwrap(), "the narrower one is preferred");
    }

    #[test]
    fn what_somebody_else_has_is_named() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let why = FixedSockets::new().open(address, &name("gateway-1")).unwrap_err();
        assert!(why.contains(&address.to_string()) && why.contains("taken"), "{why}");
    }
}
