//! The schema of a service, for either database. Never: undoes a migration.

use crate::StartError;
use sqlx::migrate::{Migrate, Migrator};

/// The migrations of a service, for either database: what [`migrations!`](crate::migrations) makes of the folders
/// `migrations/sqlite` and `migrations/postgres`.
#[derive(Debug)]
pub struct Migrations {
    /// Those for SQLite.
    pub sqlite: Migrator,
    /// Those for PostgreSQL.
    pub postgres: Migrator,
}

/// The migrations in the folders `migrations/sqlite` and `migrations/postgres` of this package, as
/// [`Environment::database`](crate::Environment::database) takes them. The package depends on `sqlx`.
#[macro_export]
macro_rules! migrations {
    () => {
        $crate::Migrations {
            sqlite: ::sqlx::migrate!("migrations/sqlite"),
            postgres: ::sqlx::migrate!("migrations/postgres"),
        }
    };
}

/// Brings the schema up to date. Who starts at the same time waits; what a newer revision has added is left alone.
pub(super) async fn migrate<C: Migrate>(
    mut migrator: Migrator,
    connection: &mut C,
    named: &str,
) -> Result<(), StartError> {
    migrator.set_ignore_missing(true);
    // Not `run`, whose future is not `Send` where its argument has a lifetime.
    let migrated = migrator.run_direct(None, connection, false).await;
    migrated.map_err(|error| StartError::new(format!("cannot migrate the database `{named}`")).because(error))
}
