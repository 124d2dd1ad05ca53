//! What can go wrong with the runtime as a whole. A replica that does not start is not an error but an observation.

use std::io;
use std::path::PathBuf;

/// The most bytes the path of a Unix socket may have on Linux, its closing zero left out.
pub(crate) const SOCKET_PATH_MAX: usize = 107;

/// Why the process runtime could not do its work; each message is one sentence that names the place and the mend.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A folder could not be made, read or made private.
    #[error("failed to {doing} the folder `{}`: {source}", path.display())]
    Folder {
        /// What was tried: `create`, `read`, `protect`.
        doing: &'static str,
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for sockets belongs to somebody else.
    #[error("the folder `{}` belongs to another user: remove it, or set XDG_RUNTIME_DIR to a folder of your own", path.display())]
    NotOurs {
        /// Which folder.
        path: PathBuf,
    },
    /// A socket's path is longer than Linux allows.
    #[error("the socket path `{}` has {length} bytes, and Linux allows {SOCKET_PATH_MAX}: set XDG_RUNTIME_DIR to a shorter folder", path.display())]
    SocketPathTooLong {
        /// Which path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The machine does not tell what is needed to know processes apart.
    #[error("failed to read `/proc`, which Shoal needs to tell processes apart: {0}")]
    Proc(#[source] io::Error),
    /// Processes that survived everything.
    #[error("these processes are still there after they were killed: {}", .0.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))]
    Survivors(Vec<u32>),
}
