//! Bugs that a test can switch on, to prove that a checker from outside sees them. Never in a program that is built
//! without the feature `planted-bugs`: there every question is answered with no.

/// A bug of this service, as the setting `planted-bug` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlantedBug {
    /// A key that comes again places its order again.
    KeyIgnored,
    /// Commands carry no fence, and whoever lost an order goes on writing to its log.
    NoFence,
}

/// Which of them is switched on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted {
    #[cfg(feature = "planted-bugs")]
    bug: Option<PlantedBug>,
}

impl Planted {
    /// What the settings switch on.
    #[must_use]
    pub fn of(settings: &crate::Settings) -> Planted {
        #[cfg(feature = "planted-bugs")]
        return Planted { bug: settings.planted_bug };
        #[cfg(not(feature = "planted-bugs"))]
        {
            let _ = settings;
            Planted::default()
        }
    }

    /// Whether this one is switched on.
    #[must_use]
    pub fn is(self, bug: PlantedBug) -> bool {
        #[cfg(feature = "planted-bugs")]
        return self.bug == Some(bug);
        #[cfg(not(feature = "planted-bugs"))]
        {
            let _ = bug;
            false
        }
    }
}
