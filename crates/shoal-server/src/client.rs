//! Speaks to a supervisor, if one runs.

use crate::api::ControlClient;
use crate::calls;
use crate::folders::Folders;
use crate::lock;
use shoal_model::Address;
use shoal_sdk::{Environment, StartError};
use std::io;
use std::sync::Arc;
use tokio::net::UnixStream;

/// Why a supervisor that may run could not be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket is there and cannot be used.
    #[error("failed to connect to {path}")]
    Socket {
        /// The control API's socket.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No client could be made.
    #[error("{0}")]
    Client(StartError),
}

/// The control API of the application's supervisor; `None` when none runs.
///
/// # Errors
/// When its socket is there but cannot be used.
pub async fn connect(folders: &Folders) -> Result<Option<Arc<dyn ControlClient>>, ConnectError> {
    let path = folders.control_socket();
    match UnixStream::connect(&path).await {
        Ok(_) => {}
        // A socket that nobody listens on is what a killed supervisor leaves behind.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(source) => return Err(ConnectError::Socket { path: path.display().to_string(), source }),
    }
    let environment = Environment::of_client("shoal", "control", Address::Unix(path)).map_err(ConnectError::Client)?;
    calls::control(&environment).map(Some).map_err(ConnectError::Client)
}

/// Waits until the application's supervisor has ended, to the last of its tidying up.
///
/// # Errors
/// When its lock cannot be waited for.
pub async fn until_ended(folders: &Folders) -> io::Result<()> {
    let lock = folders.lock();
    tokio::task::spawn_blocking(move || lock::until_free(&lock)).await.map_err(io::Error::other)?
}
