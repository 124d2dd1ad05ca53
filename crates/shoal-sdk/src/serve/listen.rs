//! The listening socket: passed by whoever started the process, or bound to a port. Never: listens beyond loopback on
//! its own account.

use crate::StartError;
use crate::variables::Variables;
use shoal_discovery::sockets;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

/// Where to listen, decided before the service is built.
#[derive(Debug)]
pub(crate) enum Listening {
    /// On this socket, which was passed.
    Passed(TcpListener),
    /// On this port of the loopback address.
    Port(u16),
}

impl Listening {
    /// The passed socket called `http`, or the only one; where none was passed, `PORT`.
    pub fn decide(variables: &Variables, mut passed: BTreeMap<String, TcpListener>) -> Result<Self, StartError> {
        if let Some(listener) = passed.remove(sockets::DEFAULT_NAME) {
            return Ok(Self::Passed(listener));
        }
        if passed.len() == 1
            && let Some((_, only)) = passed.pop_first()
        {
            return Ok(Self::Passed(only));
        }
        if !passed.is_empty() {
            let names: Vec<&str> = passed.keys().map(String::as_str).collect();
            return Err(StartError::new(format!(
                "none of the sockets that LISTEN_FDS passes is called `{}` in LISTEN_FDNAMES, only: {}",
                sockets::DEFAULT_NAME,
                names.join(", ")
            )));
        }
        match variables.number("PORT", "a port from 0 to 65535")? {
            Some(port) => Ok(Self::Port(port)),
            None => Err(StartError::new(
                "nothing says where to listen: start this service with `shoal up`, or set PORT, such as PORT=8080",
            )),
        }
    }

    /// Takes the socket over, or binds one; non-blocking.
    pub fn open(self) -> Result<tokio::net::TcpListener, StartError> {
        let listener = match self {
            Self::Passed(listener) => listener,
            Self::Port(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                StartError::new(format!("cannot listen on 127.0.0.1:{port}, as PORT says")).because(error)
            })?,
        };
        listener.set_nonblocking(true)?;
        Ok(tokio::net::TcpListener::from_std(listener)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decided, given sockets of these names: the name of the chosen one, or the port.
    fn decide(pairs: &[(&str, &str)], names: &[&str]) -> Result<String, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let bind = |name: &&str| ((*name).to_owned(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let passed: BTreeMap<String, TcpListener> = names.iter().map(bind).collect();
        let addresses: Vec<_> =
            passed.iter().map(|(name, socket)| (name.clone(), socket.local_addr().unwrap())).collect();
        match Listening::decide(&Variables::new(pairs), passed) {
            Ok(Listening::Port(port)) => Ok(port.to_string()),
            Ok(Listening::Passed(socket)) => {
                let own = socket.local_addr().unwrap();
                Ok(addresses.into_iter().find(|(_, address)| *address == own).unwrap().0)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_passed_socket_comes_before_a_port() {
        let port = [("PORT", "8080")];
        assert_eq!(decide(&port, &["http"]).unwrap(), "http");
        assert_eq!(decide(&port, &["admin", "http", "zoo"]).unwrap(), "http");
        assert_eq!(decide(&port, &["admin"]).unwrap(), "admin", "the only one");
        assert_eq!(decide(&port, &[]).unwrap(), "8080");
    }

    #[test]
    fn without_either_the_sentence_says_what_to_do() {
        assert!(decide(&[], &[]).unwrap_err().contains("PORT=8080"));
        assert!(decide(&[("PORT", "99999")], &[]).unwrap_err().contains("PORT=`99999`"));
        let several = decide(&[("PORT", "8080")], &["admin", "other"]).unwrap_err();
        assert!(several.contains("`http`") && several.contains("admin, other"), "{several}");
    }
}
