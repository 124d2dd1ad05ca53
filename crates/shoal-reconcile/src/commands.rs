//! Commands: how the target changes. They only write down what is wanted; `step` does the rest.

use crate::state::{ServiceState, State, Target};
use shoal_model::{Millis, Replicas, Revision, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is wanted of a service, from its manifest and its built revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTarget {
    /// What its replicas run.
    pub revision: Revision,
    /// The manifest's number of replicas.
    pub replicas: u32,
    /// The most that a scale may ask for.
    pub replicas_max: u32,
    /// The services that must be ready before it starts for the first time.
    pub after: BTreeSet<ServiceName>,
}

impl ServiceTarget {
    /// The target for a service's manifest entry.
    #[must_use]
    pub fn new(revision: Revision, replicas: Replicas, after: BTreeSet<ServiceName>) -> Self {
        Self { revision, replicas: replicas.min, replicas_max: replicas.max, after }
    }
}

/// Why a command is refused; its `Display` is one sentence with the mend. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub(crate) String);

impl Refusal {
    /// Refuses with this sentence: for what is asked of a state and depends on more than it.
    #[must_use]
    pub fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl State {
    /// Makes these the services, and takes back an earlier [`stop`](Self::stop). Services that are missing here are
    /// drained and removed. An earlier [`scale`](Self::scale) holds until the service's own number changes. Crashes from
    /// before a stop are forgotten.
    pub fn set_target(&mut self, services: BTreeMap<ServiceName, ServiceTarget>, now: Millis) {
        let was_stopping = std::mem::take(&mut self.stopping);
        for (name, service) in &mut self.services {
            if !services.contains_key(name) {
                service.target = None;
                service.slots.clear();
            }
            if service.replicas.is_empty() {
                service.has_started = false;
                if was_stopping {
                    // Whoever starts it anew need not wait for what happened before. Without a stop it waits on: a crash
                    // loop has no replica between two starts either.
                    service.slots.clear();
                }
            }
        }
        for (name, target) in services {
            self.services.entry(name).or_default().aim(target, now);
        }
    }

    /// Changes how many replicas of one service run, until the manifest's own number changes. 0 parks it.
    ///
    /// # Errors
    /// An unknown service, a number beyond its most, one that can run only once, or an application that stops.
    pub fn scale(&mut self, service: &ServiceName, replicas: u32, _now: Millis) -> Result<(), Refusal> {
        self.refuse_while_stopping()?;
        let state = self.known(service)?;
        let Some(target) = &mut state.target else {
            return Err(Refusal(format!("`{service}` is being removed, so it cannot be scaled")));
        };
        if *service == ServiceName::gateway() {
            return Err(Refusal("the gateway always runs once, and cannot be scaled".to_owned()));
        }
        let most = target.replicas_max.min(Replicas::MOST);
        if replicas > Replicas::MOST {
            return Err(Refusal(format!(
                "{replicas} replicas of `{service}` are too many: one machine runs 0 to {} of a service",
                Replicas::MOST
            )));
        }
        if replicas > most {
            return Err(Refusal(format!(
                "{replicas} replicas of `{service}` are more than its manifest allows: raise `max` in `[services.{service}]`, or ask for 0 to {most}"
            )));
        }
        target.replicas_scaled = (replicas != target.replicas_declared).then_some(replicas);
        Ok(())
    }

    /// Replaces every replica of a service, one at a time, a new one first. Also ends its waiting after crashes.
    ///
    /// # Errors
    /// An unknown service, or an application that stops.
    pub fn restart(&mut self, service: &ServiceName, _now: Millis) -> Result<(), Refusal> {
        self.refuse_while_stopping()?;
        self.known(service)?.restart();
        Ok(())
    }

    /// As [`restart`](Self::restart), for every service of the manifest; not for the gateway, whose clients would have to connect anew.
    ///
    /// # Errors
    /// An application that stops.
    pub fn restart_all(&mut self, _now: Millis) -> Result<(), Refusal> {
        self.refuse_while_stopping()?;
        for (name, service) in &mut self.services {
            if *name != ServiceName::gateway() {
                service.restart();
            }
        }
        Ok(())
    }

    /// Stops everything: first the gateway, then callers before those they call. Ends when
    /// [`is_stopped`](Self::is_stopped) says so. [`set_target`](Self::set_target) takes it back.
    pub fn stop(&mut self, _now: Millis) {
        self.stopping = true;
    }

    pub(crate) fn refuse_while_stopping(&self) -> Result<(), Refusal> {
        if self.stopping {
            return Err(Refusal("the application is stopping; start it again with `shoal up`".to_owned()));
        }
        Ok(())
    }

    pub(crate) fn refuse_unknown(&self, service: &ServiceName) -> Result<(), Refusal> {
        let known: Vec<&ServiceName> =
            self.services.iter().filter(|(_, state)| state.target.is_some()).map(|(name, _)| name).collect();
        if known.contains(&service) { Ok(()) } else { Err(unknown(service, &known)) }
    }

    fn known(&mut self, service: &ServiceName) -> Result<&mut ServiceState, Refusal> {
        self.refuse_unknown(service)?;
        self.services.get_mut(service).ok_or_else(|| unknown(service, &[]))
    }
}

impl ServiceState {
    fn aim(&mut self, target: ServiceTarget, _now: Millis) {
        let before = self.target.take();
        let replicas_max = target.replicas_max.min(Replicas::MOST);
        let replicas_declared = target.replicas.min(replicas_max);
        let replicas_scaled = before
            .as_ref()
            .filter(|before| before.replicas_declared == replicas_declared)
            .and_then(|before| before.replicas_scaled)
            .map(|scaled| scaled.min(replicas_max));
        if before.is_none_or(|before| before.revision != target.revision.id) {
            // Another program has other faults.
            self.slots.clear();
        }
        self.target = Some(Target {
            revision: target.revision.id.clone(),
            replicas_declared,
            replicas_scaled,
            replicas_max,
            after: target.after,
        });
        self.next_serial = self.next_serial.max(1);
        self.revisions.insert(target.revision.id.clone(), target.revision);
    }

    fn restart(&mut self) {
        self.fresh_from = self.next_serial;
        self.slots.clear();
    }
}

fn unknown(service: &ServiceName, known: &[&ServiceName]) -> Refusal {
    const NAMED_MOST: usize = 20;
    if known.is_empty() {
        return Refusal(format!("there is no service `{service}`: the application has none yet"));
    }
    let closest = known
        .iter()
        .map(|name| (distance(name.as_str(), service.as_str()), name))
        .min()
        .filter(|(distance, _)| *distance <= 1 + service.as_str().len() / 3);
    let meant = closest.map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"));
    let sentence_end = if meant.is_empty() { "." } else { "" };
    let mut names: Vec<&str> = known.iter().take(NAMED_MOST).map(|name| name.as_str()).collect();
    if known.len() > NAMED_MOST {
        names.push("…");
    }
    Refusal(format!("there is no service `{service}`{meant}{sentence_end} There are: {}", names.join(", ")))
}

/// How many letters must be changed, added or dropped to turn one name into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index_a, letter_a) in a.bytes().enumerate() {
        let mut diagonal = index_a;
        if let Some(first) = row.first_mut() {
            *first = index_a + 1;
        }
        let mut left = index_a + 1;
        for (cell, letter_b) in row.iter_mut().skip(1).zip(b.bytes()) {
            let changed = diagonal + usize::from(letter_a != letter_b);
            diagonal = *cell;
            left = changed.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn close_names_are_close() {
        assert_eq!(distance("catalogue", "catalogue"), 0);
        assert_eq!(distance("catalog", "catalogue"), 2);
        assert_eq!(distance("basket", "casket"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
