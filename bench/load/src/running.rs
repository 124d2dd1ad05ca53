//! Load on a thread of its own, beside a test that makes the faults. Never: outlives its handle without having been told to
//! stop.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Load that runs.
pub struct Running<T> {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<T>>,
}

/// What tells load to stop.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<T: Send + 'static> Running<T> {
    /// Runs `load(stop)` on a thread with an event loop of its own. It should return soon after `stop` does.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<L, F>(load: L) -> io::Result<Self>
    where
        L: FnOnce(Stop) -> F + Send + 'static,
        F: Future<Output = io::Result<T>>,
    {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("load".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            // A handle that is gone is a reason to stop, too.
            runtime.block_on(load(Box::pin(async move { drop(stopped.await) })))
        })?;
        Ok(Self { stop, thread })
    }

    /// Tells it to stop, and waits for what it came to.
    ///
    /// # Errors
    /// What the load came to, or that it panicked.
    pub fn stop(self) -> io::Result<T> {
        let Self { stop, thread } = self;
        drop(stop);
        joined(thread)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn wait(self) -> io::Result<T> {
        let Self { stop, thread } = self;
        let result = joined(thread);
        drop(stop);
        result
    }
}

fn joined<T>(thread: JoinHandle<io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the load panicked")))
}
