//! Keys that all replicas of a service share, such as for signing cookies. Never: leaves the service's data folder.

use crate::StartError;
use crate::random::try_random;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const LENGTH: usize = 32;

/// Reads the key of this name, or makes it: written aside, synced, then linked into place, so that of several replicas
/// that start at once exactly one makes it, and a crash leaves none or a whole one.
pub(crate) fn key(folder: &Path, name: &str) -> Result<[u8; LENGTH], StartError> {
    let named_well = !name.is_empty()
        && name.len() <= 40
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !named_well {
        return Err(StartError::new(format!("`{name}` cannot name a key: use 1 to 40 of a-z, 0-9 and `-`")));
    }
    let path = folder.join(format!("{name}.key"));
    let failed = |doing: &str, cause: std::io::Error| {
        StartError::new(format!("cannot {doing} the key `{}`", path.display())).because(cause)
    };
    match read(&path) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) => {
            return Err(StartError::new(format!(
                "the key `{}` is not {LENGTH} bytes long: restore it, or remove it to get a new one",
                path.display()
            )));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", error)),
    }
    make(folder, &path).map_err(|error| failed("make", error))?;
    match read(&path) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(failed("read", ErrorKind::InvalidData.into())),
        Err(error) => Err(failed("read", error)),
    }
}

fn read(path: &Path) -> std::io::Result<Option<[u8; LENGTH]>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok())
}

fn make(folder: &Path, path: &Path) -> std::io::Result<()> {
    let aside = folder.join(format!(".{}.new", u64::from_le_bytes(try_random::<8>()?)));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).and_then(|mut file| {
        file.write_all(&try_random::<LENGTH>()?)?;
        file.sync_all()
    });
    let linked = written.and_then(|()| match std::fs::hard_link(&aside, path) {
        // Another replica was faster: its key counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = std::fs::remove_file(&aside);
    linked?;
    removed?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_start_at_once_share_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| key(folder.path(), "cookies").unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_ne!(key(folder.path(), "other").unwrap(), keys[0]);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "nothing is left aside");
    }

    #[test]
    fn a_damaged_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cookies.key"), b"short").unwrap();
        let error = key(folder.path(), "cookies").unwrap_err().to_string();
        assert!(error.contains("cookies.key") && error.contains("32 bytes"), "{error}");
        assert!(key(folder.path(), "../up").is_err());
    }
}
