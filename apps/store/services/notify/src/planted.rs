//! Bugs planted on purpose, to prove that the store's checker finds them. Only a build with the feature `planted-bugs`
//! has them, and only one that is named by the setting `planted-bug`. Never: part of a normal build.

use crate::letters::Letter;
use crate::{Settings, mails, now_ms};
use shoal_sdk::{Database, Error};
use std::time::Duration;

/// Which bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlantedBug {
    /// The place is moved behind events that are not dealt with yet.
    PlaceBeforeEffect,
    /// Events that were dealt with are not known again, and the place is moved later than what they bring about.
    NoInbox,
}

/// Between the place and the effect: time to die in.
const HALFWAY: Duration = Duration::from_secs(1);

impl Settings {
    /// The bug that was planted, if any.
    pub fn planted(&self) -> Option<PlantedBug> {
        self.planted_bug.filter(|_| cfg!(feature = "planted-bugs"))
    }
}

/// Deals with a source's events, the last of which is at `last`, as the bug has it.
pub async fn take(
    database: &Database,
    source: &str,
    letters: impl Iterator<Item = Letter> + Send,
    last: i64,
    bug: PlantedBug,
) -> Result<(), Error> {
    if bug == PlantedBug::PlaceBeforeEffect {
        move_place(database, source, last).await?;
        tokio::time::sleep(HALFWAY).await;
    }
    let mut transaction = database.write().await?;
    for mut letter in letters {
        if bug == PlantedBug::NoInbox {
            letter.event_id = uuid::Uuid::now_v7().to_string();
        }
        mails::write(&mut transaction, &letter, now_ms()).await?;
    }
    transaction.commit().await?;
    if bug == PlantedBug::NoInbox {
        tokio::time::sleep(HALFWAY).await;
        move_place(database, source, last).await?;
    }
    Ok(())
}

async fn move_place(database: &Database, source: &str, last: i64) -> Result<(), Error> {
    let mut transaction = database.write().await?;
    mails::move_place(&mut transaction, source, last).await?;
    transaction.commit().await
}
