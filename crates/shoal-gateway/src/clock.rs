//! The time: as the balancer counts it, in nanoseconds since this process first asked, which never goes back; and as the
//! header `Date` says it.

use shoal_balance::Moment;
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This instant.
pub(crate) fn moment_of(instant: Instant) -> Moment {
    let passed = instant.saturating_duration_since(*ORIGIN).as_nanos();
    Moment(u64::try_from(passed).unwrap_or(u64::MAX))
}

/// Now.
pub(crate) fn now() -> Moment {
    moment_of(Instant::now())
}

/// A moment as an instant.
pub(crate) fn instant_of(moment: Moment) -> Instant {
    *ORIGIN + Duration::from_nanos(moment.0)
}

thread_local! {
    static DATE: Cell<(u64, [u8; 29])> = const { Cell::new((0, [b' '; 29])) };
}

/// Now, as the header `Date` says it (RFC 9110 section 5.6.7). Written once a second.
pub(crate) fn date() -> [u8; 29] {
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let (known, text) = DATE.get();
    if known == seconds {
        return text;
    }
    let written = httpdate::fmt_http_date(now);
    let text = <[u8; 29]>::try_from(written.as_bytes()).unwrap_or([b' '; 29]);
    DATE.set((seconds, text));
    text
}
