//! All that a service is given: names, settings, data, and the way to what it calls. Never: reads `std::env`; `run`
//! captures that once.

use crate::client::{Directory, HOLD_MAX};
use crate::faults::Hook;
use crate::variables::Variables;
use crate::{Database, Faults, Migrations, StartError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_model::{Address, Endpoint, ReplicaName, RevisionId, ServiceName};
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A trait object of a contract: what [`Environment::provide`] takes. Implemented by generated code.
pub trait Contract: Send + Sync + 'static {
    /// The Protobuf service: `store.catalogue.v1.Catalogue`.
    const SERVICE: &'static str;
}

/// All that a service is given. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    identity: Arc<Identity>,
    settings: Arc<serde_json::Value>,
    provided: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
    directory: Arc<Directory>,
    /// What tests have called at crash points.
    crash_points: Option<Hook>,
}

struct Identity {
    service: ServiceName,
    replica: Option<ReplicaName>,
    data: Option<PathBuf>,
    database_url: Option<String>,
}

impl Environment {
    pub(crate) fn from_variables(
        variables: &Variables,
        service: ServiceName,
        directory: Arc<Directory>,
    ) -> Result<Self, StartError> {
        let replica = variables.get("SHOAL_REPLICA").map(str::parse).transpose();
        let replica = replica.map_err(|why| StartError::new(format!("SHOAL_REPLICA is wrong: {why}")))?;
        Ok(Self {
            identity: Arc::new(Identity {
                service,
                replica,
                data: variables.path("SHOAL_DATA"),
                database_url: variables.get("DATABASE_URL").map(str::to_owned),
            }),
            settings: Arc::new(variables.settings()?),
            provided: BTreeMap::new(),
            directory,
            crash_points: None,
        })
    }

    /// One for tests: its data is in `folder`, it reads no variables and follows no endpoints. The other methods that
    /// start with `with_`, and [`provide`](Self::provide), add what a test needs.
    #[must_use]
    pub fn for_tests(folder: &Path) -> Self {
        Self {
            identity: Arc::new(Identity {
                service: test_service(),
                replica: None,
                data: Some(folder.to_owned()),
                database_url: None,
            }),
            settings: Arc::new(serde_json::Value::Object(serde_json::Map::new())),
            provided: BTreeMap::new(),
            directory: Arc::new(Directory::fixed("tests", HOLD_MAX)),
            crash_points: None,
        }
    }

    /// One for a program that is no service: all it can do is call `callee` at this address. A call fails at once when
    /// nobody is there.
    ///
    /// # Errors
    /// When one of the names is not a service's.
    pub fn of_client(name: &str, callee: &str, address: Address) -> Result<Self, StartError> {
        let named = |name: &str| name.parse::<ServiceName>().map_err(|why| StartError::new(format!("{why}")));
        let identity = Identity { service: named(name)?, replica: None, data: None, database_url: None };
        let environment = Self {
            identity: Arc::new(identity),
            settings: Arc::new(serde_json::Value::Object(serde_json::Map::new())),
            provided: BTreeMap::new(),
            directory: Arc::new(Directory::fixed(name, Duration::ZERO)),
            crash_points: None,
        };
        environment.at(&named(callee)?, address);
        // What makes a single call would not gain by it.
        Ok(environment.without_frames())
    }

    fn at(&self, callee: &ServiceName, address: Address) {
        self.directory.declare(callee);
        self.directory.apply(callee, &[fixed_endpoint(callee, address)]);
    }

    /// The one that [`run`](crate::run) would make of these variables, with callees that are followed; for tests of that.
    ///
    /// # Errors
    /// When a variable is wrong.
    ///
    /// # Panics
    /// Outside of a tokio runtime, where nothing can be followed.
    #[doc(hidden)]
    pub fn captured_for_tests(variables: &[(&str, &str)]) -> Result<Self, StartError> {
        let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables = Variables::new(pairs);
        let service = crate::run::service_name(&variables, "tests")?;
        let directory = Directory::start(&variables, &service)?;
        Self::from_variables(&variables, service, directory)
    }

    /// Makes the database at this `sqlite://` or `postgres://` address the service's.
    #[must_use]
    pub fn with_database(mut self, url: &str) -> Self {
        let of = &self.identity;
        self.identity = Arc::new(Identity {
            service: of.service.clone(),
            replica: of.replica.clone(),
            data: of.data.clone(),
            database_url: Some(url.to_owned()),
        });
        self
    }

    /// Makes these the settings.
    ///
    /// # Errors
    /// When they do not serialise to a JSON object.
    pub fn with_settings(mut self, settings: &impl Serialize) -> Result<Self, StartError> {
        let settings = serde_json::to_value(settings)?;
        if !settings.is_object() {
            return Err(StartError::new("settings must be a map of names to values"));
        }
        self.settings = Arc::new(settings);
        Ok(self)
    }

    /// Makes calls of `callee` go to this address, over the wire.
    ///
    /// # Errors
    /// When `callee` is not a service's name.
    pub fn with_callee(self, callee: &str, address: SocketAddr) -> Result<Self, StartError> {
        let service: ServiceName = callee.parse().map_err(|why| StartError::new(format!("{why}")))?;
        self.at(&service, Address::Tcp(address));
        Ok(self)
    }

    /// Makes calls go over HTTP/2 only, also where the callee has something cheaper; for tests and measurements.
    #[must_use]
    pub fn without_frames(self) -> Self {
        self.directory.without_frames();
        self
    }

    /// How many endpoints a callee has, and to how many of them calls go over frames; for tests of that.
    #[doc(hidden)]
    #[must_use]
    pub fn framed_for_tests(&self, callee: &str) -> Option<(usize, usize)> {
        self.directory.framed(&callee.parse().ok()?)
    }

    /// Provides an implementation of a contract, or a stand-in for what a caller generated of it: calls of it stay in
    /// the process and are not encoded.
    ///
    /// The argument is a trait object: `environment.provide(Arc::new(catalogue) as Arc<dyn Catalogue>)`.
    #[must_use]
    pub fn provide<T: ?Sized + Contract>(mut self, implementation: Arc<T>) -> Self {
        self.provided.insert(TypeId::of::<T>(), Arc::new(implementation));
        self
    }

    pub(crate) fn provided<T: ?Sized + Contract>(&self) -> Option<Arc<T>> {
        let found = self.provided.get(&TypeId::of::<T>())?;
        found.downcast_ref::<Arc<T>>().cloned()
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The name of the service, as in the manifest.
    #[must_use]
    pub fn service(&self) -> &str {
        self.identity.service.as_str()
    }

    /// The name of this replica, `catalogue-7`; the service's name where there are no replicas, as in tests.
    #[must_use]
    pub fn replica(&self) -> String {
        let replica = self.identity.replica.as_ref();
        replica.map_or_else(|| self.service().to_owned(), ToString::to_string)
    }

    /// What is to go wrong on purpose in this process: its crash points.
    #[must_use]
    pub fn faults(&self) -> Faults {
        let (held, supervisor) = self.directory.faults();
        Faults { held, supervisor, hook: self.crash_points.clone() }
    }

    /// Has this called at each crash point that is reached, with its name, on the thread that is there: where it panics, the
    /// task ends there. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_crash_points_for_tests(mut self, hook: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        self.crash_points = Some(hook);
        self
    }

    /// The settings from `[services.<name>.settings]` of the manifest, as a type of the service's own. Give fields
    /// `#[serde(default)]` to make them optional, and the type `#[serde(deny_unknown_fields)]` to find misspelt ones.
    ///
    /// # Errors
    /// When they do not fit the type; the sentence names the setting.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, StartError> {
        serde_path_to_error::deserialize(self.settings.as_ref()).map_err(|error| {
            let path = error.path().to_string();
            let place = match path.as_str() {
                "." => String::new(),
                path => format!(" `{path}`"),
            };
            StartError::new(format!(
                "the setting{place} in [services.{}.settings] of shoal.toml is wrong: {}",
                self.service(),
                error.inner()
            ))
        })
    }

    /// Where the service keeps its files, shared by all of its replicas. It exists.
    ///
    /// # Errors
    /// When the process was started without one.
    pub fn data_folder(&self) -> Result<&Path, StartError> {
        self.identity.data.as_deref().ok_or_else(|| {
            StartError::new(
                "SHOAL_DATA does not say where to keep data: start the service with `shoal up`, or set it to a folder",
            )
        })
    }

    /// A key of 32 random bytes by this name, the same for all replicas and after restarts: made once, in the data folder.
    ///
    /// # Errors
    /// When there is no data folder, it cannot be written, or the key in it is damaged.
    pub fn key(&self, name: &str) -> Result<[u8; 32], StartError> {
        crate::key::key(self.data_folder()?, name)
    }

    /// Opens the service's database and brings its schema up to date; see [`Database`].
    ///
    /// Migrations that another binary has applied and this one does not know are left alone, so that an older revision
    /// starts beside a newer one.
    ///
    /// # Errors
    /// When the manifest gives the service no database, or it cannot be opened or migrated.
    pub async fn database(&self, migrations: Migrations) -> Result<Database, StartError> {
        match (&self.identity.database_url, self.identity.replica.is_none()) {
            (Some(url), _) => Database::open(url, migrations).await,
            // Only tests and programs started by hand have no replica's name.
            (None, true) => {
                let file = self.data_folder()?.join(format!("{}.db", self.service()));
                Database::open_file(&file, migrations).await
            }
            (None, false) => Err(StartError::new(format!(
                "DATABASE_URL is not set: add `database = \"sqlite\"` to [services.{}] in shoal.toml",
                self.service()
            ))),
        }
    }
}

fn test_service() -> ServiceName {
    // Any valid name will do; the gateway's is the one that cannot fail to be one.
    "tests".parse().unwrap_or_else(|_| ServiceName::gateway())
}

/// An endpoint at an address that is known without a supervisor.
pub(crate) fn fixed_endpoint(service: &ServiceName, address: Address) -> Endpoint {
    Endpoint {
        replica: ReplicaName { service: service.clone(), serial: 1 },
        revision: RevisionId("fixed".to_owned()),
        address,
        weight: 100,
        identity: None,
    }
}
