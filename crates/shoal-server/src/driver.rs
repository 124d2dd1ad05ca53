//! The one loop around the core: waits for events, lets it take a turn, and carries out what comes of it. Decides nothing.

use crate::clock;
use crate::faults;
use crate::journal::Journal;
use crate::tale;
use shoal_discovery::DiscoveryServer;
use shoal_driver::{Answer, Core, Turn, Wish, WishError};
use shoal_model::{Action, ActionKind, Millis, Observation, with_causes};
use shoal_process::ProcessRuntime;
use shoal_reconcile::{Reason, ReasonKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Events handled in one turn; more wait for the next.
const BATCH_MAX: usize = 1024;

/// All that can happen to the driver.
pub enum Event {
    /// A runtime or the publisher saw something.
    Observed(Observation),
    /// Somebody wants something.
    Asked(Wish, Asker),
}

type Asker = oneshot::Sender<Result<Answer, WishError>>;

/// What the driver drives.
pub struct Driver {
    /// Decides and commits. Nobody else has it while the driver runs.
    pub core: Arc<Mutex<Core>>,
    /// Where replicas run.
    pub runtime: ProcessRuntime,
    /// Where endpoints are told.
    pub discovery: Arc<DiscoveryServer>,
    /// Where it is told what happened.
    pub journal: Journal,
}

impl Driver {
    /// Drives until everything is stopped, as somebody wished.
    pub async fn run(self, mut events: mpsc::Receiver<Event>) -> Arc<Mutex<Core>> {
        let mut wake_at = Some(clock::now());
        while !locked(&self.core).is_over() {
            let batch = next_batch(&mut events, wake_at).await;
            wake_at = self.turn(batch).await;
        }
        self.core
    }

    /// One turn of the loop; answers when the next is due at the latest. A disk may take its time over a commit: whoever
    /// else is served on this thread does not wait for it.
    async fn turn(&self, batch: Vec<Event>) -> Option<Millis> {
        let (mut seen, mut wishes, mut askers) = (Vec::new(), Vec::new(), Vec::new());
        for event in batch {
            match event {
                Event::Observed(observation) => seen.push(observation),
                Event::Asked(wish, asker) => {
                    wishes.push(wish);
                    askers.push(asker);
                }
            }
        }
        let now = clock::now();
        let core = Arc::clone(&self.core);
        let turned = tokio::task::spawn_blocking(move || locked(&core).turn(seen, wishes, now)).await;
        let turn = turned.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        locked(&self.core).begin_acting(clock::now());
        self.carry_out(turn, askers, now).await
    }

    async fn carry_out(&self, turn: Turn, askers: Vec<Asker>, now: Millis) -> Option<Millis> {
        let Turn {
            released,
            routing,
            faults,
            counted,
            actions,
            answers,
            reasons,
            before,
            is_kept: _,
            failure,
            wake_at,
        } = turn;
        for holder in released {
            self.discovery.forget_holder(&holder);
        }
        if let Some(routing) = routing {
            self.discovery.set_routing(routing);
        }
        if let Some(faults) = faults {
            self.discovery.set_faults(faults.into_iter().map(faults::published).collect());
        }
        self.discovery.faults_kept(&counted);
        for action in actions {
            self.act(action).await;
        }
        for (asker, answer) in askers.into_iter().zip(answers) {
            let _ = asker.send(answer); // whoever asked may have gone away
        }
        for Reason { service, replica, text, kind, .. } in reasons {
            let subject = replica.map_or_else(|| service.to_string(), |replica| replica.to_string());
            tracing::info!("{subject}: {text}");
            if kind == ReasonKind::Fault {
                self.journal.note_service(now, "fault", &service, format!("{subject} {text}"));
            }
        }
        if let Some(before) = before {
            tale::tell(&before, locked(&self.core).state(), now, &self.journal);
        }
        if let Some(failure) = failure {
            tracing::error!("{}", with_causes(&*failure));
            self.journal.note(now, "warning", failure.to_string());
        }
        wake_at
    }

    async fn act(&self, action: Action) {
        tracing::debug!(?action, "acting");
        match action.kind {
            ActionKind::Publish { service, generation, endpoints } => {
                self.discovery.publish(service, generation, endpoints);
            }
            _ => self.runtime.execute(action).await,
        }
    }
}

/// The core; one that panicked has ended the driver with it.
pub fn locked(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has come, or nothing when it is time to look again.
async fn next_batch(events: &mut mpsc::Receiver<Event>, wake_at: Option<Millis>) -> Vec<Event> {
    let mut batch = Vec::new();
    let patience = wake_at.map_or(Duration::MAX, |at| at.since(clock::now()));
    // A turn without events is right when it is time; the sender lives as long as the driver.
    let _ = tokio::time::timeout(patience, events.recv_many(&mut batch, BATCH_MAX)).await;
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{service, target};
    use shoal_discovery::RoutingTable;
    use shoal_driver::{Prepared, Store, StoreError};
    use shoal_model::Application;
    use shoal_process::ProcessSettings;
    use std::collections::BTreeMap;
    use tokio::net::UnixListener;

    struct World {
        _folder: tempfile::TempDir,
        driver: Driver,
        observed: mpsc::Receiver<Observation>,
    }

    async fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (observations, observed) = mpsc::channel(1000);
        let settings = ProcessSettings {
            runtime: path("run"),
            state: path("state"),
            shoal: path("no-such-program"),
            ports: path("ports"),
        };
        let runtime = ProcessRuntime::start(settings, observations.clone()).await.unwrap();
        let listener = UnixListener::bind(path("discovery.sock")).unwrap();
        let driver = Driver {
            core: Arc::new(Mutex::new(Core::open(Store::open(&path("state.redb")).unwrap()).unwrap())),
            runtime,
            discovery: Arc::new(DiscoveryServer::start(listener, observations)),
            journal: Journal::default(),
        };
        World { _folder: folder, driver, observed }
    }

    fn accept() -> Wish {
        let application = Application { name: service("shop"), gateway: None, services: BTreeMap::new() };
        let services = BTreeMap::from([target("a", "r1", 2)]);
        let routing = RoutingTable::default();
        Wish::Accept(Box::new(Prepared { application, services, routing, public: None }))
    }

    #[tokio::test]
    async fn what_was_decided_is_done_told_and_answered() {
        let mut world = world().await;
        let (asker, answer) = oneshot::channel();
        world.driver.turn(vec![Event::Asked(accept(), asker)]).await;
        assert!(matches!(answer.await.unwrap(), Ok(Answer::Count(1))));
        let told = world.driver.journal.after(0, Duration::ZERO).await;
        let told: Vec<&str> = told.iter().map(|entry| entry.kind).collect();
        assert_eq!(told, ["starting", "starting"]);
        let seen = tokio::time::timeout(Duration::from_secs(30), world.observed.recv()).await.unwrap();
        assert!(matches!(seen, Some(Observation::ReplicaChanged { .. })), "its program is not there: {seen:?}");
    }

    #[tokio::test]
    async fn a_failure_to_write_is_told_and_tried_again() {
        let world = world().await;
        let error = StoreError::Write(Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull).into()));
        let wake_at = Some(Millis(7));
        let turn = Turn { failure: Some(Arc::new(error)), wake_at, ..Turn::default() };
        assert_eq!(world.driver.carry_out(turn, Vec::new(), Millis(1)).await, wake_at);
        let told = world.driver.journal.after(0, Duration::ZERO).await;
        assert!(told.iter().any(|entry| entry.kind == "warning" && entry.text.contains("nothing was changed")));
    }
}
