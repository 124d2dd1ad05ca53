//! PostgreSQL: a database of the service's own, shared by all of its replicas. Advisory locks keep writers apart where
//! the code relies on it. Never: waits without a bound, or gives up on a server that is only restarting.

use super::connection::{Connection, Place, Pooled};
use super::{CONNECTION_WAIT_MAX, READERS_MAX, WRITE_WAIT_MAX, WRITERS_MAX, WRITERS_WAITING_MAX, failure, migrations};
use crate::{Error, StartError};
use sha2::{Digest, Sha256};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, PgConnection, PgPool};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a service that starts waits for a server that is not there yet.
const START_WAIT_MAX: Duration = Duration::from_secs(20);
/// How soon to try again when the server is away.
const AGAIN: Duration = Duration::from_millis(50);
/// A connection that nobody has used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// The advisory lock that all writers share, or one has alone. Any number will do; it must never change.
const ALL_WRITERS: i64 = 0x5340_414c_0000_0001;

/// How long the server may take to answer a statement. By [`SESSION`] it ends each before that by itself, also the
/// longest: the begin that waits for two locks. So whatever takes longer has no server any more.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(45);

/// What the server itself does to a session that hangs: a replica that was paused inside a transaction would hold its
/// locks for as long as it sleeps.
const SESSION: [(&str, &str); 3] =
    [("idle_in_transaction_session_timeout", "10s"), ("lock_timeout", "20s"), ("statement_timeout", "30s")];

pub(super) struct Server {
    readers: PgPool,
    writers: PgPool,
    places: Places,
    /// How long the server may take to answer.
    answer_max: Duration,
}

impl Server {
    /// Opens what a `postgres://` address names, making it when it is new, and migrates it.
    pub async fn open(url: &str, migrator: Migrator, answer_max: Duration) -> Result<Self, StartError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            StartError::new("DATABASE_URL holds a `postgres` address that is not understood").because(error)
        })?;
        let named = named(&options);
        let mut connection = connect_or_create(&options, &named).await?;
        migrations::migrate(migrator, &mut connection, &named).await?;
        let closed = connection.close().await;
        closed.map_err(|error| StartError::new(format!("cannot open the database `{named}`")).because(error))?;
        let pool = |most| {
            PgPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(CONNECTION_WAIT_MAX)
                .idle_timeout(IDLE_MAX)
                .max_lifetime(None)
        };
        let options = options.options(SESSION);
        Ok(Self {
            readers: pool(READERS_MAX)
                .connect_lazy_with(options.clone().options([("default_transaction_read_only", "on")])),
            // To begin a transaction tells as well whether the connection still works.
            writers: pool(WRITERS_MAX).test_before_acquire(false).connect_lazy_with(options),
            places: Places::new(),
            answer_max,
        })
    }

    pub async fn read(&self) -> Result<Connection, Error> {
        Ok(Connection::new(self.acquire(&self.readers).await?, Place::None))
    }

    pub async fn snapshot(&self) -> Result<Connection, Error> {
        let mut connection = self.read().await?;
        connection.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(connection)
    }

    /// Alone among all writers.
    pub async fn write(&self) -> Result<Connection, Error> {
        self.begin(&format!("BEGIN; SELECT pg_advisory_xact_lock({ALL_WRITERS})")).await
    }

    /// Alone for this key.
    pub async fn write_for(&self, key: &str) -> Result<Connection, Error> {
        let shared = format!("SELECT pg_advisory_xact_lock_shared({ALL_WRITERS})");
        self.begin(&format!("BEGIN; {shared}; SELECT pg_advisory_xact_lock({})", lock_of(key))).await
    }

    /// Nothing was done before the locks are held, so a connection that turns out to be broken is replaced.
    async fn begin(&self, statements: &str) -> Result<Connection, Error> {
        let permit = self.places.wait().await?;
        let mut place = Place::Permit { _permit: permit };
        let until = Instant::now() + CONNECTION_WAIT_MAX;
        loop {
            let pooled = self.acquire(&self.writers).await.inspect_err(|_| self.places.broken())?;
            let mut connection = Connection::new(pooled, place);
            match connection.begin(statements).await {
                Ok(()) => return Ok(connection),
                Err(error) if failure::is_away(&error) && Instant::now() < until => {
                    place = connection.take_place();
                }
                Err(error) => {
                    if failure::is_away(&error) {
                        self.places.broken();
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// A connection that is not known to be broken. Waits for a server that is restarting, but not long.
    async fn acquire(&self, pool: &PgPool) -> Result<Pooled, sqlx::Error> {
        let until = Instant::now() + CONNECTION_WAIT_MAX;
        loop {
            match pool.acquire().await {
                Ok(connection) => return Ok(Pooled::Postgres(connection, self.answer_max)),
                Err(error) if failure::is_away(&error) && Instant::now() + AGAIN < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Two keys that share a number only wait for each other.
fn lock_of(key: &str) -> i64 {
    let digest = Sha256::digest(key.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    // Never the number of the lock of all.
    i64::from_be_bytes(bytes) & !1
}

/// The writers of this replica that wait for a connection: first come, first served.
struct Places {
    free: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// When the database was last found to be away.
    broken: Mutex<Option<Instant>>,
}

impl Places {
    fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(WRITERS_MAX as usize)),
            waiting: Arc::new(Semaphore::new(WRITERS_WAITING_MAX)),
            broken: Mutex::new(None),
        }
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, Error> {
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Err(Error::resource_exhausted("too many writes are waiting, try again later"));
        };
        let came = Instant::now();
        let Ok(Ok(permit)) = tokio::time::timeout(WRITE_WAIT_MAX, self.free.clone().acquire_owned()).await else {
            tracing::warn!("other writes take too long");
            return Err(Error::unavailable("the database is too busy, try again"));
        };
        // Somebody ahead has waited in vain; those behind must not do so one after the other.
        if self.broken.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|when| when > came) {
            return Err(Error::unavailable("the database is away, try again"));
        }
        Ok(permit)
    }

    fn broken(&self) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Which database it is, without a password.
fn named(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{database} at {host}:{}", options.get_port())
}

async fn connect_or_create(options: &PgConnectOptions, named: &str) -> Result<PgConnection, StartError> {
    let failed = |error: sqlx::Error| StartError::new(format!("cannot open the database `{named}`")).because(error);
    match connect(options).await {
        Err(error) if failure::code(&error).as_deref() == Some("3D000") => {
            create(options).await.map_err(failed)?;
            connect(options).await.map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Waits for a server that is still starting.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let until = Instant::now() + START_WAIT_MAX;
    loop {
        let connected = tokio::time::timeout(CONNECTION_WAIT_MAX, options.connect());
        match connected.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Err(error) if failure::passes(&error) && Instant::now() + AGAIN < until => {
                tokio::time::sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

/// Makes the database. It sorts texts by their bytes, as SQLite does, whatever the server's own way is.
async fn create(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let name = options.get_database().unwrap_or_else(|| options.get_username()).replace('"', "\"\"");
    let mut connection = connect(&options.clone().database("postgres")).await?;
    let statement =
        format!("CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'");
    let created = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
    match created {
        // Another replica was quicker: `duplicate_database`, or both at the same instant, `unique_violation`.
        Err(error) if matches!(failure::code(&error).as_deref(), Some("42P04" | "23505")) => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    connection.close().await
}
