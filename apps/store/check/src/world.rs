//! What everybody in a run shares: the clock, the log of calls, where the replicas are, and whether it is time to stop.

use crate::api::{self, CallError, list, number, text};
use crate::history::{Action, Entry, History, Moment, Outcome};
use crate::page::Visitor;
use crate::shoal::{Shoal, Status};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// One run's surroundings.
pub struct World {
    /// The command.
    pub shoal: Shoal,
    /// Where the pages are.
    pub address: String,
    /// The products: their ids by their names.
    pub products: BTreeMap<String, String>,
    /// Makes names of this run different from those of others in the same store.
    pub tag: String,
    began: Instant,
    entries: Mutex<Vec<Entry>>,
    status: RwLock<Status>,
    stopping: AtomicBool,
    turn: AtomicU64,
}

impl World {
    /// The surroundings of a run in the running store.
    ///
    /// # Errors
    /// When the store does not run.
    pub fn new(shoal: Shoal) -> Result<Self, String> {
        let status = shoal.status()?;
        let mut world = Self {
            address: status.address.clone(),
            shoal,
            products: BTreeMap::new(),
            tag: uuid::Uuid::new_v4().simple().to_string().get(..8).unwrap_or_default().to_owned(),
            began: Instant::now(),
            entries: Mutex::default(),
            status: RwLock::new(status),
            stopping: AtomicBool::new(false),
            turn: AtomicU64::new(0),
        };
        let answer = world
            .call("catalogue", "catalogue.v1.Catalogue/ListProducts", &json!({ "pageSize": 100 }))
            .map_err(|error| format!("the catalogue does not answer: {error:?}"))?;
        let products = list(&answer["products"]).iter();
        world.products = products.map(|product| (text(&product["name"]), text(&product["id"]))).collect();
        Ok(world)
    }

    /// Milliseconds since the run began.
    pub fn now(&self) -> Moment {
        Moment::try_from(self.began.elapsed().as_millis()).unwrap_or(Moment::MAX)
    }

    /// Logs what began at `start` and has just ended.
    pub fn note(&self, who: &str, start: Moment, action: Action, outcome: Outcome) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken under the lock, so that the log is in the order of ends.
        entries.push(Entry { start, end: self.now(), who: who.to_owned(), action, outcome });
    }

    /// All that was logged.
    pub fn history(&self) -> History {
        History { entries: self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone(), end: None }
    }

    /// Whether everybody should come to an end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Asks everybody to come to an end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Waits between two looks; less when it is time to stop.
    pub fn pause(&self, milliseconds: u64) {
        let until = Instant::now() + Duration::from_millis(milliseconds);
        while Instant::now() < until && !self.is_stopping() {
            std::thread::sleep(Duration::from_millis(20).min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Looks where the replicas are. The last known places are kept while the supervisor does not answer.
    pub fn look(&self) {
        if let Ok(status) = self.shoal.status() {
            *self.status.write().unwrap_or_else(PoisonError::into_inner) = status;
        }
    }

    /// A new guest.
    pub fn guest(&self) -> Visitor {
        Visitor::new(&self.address)
    }

    /// Calls a service at one of its ready replicas, each in turn.
    ///
    /// # Errors
    /// When it is refused, or nobody can tell.
    pub fn call(&self, service: &str, method: &str, request: &Value) -> Result<Value, CallError> {
        let address = {
            let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
            let ready: Vec<&str> = status
                .replicas(service)
                .iter()
                .filter(|replica| replica.is_ready)
                .map(|replica| replica.address.as_str())
                .collect();
            let turn = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
            ready.get(turn % ready.len().max(1)).map(|address| (*address).to_owned())
        };
        let address = address.ok_or_else(|| CallError::Unknown(format!("{service} has no ready replica")))?;
        api::call(&address, method, request)
    }

    /// The same, asked again while nobody can tell: for reads, and for commands that are repeated under one key.
    ///
    /// # Errors
    /// When it is refused, or nobody could tell for `patience`.
    pub fn ask(&self, service: &str, method: &str, request: &Value, patience: Duration) -> Result<Value, CallError> {
        let until = Instant::now() + patience;
        loop {
            match self.call(service, method, request) {
                Err(CallError::Unknown(why)) if Instant::now() >= until => {
                    return Err(CallError::Unknown(format!(
                        "{method} had no answer for {} s: {why}",
                        patience.as_secs()
                    )));
                }
                Err(CallError::Unknown(_)) => std::thread::sleep(Duration::from_millis(100)),
                answer => return answer,
            }
        }
    }
}

/// What became of a call to a service.
#[must_use]
pub fn outcome<T>(answer: &Result<T, CallError>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Ok,
        Err(CallError::Refused(code)) => Outcome::Failed(code.clone()),
        Err(CallError::Unknown(why)) => Outcome::Unknown(why.clone()),
    }
}

/// An amount of an answer.
#[must_use]
pub fn money(value: &Value) -> crate::history::Money {
    crate::history::Money { minor: number(&value["minor"]), currency: text(&value["currency"]) }
}
