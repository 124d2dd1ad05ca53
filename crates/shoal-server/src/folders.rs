//! Where an application's files and sockets are. Decides paths and makes the folders; never touches what is in them.

use rustix::process::getuid;
use sha2::{Digest, Sha256};
use shoal_model::ServiceName;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Linux takes 107 bytes for a socket's path. After the folder's come `h/`, a service's name, a serial number and `.calls`.
const RUNTIME_LENGTH_MAX: usize = 107 - "/h/".len() - ServiceName::LENGTH_MAX - "-1234567890.calls".len();

/// Where one application's files and sockets are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The application's folder, canonical: where `shoal.toml` is.
    pub application: PathBuf,
    /// 16 hexadecimal digits that stand for the application's folder wherever a path must be short.
    pub hash: String,
    /// `.shoal/`: what must survive a reboot.
    pub state: PathBuf,
    /// `$XDG_RUNTIME_DIR/shoal/<hash>/`: sockets.
    pub runtime: PathBuf,
    /// The per-user registry of ports.
    pub ports: PathBuf,
}

/// A folder that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {source}; {mend}")]
pub struct FolderError {
    path: String,
    mend: &'static str,
    source: io::Error,
}

impl FolderError {
    fn new(path: &Path, mend: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self { path, mend, source }
    }
}

impl Folders {
    /// The folders of the application whose manifest is in `application`. Makes none of them.
    ///
    /// # Errors
    /// When `application` cannot be resolved to a real folder.
    pub fn of(application: &Path, runtime_base: Option<&Path>) -> Result<Self, FolderError> {
        let application = application
            .canonicalize()
            .map_err(FolderError::new(application, "name a folder that holds a shoal.toml"))?;
        let digest = Sha256::digest(application.as_os_str().as_encoded_bytes());
        let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let base = runtime_base.map_or_else(user_runtime, |base| base.join("shoal"));
        Ok(Self {
            state: application.join(".shoal"),
            runtime: base.join(&hash),
            ports: base.join("ports"),
            application,
            hash,
        })
    }

    /// Makes the folders, for this user's eyes only.
    ///
    /// # Errors
    /// When one cannot be made or belongs to somebody else.
    pub fn make(&self) -> Result<(), FolderError> {
        make_private(&self.state, "make the application's folder writable, or copy the application to one that is")?;
        if self.runtime.as_os_str().len() > RUNTIME_LENGTH_MAX {
            let why =
                io::Error::other(format!("its path is longer than {RUNTIME_LENGTH_MAX} bytes, too long for sockets"));
            return Err(FolderError::new(&self.runtime, "set XDG_RUNTIME_DIR to a shorter path")(why));
        }
        // The one above them too: in a shared `/tmp` somebody else could have made it.
        let above = self.runtime.parent().unwrap_or(&self.runtime);
        for folder in [above, &self.runtime, &self.ports] {
            make_private(folder, "set XDG_RUNTIME_DIR to a folder of your own")?;
        }
        // Of this process's own, because another may look at the same time.
        let probe = self.state.join(format!(".writable-{}", std::process::id()));
        std::fs::write(&probe, b"")
            .and_then(|()| std::fs::remove_file(&probe))
            .map_err(FolderError::new(&self.state, "make it writable and see that its disk has room"))
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.application.join("shoal.toml")
    }

    /// The control API's socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }

    /// The socket on which route holders learn endpoints.
    #[must_use]
    pub fn discovery_socket(&self) -> PathBuf {
        self.runtime.join("discovery.sock")
    }

    /// The file whose lock the supervisor holds; it contains its process id.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// What the supervisor itself has to say.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.state.join("supervisor.log")
    }

    /// The data of one service.
    #[must_use]
    pub fn data(&self, service: &str) -> PathBuf {
        self.state.join("data").join(service)
    }

    /// The revisions of one service.
    #[must_use]
    pub fn revisions(&self, service: &str) -> PathBuf {
        self.state.join("revisions").join(service)
    }
}

/// Finds the application that holds `from`: the nearest folder upward with a `shoal.toml`.
#[must_use]
pub fn find_application(from: &Path) -> Option<PathBuf> {
    let from = from.canonicalize().ok()?;
    from.ancestors().find(|folder| folder.join("shoal.toml").is_file()).map(Path::to_path_buf)
}

fn user_runtime() -> PathBuf {
    let user = getuid().as_raw();
    let run = PathBuf::from(format!("/run/user/{user}"));
    let is_ours = std::fs::metadata(&run).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
    if is_ours { run.join("shoal") } else { PathBuf::from(format!("/tmp/shoal-{user}")) }
}

/// Makes `folder`, or sees that it is ours: in a shared `/tmp` somebody else could have made it first.
fn make_private(folder: &Path, mend: &'static str) -> Result<(), FolderError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(FolderError::new(folder, mend))?;
    let metadata = std::fs::metadata(folder).map_err(FolderError::new(folder, mend))?;
    if metadata.uid() != getuid().as_raw() {
        return Err(FolderError::new(folder, mend)(io::Error::other("it belongs to another user")));
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
            .map_err(FolderError::new(folder, mend))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_found_from_below() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(find_application(&deep), None);
        std::fs::write(folder.path().join("shoal.toml"), "").unwrap();
        assert_eq!(find_application(&deep), Some(folder.path().canonicalize().unwrap()));
    }

    #[test]
    fn folders_are_private_and_paths_short() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        folders.make().unwrap();
        assert_eq!(folders.hash.len(), 16);
        for made in [&folders.runtime, &folders.ports, &folders.state, &folder.path().join("shoal")] {
            let mode = std::fs::metadata(made).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", made.display());
        }
    }

    #[test]
    fn a_path_too_long_for_sockets_is_named_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::of(folder.path(), Some(&folder.path().join("x".repeat(80)))).unwrap();
        let message = folders.make().unwrap_err().to_string();
        assert!(message.contains("shorter") && message.contains("XDG_RUNTIME_DIR"), "{message}");
    }

    #[test]
    fn a_folder_that_is_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".shoal"), "").unwrap();
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        let message = folders.make().unwrap_err().to_string();
        assert!(message.contains(".shoal") && message.contains("writable"), "{message}");
    }
}
