//! The online store of this repository, as an application of a test's own: its manifest with other addresses, in a temporary folder.
//!
//! Never: runs in the checkout, where somebody may have a store running.

use crate::application::Application;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The services behind the pages.
pub const BACKENDS: [&str; 9] =
    ["basket", "catalogue", "checkout", "customer", "inventory", "notify", "orders", "payment", "shipping"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/store")
}

/// The store, not started yet.
///
/// # Panics
/// When its manifest cannot be read, or does not look as it should.
#[must_use]
pub fn store() -> Application {
    let folder = folder().canonicalize().expect("the store is in this repository");
    let mut manifest = std::fs::read_to_string(folder.join("shoal.toml")).expect("the store has a manifest");
    let folder = folder.to_str().expect("the repository's path is text");
    for (theirs, ours) in [
        ("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:0\"".to_owned()),
        ("path = \"services/", format!("path = \"{folder}/services/")),
        ("\"contracts/", format!("\"{folder}/contracts/")),
    ] {
        assert!(manifest.contains(theirs), "the store's manifest says `{theirs}`");
        manifest = manifest.replace(theirs, &ours);
    }
    Application::new(&manifest)
}

/// One running store for the tests of a file: starting eleven services takes seconds. It ends with the last test that holds it.
pub struct SharedStore(Mutex<Weak<Application>>);

impl SharedStore {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The running store, started when no other test holds it.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn running(&self) -> Arc<Application> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = shared.upgrade() {
            return store;
        }
        let store = Arc::new(store());
        store.up();
        *shared = Arc::downgrade(&store);
        store
    }
}

impl Default for SharedStore {
    fn default() -> Self {
        Self::new()
    }
}
