//! Turns a manifest's services into revisions: immutable, named after their content, kept under `.shoal/revisions`.
//! Never starts anything.

use crate::digests;
use crate::folders::Folders;
use sha2::{Digest, Sha256};
use shoal_model::{LaunchSettings, Revision, RevisionId, ServiceName};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Revisions kept per service beside those in use, so that going back never rebuilds.
const REVISIONS_KEPT: usize = 3;
/// Hexadecimal digits of a digest that a name is made of.
const DIGITS: usize = 12;

/// Makes the revision of a service whose program was built: copies the program to where no later build can change it.
///
/// # Errors
/// When the program cannot be read or copied.
pub fn of_program(
    folders: &Folders,
    service: &ServiceName,
    program: &Path,
    mut launch: LaunchSettings,
) -> io::Result<Revision> {
    let mut hash = Sha256::new();
    hash.update(digests::digest(&memory(folders), program)?);
    let id = finish(hash, &launch);
    launch.command = vec![keep(folders, service, &id, program)?.display().to_string()];
    Ok(Revision { id, service: service.clone(), launch })
}

/// The revision of a service that runs a given command: named after its settings alone, since its files are not ours.
#[must_use]
pub fn of_command(service: &ServiceName, launch: LaunchSettings) -> Revision {
    Revision { id: finish(Sha256::new(), &launch), service: service.clone(), launch }
}

/// Copies this executable to `.shoal/bin`, where keepers and the gateway run it even after it was rebuilt.
///
/// # Errors
/// When it cannot be read or copied.
pub fn keep_shoal(folders: &Folders, executable: &Path) -> io::Result<PathBuf> {
    let mut digest = digests::digest(&memory(folders), executable)?;
    digest.truncate(DIGITS);
    copy_once(executable, &folders.state.join("bin").join(digest), "shoal")
}

/// Removes the revisions of a service that nobody uses, except for the newest few.
///
/// # Errors
/// When the folder cannot be read or a revision cannot be removed.
pub fn remove_unused(folders: &Folders, service: &ServiceName, used: &[&RevisionId]) -> io::Result<()> {
    let folder = folders.revisions(service.as_str());
    if !folder.exists() {
        return Ok(());
    }
    let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !used.iter().any(|id| id.0.as_str() == name) {
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    kept.sort();
    kept.truncate(kept.len().saturating_sub(REVISIONS_KEPT));
    kept.iter().try_for_each(|(_, path)| std::fs::remove_dir_all(path))
}

fn keep(folders: &Folders, service: &ServiceName, id: &RevisionId, program: &Path) -> io::Result<PathBuf> {
    copy_once(program, &folders.revisions(service.as_str()).join(&id.0), service.as_str())
}

/// Copies under another name first: a copy cut short by a full disk or a kill never passes for the program.
fn copy_once(program: &Path, folder: &Path, name: &str) -> io::Result<PathBuf> {
    let kept = folder.join(name);
    if kept.exists() {
        return Ok(kept);
    }
    std::fs::create_dir_all(folder)?;
    let partial = folder.join(format!(".{name}.partial"));
    let copied = std::fs::copy(program, &partial)
        .and_then(|_| File::open(&partial)?.sync_all())
        .and_then(|()| std::fs::rename(&partial, &kept));
    if copied.is_err() {
        let _ = std::fs::remove_file(&partial); // what matters is the error that follows
    }
    copied.map(|()| kept)
}

/// Where digests are remembered.
fn memory(folders: &Folders) -> PathBuf {
    folders.state.join("digests.json")
}

fn finish(mut hash: Sha256, launch: &LaunchSettings) -> RevisionId {
    // Debug output of maps and sets is sorted, and of the rest is a function of its value alone.
    hash.update(format!("{launch:?}").as_bytes());
    RevisionId::from_hash(&hexadecimal(hash))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).take(DIGITS / 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_launch;

    fn folders() -> (tempfile::TempDir, Folders) {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        folders.make().unwrap();
        (folder, folders)
    }

    #[test]
    fn a_revision_is_named_after_program_and_settings() {
        let (folder, folders) = folders();
        let program = folder.path().join("program");
        let service: ServiceName = "shop".parse().unwrap();
        std::fs::write(&program, "one").unwrap();
        let first = of_program(&folders, &service, &program, test_launch()).unwrap();
        let again = of_program(&folders, &service, &program, test_launch()).unwrap();
        assert_eq!(first, again);
        std::fs::write(&program, "two").unwrap();
        let second = of_program(&folders, &service, &program, test_launch()).unwrap();
        assert_ne!(first.id, second.id);
        assert_eq!(std::fs::read(&first.launch.command[0]).unwrap(), b"one");

        let mut launch = test_launch();
        launch.env.insert("A".to_owned(), "b".to_owned());
        assert_ne!(of_program(&folders, &service, &program, launch).unwrap().id, second.id);
    }

    #[test]
    fn used_and_newest_revisions_stay() {
        let (folder, folders) = folders();
        let program = folder.path().join("program");
        let service: ServiceName = "shop".parse().unwrap();
        let mut ids = Vec::new();
        for content in 0..6 {
            std::fs::write(&program, content.to_string()).unwrap();
            ids.push(of_program(&folders, &service, &program, test_launch()).unwrap().id);
        }
        remove_unused(&folders, &service, &[&ids[0]]).unwrap();
        let left = std::fs::read_dir(folders.revisions("shop")).unwrap().count();
        assert_eq!(left, 1 + REVISIONS_KEPT);
        assert!(folders.revisions("shop").join(&ids[0].0).exists());
    }
}
