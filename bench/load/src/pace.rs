//! Waiting for a moment, to the microsecond; tokio's own timers are a millisecond late. Never: burns a core.

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::io;
use std::time::{Duration, Instant};
use tokio::net::unix::pipe::Receiver;

/// A timer of the system.
pub(crate) struct Pace {
    // Read like a pipe: readable once the time has come, and then eight bytes long.
    timer: Receiver,
}

impl Pace {
    /// One timer. Needs a tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { timer: Receiver::from_owned_fd_unchecked(timer)? })
    }

    /// Returns at this moment; at once when it has passed.
    pub(crate) async fn until(&self, moment: Instant) -> io::Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never_again, it_value: timespec(left) };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        loop {
            self.timer.readable().await?;
            match self.timer.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(drop),
            }
        }
    }
}

fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(span.subsec_nanos()) }
}
