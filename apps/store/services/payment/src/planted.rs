//! Bugs that a test can switch on, to prove that a checker from outside sees them. Never in a program that is built
//! without the feature `planted-bugs`: there every question is answered with no.

use shoal_sdk::{Database, Error, query};

use crate::lifecycle::State;
use crate::records;

/// A bug of this service, as the setting `planted-bug` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlantedBug {
    /// Each repeated capture charges anew.
    ChargeWithoutKey,
    /// A void and a refund say done, and do nothing.
    RefundSkipped,
    /// A command with a stale fence is obeyed.
    NoFence,
}

/// Which of them is switched on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted {
    #[cfg(feature = "planted-bugs")]
    bug: Option<PlantedBug>,
}

impl Planted {
    /// What the settings switch on.
    #[must_use]
    pub fn of(settings: &crate::Settings) -> Planted {
        #[cfg(feature = "planted-bugs")]
        return Planted { bug: settings.planted_bug };
        #[cfg(not(feature = "planted-bugs"))]
        {
            let _ = settings;
            Planted::default()
        }
    }

    /// Whether this one is switched on.
    #[must_use]
    pub fn is(self, bug: PlantedBug) -> bool {
        #[cfg(feature = "planted-bugs")]
        return self.bug == Some(bug);
        #[cfg(not(feature = "planted-bugs"))]
        {
            let _ = bug;
            false
        }
    }
}

/// The bug `charge-without-key`: a capture that is asked for again is posted again. Under an order of its own, since
/// the database refuses a second capture of one.
pub async fn charge_again(database: &Database, order_id: &str, now: i64) -> Result<(), Error> {
    let mut transaction = database.write_for(order_id).await?;
    let charged = records::find(&mut transaction, order_id).await?;
    if let Some(mut record) = charged.filter(|record| matches!(record.state, State::Capturing | State::Captured)) {
        let (count,): (i64,) = query("SELECT COUNT(*) FROM payments").fetch_one(&mut transaction).await?;
        record.order_id = format!("{order_id}-{count}");
        record.state = State::Capturing;
        records::insert(&mut transaction, &record, 0, now).await?;
        records::advance(&mut transaction, &mut record, State::Captured, "", now).await?;
    }
    transaction.commit().await
}
