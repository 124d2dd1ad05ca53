//! The store as its checker drives it: two replicas of every service, so that there is somebody to take over, and orders that are taken
//! over soon. Its programs are built once and started as they are, so that a store can be started in seconds, and so that a test may
//! put another program in the place of one.
//!
//! Never: judges anything; `store-check` does.

use crate::application::{Application, Output, shoal};
use crate::store::{BACKENDS, store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs of the store, by service.
pub type Programs = BTreeMap<String, PathBuf>;

/// A running store, and what its checker is told about it.
pub struct CheckedStore {
    application: Application,
    database: Option<String>,
}

/// Builds programs of the store with these features, and copies them to `folder`: the next build may put others in their place.
///
/// # Panics
/// When they do not build.
#[must_use]
pub fn programs(services: &[&str], features: &[String], folder: &Path) -> Programs {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let packages = services.iter().flat_map(|service| ["--package", service]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet"]).args(packages).args(["--features", &features.join(",")]).current_dir(root);
    let output = build.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let beside = shoal();
    let built = beside.parent().expect("shoal is in a folder");
    std::fs::create_dir_all(folder).expect("a folder can be made");
    let copy = |service: &&str| {
        let program = folder.join(service);
        std::fs::copy(built.join(service), &program).expect("what was built can be copied");
        ((*service).to_owned(), program)
    };
    services.iter().map(copy).collect()
}

/// Every service of the store.
#[must_use]
pub fn services() -> Vec<&'static str> {
    BACKENDS.into_iter().chain(["storefront"]).collect()
}

impl CheckedStore {
    /// Starts the store from these programs: on PostgreSQL at an address, on SQLite without one. `settings` are further lines for services'
    /// settings, such as `lease-ms = 3000`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(programs: &Programs, database: Option<String>, settings: &[(&str, &str)]) -> Self {
        let application = store();
        let path = application.folder().join("shoal.toml");
        let mut manifest = std::fs::read_to_string(path).expect("the store has a manifest");
        manifest = manifest.replace("replicas = 1\n", "replicas = 2\n").replace("replicas    = 1\n", "replicas = 2\n");
        for (service, program) in programs {
            let theirs = format!("run      = {{ cargo = \"{service}\" }}");
            let run = format!("run = {{ command = [\"{}\"] }}\nprobe = {{ sdk = true }}", program.display());
            manifest = ["run      ", "run         "]
                .into_iter()
                .fold(manifest, |manifest, start| manifest.replace(&theirs.replacen("run      ", start, 1), &run));
            assert!(manifest.contains(&run), "the store's manifest runs {service}");
        }
        for (service, line) in settings {
            manifest = with_setting(manifest, service, line);
        }
        application.write("shoal.toml", manifest);
        let started = Self { application, database };
        let output = started.command(&shoal(), &["up", "-d", "--profile", "dev"]).output().expect("shoal runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        started
    }

    /// Runs `store-check` with these arguments beside those that lead it to the store.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn check(&self, arguments: &[&str]) -> Output {
        let output = self.checker(arguments).output().expect("store-check runs");
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same as a command that is not run yet.
    ///
    /// # Panics
    /// When `store-check` was not built.
    #[must_use]
    pub fn checker(&self, arguments: &[&str]) -> Command {
        let shoal = shoal();
        let program = shoal.with_file_name("store-check");
        assert!(program.is_file(), "{} is missing: run `cargo build -p store-check` first", program.display());
        let mut checker = self.command(&program, &["--profile", "dev", "--shoal"]);
        checker.arg(shoal).args(arguments);
        checker
    }

    fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.application.folder()).env("XDG_RUNTIME_DIR", self.application.runtime());
        // The checker starts a supervisor that it killed, and that one must come to the same target.
        match &self.database {
            Some(address) => command.env("STORE_DATABASE", address),
            None => command.env_remove("STORE_DATABASE"),
        };
        command.env_remove("RUST_LOG");
        command
    }
}

/// The manifest with one more line in a service's settings.
fn with_setting(manifest: String, service: &str, line: &str) -> String {
    let inline = "settings = { demo-stock = true }";
    let table = format!("[services.{service}.settings]\n");
    if service == "inventory" {
        return manifest.replace(inline, &format!("settings = {{ demo-stock = true, {line} }}"));
    }
    if manifest.contains(&table) {
        return manifest.replace(&table, &format!("{table}{line}\n"));
    }
    format!("{manifest}\n{table}{line}\n")
}
