//! What is wrong with a manifest: a code, a sentence, a mend and a place in the file.
//!
//! Never: prints; whoever shows it asks for [`Diagnostics::render`] or serialises it.

use crate::{Code, Place};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most problems that are kept of one manifest; the rest are counted.
const PROBLEMS_MAX: usize = 50;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem it is.
    pub code: Code,
    /// What is wrong, in one sentence that names the place.
    pub message: String,
    /// What to do about it.
    pub mend: String,
    pub(crate) location: Location,
    pub(crate) notes: Vec<Note>,
}

/// Where a problem is: a place that is yet to be looked up, or the bytes themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Place(Place),
    Span(Range<usize>),
}

/// Another place that has to do with a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub span: Range<usize>,
    pub text: String,
}

impl Diagnostic {
    /// A problem at a place that the manifest named; [`SourceMap::report`](crate::SourceMap::report) finds the line.
    pub fn at(place: Place, code: Code, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code, message: message.into(), mend: mend.into(), location: Location::Place(place), notes: Vec::new() }
    }

    pub(crate) fn spanned(
        code: Code,
        span: &Range<usize>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let location = Location::Span(span.clone());
        Self { code, message: message.into(), mend: mend.into(), location, notes: Vec::new() }
    }

    pub(crate) fn with_note(mut self, span: &Range<usize>, text: impl Into<String>) -> Self {
        self.notes.push(Note { span: span.clone(), text: text.into() });
        self
    }

    pub(crate) fn span(&self) -> Option<&Range<usize>> {
        match &self.location {
            Location::Span(span) => Some(span),
            Location::Place(_) => None,
        }
    }
}

/// Collects problems while a manifest is read; never more than can be shown.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    pub kept: Vec<Diagnostic>,
    pub omitted: usize,
}

impl Problems {
    /// Keeps a problem; one of the same kind at the same place says nothing new.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let same = |kept: &Diagnostic| kept.code == diagnostic.code && kept.location == diagnostic.location;
        if self.kept.iter().any(same) {
            return;
        }
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(diagnostic);
        } else {
            self.omitted += 1;
        }
    }

    pub(crate) fn add(&mut self, code: Code, span: &Range<usize>, message: impl Into<String>, mend: impl Into<String>) {
        self.push(Diagnostic::spanned(code, span, message, mend));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// All the problems of one manifest, in the order of the file.
///
/// `Display` gives one plain line each, `path:line:column: code: sentence; mend`. Serialised, it is
/// `{ file, problems: [{ code, message, mend, line, column }], omitted }`, with `line` and `column` counted from 1 and
/// null for a problem of the whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    pub(crate) file: PathBuf,
    pub(crate) text: Arc<str>,
    pub(crate) problems: Vec<Diagnostic>,
    pub(crate) omitted: usize,
}

impl Diagnostics {
    /// The manifest's path, as it was given.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The problems, in the order of the file; at most 50.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// How many more problems there were than are kept.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Line and column of a problem, from 1; the column counts characters. `None` for one of the whole file.
    #[must_use]
    pub fn position(&self, problem: &Diagnostic) -> Option<(usize, usize)> {
        problem.span().map(|span| position(&self.text, span.start))
    }
}

/// Line and column of a byte, from 1; a byte past the end counts as the end.
pub(crate) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file.display())?;
            if let Some((line, column)) = self.position(problem) {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {}: {}; {}", problem.code, problem.message, problem.mend)?;
        }
        if self.omitted > 0 {
            write!(f, "\n{} more problems are not shown", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            code: Code,
            message: &'a str,
            mend: &'a str,
            line: Option<usize>,
            column: Option<usize>,
        }
        let shown: Vec<Shown<'_>> = (self.problems.iter())
            .map(|problem| {
                let (line, column) = self.position(problem).unzip();
                Shown { code: problem.code, message: &problem.message, mend: &problem.mend, line, column }
            })
            .collect();
        let mut whole = serializer.serialize_struct("Diagnostics", 3)?;
        whole.serialize_field("file", &self.file.to_string_lossy())?;
        whole.serialize_field("problems", &shown)?;
        whole.serialize_field("omitted", &self.omitted)?;
        whole.end()
    }
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("a\nbé = 1", 5), (2, 3));
        assert_eq!(position("a\n", 99), (2, 1));
        assert_eq!(position("é", 1), (1, 1));
    }
}
