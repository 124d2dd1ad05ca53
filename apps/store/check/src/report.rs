//! What is printed: a line for each run, what is wrong with the history cut down to what it is about, and the sums at the end.

use crate::faults::Counts;
use crate::history::{Action, Entry, History, Outcome};
use crate::judge::Violation;
use crate::round::{Settings, Verdict};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// Lines of a history that are shown at most.
const LINES_MAX: usize = 150;

/// Violations that are told in full at most.
const VIOLATIONS_MAX: usize = 12;

/// The sums over all runs.
#[derive(Debug, Default)]
pub struct Sums {
    seeds: Vec<u64>,
    buyers: usize,
    orders: usize,
    calls: [usize; 3],
    audits: usize,
    faults: Counts,
    given_up: usize,
    violations: usize,
    time: Duration,
}

impl Sums {
    /// Adds a run.
    pub fn add(&mut self, settings: &Settings, verdict: &Verdict, took: Duration) {
        self.seeds.push(settings.seed);
        self.buyers = self.buyers.max(settings.buyers);
        self.orders += verdict.orders();
        self.given_up += verdict.given_up;
        self.violations += verdict.violations.len();
        self.time += took;
        for (sum, count) in self.calls.iter_mut().zip(calls(&verdict.history)) {
            *sum += count;
        }
        self.audits += audits(&verdict.history);
        for (kind, count) in &verdict.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }

    /// The sums as text.
    #[must_use]
    pub fn text(&self) -> String {
        let seeds = match (self.seeds.first(), self.seeds.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(first), _) => first.to_string(),
            (None, _) => "none".to_owned(),
        };
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let [ok, failed, unknown] = self.calls;
        format!(
            "runs {}, seeds {seeds}, {}\nbuyers {} at a time, {} orders placed\ncalls {ok} ok, {failed} failed, {unknown} unknown; {} audits read\n\
             faults {}: {}\nlines of baskets not judged to the end, since too much was open at a time: {}\nviolations {}\n",
            self.seeds.len(),
            span(self.time),
            self.buyers,
            self.orders,
            self.audits,
            self.faults.values().sum::<usize>(),
            faults.join(", "),
            self.given_up,
            self.violations,
        )
    }
}

/// Hours and minutes.
fn span(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match minutes / 60 {
        0 => format!("{minutes} min"),
        hours => format!("{hours} h {} min", minutes % 60),
    }
}

fn calls(history: &History) -> [usize; 3] {
    let mut calls = [0; 3];
    for entry in history.entries.iter().filter(|entry| !matches!(entry.action, Action::Fault { .. })) {
        calls[match entry.outcome {
            Outcome::Ok => 0,
            Outcome::Failed(_) => 1,
            Outcome::Unknown(_) => 2,
        }] += 1;
    }
    calls
}

fn audits(history: &History) -> usize {
    let is_audit = |entry: &&Entry| {
        matches!(entry.action, Action::StockAudit { .. } | Action::MoneyAudit { .. } | Action::OrdersAudit { .. })
    };
    history.succeeded().filter(is_audit).count()
}

/// A line about one run.
#[must_use]
pub fn line(settings: &Settings, verdict: &Verdict, took: Duration) -> String {
    let [ok, failed, unknown] = calls(&verdict.history);
    format!(
        "seed {}: {} orders, {} faults, calls {ok} ok / {failed} failed / {unknown} unknown, {} audits, {} lines given up, {} s: {}",
        settings.seed,
        verdict.orders(),
        verdict.faults.values().sum::<usize>(),
        audits(&verdict.history),
        verdict.given_up,
        took.as_secs(),
        match verdict.violations.len() {
            0 => "all invariants hold".to_owned(),
            count => format!("{count} VIOLATIONS"),
        }
    )
}

/// What is wrong with a run: its seed, its schedule, and each violation with the part of the history that it is about.
#[must_use]
pub fn complaint(settings: &Settings, verdict: &Verdict) -> String {
    let mut text = format!("seed {}; the schedule of its faults:\n", settings.seed);
    for planned in &verdict.schedule {
        let _ = writeln!(text, "  {:>7} ms  {planned}", planned.at);
    }
    for violation in verdict.violations.iter().take(VIOLATIONS_MAX) {
        let _ = writeln!(text, "\nviolated: {}\n  {}", violation.invariant, violation.sentence);
        for line in cut(&verdict.history, violation) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if verdict.violations.len() > VIOLATIONS_MAX {
        let rest = verdict.violations.iter().skip(VIOLATIONS_MAX);
        let rest: BTreeSet<&str> = rest.map(|violation| violation.invariant.name()).collect();
        let more = verdict.violations.len() - VIOLATIONS_MAX;
        let _ = writeln!(
            text,
            "\nand {more} more: {}",
            rest.into_iter().map(|name| format!("violated: {name}")).collect::<Vec<_>>().join(", ")
        );
    }
    text
}

/// The entries about a violation's subjects and what hangs together with them, and the faults in between.
fn cut(history: &History, violation: &Violation) -> Vec<String> {
    let mut subjects: BTreeSet<&str> = violation.subjects.iter().map(String::as_str).collect();
    let concerns = |entry: &Entry, subjects: &BTreeSet<&str>| {
        entry.action.subjects().iter().any(|subject| subjects.contains(subject))
    };
    // A key leads to its order and its basket; from there no further, or everything hangs together.
    let chained: Vec<&str> = history
        .entries
        .iter()
        .filter(|entry| {
            matches!(entry.action, Action::Press { .. } | Action::Learn { .. }) && concerns(entry, &subjects)
        })
        .flat_map(|entry| entry.action.subjects())
        .collect();
    subjects.extend(chained);
    let about: Vec<&Entry> = history.entries.iter().filter(|entry| concerns(entry, &subjects)).collect();
    let (Some(first), Some(last)) =
        (about.iter().map(|entry| entry.start).min(), about.iter().map(|entry| entry.end).max())
    else {
        return Vec::new();
    };
    let is_shown = |entry: &&Entry| {
        let is_fault = matches!(entry.action, Action::Fault { .. } | Action::Healed | Action::Quiet);
        concerns(entry, &subjects) || (is_fault && entry.start + 5_000 >= first && entry.start <= last)
    };
    let shown: Vec<String> = history.entries.iter().filter(is_shown).map(told).collect();
    let skipped = shown.len().saturating_sub(LINES_MAX);
    let mut lines: Vec<String> = shown.into_iter().skip(skipped).collect();
    if skipped > 0 {
        lines.insert(0, format!("({skipped} earlier lines left out)"));
    }
    lines
}

fn told(entry: &Entry) -> String {
    let outcome = match &entry.outcome {
        Outcome::Ok => "ok".to_owned(),
        Outcome::Failed(why) => format!("failed: {why}"),
        Outcome::Unknown(why) => format!("unknown: {why}"),
    };
    let what = match &entry.action {
        Action::Fault { fault } => format!("FAULT {fault}"),
        action => format!("{action:?}"),
    };
    format!("{:>7}–{:<7} {:<14} {what} → {outcome}", entry.start, entry.end, entry.who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_spans_are_in_hours() {
        let minutes = |minutes: u64| span(Duration::from_secs(60 * minutes + 59));
        assert_eq!([0, 59, 60, 145].map(minutes), ["0 min", "59 min", "1 h 0 min", "2 h 25 min"]);
    }
}
