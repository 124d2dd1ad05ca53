//! What the publisher is told, and says, of what goes wrong on purpose. Which fault concerns whom is the ledger's.

use super::{Publisher, refuse_version};
use crate::fault_ledger::PublishedFault;
use crate::messages::{FromHolder, HolderName};
use shoal_model::{FaultId, Millis, ServiceName};
use std::collections::BTreeSet;
use std::time::Duration;

/// Whether a process that has reached a crash point may die there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashAnswer {
    /// It goes on.
    No,
    /// It may, and it is counted.
    Now,
    /// It may, once it is kept that this fault has happened so often.
    OnceKept(FaultId, u64),
}

impl Publisher {
    /// What is to go wrong on purpose, from now on: all of it; whom each concerns is known here.
    pub fn set_faults(&mut self, faults: Vec<PublishedFault>) {
        self.faults.set(faults);
    }

    /// Whether every holder that is waited for makes the faults happen that were last set. One whose connection broke goes
    /// on as it was told before, so it is waited for as well.
    pub fn faults_applied(&mut self, now: Millis) -> bool {
        self.attend(now);
        let lease = self.settings.lease;
        let mut waited = self.holders.values().filter(|held| held.counts(lease, now));
        now >= self.unseen_until && waited.all(|held| self.faults.is_applied(&held.faults, held.version))
    }

    /// How long holders of an earlier publisher may yet be there that this one has not heard of.
    #[must_use]
    pub fn unseen_for(&self, now: Millis) -> Duration {
        self.unseen_until.since(now)
    }

    /// The holders that may go on as they were told before the faults were last set, waited for or not.
    #[must_use]
    pub fn faults_unheard(&self) -> BTreeSet<HolderName> {
        let unheard = self
            .holders
            .values()
            .filter(|held| self.faults.is_unheard(&held.faults, &held.name, &held.watches, held.version));
        unheard.map(|held| held.name.clone()).collect()
    }

    /// How often faults have happened in all, where that is news; each is told once.
    pub fn newly_happened(&mut self, now: Millis) -> Vec<(FaultId, u64)> {
        self.faults.newly_happened(now)
    }

    /// How often a fault has happened as far as is known, also one that was taken away lately.
    #[must_use]
    pub fn fault_total(&self, id: FaultId) -> Option<u64> {
        self.faults.total(id)
    }

    /// Where processes of this service can be made to die; `None` when none of them has said so.
    #[must_use]
    pub fn crash_points(&self, service: &ServiceName) -> Option<&BTreeSet<String>> {
        self.faults.crash_points(service)
    }

    /// Whether a process that has reached a crash point may die there, which counts it; `Err` is a sentence.
    pub fn crash_at(&mut self, asked: FromHolder, now: Millis) -> Result<CrashAnswer, String> {
        let FromHolder::CrashAt { version, holder, fault } = asked else {
            return Err("This is no question about a crash point.".to_owned());
        };
        refuse_version(version)?;
        if !self.faults.grant(&holder, fault, now) {
            return Ok(CrashAnswer::No);
        }
        let total = self.faults.bounded_total(fault).filter(|_| self.settings.keeps_counts);
        Ok(total.map_or(CrashAnswer::Now, |total| CrashAnswer::OnceKept(fault, total)))
    }
}
