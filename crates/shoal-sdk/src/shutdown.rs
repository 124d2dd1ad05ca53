//! The wish to stop, told to everything that runs. Never: stops anything itself.

use tokio::sync::watch;

/// Tells tasks that the process is about to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// One that nobody has requested yet.
    #[must_use]
    pub fn new() -> Self {
        Self { requested: watch::Sender::new(false) }
    }

    /// Requests it; everybody who waits goes on. Again changes nothing.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }

    /// Whether it was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Waits until it is requested. Dropping the future loses nothing.
    pub async fn requested(&self) {
        let mut receiver = self.requested.subscribe();
        // The sender lives in `self`, so the channel cannot close before this returns.
        let _ = receiver.wait_for(|requested| *requested).await;
    }
}
