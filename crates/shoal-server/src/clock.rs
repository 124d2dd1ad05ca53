//! The one place where the supervisor reads the time.

use shoal_model::Millis;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

/// Now: what this machine's clock said when this was first asked, and the time that has passed since. Setting the clock
/// must neither kill what still has time to finish, nor let anything wait for ever.
#[must_use]
pub fn now() -> Millis {
    static BEGUN: OnceLock<(Instant, Millis)> = OnceLock::new();
    let (begun, at) = *BEGUN.get_or_init(|| {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), Millis::default().after(since_epoch))
    });
    at.after(begun.elapsed())
}
