//! The driver without its tasks: observations and wishes in; the brain's decision, committed; what is to be done out.
//!
//! The supervisor and the simulation run this same code. Its one door to the outside is the store, and nothing that the
//! brain decided comes out of it before the store has it. Never: decides, acts, waits, or reads a clock.

use crate::accepted::{Accepted, Kept, KeptBefore, Prepared};
use crate::faults::{self, FaultWish};
use crate::store::{Store, StoreError};
use crate::unkept::Unkept;
use shoal_discovery::{HolderName, RoutingTable};
use shoal_model::{Action, FaultId, Millis, Observation, ReplicaLife, ReplicaName, ServiceName};
use shoal_reconcile::{FaultStatus, OpenError, Reason, Refusal, ServiceStatus, State, Step, step};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How soon a turn whose commit failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A commit that takes longer than this takes time away from those whom what it decides concerns.
const SLOW: Duration = Duration::from_millis(100);

/// The row of the store that holds all of it.
const KEPT: &str = "application";

/// What can be wanted.
pub enum Wish {
    /// Make this the target.
    Accept(Box<Prepared>),
    /// Change a service's number of replicas.
    Scale(ServiceName, u32),
    /// Replace the replicas of these services, or of all.
    Restart(Vec<ServiceName>),
    /// Have something go wrong, or no more.
    Fault(FaultWish),
    /// Stop everything.
    Stop,
    /// Only look.
    Look,
}

/// What a wish came to.
#[derive(Debug)]
pub enum Answer {
    /// A count: parts of the target, replicas wanted, replicas that will be replaced.
    Count(u32),
    /// The faults that were put on, as they are, or taken away, as they were.
    Faults(Vec<FaultStatus>),
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

/// Why what is kept cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not a state.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is of a release to come.
    #[error("the application's state was written by a newer shoal (form {0}); use that one")]
    Newer(u32),
}

/// How things are at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The brain's state.
    pub state: State,
    /// The application that was accepted last; none before the first.
    pub accepted: Option<Accepted>,
}

/// What came of a turn. To be carried out from top to bottom.
#[must_use = "what is not carried out never happened"]
#[derive(Debug, Default)]
pub struct Turn {
    /// Holders of routes whose processes have ended: nobody need wait for their leases to run out.
    pub released: Vec<HolderName>,
    /// The gateway's routes, when they changed.
    pub routing: Option<RoutingTable>,
    /// All faults, when others are on than before.
    pub faults: Option<Vec<FaultStatus>>,
    /// How often faults have happened in all, of those that were seen to happen: as it is kept now.
    pub counted: Vec<(FaultId, u64)>,
    /// What a runtime and the publisher must do, in this order. What ordered them is on disk.
    pub actions: Vec<Action>,
    /// What each wish came to, in the order of the wishes.
    pub answers: Vec<Result<Answer, WishError>>,
    /// Why, for a log.
    pub reasons: Vec<Reason>,
    /// The state before this turn, when this turn changed it.
    pub before: Option<Box<State>>,
    /// Whether the state was written.
    pub is_kept: bool,
    /// Why nothing could be kept; said once until it can be again.
    pub failure: Option<Arc<StoreError>>,
    /// When the next turn is due at the latest.
    pub wake_at: Option<Millis>,
}

/// The state, and the store that it is kept in.
pub struct Core {
    store: Store,
    state: State,
    accepted: Option<Accepted>,
    /// Whether somebody wished for the end since the last target: a stop that an earlier supervisor began is finished,
    /// but it does not end this one.
    ending: bool,
    unkept: Unkept,
    /// When the last turn began.
    began: Millis,
    /// How long it stood still in all, over slow commits.
    stood: Duration,
}

impl Core {
    /// Takes up what the store has; an empty one is a state without services.
    ///
    /// # Errors
    /// When it cannot be read, or is of a release to come.
    pub fn open(store: Store) -> Result<Self, CoreError> {
        let (state, accepted) = match store.get::<KeptBefore>(KEPT)? {
            None => (State::new(), None),
            Some(kept) if kept.version > Kept::VERSION => return Err(CoreError::Newer(kept.version)),
            Some(kept) => (State::open(kept.state)?, kept.accepted),
        };
        let (began, stood) = (Millis::default(), Duration::ZERO);
        Ok(Self { store, state, accepted, ending: false, unkept: Unkept::default(), began, stood })
    }

    /// Takes up again what an earlier supervisor left: these replicas were found, running or ended. Once, before the first
    /// turn, and after the runtime has looked everywhere. Returns why some will be replaced.
    #[must_use = "reasons are for the log"]
    pub fn adopted(&mut self, found: &BTreeSet<ReplicaName>, now: Millis) -> Vec<Reason> {
        self.state.resumed(now);
        self.state.adopted(found, now)
    }

    /// The brain's state, as it is kept.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The application that was accepted last.
    #[must_use]
    pub fn accepted(&self) -> Option<&Accepted> {
        self.accepted.as_ref()
    }

    /// Whether everything is stopped, as somebody wished.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ending && self.state.is_stopped()
    }

    /// One turn: these were seen and wished for. When a decision cannot be kept, nothing has happened. Once it is kept, and
    /// before it is carried out, [`Core::begin_acting`] is to be called.
    pub fn turn(&mut self, seen: Vec<Observation>, wishes: Vec<Wish>, now: Millis) -> Turn {
        self.began = now;
        let mut turn = self.decide(seen, wishes, self.own_time(now));
        turn.wake_at = turn.wake_at.map(|at| at.after(self.stood));
        turn
    }

    /// What the last turn decided is carried out from now on. Whoever was given time then (to finish, to answer) gets it from
    /// now on: when the commit took long, it does not count as time that has passed.
    pub fn begin_acting(&mut self, now: Millis) {
        let took = now.since(self.began);
        if took > SLOW {
            self.stood = self.stood.saturating_add(took);
        }
    }

    /// What time it is for the state when it is `now`: the time in which it stood still is left out.
    #[must_use]
    pub fn own_time(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_sub(u64::try_from(self.stood.as_millis()).unwrap_or(u64::MAX)))
    }

    fn decide(&mut self, seen: Vec<Observation>, wishes: Vec<Wish>, now: Millis) -> Turn {
        let mut turn = Turn { released: seen.iter().filter_map(ended_holder).collect(), ..Turn::default() };
        let mut observations = self.unkept.take();
        observations.extend(seen);
        let (mut state, mut accepted) = (self.state.clone(), self.accepted.clone());
        let (mut wished, mut ending) = (false, self.ending);
        for wish in wishes {
            ending = matches!(wish, Wish::Stop) || (ending && !matches!(wish, Wish::Accept(_)));
            let answer = grant(wish, &mut state, &mut accepted, now);
            wished |= matches!(answer, Ok(Answer::Count(_) | Answer::Faults(_)));
            turn.answers.push(answer);
        }
        let Step { state, actions, wake_at, changed, reasons } = step(state, &observations, now);
        turn.wake_at = wake_at;
        // What only was seen, and is not worth telling, waits for the next write: who supervises after a kill sees it again.
        // That a fault has happened is seen once, and one with a bound must not happen more often for it.
        let counted = faults::counted(&observations);
        if wished || !actions.is_empty() || !reasons.is_empty() || faults::is_bounded(&self.state, &counted) {
            if let Err(error) = self.store.put(KEPT, &Kept::new(&state, accepted.as_ref())) {
                self.unkept.hold(observations);
                self.refuse(&mut turn, error, now);
                return turn;
            }
            self.unkept.is_told = false;
            turn.is_kept = true;
            turn.counted = counted;
        }
        turn.faults = faults::changed(&self.state, &state);
        let before = std::mem::replace(&mut self.state, state);
        turn.before = (changed || wished).then(|| Box::new(before));
        self.ending = ending;
        if accepted != self.accepted {
            self.accepted = accepted;
            turn.routing = self.accepted.as_ref().map(|accepted| accepted.routing.clone());
        }
        turn.actions = actions;
        turn.reasons = reasons;
        turn
    }

    /// Keeps it without an application, at the end, so that serial numbers are not given twice.
    ///
    /// # Errors
    /// When it cannot be written; what was kept before says the same, and names the application too.
    pub fn close(&self) -> Result<(), StoreError> {
        self.store.put(KEPT, &Kept::new(&self.state, None))
    }

    /// Nothing was committed, so nothing has happened. Who only looks is shown what was kept last.
    fn refuse(&mut self, turn: &mut Turn, error: StoreError, now: Millis) {
        let error = Arc::new(error);
        for answer in &mut turn.answers {
            match answer {
                Ok(Answer::Seen(seen)) => **seen = self.look(),
                Ok(Answer::Count(_) | Answer::Faults(_)) => *answer = Err(WishError::NotKept(Arc::clone(&error))),
                Err(_) => {}
            }
        }
        turn.wake_at = Some(now.after(RETRY));
        if !std::mem::replace(&mut self.unkept.is_told, true) {
            turn.failure = Some(error);
        }
    }

    fn look(&self) -> Snapshot {
        Snapshot { state: self.state.clone(), accepted: self.accepted.clone() }
    }
}

/// Whose process has ended holds no routes.
fn ended_holder(observation: &Observation) -> Option<HolderName> {
    match observation {
        Observation::ReplicaChanged { replica, life: ReplicaLife::Exited { .. } } => {
            Some(HolderName(replica.to_string()))
        }
        _ => None,
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
        Wish::Fault(wish) => return Ok(faults::grant(wish, state, accepted.as_ref(), now)?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::full_disk::Disk;
    use crate::test_world::{exited, ready, replica, running, service, target};
    use shoal_model::{ActionKind, Application};
    use shoal_reconcile::Phase;
    use std::collections::BTreeMap;

    struct World {
        folder: tempfile::TempDir,
        disk: Disk,
        core: Core,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let core = Core::open(disk.store(&folder.path().join("state.redb"))).unwrap();
        World { folder, disk, core }
    }

    fn accept() -> Wish {
        let application = Application { name: service("shop"), gateway: None, services: BTreeMap::new() };
        let services = BTreeMap::from([target("a", "r1", 2), target("b", "r1", 1)]);
        let routing = RoutingTable::default();
        Wish::Accept(Box::new(Prepared { application, services, routing, public: None }))
    }

    impl World {
        fn ask(&mut self, wishes: Vec<Wish>) -> Turn {
            self.core.turn(Vec::new(), wishes, Millis(1_000))
        }

        fn see(&mut self, observation: Observation) -> Turn {
            self.core.turn(vec![observation], Vec::new(), Millis(1_000))
        }

        /// What a kill at this moment would leave on the disk.
        fn kept(&self) -> State {
            let copy = self.folder.path().join("copy.redb");
            std::fs::copy(self.folder.path().join("state.redb"), &copy).unwrap();
            Core::open(Store::open(&copy).unwrap()).unwrap().state
        }
    }

    #[test]
    fn a_wish_is_durable_before_its_answer() {
        let mut world = world();
        let turn = world.ask(vec![accept()]);
        assert!(matches!(turn.answers[0], Ok(Answer::Count(2))));
        assert!(turn.is_kept && turn.routing.is_some() && !turn.actions.is_empty());
        assert_eq!(world.kept(), world.core.state);
        assert!(world.ask(vec![Wish::Scale(service("a"), 5)]).answers[0].is_ok());
        assert_eq!(world.kept().service(&service("a")).unwrap().wanted, 5);
    }

    #[test]
    fn what_only_was_seen_is_written_with_the_next_decision() {
        let mut world = world();
        let _started = world.ask(vec![accept()]);
        let before = world.kept();
        let turn = world.see(running("a-1"));
        assert!(turn.before.is_some() && turn.actions.is_empty() && !turn.is_kept);
        assert!(world.kept() == before && world.core.state != before);
        assert!(world.see(ready("a-1")).is_kept, "a rollout takes it for what serves, also after a kill");
        assert_eq!(world.kept(), world.core.state);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_and_changes_nothing() {
        let mut world = world();
        world.disk.set_full(true);
        let turn = world.ask(vec![accept(), Wish::Look]);
        let Err(error @ WishError::NotKept(_)) = &turn.answers[0] else { panic!("{turn:?}") };
        assert!(error.to_string().contains("nothing was changed"));
        assert!(
            matches!(&turn.answers[1], Ok(Answer::Seen(seen)) if seen.accepted.is_none() && seen.state == State::new())
        );
        assert!(turn.actions.is_empty() && turn.routing.is_none() && turn.before.is_none() && turn.failure.is_some());
        assert_eq!(turn.wake_at, Some(Millis(2_000)), "it is tried again soon");
        assert!(world.core.accepted.is_none() && world.core.state == State::new());
        assert!(world.ask(vec![accept()]).failure.is_none(), "said once each time that the disk is full");

        world.disk.set_full(false);
        assert!(world.ask(vec![accept()]).answers[0].is_ok());
        world.disk.set_full(true);
        let before = world.core.state.clone();
        let turn = world.ask(vec![Wish::Scale(service("a"), 9), Wish::Scale(service("c"), 1), Wish::Stop]);
        assert!(matches!(turn.answers[0], Err(WishError::NotKept(_))) && turn.failure.is_some());
        assert!(matches!(turn.answers[1], Err(WishError::Refused(_))), "what cannot be is said as it is");
        assert!(matches!(turn.answers[2], Err(WishError::NotKept(_))));
        assert!(world.core.state == before && !world.core.ending);

        world.disk.set_full(false);
        assert!(world.ask(vec![Wish::Scale(service("a"), 9)]).answers[0].is_ok());
        assert_eq!(world.core.state.service(&service("a")).unwrap().wanted, 9);
    }

    #[test]
    fn an_end_that_was_seen_while_the_disk_was_full_is_not_forgotten() {
        let mut world = world();
        let _started = world.ask(vec![accept()]);
        let _running = world.see(running("a-1"));
        world.disk.set_full(true);
        let turn = world.see(exited("a-1", 3));
        assert_eq!(turn.released, [HolderName("a-1".to_owned())], "it holds nothing any more, whatever is written");
        assert_ne!(world.core.state.replica(&replica("a-1")).unwrap().phase, Phase::Exited);
        world.disk.set_full(false);
        let _kept = world.core.turn(Vec::new(), Vec::new(), Millis(1_000));
        let phase = world.core.state.replica(&replica("a-1")).map(|replica| replica.phase);
        assert!(matches!(phase, None | Some(Phase::Exited)), "{phase:?}");
        assert_eq!(world.kept(), world.core.state);
    }

    #[test]
    fn a_slow_commit_takes_nobodys_time_to_finish() {
        let mut world = world();
        let _started = world.ask(vec![accept()]);
        for name in ["a-1", "a-2", "b-1"] {
            let _running = world.see(running(name));
            let _ready = world.see(ready(name));
        }
        let at = |seconds: u64| Millis(1_000 + 1_000 * seconds);
        let is_told = |turn: &Turn| turn.actions.iter().any(|action| matches!(action.kind, ActionKind::Signal { .. }));
        let is_killed = |turn: &Turn| turn.actions.iter().any(|action| matches!(action.kind, ActionKind::Stop { .. }));
        let generation = |turn: &Turn| {
            turn.actions.iter().find_map(|action| match &action.kind {
                ActionKind::Publish { service, generation, .. } => Some((service.clone(), *generation)),
                _ => None,
            })
        };
        let left = world.core.turn(Vec::new(), vec![Wish::Scale(service("a"), 1)], at(0));
        let (service, generation) = generation(&left).unwrap();
        let acknowledged = vec![Observation::RoutesAcknowledged { service, generation }];
        assert!(is_told(&world.core.turn(acknowledged, Vec::new(), at(1))));
        // Its second to finish begins when it hears of it, which is long after that was decided.
        world.core.begin_acting(at(31));
        let turn = world.core.turn(Vec::new(), Vec::new(), at(31));
        assert!(!is_killed(&turn), "{turn:?}");
        assert_eq!(turn.wake_at, Some(at(32)));
        assert!(is_killed(&world.core.turn(Vec::new(), Vec::new(), at(32))));
    }

    #[test]
    fn unknown_services_are_refused_and_a_restart_is_all_or_nothing() {
        let mut world = world();
        let _started = world.ask(vec![accept()]);
        let before = world.core.state.clone();
        let wishes = vec![
            Wish::Scale(service("aa"), 1),
            Wish::Restart(vec![service("a"), service("nobody")]),
            Wish::Restart(vec![service("nobody")]),
        ];
        for answer in world.ask(wishes).answers {
            let told = answer.err().unwrap().to_string();
            assert!(told.contains("there is no service"), "{told}");
        }
        assert!(world.core.state == before, "nothing has changed");
        assert!(matches!(world.ask(vec![Wish::Restart(vec![service("a")])]).answers[0], Ok(Answer::Count(2))));
        assert!(matches!(world.ask(vec![Wish::Restart(Vec::new())]).answers[0], Ok(Answer::Count(3))));
    }

    #[test]
    fn only_a_stop_that_is_not_taken_back_ends_it() {
        let mut world = world();
        let _started = world.ask(vec![accept()]);
        let _stopping = world.ask(vec![Wish::Stop]);
        assert!(world.core.ending && world.core.state.is_stopping());
        let _back = world.ask(vec![accept()]);
        assert!(!world.core.ending && !world.core.state.is_stopping());
    }

    #[test]
    fn at_the_end_it_is_kept_without_an_application() {
        let mut world = world();
        let _started = world.ask(vec![accept()]);
        let (path, state) = (world.folder.path().join("state.redb"), world.core.state.clone());
        world.core.close().unwrap();
        let again = Core::open(Store::open(&path).unwrap()).unwrap();
        assert!(again.accepted().is_none() && *again.state() == state);
    }
}
