//! No card number is anywhere: not in the database, not in a log, not in an error.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod bench;

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use bench::{Bench, DECLINED, GOOD, NO_CAPTURE, SILENT, TWICE};
use shoal_sdk::{Database, query};
use test_databases::{Kind, TestDatabase};
use tracing_subscriber::filter::LevelFilter;

const STRANGER: &str = "4111 1111 1111 1111";
const TYPING_ERROR: &str = "4242 4242 4242 4241";

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
    let bench = Bench::new(kind).await;
    let cards = [GOOD, SILENT, DECLINED, NO_CAPTURE, TWICE, STRANGER, TYPING_ERROR];
    let mut told = String::new();
    for (number, card) in cards.into_iter().enumerate() {
        let order = format!("order-{number}");
        for card in [card.to_owned(), card.replace(' ', "")] {
            told += &format!("{:?}", bench.authorise(&order, 100, &card).await);
        }
        told += &format!("{:?}", bench.capture(&order).await);
        told += &format!("{:?}", bench.audit(&order).await);
    }
    let logged = String::from_utf8_lossy(&LOGGED.lock().unwrap()).into_owned();
    assert!(logged.contains("transfers"), "the log is not captured");
    let stored = stored(&bench.database).await;
    assert!(stored.contains("order-0") && stored.contains("4242"), "the database is not read");
    for card in cards {
        for text in [card.to_owned(), card.replace(' ', ""), card.replace(' ', "-")] {
            for (place, content) in [("log", &logged), ("database", &stored), ("answers", &told)] {
                assert!(!content.contains(&text), "the {place} holds a card number");
            }
        }
    }
}

/// All that is in the database, as text.
async fn stored(database: &TestDatabase) -> String {
    if let Some(file) = database.url().strip_prefix("sqlite://") {
        let files = std::fs::read_dir(Path::new(file).parent().unwrap()).unwrap();
        let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        let contents = files.map(|path| std::fs::read(path).unwrap());
        return contents.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    }
    let opened = Database::open(database.url(), payment::migrations()).await.unwrap();
    let mut reading = opened.read().await.unwrap();
    let mut text = String::new();
    for table in [
        "SELECT CAST(payments AS TEXT) FROM payments",
        "SELECT CAST(transfers AS TEXT) FROM transfers",
        "SELECT CAST(entries AS TEXT) FROM entries",
        "SELECT CAST(bank_operations AS TEXT) FROM bank_operations",
    ] {
        let rows: Vec<(String,)> = query(table).fetch_all(&mut reading).await.unwrap();
        text.extend(rows.into_iter().map(|(row,)| row));
    }
    text
}
