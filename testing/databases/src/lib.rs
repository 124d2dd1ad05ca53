//! Databases of a test's own: a SQLite file, or a database in a PostgreSQL that ends with the test's process.
//! Panics where it cannot give one, as a test does. Never: touches a server that it has not started.

mod server;

pub use server::PostgresServer;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A database that is empty and nobody else's, until dropped.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(#[allow(dead_code, reason = "removed when dropped")] tempfile::TempDir),
    /// The name of a database in the server of this process.
    Server(String),
}

impl TestDatabase {
    /// A new one. The first PostgreSQL one of a process starts a server, which takes a second or two.
    ///
    /// # Panics
    /// When there is no room for it, or PostgreSQL is not installed.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("cannot make a folder: {error}"));
                let url = format!("sqlite://{}", folder.path().join("test.db").display());
                Self { url, place: Place::Folder(folder) }
            }
            Kind::Postgres => {
                static LAST: AtomicU32 = AtomicU32::new(0);
                let name = format!("test_{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
                Self { url: server().url(&name), place: Place::Server(name) }
            }
        }
    }

    /// The address, as `DATABASE_URL` holds it. Several may open it, as replicas do; the first makes the database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Left alone, the databases of a long suite fill the disk.
        if let Place::Server(name) = &self.place {
            server().remove(name);
        }
    }
}

/// The server that the tests of this process share. Its guard ends it after them.
fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start)
}
