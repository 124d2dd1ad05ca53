//! The listening socket: passed by whoever started the process, or bound to a port. Never: listens beyond loopback on
//! its own account.

mod inherited;

use crate::StartError;
use crate::variables::Variables;
use rustix::net::sockopt;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;

/// Where to listen, decided from the variables before the service is built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    /// On the descriptor with this number.
    Passed(i32),
    /// On this port of the loopback address.
    Port(u16),
}

/// The first descriptor that is passed; a convention of systemd.
const FIRST_DESCRIPTOR: i32 = 3;
/// The most descriptors that are looked through.
const DESCRIPTORS_MAX: i32 = 64;

impl Listening {
    /// `LISTEN_FDS` when it is meant for this process, else `PORT`.
    pub fn decide(variables: &Variables, own_pid: u32) -> Result<Self, StartError> {
        let count: Option<i32> = variables.number("LISTEN_FDS", "a number of descriptors")?;
        let pid: Option<u32> = variables.number("LISTEN_PID", "a process id")?;
        if let (Some(count), Some(pid)) = (count, pid)
            && count > 0
            && pid == own_pid
        {
            let names = variables.get("LISTEN_FDNAMES").unwrap_or_default().split(':');
            let http = (0..count.min(DESCRIPTORS_MAX)).zip(names).find(|(_, name)| *name == "http");
            return Ok(Self::Passed(FIRST_DESCRIPTOR + http.map_or(0, |(index, _)| index)));
        }
        match variables.number("PORT", "a port from 0 to 65535")? {
            Some(port) => Ok(Self::Port(port)),
            None => Err(StartError::new(
                "nothing says where to listen: start this service with `shoal up`, or set PORT, such as PORT=8080",
            )),
        }
    }

    /// Takes or binds the socket. A passed descriptor can be taken once.
    pub fn open(self) -> Result<tokio::net::TcpListener, StartError> {
        let listener = match self {
            Self::Passed(descriptor) => passed(descriptor)?,
            Self::Port(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                StartError::new(format!("cannot listen on 127.0.0.1:{port}, as PORT says")).because(error)
            })?,
        };
        listener.set_nonblocking(true)?;
        Ok(tokio::net::TcpListener::from_std(listener)?)
    }
}

fn passed(descriptor: i32) -> Result<TcpListener, StartError> {
    let wrong = |why: &str| {
        StartError::new(format!("descriptor {descriptor}, which LISTEN_FDS passes, {why}: pass a listening TCP socket"))
    };
    let socket: OwnedFd = inherited::take(descriptor).map_err(|error| wrong("is not open").because(error))?;
    match sockopt::socket_acceptconn(&socket) {
        Ok(true) => {}
        Ok(false) => return Err(wrong("does not listen")),
        Err(error) => return Err(wrong("is not a socket").because(error)),
    }
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    let listener = TcpListener::from(socket);
    listener.local_addr().map_err(|error| wrong("is not a TCP socket").because(error))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(pairs: &[(&str, &str)]) -> Result<Listening, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Listening::decide(&Variables::new(pairs), 42).map_err(|error| error.to_string())
    }

    #[test]
    fn a_passed_socket_comes_before_a_port() {
        let both = [("LISTEN_FDS", "1"), ("LISTEN_PID", "42"), ("PORT", "8080")];
        assert_eq!(decide(&both), Ok(Listening::Passed(3)));
        let named = [("LISTEN_FDS", "2"), ("LISTEN_PID", "42"), ("LISTEN_FDNAMES", "admin:http")];
        assert_eq!(decide(&named), Ok(Listening::Passed(4)));
        let other = [("LISTEN_FDS", "1"), ("LISTEN_PID", "41"), ("PORT", "8080")];
        assert_eq!(decide(&other), Ok(Listening::Port(8080)));
    }

    #[test]
    fn without_either_the_sentence_says_what_to_do() {
        assert!(decide(&[]).unwrap_err().contains("PORT=8080"));
        assert!(decide(&[("PORT", "99999")]).unwrap_err().contains("PORT=`99999`"));
        assert!(decide(&[("LISTEN_FDS", "x")]).unwrap_err().contains("LISTEN_FDS"));
    }
}
