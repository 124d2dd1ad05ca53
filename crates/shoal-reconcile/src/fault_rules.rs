//! Which faults make sense: each that does not is refused with one sentence and its mend. Never changes anything.

use crate::commands::Refusal;
use crate::state::State;
use shoal_model::{Fault, FaultKind, FaultRate, FaultTarget, Millis, ReplicaName, ServiceName};
use std::time::Duration;

/// The longest that a fault can be put on for.
const FOR_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest delay of one call.
const DELAY_MOST: Duration = Duration::from_secs(10 * 60);
/// The longest text of a target: two names and an arrow.
const TARGET_LENGTH_MOST: usize = 2 * ServiceName::LENGTH_MAX + 20;
/// The longest name of a method or crash point, in bytes.
const WORD_LENGTH_MOST: usize = 100;

impl State {
    /// Whom a text means: `checkout->payment`, a service, or a replica.
    ///
    /// # Errors
    /// When it means nobody.
    pub fn fault_target(&self, text: &str) -> Result<FaultTarget, Refusal> {
        if text.len() > TARGET_LENGTH_MOST {
            return Err(Refusal("a target is a service, a replica, or a call such as `checkout->payment`".to_owned()));
        }
        let name = |text: &str| text.trim().parse::<ServiceName>().map_err(|error| Refusal(error.to_string()));
        if let Some((caller, callee)) = text.split_once("->") {
            return Ok(FaultTarget::Call { caller: name(caller)?, callee: name(callee)? });
        }
        let service = name(text)?;
        let unknown = match self.refuse_unknown(&service) {
            Ok(()) => return Ok(FaultTarget::Service(service)),
            Err(unknown) => unknown,
        };
        match text.trim().parse::<ReplicaName>() {
            Ok(replica) if self.refuse_unknown(&replica.service).is_ok() => {
                self.refuse_unknown_replica(&replica)?;
                Ok(FaultTarget::Replica(replica))
            }
            _ => Err(unknown),
        }
    }

    fn refuse_unknown_replica(&self, replica: &ReplicaName) -> Result<(), Refusal> {
        if self.replica(replica).is_some() {
            return Ok(());
        }
        let known = self.service(&replica.service).map(|service| service.replicas).unwrap_or_default();
        let names: Vec<String> = known.iter().take(20).map(|known| known.replica.to_string()).collect();
        let names = if names.is_empty() { "none now".to_owned() } else { names.join(", ") };
        Err(Refusal(format!("there is no replica `{replica}`. Of {} there are: {names}", replica.service)))
    }
}

/// Whether a fault can happen as it is said.
pub(crate) fn check(state: &State, fault: &Fault, now: Millis) -> Result<(), Refusal> {
    let word = fault.kind.word();
    if fault.is_about_calls() {
        check_call_target(state, &fault.target)?;
    } else {
        check_process_target(state, &fault.target, word)?;
    }
    check_kind(&fault.kind)?;
    check_calls_only(fault)?;
    let counts = fault.is_about_calls() || matches!(fault.kind, FaultKind::Kill { .. });
    match fault.times {
        Some(_) if !counts => return refuse(format!("`{word}` lasts, so a number of times says nothing of it")),
        Some(0) => return refuse("a fault happens once or more times, not 0 times"),
        _ => {}
    }
    match fault.until {
        Some(until) if until <= now || until > now.after(FOR_MOST) => refuse("a fault can be on for 1 ms to 24 h"),
        _ => Ok(()),
    }
}

/// Whether a target has processes.
pub(crate) fn check_process_target(state: &State, target: &FaultTarget, word: &str) -> Result<(), Refusal> {
    match target {
        FaultTarget::Call { .. } => refuse(format!("`{word}` happens to a process: name a service or a replica")),
        FaultTarget::Service(service) => state.refuse_unknown(service),
        FaultTarget::Replica(replica) => {
            state.refuse_unknown(&replica.service)?;
            state.refuse_unknown_replica(replica)
        }
    }
}

fn check_call_target(state: &State, target: &FaultTarget) -> Result<(), Refusal> {
    let FaultTarget::Call { caller, callee } = target else {
        return check_process_target(state, target, "");
    };
    state.refuse_unknown(caller)?;
    state.refuse_unknown(callee)?;
    // Whom the gateway leads to is not said in its revision.
    if *caller == ServiceName::gateway() {
        return Ok(());
    }
    let declared = state.services.get(caller).and_then(|service| {
        let revision = service.revisions.get(&service.target.as_ref()?.revision)?;
        Some(&revision.launch.calls)
    });
    if declared.is_some_and(|declared| declared.contains(callee)) {
        return Ok(());
    }
    let names: Vec<&str> = declared.into_iter().flatten().map(ServiceName::as_str).collect();
    let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    refuse(format!("{caller} does not declare in `calls` that it calls {callee}; it calls {names}"))
}

fn check_kind(kind: &FaultKind) -> Result<(), Refusal> {
    match kind {
        FaultKind::Delay(span) if span.is_zero() || *span > DELAY_MOST => refuse("a delay is 1 ms to 10 min"),
        FaultKind::Kill { at: None } => refuse("a kill without a crash point happens at once, and is not kept"),
        FaultKind::Kill { at: Some(point) } if !is_word(point) => {
            refuse("a crash point has letters, digits, `.`, `-` and `_`, such as `capture.called`")
        }
        _ => Ok(()),
    }
}

/// What only calls have.
fn check_calls_only(fault: &Fault) -> Result<(), Refusal> {
    let word = fault.kind.word();
    if !(1..=FaultRate::ALWAYS.0).contains(&fault.rate.0) {
        return refuse("a rate is more than 0 and at most 1");
    }
    if fault.rate != FaultRate::ALWAYS && !fault.is_about_calls() {
        return refuse(format!("a rate is one of calls, and `{word}` happens to a process"));
    }
    match &fault.method {
        Some(_) if !fault.is_about_calls() => {
            refuse(format!("a method is one of calls, and `{word}` happens to a process"))
        }
        Some(method) if !is_word(method) => refuse("a method is the last part of its path, such as `Capture`"),
        _ => Ok(()),
    }
}

fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= WORD_LENGTH_MOST && text.bytes().all(allowed)
}

fn refuse(sentence: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal(sentence.into()))
}
