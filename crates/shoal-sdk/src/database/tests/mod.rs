//! Tests of the database, on SQLite and on PostgreSQL; `turns` are about SQLite's queue of writers, `restarts` about a
//! PostgreSQL that goes away, `frozen` about one that sleeps.

mod both;
mod frozen;
mod full;
mod restarts;
mod turns;

use super::{Database, Migrations, READERS_MAX, WRITERS_MAX, query};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::borrow::Cow;
use test_databases::{Kind, TestDatabase};

/// The same statements for both databases.
fn migrations(statements: &[(i64, &'static str)]) -> Migrations {
    let migrator = || {
        let migrations = statements.iter().map(|(version, sql)| {
            let sql = sqlx::SqlStr::from_static(sql);
            Migration::new(*version, Cow::Borrowed("step"), MigrationType::Simple, sql, false)
        });
        Migrator::with_migrations(migrations.collect())
    };
    Migrations { sqlite: migrator(), postgres: migrator() }
}

const TABLE: (i64, &str) = (1, "CREATE TABLE turns (ticket BIGINT NOT NULL, writer TEXT NOT NULL)");

async fn open(at: &TestDatabase) -> Database {
    Database::open(at.url(), migrations(&[TABLE])).await.unwrap()
}

async fn insert(database: &Database, ticket: i64, writer: &str) {
    let mut transaction = database.write().await.unwrap();
    let insert = query("INSERT INTO turns (ticket, writer) VALUES ($1, $2)");
    insert.bind(ticket).bind(writer).execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn count(database: &Database) -> i64 {
    let mut reading = database.read().await.unwrap();
    let (count,): (i64,) = query("SELECT COUNT(*) FROM turns").fetch_one(&mut reading).await.unwrap();
    count
}
