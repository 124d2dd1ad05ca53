//! What is printed. Never: rounds a number so that a goal is met.

use crate::Failure;
use std::error::Error;
use std::io::Write as _;

/// One line of a figure.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who or what.
    name: String,
    /// What was measured, with its unit.
    value: String,
    /// How many times the first peer's it is.
    ratio: Option<f64>,
    /// What was aimed for.
    goal: Option<Goal>,
}

/// What was aimed for: at most this.
#[derive(Clone, Debug)]
struct Goal {
    measured: f64,
    steps: Vec<f64>,
    unit: &'static str,
}

impl Row {
    /// A line with a value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), ratio: None, goal: None }
    }

    /// Adds how many times the first peer's it is.
    #[must_use]
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// Adds that the ratio should be at most this; then, better, at most that.
    #[must_use]
    pub fn ratio_at_most(mut self, steps: &[f64]) -> Self {
        self.goal = self.ratio.map(|measured| Goal { measured, steps: steps.to_vec(), unit: "" });
        self
    }

    /// Adds that what was measured should be at most this; then, better, at most that.
    #[must_use]
    pub fn at_most(mut self, measured: f64, unit: &'static str, steps: &[f64]) -> Self {
        self.goal = Some(Goal { measured, steps: steps.to_vec(), unit });
        self
    }

    fn line(&self) -> String {
        let ratio = self.ratio.map(|ratio| format!("{ratio:.2}×")).unwrap_or_default();
        let goal = self.goal.as_ref().map(Goal::verdict).unwrap_or_default();
        format!("  {:44} {:>22} {ratio:>8}  {goal}", self.name, self.value).trim_end().to_owned()
    }
}

impl Goal {
    fn verdict(&self) -> String {
        let steps = self.steps.iter().map(|step| {
            let met = if self.measured <= *step { "met" } else { "not met" };
            format!("≤ {step}{}: {met}", self.unit)
        });
        steps.collect::<Vec<_>>().join("; ")
    }
}

/// Prints the heading of a figure.
pub fn title(text: &str) {
    line(&format!("\n{text}"));
}

/// Prints the lines of a figure.
pub fn table(rows: &[Row]) {
    rows.iter().for_each(|row| line(&row.line()));
}

/// Prints one line; that nobody reads on is no reason to stop measuring.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Microseconds, as a number with its unit.
pub fn micros(seconds: f64) -> String {
    format!("{:.2} µs", seconds * 1e6)
}

/// Milliseconds, as a number with its unit.
pub fn millis(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

/// That a figure could not be measured, and why.
pub fn because(figure: &str, cause: Failure) -> Failure {
    format!("the figure `{figure}` could not be measured: {}", with_causes(&*cause)).into()
}

/// An error and its causes, in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_by_little_is_missed() {
        let row = Row::new("ours", "10 µs").ratio(1.004).ratio_at_most(&[1.5, 1.0]);
        let line = row.line();
        assert!(line.ends_with("1.00×  ≤ 1.5: met; ≤ 1: not met"), "{line}");
    }
}
