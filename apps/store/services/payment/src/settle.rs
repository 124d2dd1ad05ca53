//! Settles with the bank what was written ahead: asks it and records what it answers, in a task that outlives the call,
//! so that a bank which takes longer than anybody waits is heard all the same. It never writes ahead, and knows no fence:
//! what the bank did is a fact, whoever asked for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shoal_sdk::{Call, Database, Error, Faults};
use tokio::sync::watch;

use crate::Clock;
use crate::bank::{Answer, Bank, Operation};
use crate::card::CardKind;
use crate::lifecycle;
use crate::records::{self, Record};

/// How many questions one replica has at the bank at a time.
const UNDER_WAY_MAX: usize = 1_000;

/// A bank that is silent for this long is asked anew by whoever asks next.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is kept of the caller's time for the way back.
const WAY_BACK: Duration = Duration::from_millis(100);

/// What is being settled. Cheap to clone.
#[derive(Clone)]
pub struct Settlements {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    bank: Bank,
    clock: Clock,
    faults: Faults,
    under_way: Mutex<BTreeMap<Key, Told>>,
}

/// One payment and one operation: the bank is asked by one task at a time.
type Key = (String, Operation);
type Told = watch::Receiver<Option<Result<Record, Error>>>;

/// Notes that a task asks the bank, for as long as it lives.
struct UnderWay {
    settlements: Settlements,
    key: Key,
}

impl Settlements {
    /// Settles with this bank, and records in `database`.
    pub fn new(database: Database, bank: Bank, clock: Clock, faults: Faults) -> Settlements {
        let under_way = Mutex::default();
        Settlements { shared: Arc::new(Shared { database, bank, clock, faults, under_way }) }
    }

    /// The payment after the bank answered; as it is, when it does not wait for this operation.
    ///
    /// # Errors
    /// `unavailable` when the bank takes longer than the caller waits: its answer is recorded once it comes.
    /// `deadline_exceeded` when the answer was lost, so that the bank must be asked again.
    pub async fn settle(
        &self,
        call: &Call,
        operation: Operation,
        card: Option<CardKind>,
        record: Record,
    ) -> Result<Record, Error> {
        if lifecycle::after(record.state, operation, true).is_none() {
            return Ok(record);
        }
        let mut told = self.ask_or_join(operation, card, record)?;
        let patience = call.time_left().saturating_sub(WAY_BACK);
        let heard = tokio::time::timeout(patience, told.wait_for(Option::is_some)).await;
        match heard {
            Ok(Ok(settled)) => settled.clone().unwrap_or_else(|| Err(interrupted())),
            Ok(Err(_)) => Err(interrupted()),
            Err(_) => Err(Error::unavailable("The bank has not answered yet: ask again.")),
        }
    }

    /// Starts to ask the bank, unless this very thing is being asked already.
    fn ask_or_join(&self, operation: Operation, card: Option<CardKind>, record: Record) -> Result<Told, Error> {
        let key = (record.order_id.clone(), operation);
        let (tell, told) = watch::channel(None);
        {
            let mut under_way = self.under_way();
            if let Some(told) = under_way.get(&key) {
                return Ok(told.clone());
            }
            if under_way.len() >= UNDER_WAY_MAX {
                return Err(Error::resource_exhausted("Too many payments wait for the bank: ask again in a moment."));
            }
            under_way.insert(key.clone(), told.clone());
        }
        let noted = UnderWay { settlements: self.clone(), key };
        tokio::spawn(async move {
            let asking = noted.settlements.ask(operation, card, record);
            let settled = tokio::time::timeout(SILENCE_MAX, asking).await.unwrap_or_else(|_| Err(no_answer()));
            // Whoever hears of it and asks again must not join what is over.
            drop(noted);
            tell.send_replace(Some(settled));
        });
        Ok(told)
    }

    /// Asks the bank, and records every answer that comes, however often and in any order.
    async fn ask(&self, operation: Operation, card: Option<CardKind>, mut record: Record) -> Result<Record, Error> {
        let [logged, answered, recorded] = points(operation);
        self.shared.faults.crash_point(logged);
        let answers = self.shared.bank.ask(operation, card, &record).await?;
        self.shared.faults.crash_point(answered);
        if answers.is_empty() {
            return Err(no_answer());
        }
        for answer in answers {
            record = self.record(&record.order_id, answer).await?;
        }
        self.shared.faults.crash_point(recorded);
        Ok(record)
    }

    /// Records an answer of the bank, unless it was recorded before.
    async fn record(&self, order_id: &str, answer: Answer) -> Result<Record, Error> {
        let mut transaction = self.shared.database.write_for(order_id).await?;
        let mut record = records::find(&mut transaction, order_id)
            .await?
            .ok_or_else(|| Error::internal(format!("The payment of the order `{order_id}` is not there any more.")))?;
        if let Some(state) = lifecycle::after(record.state, answer.operation, answer.refusal.is_none()) {
            let why = answer.refusal.unwrap_or_default();
            records::advance(&mut transaction, &mut record, state, &why, (self.shared.clock)()).await?;
        }
        transaction.commit().await?;
        Ok(record)
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<Key, Told>> {
        self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.settlements.under_way().remove(&self.key);
    }
}

fn points(operation: Operation) -> [&'static str; 3] {
    match operation {
        Operation::Authorise => ["authorise.logged", "authorise.answered", "authorise.recorded"],
        Operation::Capture => ["capture.logged", "capture.answered", "capture.recorded"],
        Operation::Void => ["void.logged", "void.answered", "void.recorded"],
        Operation::Refund => ["refund.logged", "refund.answered", "refund.recorded"],
    }
}

fn no_answer() -> Error {
    Error::deadline_exceeded("The bank did not answer in time, so the outcome is not known yet: ask again.")
}

fn interrupted() -> Error {
    Error::unavailable("The payment service was interrupted, so the outcome is not known yet: ask again.")
}
