//! Replicas, requests and virtual time: an open loop of arrivals, each answered by the replica that a strategy chooses.
//! The same seed gives the same story. Never: sleeps, or looks at a clock.

use crate::random::Random;
use crate::strategy::Strategy;
use shoal_balance::Outcome;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

pub const MILLISECOND: u64 = 1_000_000;
pub const SECOND: u64 = 1000 * MILLISECOND;

/// How a replica treats a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behaviour {
    /// Answers, after a time of this mean.
    Serves { mean: u64 },
    /// As that, but this part of the answers, from 0 to 1, is a 500 at once.
    Fails { mean: u64, part: f64 },
    /// Takes no connection, so that nothing is sent and another endpoint may have the request.
    Refuses,
    /// Takes the request, and breaks off after this time.
    Breaks { after: u64 },
    /// Is not listed as an endpoint.
    Away,
}

/// A replica: how it behaves from when on, and how many requests it works at side by side.
#[derive(Clone, Debug)]
pub struct Replica {
    pub phases: Vec<(u64, Behaviour)>,
    pub workers: usize,
}

impl Replica {
    /// One that always serves.
    pub fn sound(mean: u64) -> Self {
        Self { phases: vec![(0, Behaviour::Serves { mean })], workers: 8 }
    }

    /// One that behaves so from these moments on.
    pub fn with(phases: Vec<(u64, Behaviour)>) -> Self {
        Self { phases, workers: 8 }
    }

    fn behaviour(&self, now: u64) -> Behaviour {
        let current = self.phases.iter().rev().find(|(from, _)| *from <= now);
        current.map_or(Behaviour::Away, |(_, behaviour)| *behaviour)
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct World {
    pub replicas: Vec<Replica>,
    /// Requests per second, at random moments.
    pub rate: u64,
    /// When the last request arrives.
    pub end: u64,
    pub seed: u64,
}

/// One request, once it is over.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub took: u64,
    pub well: bool,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub requests: Vec<Done>,
    /// Each try: when, and at which replica.
    pub tries: Vec<(u64, usize)>,
}

impl Story {
    /// The part of all tries from then to then that went to this replica, from 0 to 1.
    pub fn share(&self, replica: usize, from: u64, to: u64) -> f64 {
        let tries = self.tries.iter().filter(|(at, _)| (from..to).contains(at));
        let (all, own) = tries.fold((0u64, 0u64), |(all, own), (_, at)| (all + 1, own + u64::from(*at == replica)));
        own as f64 / all.max(1) as f64
    }

    /// The time within which this part of the requests that went well was answered, in nanoseconds.
    pub fn quantile(&self, part: f64) -> u64 {
        let well = self.requests.iter().filter(|request| request.well);
        let mut took: Vec<u64> = well.map(|request| request.took).collect();
        took.sort_unstable();
        let last = took.len().saturating_sub(1);
        took.get(((took.len() as f64 * part) as usize).min(last)).copied().unwrap_or(0)
    }

    /// The part of the requests that failed, from 0 to 1.
    pub fn failed(&self) -> f64 {
        let failed = self.requests.iter().filter(|request| !request.well).count();
        failed as f64 / self.requests.len().max(1) as f64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    Changes,
    /// A held request tries again, unless it did since it was held for this time.
    Wakes {
        request: u64,
        held: u64,
    },
    /// A try's answer, or its end.
    Ends {
        request: u64,
        try_number: u64,
        replica: usize,
        how: How,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Well,
    Failed,
    Refused,
    Broken,
}

struct Run<'a> {
    world: &'a World,
    strategy: &'a mut dyn Strategy,
    random: Random,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    serial: u64,
    busy: Vec<usize>,
    queues: Vec<VecDeque<(u64, u64)>>,
    open: BTreeMap<u64, Open>,
    story: Story,
}

struct Open {
    arrived: u64,
    avoided: Vec<usize>,
    /// For which time it is held, counted over all requests.
    held: Option<u64>,
    pause: u64,
}

const PAUSE_MIN: u64 = 10 * MILLISECOND;
const PAUSE_MAX: u64 = 250 * MILLISECOND;

/// Lets the requests come until the end, and answers the last.
pub fn run(world: &World, strategy: &mut dyn Strategy) -> Story {
    let count = world.replicas.len();
    let mut run = Run {
        world,
        strategy,
        random: Random(world.seed),
        events: BinaryHeap::new(),
        serial: 0,
        busy: vec![0; count],
        queues: vec![VecDeque::new(); count],
        open: BTreeMap::new(),
        story: Story::default(),
    };
    for (from, _) in world.replicas.iter().flat_map(|replica| &replica.phases) {
        run.at(*from, Event::Changes);
    }
    run.at(1, Event::Arrives);
    while let Some(Reverse((now, _, event))) = run.events.pop() {
        run.handle(now, event);
    }
    run.story
}

impl Run<'_> {
    fn at(&mut self, moment: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((moment, self.serial, event)));
    }

    fn handle(&mut self, now: u64, event: Event) {
        match event {
            Event::Changes => {
                let replicas = self.world.replicas.iter().enumerate();
                let listed: Vec<usize> = replicas
                    .filter(|(_, replica)| replica.behaviour(now) != Behaviour::Away)
                    .map(|(index, _)| index)
                    .collect();
                self.strategy.replace(&listed, now);
            }
            Event::Arrives => {
                let pause = self.random.exponential() * SECOND as f64 / self.world.rate as f64;
                if now < self.world.end {
                    self.at(now + (pause as u64).max(1), Event::Arrives);
                }
                let request = self.serial;
                self.open.insert(request, Open { arrived: now, avoided: Vec::new(), held: None, pause: PAUSE_MIN });
                self.try_once(now, request);
            }
            Event::Wakes { request, held } => {
                if self.open.get(&request).is_some_and(|open| open.held == Some(held)) {
                    self.try_once(now, request);
                }
            }
            Event::Ends { request, try_number, replica, how } => self.ends(now, request, try_number, replica, how),
        }
    }

    fn try_once(&mut self, now: u64, request: u64) {
        let Some(open) = self.open.get_mut(&request) else {
            return;
        };
        self.serial += 1;
        let try_number = self.serial;
        let Some(replica) = self.strategy.pick(try_number, now, self.random.next(), &open.avoided) else {
            // Held; what it avoided may do next time.
            open.avoided.clear();
            open.held = Some(try_number);
            let paused = now + open.pause;
            open.pause = (open.pause * 2).min(PAUSE_MAX);
            let at = self.strategy.next_at(now).map_or(paused, |at| at.clamp(now, paused));
            return self.at(at, Event::Wakes { request, held: try_number });
        };
        open.held = None;
        self.story.tries.push((now, replica));
        let latency = MILLISECOND / 10;
        match self.world.replicas[replica].behaviour(now) {
            Behaviour::Refuses | Behaviour::Away => {
                self.at(now + latency, Event::Ends { request, try_number, replica, how: How::Refused });
            }
            Behaviour::Breaks { after } => {
                self.at(now + after, Event::Ends { request, try_number, replica, how: How::Broken });
            }
            Behaviour::Fails { part, .. } if self.random.unit() < part => {
                self.at(now + latency, Event::Ends { request, try_number, replica, how: How::Failed });
            }
            Behaviour::Fails { .. } | Behaviour::Serves { .. } => {
                self.queues[replica].push_back((request, try_number));
                self.work(now, replica);
            }
        }
    }

    fn work(&mut self, now: u64, replica: usize) {
        while self.busy[replica] < self.world.replicas[replica].workers {
            let Some((request, try_number)) = self.queues[replica].pop_front() else {
                return;
            };
            self.busy[replica] += 1;
            let mean = match self.world.replicas[replica].behaviour(now) {
                Behaviour::Serves { mean } | Behaviour::Fails { mean, .. } => mean,
                Behaviour::Refuses | Behaviour::Breaks { .. } | Behaviour::Away => MILLISECOND,
            };
            // Some pages are ten times as much work as the others.
            let kind = if self.random.unit() < 0.01 { 10.0 } else { 1.0 };
            let took = mean as f64 * kind * (0.5 + 0.5 * self.random.exponential());
            self.at(now + took as u64, Event::Ends { request, try_number, replica, how: How::Well });
        }
    }

    fn ends(&mut self, now: u64, request: u64, try_number: u64, replica: usize, how: How) {
        let outcome = match how {
            How::Well => Outcome::Succeeded,
            How::Failed => Outcome::Failed,
            How::Refused | How::Broken => Outcome::Unreachable,
        };
        if self.strategy.finish(try_number, now, outcome) {
            let held: Vec<(u64, u64)> =
                self.open.iter().filter_map(|(request, open)| Some((*request, open.held?))).collect();
            held.into_iter().for_each(|(request, held)| self.at(now, Event::Wakes { request, held }));
        }
        if how == How::Well {
            self.busy[replica] -= 1;
            self.work(now, replica);
        }
        if how == How::Refused {
            if let Some(open) = self.open.get_mut(&request) {
                open.avoided.push(replica);
            }
            return self.try_once(now, request);
        }
        if let Some(open) = self.open.remove(&request) {
            self.story.requests.push(Done { took: now - open.arrived, well: how == How::Well });
        }
    }
}
