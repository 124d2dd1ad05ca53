//! The registry of ports below the range from which the kernel takes them for outgoing connections, one per user, so that
//! two applications never give the same port to a program, and a probe cannot meet itself.
//!
//! A folder with a lock and one JSON file. A claim belongs to an application and a name in it, and names a lock file that
//! is held as long as the claim is in use; when room gets scarce, claims whose lock is free are taken back.
//!
//! Never: gives a port that somebody listens on.

use crate::{folders, identity, lock};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The ports that are given out. Linux takes 32768 and up for outgoing connections.
pub const RANGE: RangeInclusive<u16> = 20_000..=32_767;

/// From this many claims on, those of ended programs are looked for.
const CLAIMS_MANY: usize = 512;

/// More than a full registry has, in bytes.
const SIZE_MAX: u64 = 16 * 1024 * 1024;

const VERSION: u32 = 1;

/// Why no port was had; each message is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// The registry's folder or file could not be used.
    #[error("failed to use the registry of ports in `{}`: {source}", path.display())]
    Registry {
        /// The registry's folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// All are taken.
    #[error("every port from {} to {} is taken: stop an application that is not needed", RANGE.start(), RANGE.end())]
    Full,
}

/// The registry in one folder. Cheap to clone; every call locks, reads and writes the file.
#[derive(Clone, Debug)]
pub struct Ports {
    folder: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Registry {
    version: u32,
    /// Where to look next. A port that was given back comes round again only after all others, as callers that have not
    /// heard of it yet must not meet another program there.
    #[serde(default)]
    next: u16,
    claims: BTreeMap<u16, Claim>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    application: String,
    name: String,
    /// A lock file that is held while the claim is in use.
    #[serde(default)]
    held: Option<PathBuf>,
}

impl Ports {
    /// The registry in this folder, which is made when it is first needed.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The port of this name in this application: the one it has already, or a free one, which it keeps until
    /// [`release`](Self::release). `application` is any text that no other application has.
    ///
    /// # Errors
    /// When the registry cannot be used, or every port is taken.
    pub fn claim(&self, application: &str, name: &str) -> Result<u16, PortsError> {
        self.claim_with(application, name, None)
    }

    /// As [`claim`](Self::claim), for as long as somebody holds the lock `held`, which must be so already.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn claim_while(&self, application: &str, name: &str, held: &Path) -> Result<u16, PortsError> {
        self.claim_with(application, name, Some(held))
    }

    fn claim_with(&self, application: &str, name: &str, held: Option<&Path>) -> Result<u16, PortsError> {
        self.change(|registry| {
            let own = |claim: &Claim| claim.application == application && claim.name == name;
            if let Some((&port, claim)) = registry.claims.iter_mut().find(|(_, claim)| own(claim)) {
                claim.held = held.map(Path::to_owned);
                return Some(port);
            }
            if registry.claims.len() >= CLAIMS_MANY {
                registry.reclaim();
            }
            let port = registry.free_port().or_else(|| {
                registry.reclaim();
                registry.free_port()
            })?;
            let claim =
                Claim { application: application.to_owned(), name: name.to_owned(), held: held.map(Path::to_owned) };
            registry.claims.insert(port, claim);
            Some(port)
        })?
        .ok_or(PortsError::Full)
    }

    /// Gives a port back; one that is not claimed is fine.
    ///
    /// # Errors
    /// When the registry cannot be used.
    pub fn release(&self, application: &str, name: &str) -> Result<(), PortsError> {
        self.change(|registry| {
            registry.claims.retain(|_, claim| claim.application != application || claim.name != name);
        })
    }

    /// Gives back every port of an application.
    ///
    /// # Errors
    /// When the registry cannot be used.
    pub fn release_all(&self, application: &str) -> Result<(), PortsError> {
        self.change(|registry| registry.claims.retain(|_, claim| claim.application != application))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> Result<T, PortsError> {
        let failed = |source| PortsError::Registry { path: self.folder.clone(), source };
        folders::private(&self.folder).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.folder.join("lock"));
        let lock: File = lock.map_err(failed)?;
        // Held for moments only, by whoever else is here; and freed when this ends, however it does.
        rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive))
            .map_err(|error| failed(error.into()))?;
        let path = self.folder.join("ports.json");
        let (before, mut registry) = read(&path).map_err(failed)?;
        let outcome = change(&mut registry);
        let after = serde_json::to_vec(&registry).map_err(|error| failed(error.into()))?;
        if before != after {
            write(&path, &after).map_err(failed)?;
        }
        Ok(outcome)
    }
}

impl Registry {
    /// The next port that nobody claimed or listens on.
    fn free_port(&mut self) -> Option<u16> {
        let (first, count) = (*RANGE.start(), RANGE.end() - RANGE.start() + 1);
        let place = self.next % count;
        let found = (0..count)
            .map(|step| (place + step) % count)
            .find(|place| !self.claims.contains_key(&(first + place)) && is_free(first + place))?;
        self.next = (found + 1) % count;
        Some(first + found)
    }

    /// Forgets the claims that nobody holds. The port itself is looked at again when it is given.
    fn reclaim(&mut self) {
        self.claims.retain(|port, claim| match &claim.held {
            Some(path) => lock::is_held(path).unwrap_or(true) || !is_free(*port),
            None => true,
        });
    }
}

/// Whether a program could listen there, on loopback only or on every address.
fn is_free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .into_iter()
        .all(|address| TcpListener::bind(SocketAddr::from((address, port))).is_ok())
}

/// Where a new registry begins: two that do not know of each other, as in tests, then rarely meet on the same ports.
fn anywhere() -> u16 {
    let unique = identity::unique_text().unwrap_or_default();
    unique.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// The file's bytes, and what they say. A file that is no registry is as good as none: what is in use is not free anyway.
fn read(path: &Path) -> io::Result<(Vec<u8>, Registry)> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(SIZE_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let registry = match serde_json::from_slice::<Registry>(&bytes) {
        Ok(registry) if registry.version == VERSION => registry,
        Ok(registry) => {
            let why = format!("it has version {}, and this release reads {VERSION}", registry.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Err(error) => {
            if !bytes.is_empty() {
                tracing::warn!(path = %path.display(), %error, "the registry of ports was damaged, and begins anew");
            }
            Registry { version: VERSION, next: anywhere(), claims: BTreeMap::new() }
        }
    };
    Ok((bytes, registry))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("json.new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_keeps_its_port_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::new(folder.path());
        let port = ports.claim("one", "a").unwrap();
        assert!(RANGE.contains(&port));
        assert_eq!(ports.claim("one", "a").unwrap(), port);
        assert_ne!(ports.claim("one", "b").unwrap(), port);
        assert_ne!(ports.claim("two", "a").unwrap(), port);
        ports.release("one", "a").unwrap();
        assert_ne!(ports.claim("one", "c").unwrap(), port, "not given again at once");
        ports.release_all("one").unwrap();
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::new(folder.path());
        let port = ports.claim("taken", "a").unwrap();
        ports.release("taken", "a").unwrap();
        let holders: Vec<_> = (0..5).filter_map(|step| TcpListener::bind(("127.0.0.1", port + step)).ok()).collect();
        ports.change(|registry| registry.next = port - RANGE.start()).unwrap();
        let given = ports.claim("taken", "a").unwrap();
        assert!(holders.iter().all(|holder| holder.local_addr().unwrap().port() != given));
    }

    #[test]
    fn claims_at_the_same_time_are_different() {
        let folder = tempfile::tempdir().unwrap();
        let claimed: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let ports = Ports::new(folder.path());
                    scope.spawn(move || {
                        (0..10).map(|n| ports.claim("same", &format!("{thread}-{n}")).unwrap()).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 80);
    }

    #[test]
    fn only_claims_without_a_holder_are_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (dead, live) = (folder.path().join("dead.lock"), folder.path().join("live.lock"));
        fs::write(&dead, "").unwrap();
        let _held = lock::take(&live).unwrap().unwrap();
        let ports = Ports::new(folder.path());
        ports.claim_while("x", "dead", &dead).unwrap();
        let kept = ports.claim_while("x", "live", &live).unwrap();
        let forever = ports.claim("x", "forever").unwrap();
        ports.change(Registry::reclaim).unwrap();
        let left = ports.change(|registry| registry.claims.keys().copied().collect::<BTreeSet<_>>()).unwrap();
        assert_eq!(left, BTreeSet::from([kept, forever]));
    }

    #[test]
    fn a_damaged_registry_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ports.json"), b"{\"version\":1,\"cl").unwrap();
        assert!(Ports::new(folder.path()).claim("a", "b").is_ok());
    }
}
