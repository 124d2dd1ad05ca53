//! What can be wrong with a contract or a list of calls, each said in one sentence. Never: anything a service sees at run time.

use std::path::PathBuf;

/// Why code could not be generated; `Display` is one sentence that names the place and the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A variable that cargo sets for build scripts is missing.
    #[error("`{0}` is not set: call this from a `build.rs` that cargo runs")]
    NotABuildScript(&'static str),
    /// A file or folder could not be read or written.
    #[error("cannot {doing} `{}`: {why}", path.display())]
    File {
        /// What was tried, as an infinitive.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A folder holds no Protobuf file.
    #[error("`{}` holds no `.proto` file: name the folder that does", .0.display())]
    Empty(PathBuf),
    /// The Protobuf compiler refused.
    #[error("{0}")]
    Protobuf(String),
    /// A file is not of the supported kind.
    #[error("{file}: {why}")]
    Unsupported {
        /// The `.proto` file, as its importers name it.
        file: String,
        /// What is not supported, and what to do instead.
        why: String,
    },
    /// A caller lists a service that no file declares.
    #[error("no file under `{}` declares the service `{service}`; there is: {known}", folder.display())]
    UnknownService {
        /// What was asked for.
        service: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// All there are, separated by commas.
        known: String,
    },
    /// A caller lists a method that the service does not have.
    #[error("the service `{service}` has no method `{method}`; it has: {known}")]
    UnknownMethod {
        /// The service.
        service: String,
        /// What was asked for.
        method: String,
        /// All there are, separated by commas.
        known: String,
    },
    /// A caller lists the same thing twice, or nothing.
    #[error("{0}")]
    BadList(String),
    /// The generated code is not Rust; a defect of the generator.
    #[error("the code generated for `{what}` does not parse: {why}")]
    Generated {
        /// For what.
        what: String,
        /// What the parser said.
        why: String,
    },
}

impl BuildError {
    pub(crate) fn unsupported(file: &str, why: impl Into<String>) -> Self {
        Self::Unsupported { file: file.to_owned(), why: why.into() }
    }
}
