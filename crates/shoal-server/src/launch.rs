//! Starts a supervisor as a detached process, and finds the one that runs.

use crate::folders::{FolderError, Folders};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::io::AsyncReadExt;

/// What a supervisor says on its standard output once it can be spoken to. Anything else is why it could not start.
pub const READY: &str = "ready";

/// The supervisor's own log is begun anew, and the old one kept aside, above this size.
const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why no supervisor was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// This program cannot start itself.
    #[error("the supervisor cannot be started")]
    Spawn(#[source] io::Error),
    /// The supervisor said why.
    #[error("{0}")]
    Said(String),
}

/// Starts a supervisor for the application, detached from this process and its terminal; returns once it can be asked.
///
/// # Errors
/// When it cannot be started, or one runs already.
pub async fn start(folders: &Folders) -> Result<(), StartError> {
    folders.make()?;
    let log = open_log(&folders.supervisor_log()).map_err(StartError::Spawn)?;
    let mut command = Command::new(std::env::current_exe().map_err(StartError::Spawn)?);
    command.arg("__supervise").arg(&folders.application).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = tokio::process::Command::from(command).spawn().map_err(StartError::Spawn)?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(64 * 1024).read_to_string(&mut said).await.map_err(StartError::Spawn)?;
    }
    match said.trim() {
        READY => Ok(()),
        "" => Err(StartError::Said(format!(
            "the supervisor ended without a word; see {}",
            folders.supervisor_log().display()
        ))),
        why => Err(StartError::Said(why.to_owned())),
    }
}

/// Whether an application without a supervisor may still have running parts.
#[must_use]
pub fn has_leftovers(folders: &Folders) -> bool {
    let records = folders.state.join("replicas");
    std::fs::read_dir(records).is_ok_and(|mut entries| entries.next().is_some())
}

fn open_log(path: &Path) -> io::Result<std::fs::File> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_records_of_replicas() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        assert!(!has_leftovers(&folders), "it never ran");
        let records = folders.state.join("replicas");
        std::fs::create_dir_all(&records).unwrap();
        assert!(!has_leftovers(&folders), "all was tidied up");
        std::fs::create_dir(records.join("a-1")).unwrap();
        assert!(has_leftovers(&folders));
    }

    #[test]
    fn a_large_log_is_kept_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("supervisor.log");
        std::fs::File::create(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        drop(open_log(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(std::fs::metadata(folder.path().join("supervisor.log.1")).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
