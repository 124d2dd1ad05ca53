//! `shoal fault`: has something go wrong on purpose, takes it away again, and lists what goes wrong.

use crate::application::Application;
use crate::args::{AddFault, Fault as Arguments, FaultChange, Where};
use crate::failure::Failure;
use crate::screen;
use shoal_sdk::Call;
use shoal_server::api::{AddFaultRequest, Fault, ListFaultsRequest, RemoveFaultRequest};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many of those who have not heard of a change are named.
const UNHEARD_SHOWN: usize = 10;

/// Lists the faults, or changes them.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { at, json, change } = arguments;
    match change {
        None => list(&at, json).await,
        Some(FaultChange::Add(add)) => {
            let at = where_of(&at, &add.at);
            self::add(at, request(&add)?, json).await
        }
        Some(FaultChange::Remove { at: own, id, all: _ }) => remove(where_of(&at, &own), id.unwrap_or(0), json).await,
    }
}

/// `--in` may stand before or after the word `add` or `remove`.
fn where_of<'a>(before: &'a Where, after: &'a Where) -> &'a Where {
    if after.folder.is_some() { after } else { before }
}

async fn list(at: &Where, json: bool) -> Result<(), Failure> {
    let control = Application::at(at)?.control().await?;
    let listed = control.list_faults(&Call::new(), ListFaultsRequest::default()).await?;
    if json {
        return screen::json(&listed.faults);
    }
    if listed.faults.is_empty() {
        crate::say!("No faults are on.");
    }
    for fault in &listed.faults {
        crate::say!("{}", sentence(fault));
    }
    Ok(())
}

async fn add(at: &Where, request: AddFaultRequest, json: bool) -> Result<(), Failure> {
    let control = Application::at(at)?.control().await?;
    let target = request.target.clone();
    let added = control.add_fault(&Call::new(), request).await?;
    warn_of(&added.unheard);
    if json {
        return screen::json(&added);
    }
    match added.fault.as_option() {
        Some(fault) => crate::say!("{}", sentence(fault)),
        None => {
            crate::say!("Killed {} {} of {target}.", added.killed, plural(added.killed.into(), "replica", "replicas"))
        }
    }
    Ok(())
}

async fn remove(at: &Where, id: u64, json: bool) -> Result<(), Failure> {
    let control = Application::at(at)?.control().await?;
    let removed = control.remove_fault(&Call::new(), RemoveFaultRequest { id, ..Default::default() }).await?;
    warn_of(&removed.unheard);
    if json {
        return screen::json(&removed.faults);
    }
    if removed.faults.is_empty() {
        crate::say!("No faults were on.");
    }
    for fault in &removed.faults {
        crate::say!("Removed {}", sentence(fault));
    }
    Ok(())
}

/// Says on standard error who goes on as before; in JSON, too, what was changed is all that is printed.
fn warn_of(unheard: &[String]) {
    if let Some(sentence) = unheard_sentence(unheard) {
        anstream::eprintln!("{sentence}");
    }
}

fn unheard_sentence(unheard: &[String]) -> Option<String> {
    let (named, more) = unheard.split_at(unheard.len().min(UNHEARD_SHOWN));
    let names = named.join(", ");
    match (unheard.len(), more.len()) {
        (0, _) => None,
        (1, _) => Some(format!("note: {names} has not heard of this yet, and goes on as before until it does")),
        (_, 0) => Some(format!("note: {names} have not heard of this yet, and go on as before until they do")),
        (_, more) => {
            Some(format!("note: {names} and {more} more have not heard of this yet, and go on as before until they do"))
        }
    }
}

fn request(add: &AddFault) -> Result<AddFaultRequest, Failure> {
    let mut request = AddFaultRequest {
        target: add.target.clone(),
        kind: add.kind.clone(),
        crash_point: add.crash_point.clone().unwrap_or_default(),
        rate: add.rate,
        method: add.method.clone().unwrap_or_default(),
        times: add.times,
        for_ms: add.span.map(millis),
        ..Default::default()
    };
    match (add.kind.as_str(), &add.what) {
        ("delay", Some(what)) => request.delay_ms = millis(span(what).map_err(Failure::new)?),
        ("delay", None) => return Err(Failure::new("say how long the delay is, such as `delay 200ms`")),
        ("error", Some(what)) => request.error.clone_from(what),
        ("error", None) => return Err(Failure::new("say which error, such as `error unavailable`")),
        (kind, Some(what)) => return Err(Failure::new(format!("`{kind}` takes no `{what}` after it"))),
        (_, None) => {}
    }
    Ok(request)
}

/// Reads a span of time such as `200ms`, `30s`, `5m` or `1h`.
///
/// # Errors
/// One sentence that says how it is written.
pub fn span(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no span of time; write it as 200ms, 30s, 5m or 1h");
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| refused())?;
    let unit_millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refused()),
    };
    number.checked_mul(unit_millis).map(Duration::from_millis).ok_or_else(refused)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A fault as one line: what goes wrong where, how often it may, and how often it did.
pub fn sentence(fault: &Fault) -> String {
    let what = match fault.kind.as_str() {
        "delay" => format!("delay {} ms", fault.delay_ms),
        "error" => format!("error {}", fault.error),
        "kill" => format!("kill at {}", fault.crash_point),
        kind => kind.to_owned(),
    };
    let mut sentence = format!("fault {}: {} {what}", fault.id, fault.target);
    if fault.rate < 1.0 {
        sentence.push_str(&format!(" · {} % of calls", fault.rate * 100.0));
    }
    if !fault.method.is_empty() {
        sentence.push_str(&format!(" · only {}", fault.method));
    }
    if fault.times > 0 {
        let left = u64::from(fault.times).saturating_sub(fault.happened);
        sentence.push_str(&format!(
            " · {left} of {} {} left",
            fault.times,
            plural(fault.times.into(), "time", "times")
        ));
    }
    if fault.until_ms > 0 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_millis(fault.until_ms).saturating_sub(now);
        sentence.push_str(&format!(" · {} s to go", left.as_secs_f64().ceil()));
    }
    sentence.push_str(&format!(" · happened {} {}", fault.happened, plural(fault.happened, "time", "times")));
    sentence
}

fn plural(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        let read: Vec<_> =
            ["200ms", "30s", "5m", "1h", "0s"].into_iter().map(|text| span(text).unwrap().as_millis()).collect();
        assert_eq!(read, [200, 30_000, 300_000, 3_600_000, 0]);
        for bad in ["", "s", "5", "5 s", "-5s", "1.5s", "5d", "99999999999999999h", "5é"] {
            assert!(span(bad).unwrap_err().contains("200ms, 30s, 5m or 1h"), "{bad}");
        }
    }

    #[test]
    fn who_goes_on_as_before_is_named() {
        let names = |count: usize| (1..=count).map(|serial| format!("web-{serial}")).collect::<Vec<_>>();
        let said = |count| unheard_sentence(&names(count));
        assert_eq!(said(0), None);
        assert!(said(1).unwrap().starts_with("note: web-1 has not heard of this yet"));
        assert!(said(2).unwrap().starts_with("note: web-1, web-2 have not heard"));
        assert!(said(13).unwrap().contains("web-10 and 3 more have not heard"));
    }

    #[test]
    fn a_fault_is_one_line() {
        let fault = Fault {
            id: 3,
            target: "a->b".to_owned(),
            kind: "delay".to_owned(),
            delay_ms: 200,
            rate: 0.3,
            method: "Capture".to_owned(),
            times: 5,
            happened: 1,
            ..Default::default()
        };
        let expected =
            "fault 3: a->b delay 200 ms · 30 % of calls · only Capture · 4 of 5 times left · happened 1 time";
        assert_eq!(sentence(&fault), expected);
        let paused =
            Fault { id: 1, target: "a-1".to_owned(), kind: "pause".to_owned(), rate: 1.0, ..Default::default() };
        assert_eq!(sentence(&paused), "fault 1: a-1 pause · happened 0 times");
    }
}
