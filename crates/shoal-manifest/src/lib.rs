//! Reads `shoal.toml` into an [`Application`], or into [`Diagnostics`] that point at the line and say the mend.
//!
//! The way through: text → a tree of values with their places ([`read`]) → one struct per table, declared once for
//! reading and for the JSON Schema ([`tables`]) → the model's nouns ([`application`], [`service`], [`probes`]) → what
//! only shows when services are seen together ([`relations`]). Every step goes on after a problem, so that all of
//! them are told at once.
//!
//! Never: reads a file, a clock, a socket or an environment variable; panics on any input.

mod application;
mod code;
mod diagnostic;
mod environment;
mod limits;
mod place;
mod probes;
mod read;
mod relations;
mod render;
mod schema;
mod service;
mod tables;
mod values;
mod words;

pub use code::Code;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use place::{Place, ServicePart, SourceMap};
pub use schema::schema;

use diagnostic::Problems;
use read::Read;
use shoal_model::Application;
use std::path::Path;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// The largest manifest that is read, in bytes. Whoever reads the file need not read more than one byte past it.
pub const SIZE_MAX: usize = 1024 * 1024;

/// A manifest that was understood.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What it declares.
    pub application: Application,
    /// Where in the file each part of it was said.
    pub spans: SourceMap,
}

/// Reads a manifest. Relative folders in it are taken from the parent folder of `manifest_path`, which should
/// therefore be absolute; it also names the file in messages.
///
/// # Errors
/// Every problem found, in the order of the file.
pub fn parse(text: &str, manifest_path: &Path) -> Result<Manifest, Diagnostics> {
    let mut spans = SourceMap::new(manifest_path, Arc::from(text));
    if text.len() > SIZE_MAX {
        return Err(too_large(text.len(), manifest_path));
    }
    let mut problems = Problems::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    // After broken syntax the tree is a guess, and complaints about it would be noise. A key given twice leaves it sound.
    if words::report_syntax(&errors, text, &mut problems) {
        return Err(spans.close(problems));
    }
    let span = document.span();
    let document = toml::Spanned::new(span, DeValue::Table(document.into_inner()));
    let application = tables::ManifestTable::read(&document, "", &mut problems)
        .and_then(|table| application::lower(&table, manifest_path, &mut spans, &mut problems));
    match application {
        Some(application) if problems.is_empty() => Ok(Manifest { application, spans }),
        _ => Err(spans.close(problems)),
    }
}

/// [`parse`] for bytes that may not be text.
///
/// # Errors
/// As [`parse`]; also when the bytes are not UTF-8.
pub fn parse_bytes(bytes: &[u8], manifest_path: &Path) -> Result<Manifest, Diagnostics> {
    if bytes.len() > SIZE_MAX {
        return Err(too_large(bytes.len(), manifest_path));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, manifest_path),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            let diagnostic = Diagnostic::at(
                Place::Whole,
                Code::NotText,
                format!("the manifest is not UTF-8 text: byte {} is on line {line}", error.valid_up_to() + 1),
                "save the file as UTF-8; if it is not a text file at all, this is not a manifest",
            );
            Err(SourceMap::new(manifest_path, Arc::from("")).report(vec![diagnostic]))
        }
    }
}

/// What to say of a manifest that could not be read at all, by whoever tried to; `error` is the machine's own word for it.
#[must_use]
pub fn unreadable(manifest_path: &Path, error: &dyn std::fmt::Display) -> Diagnostics {
    let diagnostic = Diagnostic::at(
        Place::Whole,
        Code::NotReadable,
        format!("the manifest cannot be read: {error}"),
        "see that the file is there and that this user may read it",
    );
    SourceMap::new(manifest_path, Arc::from("")).report(vec![diagnostic])
}

fn too_large(size: usize, manifest_path: &Path) -> Diagnostics {
    let diagnostic = Diagnostic::at(
        Place::Whole,
        Code::TooLarge,
        format!("the manifest has {size} bytes or more; at most {SIZE_MAX} are read"),
        "a manifest holds declarations only: keep data in the services' own files",
    );
    SourceMap::new(manifest_path, Arc::from("")).report(vec![diagnostic])
}
