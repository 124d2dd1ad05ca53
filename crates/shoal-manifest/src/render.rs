//! Shows diagnostics beside the lines they are about, for a terminal.
//!
//! Never: hands the renderer more than a few lines of the manifest, whatever the manifest holds.

use crate::diagnostic::{Diagnostic, Diagnostics, position};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

/// The longest stretch of the manifest that is shown for one problem, in bytes. Lines in between are folded.
const SHOWN_MAX: usize = 16 * 1024;

impl Diagnostics {
    /// The problems as a person reads them, each beside its line; ends with a newline. `color` adds terminal colours.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let file = self.file.to_string_lossy();
        let mut shown = String::new();
        for problem in &self.problems {
            shown.push_str(&renderer.render(&[self.group(problem, &file)]));
            shown.push_str("\n\n");
        }
        if self.omitted > 0 {
            shown.push_str(&format!("{} more problems are not shown\n", self.omitted));
        } else {
            shown.pop();
        }
        shown
    }

    fn group<'a>(&'a self, problem: &'a Diagnostic, file: &'a str) -> Group<'a> {
        let title = Level::ERROR.primary_title(problem.message.as_str()).id(problem.code.to_string());
        let group = match problem.span() {
            None => title.element(Origin::path(file)),
            Some(span) => match self.snippet(problem, span) {
                Some(snippet) => title.element(snippet.path(file)),
                None => {
                    let (line, column) = position(&self.text, span.start);
                    title.element(Origin::path(file).line(line).char_column(column))
                }
            },
        };
        group
            .element(Level::HELP.message(problem.mend.as_str()))
            .element(Level::NOTE.message(format!("see {}", problem.code.page())))
    }

    /// The lines around a problem and its notes; only the problem's own when they lie far apart; none when even that
    /// line is too long to show.
    fn snippet<'a>(
        &'a self,
        problem: &'a Diagnostic,
        span: &Range<usize>,
    ) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let own = self.within_line(span);
        let notes: Vec<_> = problem.notes.iter().map(|note| (self.within_line(&note.span), &note.text)).collect();
        let first = notes.iter().map(|(span, _)| span.start).fold(own.start, usize::min);
        let last = notes.iter().map(|(span, _)| span.end).fold(own.end, usize::max);
        let whole = self.lines(first..last);
        let (window, notes) =
            if whole.len() <= SHOWN_MAX { (whole, notes) } else { (self.lines(own.clone()), Vec::new()) };
        if window.len() > SHOWN_MAX {
            return None;
        }
        let shift = |span: Range<usize>| span.start - window.start..span.end - window.start;
        let label = notes.iter().find(|(note, _)| *note == own).map(|(_, text)| text.as_str());
        let snippet = Snippet::source(&self.text[window.clone()])
            .line_start(position(&self.text, window.start).0)
            .annotation(AnnotationKind::Primary.span(shift(own.clone())).label(label));
        Some(notes.into_iter().filter(|(note, _)| *note != own).fold(snippet, |snippet, (span, text)| {
            snippet.annotation(AnnotationKind::Context.span(shift(span)).label(text.as_str()))
        }))
    }

    /// The span cut to whole characters of its first line.
    fn within_line(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end).max(start);
        let line_end = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |length| start + length);
        start..end.min(line_end)
    }

    /// The whole lines that the span touches, without the last newline.
    fn lines(&self, span: Range<usize>) -> Range<usize> {
        let start = self.text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[span.end..].find('\n').map_or(self.text.len(), |length| span.end + length);
        start..end
    }
}
