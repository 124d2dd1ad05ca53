//! The one loop: observations and wishes in, the brain's decision committed, then its actions out. Decides nothing.

use crate::accepted::{Accepted, Kept};
use crate::clock;
use crate::journal::Journal;
use crate::prepare::Prepared;
use crate::store::{Store, StoreError};
use crate::tale;
use shoal_discovery::{DiscoveryServer, HolderName};
use shoal_model::{Action, ActionKind, Millis, Observation, ReplicaLife, ReplicaName, ServiceName, with_causes};
use shoal_process::ProcessRuntime;
use shoal_reconcile::{Reason, Refusal, ServiceStatus, State, Step, step};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Events handled in one turn; more wait for the next.
const BATCH_MAX: usize = 1024;
/// How soon a turn whose commit failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The row of the store that holds all of it.
pub const KEPT: &str = "application";

/// All that can happen to the driver.
pub enum Event {
    /// A runtime or the publisher saw something.
    Observed(Observation),
    /// Somebody wants something.
    Asked(Wish, oneshot::Sender<Result<Answer, WishError>>),
}

/// What can be wanted of the driver.
pub enum Wish {
    /// Make this the target.
    Accept(Box<Prepared>),
    /// Change a service's number of replicas.
    Scale(ServiceName, u32),
    /// Replace the replicas of these services, or of all.
    Restart(Vec<ServiceName>),
    /// Stop everything.
    Stop,
    /// Only look.
    Look,
}

/// What a wish came to.
pub enum Answer {
    /// A count: parts of the target, replicas wanted, replicas that will be replaced.
    Count(u32),
    /// How things are.
    Seen(Box<Snapshot>),
}

/// Why a wish was not granted; then nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be made durable.
    #[error("{0}")]
    NotKept(Arc<StoreError>),
}

/// How things are at one moment.
pub struct Snapshot {
    /// The brain's state.
    pub state: State,
    /// The application that was accepted last; none before the first.
    pub accepted: Option<Accepted>,
}

/// What the driver drives.
pub struct Driver {
    /// Where the state is kept.
    pub store: Store,
    /// Where replicas run.
    pub runtime: ProcessRuntime,
    /// Where endpoints are told.
    pub discovery: Arc<DiscoveryServer>,
    /// Where it is told what happened.
    pub journal: Journal,
    /// The brain's state.
    pub state: State,
    /// The application that was accepted last.
    pub accepted: Option<Accepted>,
    /// Whether somebody wished for the end since the last target: a stop that an earlier supervisor began is finished,
    /// but it does not end this one.
    pub ending: bool,
    /// What was seen and could not be kept yet.
    pub unkept: Unkept,
}

/// What was seen while the state could not be written. A runtime need not say again that a replica has ended, so it waits
/// here; an unanswered probe is asked again.
#[derive(Default)]
pub struct Unkept {
    lives: BTreeMap<ReplicaName, Observation>,
    acknowledged: BTreeMap<ServiceName, Observation>,
    /// Whether it was said already that nothing can be written.
    is_told: bool,
}

impl Unkept {
    fn hold(&mut self, observations: Vec<Observation>) {
        for observation in observations {
            match &observation {
                Observation::ReplicaChanged { replica, .. } => {
                    self.lives.insert(replica.clone(), observation);
                }
                Observation::RoutesAcknowledged { service, .. } => {
                    self.acknowledged.insert(service.clone(), observation);
                }
                Observation::ProbeFinished { .. } | Observation::ReplicaLeaving { .. } => {}
            }
        }
    }

    fn take(&mut self) -> Vec<Observation> {
        let lives = std::mem::take(&mut self.lives).into_values();
        lives.chain(std::mem::take(&mut self.acknowledged).into_values()).collect()
    }
}

type Reply = (oneshot::Sender<Result<Answer, WishError>>, Result<Answer, WishError>);

impl Driver {
    /// Drives until everything is stopped, as somebody wished.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>) -> (Store, State) {
        let mut wake_at = Some(clock::now());
        while !(self.ending && self.state.is_stopped()) {
            let batch = next_batch(&mut events, wake_at).await;
            wake_at = self.turn(batch).await;
        }
        (self.store, self.state)
    }

    /// One turn of the loop; answers when the next is due at the latest.
    async fn turn(&mut self, batch: Vec<Event>) -> Option<Millis> {
        let now = clock::now();
        let mut state = self.state.clone();
        let mut accepted = self.accepted.clone();
        let mut observations = self.unkept.take();
        let (mut replies, mut wished, mut ending) = (Vec::new(), false, self.ending);
        for event in batch {
            match event {
                Event::Observed(observation) => {
                    self.release_holder(&observation);
                    observations.push(observation);
                }
                Event::Asked(wish, reply) => {
                    ending = matches!(wish, Wish::Stop) || (ending && !matches!(wish, Wish::Accept(_)));
                    let answer = grant(wish, &mut state, &mut accepted, now);
                    wished |= matches!(answer, Ok(Answer::Count(_)));
                    replies.push((reply, answer));
                }
            }
        }
        let Step { state, actions, wake_at, changed, reasons } = step(state, &observations, now);
        if (changed || wished)
            && let Err(error) = self.store.put(KEPT, &Kept::new(&state, accepted.as_ref()))
        {
            self.unkept.hold(observations);
            self.refuse(replies, error, now);
            return Some(now.after(RETRY));
        }
        if changed || wished {
            self.unkept.is_told = false;
            tale::tell(&self.state, &state, now, &self.journal);
        }
        for Reason { service, replica, text, .. } in reasons {
            let subject = replica.map_or_else(|| service.to_string(), |replica| replica.to_string());
            tracing::info!("{subject}: {text}");
        }
        self.state = state;
        self.ending = ending;
        self.accept(accepted);
        for action in actions {
            self.act(action).await;
        }
        for (reply, answer) in replies {
            let _ = reply.send(answer); // whoever asked may have gone away
        }
        wake_at
    }

    /// Nothing was committed, so nothing has happened. Who only looks is shown what was kept last.
    fn refuse(&mut self, replies: Vec<Reply>, error: StoreError, now: Millis) {
        if !std::mem::replace(&mut self.unkept.is_told, true) {
            tracing::error!("{}", with_causes(&error));
            self.journal.note(now, "warning", error.to_string());
        }
        let error = Arc::new(error);
        for (reply, answer) in replies {
            let answer = match answer {
                Ok(Answer::Seen(_)) => Ok(self.look()),
                Ok(Answer::Count(_)) => Err(WishError::NotKept(Arc::clone(&error))),
                Err(refused) => Err(refused),
            };
            let _ = reply.send(answer); // whoever asked may have gone away
        }
    }

    fn look(&self) -> Answer {
        Answer::Seen(Box::new(Snapshot { state: self.state.clone(), accepted: self.accepted.clone() }))
    }

    fn accept(&mut self, accepted: Option<Accepted>) {
        if accepted != self.accepted {
            self.accepted = accepted;
            if let Some(accepted) = &self.accepted {
                self.discovery.set_routing(accepted.routing.clone());
            }
        }
    }

    /// Whose process has ended holds no routes: nobody need wait for its lease to run out.
    fn release_holder(&self, observation: &Observation) {
        if let Observation::ReplicaChanged { replica, life: ReplicaLife::Exited { .. } } = observation {
            self.discovery.forget_holder(&HolderName(replica.to_string()));
        }
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

fn grant(wish: Wish, state: &mut State, accepted: &mut Option<Accepted>, now: Millis) -> Result<Answer, WishError> {
    let count = match wish {
        Wish::Accept(prepared) => {
            let Prepared { application, services, routing, public } = *prepared;
            let count = u32::try_from(services.len()).unwrap_or(u32::MAX);
            state.set_target(services, now);
            *accepted = Some(Accepted { application, routing, public });
            count
        }
        Wish::Scale(service, replicas) => {
            state.scale(&service, replicas, now)?;
            replicas
        }
        Wish::Restart(services) => restart(&services, state, now)?,
        Wish::Stop => {
            state.stop(now);
            0
        }
        Wish::Look => {
            let snapshot = Snapshot { state: state.clone(), accepted: accepted.clone() };
            return Ok(Answer::Seen(Box::new(snapshot)));
        }
    };
    Ok(Answer::Count(count))
}

/// Restarts these services, or all when none is named; answers how many replicas will be replaced.
fn restart(services: &[ServiceName], state: &mut State, now: Millis) -> Result<u32, Refusal> {
    let mut restarted = state.clone(); // all of them or none
    if services.is_empty() {
        restarted.restart_all(now)?;
    }
    for service in services {
        restarted.restart(service, now)?;
    }
    *state = restarted;
    let named = |service: &ServiceStatus| services.is_empty() || services.contains(&service.service);
    Ok(state.services().iter().filter(|service| named(service)).map(|service| service.wanted).sum())
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
    use crate::store::full_disk::Disk;
    use crate::test_world::{exited, replica, running, service, target};
    use shoal_model::Application;
    use shoal_process::ProcessSettings;
    use shoal_reconcile::Phase;
    use tokio::net::UnixListener;

    struct World {
        folder: tempfile::TempDir,
        disk: Disk,
        driver: Driver,
        _observed: mpsc::Receiver<Observation>,
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
        let disk = Disk::default();
        let driver = Driver {
            store: disk.store(&path("state.redb")),
            runtime,
            discovery: Arc::new(DiscoveryServer::start(listener, observations)),
            journal: Journal::default(),
            state: State::new(),
            accepted: None,
            ending: false,
            unkept: Unkept::default(),
        };
        World { folder, disk, driver, _observed: observed }
    }

    fn accept() -> Wish {
        let application = Application { name: service("shop"), gateway: None, services: BTreeMap::new() };
        let services = BTreeMap::from([target("a", "r1", 2), target("b", "r1", 1)]);
        let routing = shoal_discovery::RoutingTable { listeners: BTreeMap::new() };
        Wish::Accept(Box::new(Prepared { application, services, routing, public: None }))
    }

    impl World {
        /// Wishes in one turn, and what they came to.
        async fn ask(&mut self, wishes: Vec<Wish>) -> Vec<Result<Answer, WishError>> {
            let (batch, replies): (Vec<_>, Vec<_>) = wishes
                .into_iter()
                .map(|wish| {
                    let (reply, answer) = oneshot::channel();
                    (Event::Asked(wish, reply), answer)
                })
                .unzip();
            self.driver.turn(batch).await;
            let mut answers = Vec::new();
            for reply in replies {
                answers.push(reply.await.unwrap());
            }
            answers
        }

        async fn see(&mut self, observation: Observation) -> Option<Millis> {
            self.driver.turn(vec![Event::Observed(observation)]).await
        }

        /// What a kill at this moment would leave on the disk.
        fn kept(&self) -> Option<State> {
            let copy = self.folder.path().join("copy.redb");
            std::fs::copy(self.folder.path().join("state.redb"), &copy).unwrap();
            let kept: Option<crate::accepted::KeptBefore> = Store::open(&copy).unwrap().get(KEPT).unwrap();
            kept.map(|kept| State::open(kept.state).unwrap())
        }

        fn wanted(&self) -> u32 {
            self.driver.state.service(&service("a")).unwrap().wanted
        }
    }

    #[tokio::test]
    async fn a_wish_is_durable_before_its_reply() {
        let mut world = world().await;
        assert!(matches!(world.ask(vec![accept()]).await[0], Ok(Answer::Count(2))));
        assert_eq!(world.kept().unwrap(), world.driver.state);
        assert!(world.ask(vec![Wish::Scale(service("a"), 5)]).await[0].is_ok());
        assert_eq!(world.kept().unwrap().service(&service("a")).unwrap().wanted, 5);
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused_and_changes_nothing() {
        let mut world = world().await;
        world.disk.set_full(true);
        let answers = world.ask(vec![accept(), Wish::Look]).await;
        assert!(
            matches!(&answers[0], Err(error @ WishError::NotKept(_)) if error.to_string().contains("nothing was changed"))
        );
        assert!(matches!(&answers[1], Ok(Answer::Seen(seen)) if seen.accepted.is_none() && seen.state == State::new()));
        assert!(world.driver.accepted.is_none() && world.driver.state == State::new());
        let replicas = world.folder.path().join("state/replicas");
        let started = std::fs::read_dir(replicas).map_or(0, Iterator::count);
        assert_eq!((started, world.driver.runtime.usage().len()), (0, 0), "no action was taken");

        world.disk.set_full(false);
        assert!(world.ask(vec![accept()]).await[0].is_ok());
        world.disk.set_full(true);
        let before = world.driver.state.clone();
        let answers = world.ask(vec![Wish::Scale(service("a"), 9), Wish::Scale(service("c"), 1), Wish::Stop]).await;
        assert!(matches!(answers[0], Err(WishError::NotKept(_))));
        assert!(matches!(answers[1], Err(WishError::Refused(_))), "what cannot be is said as it is");
        assert!(matches!(answers[2], Err(WishError::NotKept(_))));
        assert!(world.driver.state == before && !world.driver.ending);
        let warnings = world.driver.journal.after(0, Duration::ZERO).await;
        let warnings = warnings.iter().filter(|entry| entry.kind == "warning").count();
        assert_eq!(warnings, 2, "once each time that the disk is full");

        world.disk.set_full(false);
        assert!(world.ask(vec![Wish::Scale(service("a"), 9)]).await[0].is_ok());
        assert_eq!(world.wanted(), 9);
    }

    #[tokio::test]
    async fn an_end_that_was_seen_while_the_disk_was_full_is_not_forgotten() {
        let mut world = world().await;
        world.ask(vec![accept()]).await;
        world.see(running("a-1")).await;
        world.disk.set_full(true);
        assert!(world.see(exited("a-1", 3)).await.is_some(), "it is tried again soon");
        assert_ne!(world.driver.state.replica(&replica("a-1")).unwrap().phase, Phase::Exited);
        world.disk.set_full(false);
        world.driver.turn(Vec::new()).await;
        let phase = world.driver.state.replica(&replica("a-1")).map(|replica| replica.phase);
        assert!(matches!(phase, None | Some(Phase::Exited)), "{phase:?}");
        assert_eq!(world.kept().unwrap(), world.driver.state);
    }

    #[tokio::test]
    async fn unknown_services_are_refused_and_a_restart_is_all_or_nothing() {
        let mut world = world().await;
        world.ask(vec![accept()]).await;
        let before = world.driver.state.clone();
        let wishes = vec![
            Wish::Scale(service("aa"), 1),
            Wish::Restart(vec![service("a"), service("nobody")]),
            Wish::Restart(vec![service("nobody")]),
        ];
        for answer in world.ask(wishes).await {
            let told = answer.err().unwrap().to_string();
            assert!(told.contains("there is no service"), "{told}");
        }
        assert!(world.driver.state == before, "nothing has changed");
        assert!(matches!(world.ask(vec![Wish::Restart(vec![service("a")])]).await[0], Ok(Answer::Count(2))));
        assert!(matches!(world.ask(vec![Wish::Restart(Vec::new())]).await[0], Ok(Answer::Count(3))));
    }

    #[tokio::test]
    async fn only_a_stop_that_is_not_taken_back_ends_it() {
        let mut world = world().await;
        world.ask(vec![accept()]).await;
        world.ask(vec![Wish::Stop]).await;
        assert!(world.driver.ending && world.driver.state.is_stopping());
        world.ask(vec![accept()]).await;
        assert!(!world.driver.ending && !world.driver.state.is_stopping());
    }
}
