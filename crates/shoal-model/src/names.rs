//! Names and ids, each a type of its own so that one cannot be passed for another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name; its `Display` is one sentence a user can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

/// The name of a service: 1 to 40 of `a-z`, `0-9` and `-`, starting with a letter and not ending with `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

impl ServiceName {
    /// The longest name, in bytes. Names become parts of socket paths, which Linux limits to 108 bytes.
    pub const LENGTH_MAX: usize = 40;

    /// The gateway's own name; no service in a manifest may take it.
    #[must_use]
    pub fn gateway() -> Self {
        Self("gateway".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the variable that tells a caller where this service is: `stock-room` → `STOCK_ROOM_URL`.
    #[must_use]
    pub fn url_variable(&self) -> String {
        format!("{}_URL", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let starts_with_letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let allowed = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if starts_with_letter && allowed && text.len() <= Self::LENGTH_MAX && !text.ends_with('-') {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(60).collect();
        Err(NameError(format!(
            "`{shown}` is not a service name: use 1 to {} lower-case letters, digits and `-`, starting with a letter",
            Self::LENGTH_MAX
        )))
    }
}

impl TryFrom<String> for ServiceName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a revision: the first 12 hexadecimal digits of its content's SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub String);

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a replica, `catalogue-7`: its service and a serial number that is never given twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaName {
    /// The service it is a copy of.
    pub service: ServiceName,
    /// Counts up from 1 per service, across supervisor restarts.
    pub serial: u64,
}

impl FromStr for ReplicaName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let parsed = text
            .rsplit_once('-')
            .and_then(|(service, serial)| Some(Self { service: service.parse().ok()?, serial: serial.parse().ok()? }));
        let shown: String = text.chars().take(60).collect();
        parsed.ok_or_else(|| NameError(format!("`{shown}` is not a replica's name, such as `catalogue-1`")))
    }
}

impl TryFrom<String> for ReplicaName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ReplicaName> for String {
    fn from(name: ReplicaName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_checked() {
        for good in ["a", "stock-room", "v2", &"a".repeat(40)] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "2a", "a_b", "é", "../x", &"a".repeat(41)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_replica_name_reads_back() {
        let name: ReplicaName = "stock-room-12".parse().unwrap();
        assert_eq!((name.service.as_str(), name.serial), ("stock-room", 12));
        assert_eq!(name.to_string(), "stock-room-12");
        assert!("stock".parse::<ReplicaName>().is_err());
    }

    #[test]
    fn url_variables_are_shell_names() {
        assert_eq!("stock-room".parse::<ServiceName>().unwrap().url_variable(), "STOCK_ROOM_URL");
    }
}
