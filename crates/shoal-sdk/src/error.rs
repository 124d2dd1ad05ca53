//! The error of a call: a code, a message and typed details, the same over the wire and in process. Never: a cause's
//! text; what went wrong inside of a service is for its log.

use buffa::{Message, MessageName};
use bytes::Bytes;
use std::fmt;

/// What kind of failure it is; the codes of Connect and gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The caller gave up.
    Canceled,
    /// No other code fits.
    Unknown,
    /// The request can never succeed as it is.
    InvalidArgument,
    /// The time was up.
    DeadlineExceeded,
    /// What was asked for does not exist.
    NotFound,
    /// What was to be made exists.
    AlreadyExists,
    /// The caller is known, and may not.
    PermissionDenied,
    /// A quota or a limit is used up.
    ResourceExhausted,
    /// The state of things does not allow it; retrying alone does not help.
    FailedPrecondition,
    /// It collided with another change; reading again and retrying may help.
    Aborted,
    /// Past the end of what there is.
    OutOfRange,
    /// This method is not served.
    Unimplemented,
    /// A defect of the service.
    Internal,
    /// Nobody can answer right now; retrying may help.
    Unavailable,
    /// Data is lost or damaged.
    DataLoss,
    /// The caller is not known.
    Unauthenticated,
}

impl Code {
    /// As on the wire: `not_found`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out_of_range",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data_loss",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// Whether the service failed, rather than the request: what the counters of an edge call an error.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Unknown | Self::DeadlineExceeded | Self::Internal | Self::Unavailable | Self::DataLoss)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A typed detail of an error: a message, encoded, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The message's full name: `store.inventory.v1.Shortage`.
    pub name: String,
    /// The message in Protobuf's encoding.
    pub value: Bytes,
}

/// Why a call failed. Two errors are equal when a caller could not tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure.
    pub code: Code,
    /// One sentence for whoever called; crosses the wire.
    pub message: String,
    /// More, for programs to read; cross the wire. See [`detail`](Self::detail).
    pub details: Vec<Detail>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(Code::$code, message)
            }
        )*
    };
}

impl Error {
    /// An error of this code, without details.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    constructors! {
        /// The caller gave up.
        canceled => Canceled;
        /// No other code fits.
        unknown => Unknown;
        /// The request can never succeed as it is.
        invalid_argument => InvalidArgument;
        /// The time was up.
        deadline_exceeded => DeadlineExceeded;
        /// What was asked for does not exist.
        not_found => NotFound;
        /// What was to be made exists.
        already_exists => AlreadyExists;
        /// The caller is known, and may not.
        permission_denied => PermissionDenied;
        /// A quota or a limit is used up.
        resource_exhausted => ResourceExhausted;
        /// The state of things does not allow it.
        failed_precondition => FailedPrecondition;
        /// It collided with another change.
        aborted => Aborted;
        /// Past the end of what there is.
        out_of_range => OutOfRange;
        /// This method is not served.
        unimplemented => Unimplemented;
        /// A defect of the service. The message crosses the wire: say nothing a stranger should not read.
        internal => Internal;
        /// Nobody can answer right now.
        unavailable => Unavailable;
        /// Data is lost or damaged.
        data_loss => DataLoss;
        /// The caller is not known.
        unauthenticated => Unauthenticated;
    }

    /// Adds a typed detail.
    #[must_use]
    pub fn with_detail<M: Message + MessageName>(mut self, message: &M) -> Self {
        self.details.push(Detail { name: M::FULL_NAME.to_owned(), value: message.encode_to_vec().into() });
        self
    }

    /// The first detail of this type, if there is one and it decodes.
    #[must_use]
    pub fn detail<M: Message + MessageName>(&self) -> Option<M> {
        self.details
            .iter()
            .filter(|detail| detail.name == M::FULL_NAME)
            .find_map(|detail| M::decode_from_slice(&detail.value).ok())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return self.code.fmt(f);
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}
