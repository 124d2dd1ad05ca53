//! How a request ended, as far as its replica is to blame. Never: reads a protocol; who speaks one says which it was.

/// How a request ended, as far as its replica is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It answered; also with what blames the caller, as a 4xx does.
    Succeeded,
    /// It answered that it failed: a 5xx, or the codes internal, unknown, data_loss, unavailable. Others are preferred, and it
    /// may be ejected; since it can be reached, and may only pass on what ails another, its breaker stays closed.
    Failed,
    /// No answer of its own: refused, reset, broken off, timed out. Counts toward its breaker.
    Unreachable,
}
