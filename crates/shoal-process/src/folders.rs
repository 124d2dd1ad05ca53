//! Where everything of one application lies: records and logs under its state folder, sockets under its runtime folder.
//!
//! Never: makes a folder that others may enter.

use crate::error::{ProcessError, SOCKET_PATH_MAX};
use shoal_model::{ReplicaName, ServiceName};
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The two folders of one application, and the paths in them.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    runtime: PathBuf,
    state: PathBuf,
}

impl Folders {
    /// Makes both folders, and checks that sockets of the longest names have room.
    pub(crate) fn open(runtime: &Path, state: &Path) -> Result<Self, ProcessError> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|source| ProcessError::Folder {
                doing: "find",
                path: path.to_owned(),
                source,
            })
        };
        let folders = Self { runtime: absolute(runtime)?, state: absolute(state)? };
        private(&folders.state)?;
        for folder in [folders.runtime.clone(), folders.runtime.join("k"), folders.runtime.join("h")] {
            private(&folder)?;
            own(&folder)?;
        }
        for folder in ["replicas", "logs"] {
            private(&folders.state.join(folder))?;
        }
        Ok(folders)
    }

    /// The state folder.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Sixteen hexadecimal digits that mark every process of this application.
    pub(crate) fn application_mark(&self) -> String {
        // FNV-1a, 64 bits: the same in every release, which the standard library's hasher does not promise.
        let hash = self.state.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// Where a replica's record and lock lie.
    pub(crate) fn replica(&self, replica: &ReplicaName) -> PathBuf {
        self.state.join("replicas").join(replica.to_string())
    }

    /// The lock that a keeper holds as long as it lives.
    pub(crate) fn lock(&self, replica: &ReplicaName) -> PathBuf {
        self.replica(replica).join("keeper.lock")
    }

    /// The record of a replica.
    pub(crate) fn record(&self, replica: &ReplicaName) -> PathBuf {
        self.replica(replica).join("record.json")
    }

    /// The folder of a service's logs.
    pub(crate) fn logs(&self, service: &ServiceName) -> PathBuf {
        self.state.join("logs").join(service.as_str())
    }

    /// The socket a keeper answers on.
    pub(crate) fn keeper_socket(&self, replica: &ReplicaName) -> PathBuf {
        self.runtime.join("k").join(replica.to_string())
    }

    /// The socket on which a program with the SDK answers about its health.
    pub(crate) fn health_socket(&self, replica: &ReplicaName) -> PathBuf {
        self.runtime.join("h").join(replica.to_string())
    }

    /// Removes the sockets that a program with the SDK makes: that one, and beside it the one on which it is called.
    pub(crate) fn remove_own_sockets(&self, replica: &ReplicaName) {
        remove_file(&self.health_socket(replica));
        remove_file(&self.runtime.join("h").join(format!("{replica}.calls")));
    }

    /// Every replica that left a trace: a record's folder, or a keeper's socket.
    pub(crate) fn traces(&self) -> Result<Vec<ReplicaName>, ProcessError> {
        let mut found = Vec::new();
        for folder in [self.state.join("replicas"), self.runtime.join("k")] {
            let failed = |source| ProcessError::Folder { doing: "read", path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                found.extend(name.to_str().and_then(|name| name.parse::<ReplicaName>().ok()));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// Makes a folder, with those above it, that only its owner may enter.
pub(crate) fn private(folder: &Path) -> Result<(), ProcessError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|source| ProcessError::Folder {
        doing: "create",
        path: folder.to_owned(),
        source,
    })
}

/// Checks that a folder is ours, as somebody else could have made it first under `/tmp`; and closes it to others.
fn own(folder: &Path) -> Result<(), ProcessError> {
    let protect = |source| ProcessError::Folder { doing: "protect", path: folder.to_owned(), source };
    let about = fs::symlink_metadata(folder).map_err(protect)?;
    if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() {
        return Err(ProcessError::NotOurs { path: folder.to_owned() });
    }
    if about.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(protect)?;
    }
    Ok(())
}

/// Checks that a Unix socket can have this path.
pub(crate) fn socket_path_fits(path: &Path) -> Result<(), ProcessError> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        return Err(ProcessError::SocketPathTooLong { path: path.to_owned(), length });
    }
    Ok(())
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove_file(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "failed to remove a file");
        }
        _ => {}
    }
}
