//! No card number is anywhere: not in the log of orders, not in a log line, not in an answer.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod world;

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use shoal_sdk::{Database, query};
use store_contracts::store::checkout::v1::PlaceRequest;
use test_databases::Kind;
use tracing_subscriber::filter::LevelFilter;
use world::{Fault, World, checkout, place, quiet, request};

/// Everything that this process logs, from all threads.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One test for both, since the log of a process can be captured once.
#[tokio::test]
async fn no_card_number_is_kept_or_told() {
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(|| Lines).init();
    for kind in [Kind::Sqlite, Kind::Postgres] {
        no_card_number(kind).await;
    }
}

async fn no_card_number(kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    // Refused, lost, repeated with another card, mistyped: all that has something to say about a card.
    world.fail("reserve", &[Fault::Refused]);
    let mut told = format!("{:?}", place(&parts, request("key-00000001")).await);
    world.fail("authorise", &[Fault::LostBefore, Fault::LostAfter]);
    told += &format!("{:?}", place(&parts, request("key-00000002")).await);
    for card in ["4000 0000 0000 0002", "4242 4242 4242 424x", "4242424242424242424242"] {
        let other = PlaceRequest { card_number: card.to_owned(), ..request("key-00000002") };
        told += &format!("{:?}", place(&parts, other).await);
    }
    quiet(&parts).await;
    assert_eq!(world.state.lock().unwrap().cards.first().map(String::as_str), Some("4242 4242 4242 4242"));
    let logged = String::from_utf8_lossy(&LOGGED.lock().unwrap()).into_owned();
    assert!(logged.contains("the outcome is not known"), "the log is not captured");
    let stored = stored(&world).await;
    assert!(stored.contains("key-00000002") && stored.contains("4242"), "the database is not read");
    for text in ["4242 4242 4242", "424242424242", "4000 0000", "40000000"] {
        for (place, content) in [("log", &logged), ("database", &stored), ("answers", &told)] {
            assert!(!content.contains(text), "the {place} holds a card number");
        }
    }
}

/// All that is in the database, as text.
async fn stored(world: &World) -> String {
    if let Some(file) = world.database.url().strip_prefix("sqlite://") {
        let files = std::fs::read_dir(Path::new(file).parent().unwrap()).unwrap();
        let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        let contents = files.map(|path| std::fs::read(path).unwrap());
        return contents.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    }
    let opened = Database::open(world.database.url(), checkout::migrations()).await.unwrap();
    let mut reading = opened.read().await.unwrap();
    let mut text = String::new();
    for table in ["SELECT CAST(sagas AS TEXT) FROM sagas", "SELECT CAST(saga_steps AS TEXT) FROM saga_steps"] {
        let rows: Vec<(String,)> = query(table).fetch_all(&mut reading).await.unwrap();
        text.extend(rows.into_iter().map(|(row,)| row));
    }
    text
}
