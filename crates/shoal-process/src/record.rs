//! What is kept on disk of a replica: enough for a new supervisor to find it, prove that it is the one, and take it over.
//!
//! Never: seen half-written by anyone who lives. A record is written aside, then put in place. It is not forced to the disk:
//! a power cut that may undo it ends the processes that it tells of as well.

use crate::identity::ProcessMark;
use serde::{Deserialize, Serialize};
use shoal_model::{Address, Exit, Millis, Probes, ReplicaIdentity, ReplicaName, RevisionId, ServiceName};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The version that is written. The one before it is still read.
pub(crate) const VERSION: u32 = 1;

/// More than any record has, in bytes.
const SIZE_MAX: u64 = 256 * 1024;

/// One replica, as its keeper recorded it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Of this format.
    pub(crate) version: u32,
    /// Which replica.
    pub(crate) replica: ReplicaName,
    /// What it runs.
    pub(crate) revision: RevisionId,
    /// The boot that the marks belong to.
    pub(crate) boot: String,
    /// The value of `SHOAL_LAUNCH` in its environment, by which what it left behind is known again.
    pub(crate) launch: String,
    /// Its keeper; the keeper's pid is also the id of its session.
    pub(crate) keeper: ProcessMark,
    /// The program; `None` when it never ran.
    pub(crate) program: Option<ProcessMark>,
    /// Where it listens.
    pub(crate) address: Option<Address>,
    /// Whom it calls at sockets that its keeper keeps.
    #[serde(default)]
    pub(crate) calls: BTreeSet<ServiceName>,
    /// Whether its keeper keeps the sockets that it serves on, too, for whoever serves there next.
    #[serde(default)]
    pub(crate) is_fixed: bool,
    /// Its log file.
    pub(crate) log: PathBuf,
    /// Its health socket.
    pub(crate) health: PathBuf,
    /// What to ask it.
    pub(crate) probes: Probes,
    /// How it ended; `None` while it runs, and when its keeper died.
    pub(crate) ended: Option<Ended>,
}

/// How and when a replica ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// How.
    pub(crate) exit: Exit,
    /// When.
    pub(crate) at: Millis,
}

impl Record {
    /// The identity of its program, as the brain sees it.
    pub(crate) fn identity(&self) -> Option<ReplicaIdentity> {
        let program = self.program?;
        Some(ReplicaIdentity { boot: self.boot.clone(), pid: program.pid, started: program.started })
    }

    /// Reads a record; `None` when there is none.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(SIZE_MAX).read_to_end(&mut text)?;
        let record: Self = serde_json::from_slice(&text)?;
        if shoal_discovery::understands(VERSION, record.version) {
            return Ok(Some(record));
        }
        let why = format!("it has version {}, and this release reads {VERSION}", record.version);
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// Writes it: after this returns, the death of any process does not undo it.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let aside = path.with_extension("json.new");
        let written = self.write_aside(&aside).and_then(|()| fs::rename(&aside, path));
        if written.is_err() {
            // What is left of the attempt holds space that a full disk needs; nothing reads it.
            let _ = fs::remove_file(&aside);
        }
        written
    }

    fn write_aside(&self, aside: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(aside)?;
        file.write_all(&serde_json::to_vec(self)?)
    }
}
