//! The example store as an application of the bench's own, and what it uses. Never: measures.

use crate::application::Application;
use crate::{Failure, cpu};
use std::collections::BTreeMap;
use std::path::Path;

/// The store, running with this database: `sqlite`, or the address of a PostgreSQL server.
pub fn start(database: &str) -> Result<Application, Failure> {
    let mut application = Application::new(&manifest()?)?.with_variable("STORE_DATABASE", database);
    application.up()?;
    Ok(application)
}

/// Seconds of CPU by service; the keepers together, and the supervisor.
pub fn used(application: &Application) -> Result<BTreeMap<String, f64>, Failure> {
    let mut used = BTreeMap::new();
    for replica in application.all_replicas()? {
        *used.entry(replica.service).or_default() += cpu::seconds_with_ended_threads(replica.pid)?;
        *used.entry("keepers".to_owned()).or_default() += cpu::seconds_with_ended_threads(replica.keeper)?;
    }
    used.insert("supervisor".to_owned(), cpu::seconds_with_ended_threads(application.supervisor()?)?);
    Ok(used)
}

/// The store's own manifest, for another folder and another port.
fn manifest() -> Result<String, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/store").canonicalize()?;
    let manifest = std::fs::read_to_string(folder.join("shoal.toml"))?;
    let folder = folder.display();
    Ok(manifest
        .replace("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:0\"")
        .replace("path = \"services/", &format!("path = \"{folder}/services/"))
        .replace("\"contracts/", &format!("\"{folder}/contracts/")))
}
