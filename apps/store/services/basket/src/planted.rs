//! Bugs planted on purpose, to prove that the store's checker finds them. Only a build with the feature `planted-bugs`
//! has them, and only one that is named by the setting `planted-bug`. Never: part of a normal build.

use crate::Settings;

/// Which bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlantedBug {
    /// A purchase clears the whole basket, whatever was put into it since.
    ClearAnyVersion,
}

impl Settings {
    /// Whether this bug was planted.
    pub fn has(&self, bug: PlantedBug) -> bool {
        cfg!(feature = "planted-bugs") && self.planted_bug == Some(bug)
    }
}
