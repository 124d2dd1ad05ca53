//! The supervisor in the simulation: the real core and the real publisher, and in place of the driver's tasks a shell that
//! can be killed at any point. It does what the driver does, in the driver's order. Decides nothing.

use crate::planted::Planted;
use crate::runtime::{Runtime, millis};
use crate::watch::told;
use crate::world::{CLOCK_MOST, Event, World};
use shoal_discovery::DiscoverySettings;
use shoal_discovery::publisher::Publisher;
use shoal_driver::{Core, Turn, Wish, WishError};
use shoal_model::{ActionKind, Millis, Observation, ReplicaName};

/// From one turn to the next where thousands of replicas are seen, in virtual milliseconds.
const BUSY: u64 = 20;

/// How long a commit takes on a disk that is slow, and on one that is busy with something else, in virtual milliseconds.
const SLOW: u64 = 40;
const BUSY_DISK: (u64, u64) = (1_000, 12_000);
/// How often a planted fault looks at a publisher that hears nobody.
const LOOK_EVERY: u64 = 500;

/// One supervisor's life.
pub struct Supervisor {
    /// Counts supervisors.
    pub life: u64,
    /// Decides and commits.
    pub core: Core,
    /// Where replicas run.
    pub runtime: Runtime,
    /// Where endpoints are told.
    pub publisher: Publisher,
    /// When the publisher will be looked at for leases that ran out.
    pub leases_at: Option<u64>,
    inbox: Vec<Observation>,
    wishes: Vec<Wish>,
    turn_at: Option<u64>,
    /// After how many actions of a turn it will be killed.
    doomed: Option<usize>,
    /// Its disk will take long over the next commit.
    stalls: bool,
    /// Its one thread waits for the disk until then: it does, hears and says nothing.
    pub stands_until: u64,
}

impl World {
    /// A supervisor starts, and takes over what there is.
    pub fn begin(&mut self) {
        if self.supervisor.is_some() {
            return;
        }
        let opened = self.disk.store().map_err(|error| error.to_string());
        let core = match opened.and_then(|store| Core::open(store).map_err(|error| error.to_string())) {
            Ok(core) => core,
            Err(_) if self.disk.is_full() => return self.after(1_000, Event::Begin),
            Err(why) => return self.fail(format!("what was kept cannot be opened: {why}")),
        };
        self.check_recovered(core.state());
        if self.temper.clock {
            self.ahead = self.random.below(CLOCK_MOST);
        }
        self.lives += 1;
        let life = self.lives;
        let settings = DiscoverySettings { holders_before: false, ..settings() };
        self.supervisor = Some(Supervisor {
            life,
            core,
            runtime: Runtime::default(),
            publisher: Publisher::new(settings, self.time()),
            leases_at: None,
            inbox: Vec::new(),
            wishes: Vec::new(),
            turn_at: None,
            doomed: None,
            stalls: false,
            stands_until: 0,
        });
        self.take_over();
        self.tell(|| format!("supervisor {life} begins"));
        self.count("supervisors");
        self.turn_within(0);
    }

    fn take_over(&mut self) {
        let mut found = self.adopt();
        if self.is_planted(Planted::AdoptsNothing) {
            found.clear();
        }
        let now = self.time();
        let Some(supervisor) = &mut self.supervisor else { return };
        let settings = DiscoverySettings { holders_before: !found.is_empty(), ..settings() };
        supervisor.publisher = Publisher::new(settings, now);
        let _reasons = supervisor.core.adopted(&found, now);
        if let Some(accepted) = supervisor.core.accepted() {
            supervisor.publisher.set_routing(accepted.routing.clone());
        }
        self.watch.note_adopted(supervisor.core.state(), &found);
    }

    /// An observation comes in.
    pub fn observe(&mut self, observation: Observation) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.inbox.push(observation);
        }
        // A driver that is busy finds more of them at its next turn.
        let delay = if self.is_watched { self.random.between(0, 5) } else { BUSY };
        self.turn_within(delay);
    }

    /// Somebody wishes something of whoever supervises now; without a supervisor one is started first.
    pub fn ask(&mut self, wish: Wish) {
        if let Wish::Accept(prepared) = &wish {
            self.wanted.clone_from(&prepared.services);
        }
        self.begin();
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.wishes.push(wish);
        }
        self.turn_within(0);
    }

    fn turn_within(&mut self, delay: u64) {
        let at = self.now + delay;
        let Some(supervisor) = &mut self.supervisor else { return };
        let at = at.max(supervisor.stands_until);
        if supervisor.turn_at.is_none_or(|known| at < known) {
            supervisor.turn_at = Some(at);
            let life = supervisor.life;
            self.at(at, Event::Turn { life });
        }
    }

    /// One turn, as the driver takes it.
    pub fn turn(&mut self) {
        let (at, now) = (self.now, self.time());
        let Some(supervisor) = self.supervisor.as_mut().filter(|it| it.turn_at == Some(at)) else { return };
        supervisor.turn_at = None;
        let (seen, wishes) = (std::mem::take(&mut supervisor.inbox), std::mem::take(&mut supervisor.wishes));
        if self.is_watched {
            self.watch.note_seen(&seen);
        }
        let turn = supervisor.core.turn(seen, wishes, now);
        self.count("turns");
        if self.disk.is_killed() {
            // Nothing that this turn decided comes out of it.
            self.tell(|| "the supervisor is killed in the middle of a commit".to_owned());
            self.interrupted = true;
            return self.die();
        }
        if self.is_watched {
            self.check_answers(&turn);
            self.check_turn(&turn);
        }
        let takes = self.commit_takes(&turn);
        let Some(supervisor) = self.supervisor.as_mut().filter(|_| takes > 0) else { return self.committed(turn) };
        supervisor.stands_until = at + takes;
        let life = supervisor.life;
        // Placed before all that will be put off.
        self.at(at + takes, Event::Committed { life, turn: Box::new(turn) });
    }

    fn commit_takes(&mut self, turn: &Turn) -> u64 {
        let Some(supervisor) = self.supervisor.as_mut().filter(|_| turn.is_kept) else { return 0 };
        if std::mem::take(&mut supervisor.stalls) && self.faults {
            self.count("stalls");
            let takes = self.random.between(BUSY_DISK.0, BUSY_DISK.1);
            self.tell(|| format!("the disk is busy for {takes} ms"));
            return takes;
        }
        if self.temper.stalls { self.random.below(SLOW) } else { 0 }
    }

    /// A commit is done.
    pub fn committed(&mut self, turn: Turn) {
        if self.is_planted(Planted::TakesItselfForOthers) {
            self.look_without_hearing();
        }
        let now = self.time();
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.core.begin_acting(now);
        }
        self.carry_out(turn);
        if self.is_watched {
            self.check_floors();
        }
    }

    /// As if somebody had looked at the publisher all the while that it could hear nobody.
    fn look_without_hearing(&mut self) {
        let (now, ahead) = (self.now, self.ahead);
        let Some(supervisor) = &mut self.supervisor else { return };
        let began = now.saturating_sub(BUSY_DISK.1);
        (began..=now).step_by(usize::try_from(LOOK_EVERY).unwrap_or(1)).for_each(|at| {
            supervisor.publisher.attend(Millis(at + ahead));
        });
    }

    /// Until when an event has to wait, because it needs a supervisor that stands still.
    pub fn stands_still_until(&self, event: &Event) -> Option<u64> {
        let until = self.supervisor.as_ref()?.stands_until;
        let needs_it = matches!(
            event,
            Event::Observe { .. }
                | Event::Launch { .. }
                | Event::LookAfter { .. }
                | Event::Probe { .. }
                | Event::Repeat { .. }
                | Event::Connect { .. }
                | Event::Leases { .. }
        );
        (needs_it && until > self.now).then_some(until)
    }

    /// The disk takes long over the next commit.
    pub fn stall(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.stalls = true;
        }
    }

    fn check_answers(&mut self, turn: &Turn) {
        let is_full = self.disk.is_full();
        let unkept = turn.answers.iter().any(|answer| matches!(answer, Err(WishError::NotKept(_))));
        if (unkept || turn.failure.is_some()) && !is_full {
            self.fail("a turn could not be kept though the disk has room".to_owned());
        }
    }

    fn carry_out(&mut self, turn: Turn) {
        let doomed = self.supervisor.as_mut().and_then(|it| it.doomed.take());
        let Turn { released, routing, actions, reasons, is_kept, wake_at, .. } = turn;
        for reason in reasons {
            let subject = reason.replica.map_or_else(|| reason.service.to_string(), |replica| replica.to_string());
            self.tell(|| format!("    {subject}: {}", reason.text));
        }
        if let Some(supervisor) = &mut self.supervisor {
            released.iter().for_each(|holder| supervisor.publisher.forget(holder));
            if let Some(routing) = routing {
                supervisor.publisher.set_routing(routing);
            }
        }
        if is_kept {
            self.count("commits");
        }
        for (index, action) in actions.into_iter().enumerate() {
            if doomed == Some(index) {
                self.tell(|| "the supervisor is killed between commit and action".to_owned());
                return self.die();
            }
            self.tell(|| format!("  {} {}", action.id.0, told(&action.kind)));
            self.count("actions");
            if let ActionKind::Publish { service, generation, endpoints } = action.kind {
                self.watch.note_published(&service, &endpoints, self.now);
                if let Some(supervisor) = &mut self.supervisor {
                    supervisor.publisher.publish(service.clone(), generation, endpoints);
                }
                if self.is_planted(Planted::AcknowledgesTooSoon) {
                    self.deliver(Observation::RoutesAcknowledged { service, generation }, self.now);
                }
            } else {
                self.execute(action);
            }
        }
        self.pump();
        self.publisher_news();
        if doomed.is_some() {
            return self.die();
        }
        if let Some(at) = wake_at {
            self.turn_within(millis(at.since(self.time())));
        }
        self.end_if_over();
    }

    /// Everything is stopped, as somebody wished: the supervisor ends.
    fn end_if_over(&mut self) {
        let Some(supervisor) = self.supervisor.take_if(|supervisor| supervisor.core.is_over()) else { return };
        self.tell(|| "everything is stopped".to_owned());
        self.count("ends");
        if let Err(why) = supervisor.core.close()
            && !(self.disk.is_full() || self.disk.is_killed())
        {
            self.fail(format!("the end could not be kept: {why}"));
        }
        self.disk.kill();
        // The runtime ends what is left: replicas that a lost state knew.
        let owned: Vec<ReplicaName> = self.machine.owned().map(|(name, _)| name.clone()).collect();
        if !owned.is_empty() && !self.watch.has_lost() {
            self.fail(format!("{owned:?} still run after everything was stopped"));
        }
        self.watch.note_end();
        self.machine.end_all();
        self.holders.clear();
    }

    /// The supervisor will be killed after so many actions of its next turn.
    pub fn doom(&mut self, actions: usize) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.doomed = Some(actions);
        }
    }

    /// The supervisor is killed; another begins some time later.
    pub fn die(&mut self) {
        let delay = self.random.between(10, 12_000);
        self.disk.kill();
        self.drop_supervisor();
        self.after(delay, Event::Begin);
    }

    /// The machine loses power; later it and a supervisor begin anew.
    pub fn reboot(&mut self, loses_state: bool) {
        self.tell(|| format!("the machine reboots{}", if loses_state { ", and the state is lost" } else { "" }));
        self.disk.cut(&mut self.random);
        self.drop_supervisor();
        self.machine.reboot();
        // Records are not made durable one by one: the youngest may be undone with the processes that they were of.
        let random = &mut self.random;
        self.machine.traces.retain(|_, _| !random.chance(150));
        self.holders.clear();
        self.watch.note_reboot();
        if loses_state {
            self.lose_state();
        }
        self.after(5_000, Event::Begin);
    }

    /// The user moves the state away while nobody supervises.
    pub fn lose_state(&mut self) {
        self.disk.lose();
        self.watch.note_loss();
    }

    fn drop_supervisor(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            self.tell(|| format!("supervisor {} is dead", supervisor.life));
            self.watch.note_death(self.interrupted);
        }
        self.disconnect_all();
    }
}

/// As in the supervisor, but for how many may hold routes: here there is no socket that would run out.
fn settings() -> DiscoverySettings {
    DiscoverySettings { holders_max: 100_000, ..DiscoverySettings::default() }
}
