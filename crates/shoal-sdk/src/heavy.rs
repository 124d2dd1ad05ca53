//! The way out for heavy work. Never: for waiting; a task that waits costs nothing on the event loop.

use crate::Error;

/// Runs a long computation, such as hashing a password, away from the event loop, so that other requests go on.
///
/// The work runs on the blocking threads of the current runtime; `run` allows two for each core, so that it is bounded,
/// and what comes beyond waits in line. Once begun it is not interrupted, also when the caller gives up.
///
/// # Errors
/// `internal` when the work panicked, or the process is stopping.
pub async fn heavy<T, F>(work: F) -> Result<T, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let span = tracing::Span::current();
    let task = tokio::task::spawn_blocking(move || span.in_scope(work));
    task.await.map_err(|failure| {
        tracing::error!(%failure, "heavy work did not finish");
        Error::internal("the work did not finish")
    })
}
