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
                Observation::ProbeFinished { .. } => {}
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
