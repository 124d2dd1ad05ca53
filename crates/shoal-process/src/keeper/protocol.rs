//! What a keeper is told and answers: one JSON object a line, each with a version.
//!
//! The supervisor's first line goes over the keeper's standard input and is the launch, with descriptors attached: the
//! lock, the listening sockets to pass, then those to keep. Everyone later connects to the keeper's own socket.

use crate::record::Record;
use serde::{Deserialize, Serialize};
use shoal_discovery::descriptors;
use shoal_model::{Address, Disturbance, Probes, ReplicaName, RevisionId, ServiceName, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// The version that is spoken. The one before it is still understood.
pub(crate) const VERSION: u32 = 1;

/// The longest launch line, in bytes.
pub(crate) const LAUNCH_MAX: usize = 4 * 1024 * 1024;

/// The longest of all other lines, in bytes.
pub(crate) const LINE_MAX: usize = 256 * 1024;

/// The most sockets of one replica: with the lock, all travel at once.
pub(crate) const SOCKETS_MAX: usize = 200;
const _: () = assert!(SOCKETS_MAX < descriptors::DESCRIPTORS_MAX);

/// A line to a keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Of this protocol.
    pub(crate) version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub(crate) ask: Ask,
}

/// What a keeper can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub(crate) enum Ask {
    /// Start the program; only as the first line on standard input.
    Launch(Box<Launch>),
    /// Say how things are, once.
    Status,
    /// Say how things are now, and again when the program has ended.
    Subscribe,
    /// Send the program a signal.
    Signal {
        /// Which.
        signal: Signal,
        /// The action that wants it; a repeated one does nothing.
        action: u64,
    },
    /// Make the program suffer this, and nothing else of its kind; says all of it each time.
    Disturb(Disturbance),
    /// Hand out copies of the listening sockets that are kept: see [`shoal_discovery::kept`].
    Sockets,
    /// Kill the program with everything it started.
    Stop,
    /// The end was taken note of: do not stay to write it down.
    Forget,
}

/// A line from a keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Of this protocol.
    pub(crate) version: u32,
    /// What is answered.
    #[serde(flatten)]
    pub(crate) answer: Answer,
}

/// What a keeper answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub(crate) enum Answer {
    /// How things are.
    Status {
        /// As it is, or will be, on disk.
        record: Box<Record>,
    },
    /// The sockets that are attached, in their order.
    Sockets {
        /// Their names: the service called there, or the name under which the program got it.
        names: Vec<String>,
    },
    /// It was done.
    Done,
    /// It was not done.
    Refused {
        /// One sentence.
        why: String,
    },
}

/// All a keeper needs to start a program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) replica: ReplicaName,
    pub(crate) revision: RevisionId,
    /// The value of `SHOAL_LAUNCH`.
    pub(crate) launch: String,
    pub(crate) command: Vec<String>,
    pub(crate) folder: PathBuf,
    /// The whole environment, but for what the shim adds.
    pub(crate) env: BTreeMap<String, String>,
    /// The names of the sockets, in the order in which their descriptors follow the lock's.
    pub(crate) sockets: Vec<String>,
    /// Whether those have fixed addresses: the keeper keeps copies, also after the program ended by itself, for whoever
    /// serves there next.
    #[serde(default)]
    pub(crate) is_fixed: bool,
    /// The services that are called at sockets which the keeper keeps; their descriptors follow.
    #[serde(default)]
    pub(crate) calls: BTreeSet<ServiceName>,
    pub(crate) address: Option<Address>,
    /// The keeper's own socket.
    pub(crate) socket: PathBuf,
    pub(crate) record: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) health: PathBuf,
    pub(crate) probes: Probes,
    /// How long what the program started may outlive it once it was told to stop.
    pub(crate) drain_timeout: Duration,
}

/// Whether a line of this version is understood.
pub(crate) fn understands(version: u32) -> bool {
    shoal_discovery::understands(VERSION, version)
}

/// One line, with its end.
pub(crate) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The first line to a keeper.
pub(crate) struct FirstLine {
    pub(crate) launch: Launch,
    /// What was attached: the lock, the sockets to pass, those to keep.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// What came after the line already.
    pub(crate) rest: Vec<u8>,
}

/// Receives the first line with the descriptors attached to it. Blocks at most as long as the socket's timeout.
pub(crate) fn receive_launch(socket: &impl AsFd) -> io::Result<FirstLine> {
    let (mut text, mut descriptors) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 * 1024];
    let end = loop {
        let received = descriptors::receive(socket, &mut buffer, &mut descriptors)?;
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = text.len();
        text.extend_from_slice(buffer.get(..received).unwrap_or_default());
        if let Some(end) = text.iter().skip(before).position(|&byte| byte == b'\n') {
            break before + end + 1;
        }
        if text.len() > LAUNCH_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the launch is too long"));
        }
    };
    let rest = text.split_off(end);
    let request: Request = serde_json::from_slice(&text)?;
    match request.ask {
        Ask::Launch(launch) if understands(request.version) => Ok(FirstLine { launch: *launch, descriptors, rest }),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is not a launch of a known version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_version_makes_a_keeper_panic_and_there_never_was_a_version_0() {
        assert!(understands(VERSION));
        assert!(!understands(u32::MAX) && !understands(VERSION + 1) && !understands(0));
    }
}
