//! Places: the parts of a manifest that the machine may later complain about, and the bytes where each was said.
//!
//! Never: holds a place without falling back; what the manifest left out points at the nearest thing it did say.

use crate::diagnostic::{Diagnostic, Diagnostics, Location, Problems};
use shoal_model::{ProbeKind, ServiceName};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A part of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The manifest as a whole: no line.
    Whole,
    /// `[application] name`.
    ApplicationName,
    /// `[gateway]`.
    Gateway,
    /// `[gateway] listen`.
    GatewayListen,
    /// `[gateway] tls.certificate`.
    Certificate,
    /// `[gateway] tls.key`.
    CertificateKey,
    /// A route, counted from 0 in the order of the manifest.
    Route(usize),
    /// A part of `[services.<name>]`.
    Service(ServiceName, ServicePart),
}

/// A part of a service's table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServicePart {
    /// Its name: the head of the table.
    Name,
    /// `run`.
    Run,
    /// `run.cargo`, or the first of `run.command`.
    Program,
    /// One of `run.command`, counted from 0.
    Argument(usize),
    /// `source.path`.
    Source,
    /// `contract`.
    Contract,
    /// `replicas`.
    Replicas,
    /// `listen`.
    Listen,
    /// An entry of `calls` or `calls-later`.
    Call(ServiceName),
    /// `database`.
    Database,
    /// A variable of `env`.
    Variable(String),
    /// `settings`.
    Settings,
    /// A probe: under `probes`, or else `probe`.
    Probe(ProbeKind),
    /// `drain-timeout`.
    DrainTimeout,
}

impl Place {
    /// The service's place with this part.
    #[must_use]
    pub fn of(service: &ServiceName, part: ServicePart) -> Self {
        Self::Service(service.clone(), part)
    }

    /// Where to point instead when the manifest did not say this.
    fn fallback(&self) -> Self {
        match self {
            Self::GatewayListen | Self::Certificate | Self::CertificateKey | Self::Route(_) => Self::Gateway,
            Self::Service(name, ServicePart::Argument(_)) => Self::of(name, ServicePart::Program),
            Self::Service(name, ServicePart::Program) => Self::of(name, ServicePart::Run),
            Self::Service(_, ServicePart::Name) | Self::Gateway | Self::ApplicationName | Self::Whole => Self::Whole,
            Self::Service(name, _) => Self::of(name, ServicePart::Name),
        }
    }
}

/// The text of a manifest and where in it each [`Place`] is.
#[derive(Clone, Debug)]
pub struct SourceMap {
    file: PathBuf,
    text: Arc<str>,
    places: BTreeMap<Place, Range<usize>>,
}

impl SourceMap {
    pub(crate) fn new(file: &Path, text: Arc<str>) -> Self {
        Self { file: file.to_owned(), text, places: BTreeMap::new() }
    }

    pub(crate) fn set(&mut self, place: Place, span: &Range<usize>) {
        self.places.insert(place, span.clone());
    }

    /// The bytes of the manifest where this was said, or the nearest thing that was; `None` for the whole.
    #[must_use]
    pub fn span(&self, place: &Place) -> Option<Range<usize>> {
        let mut place = place.clone();
        loop {
            if let Some(span) = self.places.get(&place) {
                return Some(span.clone());
            }
            if place == Place::Whole {
                return None;
            }
            place = place.fallback();
        }
    }

    /// Problems that were found after reading, each looked up in the file, in its order.
    #[must_use]
    pub fn report(&self, problems: Vec<Diagnostic>) -> Diagnostics {
        let mut collected = Problems::default();
        for mut problem in problems {
            if let Location::Place(place) = &problem.location
                && let Some(span) = self.span(place)
            {
                problem.location = Location::Span(span);
            }
            collected.push(problem);
        }
        self.close(collected)
    }

    pub(crate) fn close(&self, problems: Problems) -> Diagnostics {
        let Problems { mut kept, omitted } = problems;
        kept.sort_by_key(|problem| problem.span().map(|span| span.start));
        Diagnostics { file: self.file.clone(), text: Arc::clone(&self.text), problems: kept, omitted }
    }
}
