//! Faults planted in the simulated surroundings, to prove that the simulation notices. None of them is in code that users
//! run.

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The disk says that it has synced and has not, so that actions run before what ordered them is durable.
    LyingDisk,
    /// Signals go to a pid, whoever has it now.
    SignalsByPid,
    /// A new supervisor takes over without looking what runs.
    AdoptsNothing,
    /// A generation is reported as acknowledged as soon as it is published.
    AcknowledgesTooSoon,
    /// A replica passes its probes before it can serve.
    PassesTooSoon,
    /// The end of a replica is not reported.
    HidesExits,
    /// Holders acknowledge a change before requests at who left are answered.
    ForgetsRequests,
    /// A supervisor that stood still takes that for the silence of those whom it could not hear.
    TakesItselfForOthers,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::LyingDisk,
        Self::SignalsByPid,
        Self::AdoptsNothing,
        Self::AcknowledgesTooSoon,
        Self::PassesTooSoon,
        Self::HidesExits,
        Self::ForgetsRequests,
        Self::TakesItselfForOthers,
    ];
}
