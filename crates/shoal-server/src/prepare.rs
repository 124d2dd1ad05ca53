//! From the manifest's file to a target: reads, checks, builds, and keeps revisions. Starts nothing.

use crate::cargo_build::{self, BuildError, BuildProgress, Package};
use crate::folders::Folders;
use crate::journal::Journal;
use crate::{clock, databases, machine, revisions, target};
use shoal_driver::Prepared;
use shoal_manifest::{Code, Diagnostic, Diagnostics, Manifest, Place, SIZE_MAX, ServicePart};
use shoal_model::{Application, LaunchSettings, Replicas, Revision, RevisionId, Run, ServiceName};
use shoal_process::ports::{Ports, PortsError};
use shoal_reconcile::ServiceTarget;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The gateway runs once.
const ONE: Replicas = Replicas { min: 1, max: 1, target_concurrency: None };

/// Why no target came of it.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The manifest, or what it needs of this machine, is not right.
    #[error("{}", .0.render(false))]
    Manifest(Diagnostics),
    /// A service does not build; what the compiler said, and then where in the manifest.
    #[error("{output}\n{}", .diagnostics.render(false))]
    Build {
        /// What the compiler said.
        output: String,
        /// Where in the manifest.
        diagnostics: Diagnostics,
    },
    /// The disk, mostly.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// No port was to be had.
    #[error("{0}")]
    Port(#[from] PortsError),
}

/// What preparing needs to know of its surroundings.
pub struct Surroundings<'a> {
    /// Where the application's files are.
    pub folders: &'a Folders,
    /// The copy of this program that runs as the gateway.
    pub shoal: &'a Path,
    /// The folders of `PATH`.
    pub search: &'a [PathBuf],
    /// The variables of whoever asked that the manifest looks at.
    pub variables: &'a BTreeMap<String, String>,
    /// The public address that our own gateway listens on now.
    pub held: Option<SocketAddr>,
    /// Where the build is told of.
    pub journal: &'a Journal,
}

/// Reads an application's manifest.
///
/// # Errors
/// When it cannot be read, or is wrong.
pub fn read_manifest(folders: &Folders) -> Result<Manifest, Diagnostics> {
    let path = folders.manifest();
    let mut bytes = Vec::new();
    let limit = u64::try_from(SIZE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    match std::fs::File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => shoal_manifest::parse_bytes(&bytes, &path),
        Err(error) => Err(shoal_manifest::unreadable(&path, &error)),
    }
}

/// Reads the manifest, builds its services and makes their revisions.
///
/// # Errors
/// When anything is missing or does not build; then nothing that runs was touched.
pub async fn prepare(around: &Surroundings<'_>, profile: &str) -> Result<Prepared, PrepareError> {
    let manifest = read_manifest(around.folders).map_err(PrepareError::Manifest)?;
    machine::check(&manifest, around.search, around.held).map_err(PrepareError::Manifest)?;
    let databases =
        databases::addresses(&manifest, around.folders, around.variables).map_err(PrepareError::Manifest)?;
    let programs = build(around, &manifest, profile).await?;
    let application = manifest.application;
    let public = public_address(around.folders, &application)?;
    let mut services = BTreeMap::new();
    for (name, service) in &application.services {
        make_data_folder(around.folders, name)?;
        let launch =
            target::launch(&application, name, service, around.folders, databases.get(name).map(String::as_str));
        let revision = match programs.get(name) {
            Some(program) => keep_program(around.folders, name, program, launch).await?,
            None => revisions::of_command(name, launch),
        };
        services.insert(name.clone(), ServiceTarget::new(revision, service.replicas, service.after.clone()));
    }
    if let Some(launch) = target::gateway_launch(&application, around.shoal, around.folders, public) {
        let name = ServiceName::gateway();
        make_data_folder(around.folders, &name)?;
        // Named without the path of this program, so that a newer Shoal does not replace a gateway that works.
        let id = revisions::of_command(&name, {
            let mut named = launch.clone();
            named.command.clear();
            named
        })
        .id;
        let revision = Revision { id, service: name.clone(), launch };
        services.insert(name, ServiceTarget::new(revision, ONE, BTreeSet::new()));
    }
    let routing = target::routing(&application);
    Ok(Prepared { application, services, routing, public })
}

/// Removes the revisions that nothing uses any more, except for the newest few of each service.
///
/// # Errors
/// When one cannot be removed.
pub fn tidy_revisions(folders: &Folders, used: &BTreeMap<ServiceName, Vec<RevisionId>>) -> std::io::Result<()> {
    used.iter().try_for_each(|(service, ids)| {
        let ids: Vec<&RevisionId> = ids.iter().collect();
        revisions::remove_unused(folders, service, &ids)
    })
}

async fn build(
    around: &Surroundings<'_>,
    manifest: &Manifest,
    profile: &str,
) -> Result<BTreeMap<ServiceName, PathBuf>, PrepareError> {
    let packages: Vec<Package> = manifest
        .application
        .services
        .iter()
        .filter_map(|(service, declared)| match &declared.run {
            Run::Cargo(name) => {
                Some(Package { service: service.clone(), name: name.clone(), folder: declared.source.path.clone() })
            }
            Run::Command(_) => None,
        })
        .collect();
    if packages.is_empty() {
        return Ok(BTreeMap::new());
    }
    around.journal.note(
        clock::now(),
        "build",
        format!("Building {} service{}", packages.len(), if packages.len() == 1 { "" } else { "s" }),
    );
    let mut compiled = 0_u32;
    let mut tell = |progress: BuildProgress| match progress {
        BuildProgress::Compiled(name) => {
            compiled += 1;
            around.journal.note(clock::now(), "build", format!("Building: {compiled} crates compiled, now {name}"));
        }
        BuildProgress::Finished(service) => {
            around.journal.note_service(clock::now(), "built", &service, format!("{service} is built"));
        }
    };
    cargo_build::build(&packages, profile, &mut tell).await.map_err(|error| build_failed(manifest, error))
}

/// Hashes and copies a program off the event loop: it may be large, and the disk slow.
async fn keep_program(
    folders: &Folders,
    name: &ServiceName,
    program: &Path,
    launch: LaunchSettings,
) -> Result<Revision, PrepareError> {
    let (folders, service, program) = (folders.clone(), name.clone(), program.to_path_buf());
    let kept = tokio::task::spawn_blocking(move || revisions::of_program(&folders, &service, &program, launch)).await;
    kept.map_err(std::io::Error::other)
        .flatten()
        .map_err(|source| PrepareError::Io { what: format!("the program of {name} cannot be kept"), source })
}

fn build_failed(manifest: &Manifest, error: BuildError) -> PrepareError {
    let place = error.service.map_or(Place::Whole, |service| Place::of(&service, ServicePart::Program));
    let problem =
        Diagnostic::at(place, Code::BuildFailed, error.sentence, "mend what the compiler names, then `shoal up` again");
    PrepareError::Build { output: error.output, diagnostics: manifest.spans.report(vec![problem]) }
}

/// The gateway's address; a port of 0 becomes one that stays the same from one `up` to the next.
fn public_address(folders: &Folders, application: &Application) -> Result<Option<SocketAddr>, PrepareError> {
    let Some(gateway) = &application.gateway else { return Ok(None) };
    let mut address = gateway.listen;
    if address.port() == 0 {
        let (ports, owner) = (Ports::new(&folders.ports), folders.state.display().to_string());
        address.set_port(ports.claim_while(&owner, "public", &folders.lock())?);
    }
    Ok(Some(address))
}

fn make_data_folder(folders: &Folders, name: &ServiceName) -> Result<(), PrepareError> {
    let folder = folders.data(name.as_str());
    std::fs::create_dir_all(&folder)
        .map_err(|source| PrepareError::Io { what: format!("{} cannot be made", folder.display()), source })
}
