//! The one place where the supervisor reads the time.

use shoal_model::Millis;
use std::time::SystemTime;

/// Now, by this machine's clock.
#[must_use]
pub fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis::default().after(since_epoch)
}
