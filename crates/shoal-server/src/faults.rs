//! Faults between the control API and the brain: read, refused where the control API alone can tell, and shown. Never decides
//! what a fault does.

use crate::api::{AddFaultRequest, Fault as ApiFault};
use shoal_discovery::PublishedFault;
use shoal_model::{Fault, FaultError, FaultKind, FaultRate, FaultTarget, Millis};
use shoal_reconcile::{FaultStatus, Refusal, State};
use shoal_sdk::Error;
use std::collections::BTreeSet;
use std::time::Duration;

/// What was asked for.
#[derive(Debug)]
pub enum Asked {
    /// A fault that is kept.
    Kept(Fault),
    /// A kill that happens at once.
    Kill(FaultTarget),
}

/// Reads what is to go wrong. `crash_points` answers which ones a service has told of.
///
/// # Errors
/// A target that is not there, a word that is none, or a field that does not belong to the kind.
pub fn read(
    request: &AddFaultRequest,
    state: &State,
    now: Millis,
    crash_points: impl FnOnce(&FaultTarget) -> Option<BTreeSet<String>>,
) -> Result<Asked, Error> {
    let target = state.fault_target(&request.target).map_err(refused)?;
    let kind = kind(request)?;
    if let FaultKind::Kill { at } = &kind {
        let is_bounded = request.times.is_some() || request.for_ms.is_some();
        match at {
            None if is_bounded || request.rate.is_some() || !request.method.is_empty() => {
                let sentence = "a kill without a crash point happens once, at once: it takes no rate, method, number of times or duration";
                return Err(Error::invalid_argument(sentence));
            }
            None => return Ok(Asked::Kill(target)),
            Some(point) => check_crash_point(point, &target, crash_points(&target))?,
        }
    }
    let rate = match request.rate {
        None => FaultRate::ALWAYS,
        Some(share) => FaultRate::of(share)
            .ok_or_else(|| Error::invalid_argument(format!("a rate is more than 0 and at most 1, and not {share}")))?,
    };
    let method = Some(request.method.clone()).filter(|method| !method.is_empty());
    let until = request.for_ms.map(|span| now.after(Duration::from_millis(span)));
    Ok(Asked::Kept(Fault { target, kind, rate, method, times: request.times, until }))
}

fn kind(request: &AddFaultRequest) -> Result<FaultKind, Error> {
    let word = request.kind.as_str();
    let unused = [
        ("delay", request.delay_ms != 0, "a delay"),
        ("error", !request.error.is_empty(), "an error"),
        ("kill", !request.crash_point.is_empty(), "a crash point"),
    ];
    if let Some((_, _, what)) = unused.iter().find(|(owner, given, _)| *given && *owner != word) {
        return Err(Error::invalid_argument(format!("`{word}` takes no such thing as {what}")));
    }
    Ok(match word {
        "delay" => FaultKind::Delay(Duration::from_millis(request.delay_ms)),
        "error" => FaultKind::Error(error(&request.error)?),
        "lost-answer" => FaultKind::LostAnswer,
        "duplicate" => FaultKind::Duplicate,
        "pause" => FaultKind::Pause,
        "kill" => FaultKind::Kill { at: Some(request.crash_point.clone()).filter(|point| !point.is_empty()) },
        "disk-full" => FaultKind::DiskFull,
        _ => {
            let shown: String = word.chars().take(60).collect();
            let all = "delay, error, lost-answer, duplicate, pause, kill, disk-full";
            return Err(Error::invalid_argument(format!("`{shown}` is no kind of fault; there are: {all}")));
        }
    })
}

fn error(word: &str) -> Result<FaultError, Error> {
    FaultError::ALL.into_iter().find(|error| error.word() == word).ok_or_else(|| {
        let all: Vec<&str> = FaultError::ALL.into_iter().map(FaultError::word).collect();
        let shown: String = word.chars().take(60).collect();
        Error::invalid_argument(format!(
            "`{shown}` is no error that a call can be given; there are: {}",
            all.join(", ")
        ))
    })
}

/// Refuses a point that the program does not have: nothing would ever happen there.
fn check_crash_point(point: &str, target: &FaultTarget, known: Option<BTreeSet<String>>) -> Result<(), Error> {
    let service = target.service();
    let sentence = match known {
        Some(known) if known.contains(point) => return Ok(()),
        None => format!("no replica of {service} that runs has named any crash points, so `{point}` cannot be reached"),
        Some(known) if known.is_empty() => format!("{service} has no crash points, so not `{point}` either"),
        Some(known) => {
            let shown: String = point.chars().take(60).collect();
            let known: Vec<String> = known.into_iter().collect();
            format!("{service} has no crash point `{shown}`; it has: {}", known.join(", "))
        }
    };
    Err(Error::failed_precondition(sentence))
}

/// As the brain refuses.
pub fn refused(refusal: Refusal) -> Error {
    Error::failed_precondition(refusal.to_string())
}

/// A fault as the control API shows it.
#[must_use]
pub fn shown(status: &FaultStatus) -> ApiFault {
    let FaultStatus { id, fault, happened } = status;
    let (mut delay_ms, mut error, mut crash_point) = (0, String::new(), String::new());
    match &fault.kind {
        FaultKind::Delay(span) => delay_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        FaultKind::Error(which) => which.word().clone_into(&mut error),
        FaultKind::Kill { at: Some(point) } => crash_point.clone_from(point),
        _ => {}
    }
    ApiFault {
        id: id.0,
        target: fault.target.to_string(),
        kind: fault.kind.word().to_owned(),
        delay_ms,
        error,
        crash_point,
        rate: fault.rate.share(),
        method: fault.method.clone().unwrap_or_default(),
        times: fault.times.unwrap_or(0),
        until_ms: fault.until.map_or(0, |until| until.0),
        happened: *happened,
        ..Default::default()
    }
}

/// A fault as those are told who make it happen.
#[must_use]
pub fn published(status: FaultStatus) -> PublishedFault {
    let times = status.times_left();
    PublishedFault { id: status.id, happened: status.happened, fault: Fault { times, ..status.fault } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{World, running, target};
    use shoal_sdk::Code;

    fn world() -> State {
        let mut world = World::new([target("a", "r1", 1), target("b", "r1", 1)]);
        world.see(&[]);
        world.see(&[running("a-1")]);
        world.state
    }

    fn asked(target: &str, kind: &str) -> AddFaultRequest {
        AddFaultRequest { target: target.to_owned(), kind: kind.to_owned(), ..Default::default() }
    }

    fn read_with(request: &AddFaultRequest, points: Option<&[&str]>) -> Result<Asked, Error> {
        let points = points.map(|points| points.iter().map(|point| (*point).to_owned()).collect());
        read(request, &world(), Millis(1_000), |_| points)
    }

    #[test]
    fn every_kind_is_read() {
        let delay = AddFaultRequest { delay_ms: 200, ..asked("a->b", "delay") };
        let error = AddFaultRequest { error: "internal".to_owned(), ..asked("b", "error") };
        let killed = AddFaultRequest { crash_point: "x.y".to_owned(), times: Some(1), ..asked("a", "kill") };
        let bounded = AddFaultRequest {
            rate: Some(0.25),
            method: "Capture".to_owned(),
            for_ms: Some(500),
            ..asked("a-1", "duplicate")
        };
        let shown = |request: &AddFaultRequest| match read_with(request, Some(&["x.y"])).unwrap() {
            Asked::Kept(fault) => format!(
                "{}: {} {} {:?} {:?} {:?}",
                fault.target, fault.kind, fault.rate.0, fault.method, fault.times, fault.until
            ),
            Asked::Kill(target) => format!("{target}: now"),
        };
        assert_eq!(shown(&delay), "a->b: delay 200 ms 1000000 None None None");
        assert_eq!(shown(&error), "b: error internal 1000000 None None None");
        assert_eq!(shown(&killed), "a: kill at x.y 1000000 None Some(1) None");
        assert_eq!(shown(&bounded), "a-1: duplicate 250000 Some(\"Capture\") None Some(Millis(1500))");
        assert_eq!(shown(&asked("a-1", "kill")), "a-1: now");
        for plain in ["lost-answer", "pause", "disk-full"] {
            assert!(shown(&asked("a", plain)).starts_with(&format!("a: {plain} ")));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_one_sentence() {
        let refused = |request: &AddFaultRequest, points| read_with(request, points).unwrap_err();
        for (request, expected) in [
            (asked("c", "pause"), "there is no service `c`"),
            (asked("a-9", "pause"), "there is no replica `a-9`. Of a there are: a-1"),
            (asked("a", "explode"), "`explode` is no kind of fault"),
            (AddFaultRequest { error: "odd".to_owned(), ..asked("a", "error") }, "`odd` is no error"),
            (AddFaultRequest { delay_ms: 5, ..asked("a", "pause") }, "`pause` takes no such thing as a delay"),
            (AddFaultRequest { rate: Some(0.0), ..asked("a", "duplicate") }, "more than 0 and at most 1, and not 0"),
            (AddFaultRequest { rate: Some(f64::NAN), ..asked("a", "duplicate") }, "more than 0 and at most 1"),
            (AddFaultRequest { rate: Some(1.1), ..asked("a", "duplicate") }, "more than 0 and at most 1, and not 1.1"),
            (AddFaultRequest { times: Some(2), ..asked("a", "kill") }, "happens once, at once"),
        ] {
            let error = refused(&request, None);
            assert!(error.message.contains(expected), "{}", error.message);
        }
        let killed = AddFaultRequest { crash_point: "x.z".to_owned(), ..asked("a", "kill") };
        let error = refused(&killed, Some(&["x.y", "w"]));
        assert_eq!(error.message, "a has no crash point `x.z`; it has: w, x.y");
        assert_eq!(error.code, Code::FailedPrecondition);
        assert!(refused(&killed, None).message.contains("has named any crash points"));
    }
}
