//! Why a service could not start. Never: crosses the wire; it ends in the log of the replica.

use std::error::Error as StdError;
use std::fmt;

/// Why a service could not start: one sentence, and what caused it.
///
/// Any error becomes one with `?`. For that reason this type is not itself a `std::error::Error`.
pub struct StartError {
    sentence: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl StartError {
    /// An error that says this sentence.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), cause: None }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

/// The sentence, then each cause after a colon.
impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        match self.cause.as_deref() {
            Some(cause) => write!(f, ": {}", shoal_model::with_causes(cause)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for StartError {
    fn from(cause: E) -> Self {
        Self { sentence: shoal_model::with_causes(&cause), cause: None }
    }
}
