//! What a person is told when a verb did not do what was asked.

use std::error::Error;
use std::process::ExitCode;

/// Why a verb failed. Printed as a sentence with its causes below it.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    causes: Vec<String>,
    /// Printed as it is in place of the sentence: a rendered diagnostic.
    rendered: bool,
}

impl Failure {
    /// A failure that needs no more than a sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), causes: Vec::new(), rendered: false }
    }

    /// Diagnostics, rendered already.
    pub fn rendered(text: impl Into<String>) -> Self {
        Self { sentence: text.into(), causes: Vec::new(), rendered: true }
    }

    /// What the supervisor said: diagnostics begin with a heading of their own, anything else is a sentence.
    pub fn said(text: &str) -> Self {
        if text.contains("error[SH") { Self::rendered(text) } else { Self::new(text) }
    }

    /// A failure and what caused it.
    pub fn because(sentence: impl Into<String>, cause: impl Error) -> Self {
        let mut causes = vec![cause.to_string()];
        let mut next = cause.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Some say their cause in their own sentence.
            if !causes.last().is_some_and(|said| said.contains(&text)) {
                causes.push(text);
            }
            next = error.source();
        }
        Self { sentence: sentence.into(), causes, rendered: false }
    }

    /// Prints it to standard error.
    pub fn print(&self) -> ExitCode {
        if self.rendered {
            anstream::eprintln!("{}", self.sentence.trim_end());
            return ExitCode::FAILURE;
        }
        let style = anstyle::AnsiColor::Red.on_default().bold();
        anstream::eprintln!("{style}error{style:#}: {}", self.sentence);
        for cause in &self.causes {
            anstream::eprintln!("  caused by: {cause}");
        }
        ExitCode::FAILURE
    }
}

impl From<shoal_sdk::Error> for Failure {
    fn from(error: shoal_sdk::Error) -> Self {
        Self::new(error.message)
    }
}
