//! One history: a queue of events in virtual time around a machine, a disk, a supervisor and the holders of routes.
//! What each event does is in the files of its subject. Never reads a clock: the same seed is the same history.

use crate::disk::Disk;
use crate::holders::Held;
use crate::machine::{Machine, Mark};
use crate::planted::Planted;
use crate::random::Random;
use crate::supervisor::Supervisor;
use crate::watch::Watch;
use shoal_discovery::View;
use shoal_driver::Turn;
use shoal_model::{Exit, Millis, Observation, ProbeKind, ReplicaName, Revision, ServiceName};
use shoal_reconcile::ServiceTarget;
use std::collections::{BTreeMap, VecDeque};

/// Lines of the story that a failure shows.
const STORY_MAX: usize = 400;

/// How far the machine's clock is at most ahead, and behind half of that.
pub const CLOCK_MOST: u64 = 10_000_000;

/// Which faults a history has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Temper {
    /// Replicas crash, hang, start slowly or never, ignore signals, leave by themselves.
    pub replicas: bool,
    /// Observations get lost and come twice.
    pub lossy: bool,
    /// The disk is full at times, and the supervisor is killed in the middle of a commit.
    pub disk: bool,
    /// The machine reboots, losing what was not synced.
    pub reboots: bool,
    /// The state is moved away.
    pub losses: bool,
    /// The supervisor is killed.
    pub kills: bool,
    /// Connections of holders break, and holders stand still for a while.
    pub holders: bool,
    /// The machine's clock is set between one supervisor and the next.
    pub clock: bool,
    /// Commits take their time, at times so long that the whole supervisor stands still.
    pub stalls: bool,
}

impl Temper {
    /// What this seed has: each fault in half of the histories.
    pub fn random(random: &mut Random) -> Self {
        let mut half = || random.chance(500);
        let [replicas, lossy, disk, reboots] = [half(), half(), half(), half()];
        let [losses, holders, clock] = [half(), half(), half()];
        let (lossy, losses) = (lossy && replicas, losses && reboots);
        let kills = random.chance(800);
        // Drawn aside, and so that the seeds that tests name have none: their histories are what they were named for.
        let stalls = Random::new(random.clone().bits() ^ 16).chance(400);
        Self { replicas, lossy, disk, reboots, losses, kills, holders, clock, stalls }
    }
}

/// All that can happen.
#[derive(Debug)]
pub enum Event {
    /// A supervisor starts.
    Begin,
    /// The supervisor takes a turn.
    Turn { life: u64 },
    /// A commit is done, and what was decided is carried out.
    Committed { life: u64, turn: Box<Turn> },
    /// An observation arrives at the supervisor.
    Observe { life: u64, observation: Observation },
    /// The supervisor's runtime starts a keeper.
    Launch { life: u64, replica: ReplicaName, revision: Box<Revision> },
    /// A keeper starts its program.
    Spawn { replica: ReplicaName },
    /// The supervisor's runtime looks what a dead keeper left behind.
    LookAfter { life: u64, replica: ReplicaName },
    /// A replica is probed.
    Probe { life: u64, replica: ReplicaName, kind: ProbeKind },
    /// The runtime says again how things are.
    Repeat { life: u64 },
    /// A signal to finish reaches a replica's process.
    Terminate { replica: ReplicaName },
    /// A kill reaches a replica's process.
    Kill { replica: ReplicaName },
    /// A process exits by itself.
    Exit { mark: Mark, exit: Exit },
    /// A process crashes.
    Crash { mark: Mark },
    /// A holder tries to connect.
    Connect { holder: ReplicaName, mark: Mark },
    /// A line from the publisher reaches a holder.
    Down { holder: ReplicaName, mark: Mark, connection: u64, line: Vec<u8> },
    /// A line from a holder reaches the publisher.
    Up { holder: ReplicaName, connection: u64, line: Vec<u8> },
    /// A holder's requests at who left a service are answered.
    Applied { holder: ReplicaName, mark: Mark, service: ServiceName, view: Box<View> },
    /// A holder says that it lives.
    Alive { holder: ReplicaName, connection: u64 },
    /// The publisher looks for leases that ran out.
    Leases { life: u64 },
    /// The disk has room again.
    Room,
    /// Something goes wrong.
    Fault,
    /// Somebody wishes something.
    User,
}

/// What must never be, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// One history under way.
pub struct World {
    /// Virtual milliseconds.
    pub now: u64,
    /// How far the supervisor's clock is ahead of the virtual one.
    pub ahead: u64,
    /// The history's chance.
    pub random: Random,
    /// Which faults it has.
    pub temper: Temper,
    /// Whether faults still happen.
    pub faults: bool,
    /// A fault that must be noticed.
    pub planted: Option<Planted>,
    /// Where the state is kept.
    pub disk: Disk,
    /// Where replicas run.
    pub machine: Machine,
    /// The present supervisor.
    pub supervisor: Option<Supervisor>,
    /// How many supervisors there were.
    pub lives: u64,
    /// Those who hold routes, as long as their processes live.
    pub holders: BTreeMap<ReplicaName, Held>,
    /// How many connections there were.
    pub connections: u64,
    /// What was last asked for.
    pub wanted: BTreeMap<ServiceName, ServiceTarget>,
    /// Whether the last supervisor was killed in the middle of a commit.
    pub interrupted: bool,
    /// What must hold.
    pub watch: Watch,
    /// Whether what must hold is looked at, at every turn.
    pub is_watched: bool,
    /// What was counted, for the summary.
    pub counts: BTreeMap<&'static str, u64>,
    events: BTreeMap<(u64, u64), Event>,
    placed: u64,
    story: VecDeque<String>,
    violation: Option<Violation>,
}

impl World {
    /// A machine on which nothing runs yet.
    #[must_use]
    pub fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut random = Random::new(seed);
        let temper = Temper::random(&mut random);
        Self {
            now: 1_000_000,
            ahead: CLOCK_MOST,
            random,
            temper,
            faults: true,
            planted,
            disk: Disk::new(planted == Some(Planted::LyingDisk)),
            machine: Machine::new(planted == Some(Planted::SignalsByPid)),
            supervisor: None,
            lives: 0,
            holders: BTreeMap::new(),
            connections: 0,
            wanted: BTreeMap::new(),
            interrupted: false,
            watch: Watch::default(),
            is_watched: true,
            counts: BTreeMap::new(),
            events: BTreeMap::new(),
            placed: 0,
            story: VecDeque::new(),
            violation: None,
        }
    }

    /// A machine on which nothing goes wrong, and of which no story is kept.
    #[must_use]
    pub fn calm() -> Self {
        let temper = Temper::default();
        let world = Self::new(0, None);
        world.disk.steady();
        Self { temper, faults: false, is_watched: false, ..world }
    }

    /// Now, as the supervisor's clock says it.
    #[must_use]
    pub fn time(&self) -> Millis {
        Millis(self.now + self.ahead)
    }

    /// Lets something happen after so many milliseconds.
    pub fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Lets something happen at a time; what was placed first happens first.
    pub fn at(&mut self, at: u64, event: Event) {
        self.placed += 1;
        self.events.insert((at.max(self.now), self.placed), event);
    }

    /// Whether this fault was planted.
    #[must_use]
    pub fn is_planted(&self, fault: Planted) -> bool {
        self.planted == Some(fault)
    }

    /// Notes what happened.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        if !self.is_watched {
            return;
        }
        if self.story.len() >= STORY_MAX {
            self.story.pop_front();
        }
        self.story.push_back(format!("{:>9} {}", self.now - 1_000_000, text()));
    }

    /// Counts what happened.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Notes that something happened which must not; the first counts.
    pub fn fail(&mut self, text: String) {
        self.tell(|| format!("VIOLATION {text}"));
        self.violation.get_or_insert(Violation(text));
    }

    /// What must not have happened.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The last of what happened, a line each.
    #[must_use]
    pub fn story(&self) -> String {
        self.story.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Lets things happen until a time, or until something must not have happened.
    pub fn run_until(&mut self, until: u64) {
        while self.violation.is_none() {
            match self.events.first_entry() {
                Some(entry) if entry.key().0 <= until => {
                    self.now = entry.key().0;
                    let event = entry.remove();
                    self.happen(event);
                }
                _ => break,
            }
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, event: Event) {
        if let Some(until) = self.stands_still_until(&event) {
            // What comes meanwhile keeps its order, as everything is put off to the same time.
            return self.at(until, event);
        }
        match event {
            Event::Begin => self.begin(),
            Event::Turn { life } => self.if_alive(life, |world| world.turn()),
            Event::Committed { life, turn } => self.if_alive(life, |world| world.committed(*turn)),
            Event::Observe { life, observation } => self.if_alive(life, |world| world.observe(observation)),
            Event::Launch { life, replica, revision } => {
                self.if_alive(life, |world| world.launch(&replica, &revision));
            }
            Event::Spawn { replica } => self.spawn(&replica),
            Event::LookAfter { life, replica } => self.if_alive(life, |world| world.look_after(&replica)),
            Event::Probe { life, replica, kind } => self.if_alive(life, |world| world.probe(&replica, kind)),
            Event::Repeat { life } => self.if_alive(life, Self::repeat),
            Event::Terminate { replica } => self.terminate(&replica),
            Event::Kill { replica } => self.kill(&replica),
            Event::Exit { mark, exit } => self.exit(mark, exit),
            Event::Crash { mark } => self.crash(mark),
            Event::Connect { holder, mark } => self.connect(&holder, mark),
            Event::Down { holder, mark, connection, line } => self.down(&holder, mark, connection, line),
            Event::Up { holder, connection, line } => self.up(&holder, connection, line),
            Event::Applied { holder, mark, service, view } => self.applied(&holder, mark, &service, &view),
            Event::Alive { holder, connection } => self.alive(&holder, connection),
            Event::Leases { life } => self.if_alive(life, Self::publisher_news),
            Event::Room => self.disk.set_full(false),
            Event::Fault => self.fault(),
            Event::User => self.user(),
        }
    }

    fn if_alive(&mut self, life: u64, act: impl FnOnce(&mut Self)) {
        if self.supervisor.as_ref().is_some_and(|supervisor| supervisor.life == life) {
            act(self);
        }
    }
}
