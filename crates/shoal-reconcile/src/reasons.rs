//! Reasons: the sentences that say why something was decided, and why something is not as wanted. Never decides.

use crate::backoff::{SETTLED_AFTER, Slot};
use crate::intents::Census;
use crate::order::{Gate, Surroundings};
use crate::state::{Ending, Phase, Replica, ServiceState, State, named};
use serde::{Deserialize, Serialize};
use shoal_model::{Exit, Millis, ReplicaName, ServiceName};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why an action was chosen, or why none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Of which service.
    pub service: ServiceName,
    /// Of which replica; `None` when it concerns the service.
    pub replica: Option<ReplicaName>,
    /// For a user to read after the name of the replica or service: "exited with code 1".
    pub text: String,
    /// For a program to sort by.
    pub kind: ReasonKind,
    /// The last log lines of what crashed; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// What a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// It waits for something else.
    Waiting,
    /// It waits for something else that will not come by waiting alone.
    Blocked,
    /// It starts.
    Starting,
    /// It may not receive requests.
    NotReady,
    /// It became ready.
    Ready,
    /// It ended by itself.
    Exited,
    /// It ends again and again.
    CrashLoop,
    /// It does not answer.
    Unresponsive,
    /// It makes way for a newer one.
    Replacing,
    /// It leaves, because it is not wanted.
    Leaving,
    /// It is killed.
    Killed,
    /// It was found, and nobody knows it.
    Leftover,
    /// A fault was put on it, happened to it, or went away.
    Fault,
}

impl ReasonKind {
    /// Whether something is wrong, as against merely under way.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        matches!(
            self,
            Self::NotReady | Self::Exited | Self::CrashLoop | Self::Unresponsive | Self::Killed | Self::Leftover
        )
    }
}

impl State {
    /// Why the application is not as wanted, now; empty when it is. In the order of services and replicas.
    #[must_use]
    pub fn reasons(&self, now: Millis) -> Vec<Reason> {
        let surroundings = Surroundings::of(self);
        let mut reasons = Vec::new();
        for (name, service) in &self.services {
            of_service(self, &surroundings, name, service, &mut reasons);
            for (serial, replica) in &service.replicas {
                if let Some((kind, text)) = of_replica(service, replica, now) {
                    let replica = Some(named(name, *serial));
                    reasons.push(Reason { service: name.clone(), replica, text, kind, log: Vec::new() });
                }
            }
            if !self.stopping {
                of_slots(name, service, now, &mut reasons);
            }
        }
        reasons
    }
}

/// The longest chain of services that wait for each other which is followed to its end.
const CHAIN_MOST: u32 = 100;

fn of_service(
    state: &State,
    surroundings: &Surroundings,
    name: &ServiceName,
    service: &ServiceState,
    reasons: &mut Vec<Reason>,
) {
    let (kind, text) = match surroundings.gate(name, service, state.stopping) {
        Gate::Dependency(dependency) if service.wanted() > 0 => {
            let blocked = is_blocked(state, surroundings, dependency, CHAIN_MOST);
            let kind = if blocked { ReasonKind::Blocked } else { ReasonKind::Waiting };
            (kind, waiting_for(state, dependency))
        }
        Gate::Callers if service.has_live() => {
            (ReasonKind::Waiting, "waits until those that call it have stopped".to_owned())
        }
        _ => {
            let outdated = Census::of(service).outdated();
            if service.target.is_none() || outdated == 0 || state.stopping {
                return;
            }
            let text = format!("replacing {outdated} older {}", plural(outdated, "replica", "replicas"));
            (ReasonKind::Replacing, text)
        }
    };
    reasons.push(Reason { service: name.clone(), replica: None, text, kind, log: Vec::new() });
}

/// Whether this service, which another waits for, will not become ready by waiting alone.
fn is_blocked(state: &State, surroundings: &Surroundings, name: &ServiceName, chain: u32) -> bool {
    let Some(service) = state.services.get(name) else { return true };
    if service.slots.values().any(Slot::is_looping) || service.wanted() == 0 {
        return true;
    }
    match surroundings.gate(name, service, state.stopping) {
        Gate::Dependency(next) if chain > 0 => is_blocked(state, surroundings, next, chain - 1),
        _ => false,
    }
}

fn waiting_for(state: &State, dependency: &ServiceName) -> String {
    let Some(service) = state.services.get(dependency) else {
        return format!("waiting for {dependency}, which is not there");
    };
    if let Some(slot) = service.slots.values().find(|slot| slot.is_looping()) {
        return format!("waiting for {dependency}, which crashes again and again ({})", crashes(slot));
    }
    if service.target.is_some() && service.wanted() == 0 {
        return format!("waiting for {dependency}, which is scaled to 0");
    }
    format!("waiting for {dependency}, which is not ready")
}

fn of_replica(service: &ServiceState, replica: &Replica, now: Millis) -> Option<(ReasonKind, String)> {
    let probing = &replica.probing;
    Some(match (&replica.phase, &replica.ending) {
        (Phase::Starting, _) => {
            let spent = spoken(now.since(replica.started_at));
            let why = probing.startup_why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            (ReasonKind::Starting, format!("starting for {spent}{why}"))
        }
        (Phase::NotReady, _) => (ReasonKind::NotReady, not_ready_text(probing.readiness.why.as_deref())),
        (Phase::Ready, _) => match service.slots.get(&replica.slot?) {
            Some(slot) if slot.is_looping() && now.since(replica.since) < SETTLED_AFTER => {
                (ReasonKind::CrashLoop, format!("ready again; before, it {}", crashes(slot)))
            }
            _ => return None,
        },
        (Phase::Draining { .. }, Some(ending)) => {
            (ending_kind(ending), format!("leaving the routes, because {}", ending_text(ending)))
        }
        (Phase::Terminating { deadline }, Some(ending)) => (
            ending_kind(ending),
            format!("finishing for at most {} more, because {}", spoken(deadline.since(now)), ending_text(ending)),
        ),
        (Phase::Stopping, Some(ending)) => {
            (ReasonKind::Killed, format!("being killed, because {}", ending_text(ending)))
        }
        _ => return None,
    })
}

/// The slots that miss a replica because the last ones crashed.
fn of_slots(name: &ServiceName, service: &ServiceState, now: Millis, reasons: &mut Vec<Reason>) {
    if service.slots.is_empty() {
        return;
    }
    // An older revision's replica in a place of the same number is no successor.
    let staying =
        service.replicas.iter().filter(|(serial, replica)| replica.stays() && service.is_fresh(**serial, replica));
    let occupants: BTreeMap<u32, bool> =
        staying.filter_map(|(_, replica)| Some((replica.slot?, replica.is_ready()))).collect();
    for (number, slot) in &service.slots {
        let Some(last) = &slot.last else { continue };
        let next = match occupants.get(number) {
            Some(is_ready) if *is_ready || !slot.is_looping() => continue,
            Some(_) => "trying again".to_owned(),
            None if slot.not_before > now => format!("next start in {}", spoken(slot.not_before.since(now))),
            None => "next start now".to_owned(),
        };
        let kind = if slot.is_looping() { ReasonKind::CrashLoop } else { ReasonKind::Exited };
        reasons.push(Reason {
            service: name.clone(),
            replica: Some(named(name, last.replica)),
            text: format!("{}; {next}", crashes(slot)),
            kind,
            log: last.log.clone(),
        });
    }
}

/// "exited with code 1, 4 times".
pub(crate) fn crashes(slot: &Slot) -> String {
    let text = slot.last.as_ref().map_or("crashed", |last| last.text.as_str());
    match slot.crashes {
        0 | 1 => text.to_owned(),
        2 => format!("{text}, twice"),
        count => format!("{text}, {count} times"),
    }
}

pub(crate) fn not_ready_text(why: Option<&str>) -> String {
    why.map_or_else(|| "not ready yet".to_owned(), |why| format!("not ready: {why}"))
}

/// How a replica ended, as the end of a sentence.
pub(crate) fn exit_text(exit: &Exit) -> String {
    match exit {
        Exit::Code { code } => format!("exited with code {code}"),
        Exit::Signal { signal } => match signal_name(*signal) {
            Some(name) => format!("was ended by {name}"),
            None => format!("was ended by signal {signal}"),
        },
        Exit::KeeperDied => "ended because its keeper died".to_owned(),
        Exit::NotStarted { why } => format!("could not be started: {}", short(why)),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL (an illegal instruction)",
        6 => "SIGABRT (it gave up by itself)",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV (a bad memory access)",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}

pub(crate) fn ending_text(ending: &Ending) -> &'static str {
    match ending {
        Ending::ScaledDown => "fewer are wanted",
        Ending::Replaced => "a newer one takes its place",
        Ending::Removed => "its service is no longer in the manifest",
        Ending::Down => "the application stops",
        Ending::Unresponsive => "it does not answer",
        Ending::NeverStarted => "it did not start in time",
        Ending::Leftover => "it is a leftover that nobody knows",
        Ending::Leaving => "somebody else told its program to end",
    }
}

pub(crate) fn ending_kind(ending: &Ending) -> ReasonKind {
    match ending {
        Ending::ScaledDown | Ending::Removed | Ending::Down | Ending::Leaving => ReasonKind::Leaving,
        Ending::Replaced => ReasonKind::Replacing,
        Ending::Unresponsive => ReasonKind::Unresponsive,
        Ending::NeverStarted => ReasonKind::Killed,
        Ending::Leftover => ReasonKind::Leftover,
    }
}

/// A why from outside, cut to what a line can bear.
pub(crate) fn short(why: &str) -> String {
    const LETTERS_MOST: usize = 300;
    why.chars().take(LETTERS_MOST).collect()
}

/// A span as it is said: "400 ms", "3 s", "2 min".
pub(crate) fn spoken(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..120_000 => format!("{} s", millis.div_ceil(1000)),
        _ => format!("{} min", millis / 60_000),
    }
}

pub(crate) fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}
