//! Those who hold routes: the real holder's state machine in each process that calls somebody, on connections that break,
//! against the real publisher. Also the requests they have under way. Decides nothing.

use crate::machine::Mark;
use crate::planted::Planted;
use crate::random::Random;
use crate::runtime::millis;
use crate::world::{Event, World};
use shoal_discovery::holder::{Effect, Holder};
use shoal_discovery::publisher::{ConnectionId, Publisher};
use shoal_discovery::{FromHolder, FromPublisher, HolderName, View, Watches};
use shoal_model::{LaunchSettings, Observation, ReplicaName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// How long a holder that says nothing is waited for.
const LEASE: u64 = 3_000;
/// How late an observation may come.
const LATE: u64 = 4_000;

/// One process that holds routes.
#[derive(Debug)]
pub struct Held {
    holder: Holder,
    watches: Watches,
    mark: Mark,
    connection: Option<Connection>,
    /// Does and hears nothing until then.
    deaf_until: u64,
    /// When a publisher last heard it.
    heard_at: u64,
    /// When it was heard again after a silence that was longer than a lease.
    returned_at: u64,
    /// Where it sends new requests.
    pub routes: BTreeMap<ServiceName, BTreeSet<ReplicaName>>,
    /// Until when requests are under way at who is no longer in its routes.
    lingering: BTreeMap<ReplicaName, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    number: u64,
    id: ConnectionId,
    /// What was sent arrives in order.
    down_at: u64,
    up_at: u64,
}

impl Held {
    /// The holder in a replica that was launched so; `None` when it calls nobody.
    #[must_use]
    pub fn of(replica: &ReplicaName, mark: Mark, launch: &LaunchSettings) -> Option<Self> {
        let watches = if replica.service == ServiceName::gateway() {
            Watches::All
        } else if launch.calls.is_empty() {
            return None;
        } else {
            Watches::Only(launch.calls.clone())
        };
        Some(Self {
            holder: Holder::new(HolderName(replica.to_string()), watches.clone()),
            watches,
            mark,
            connection: None,
            deaf_until: 0,
            heard_at: 0,
            returned_at: 0,
            routes: BTreeMap::new(),
            lingering: BTreeMap::new(),
        })
    }

    /// Whether requests of it go to this replica or are under way there.
    #[must_use]
    pub fn uses(&self, replica: &ReplicaName, now: u64) -> bool {
        self.routes.get(&replica.service).is_some_and(|routes| routes.contains(replica))
            || self.lingering.get(replica).is_some_and(|until| *until > now)
    }

    /// Whether a publisher waits for it, and did a while ago too: what it waited for then may be acted upon only now.
    #[must_use]
    pub fn is_heard(&self, now: u64) -> bool {
        now < self.heard_at + LEASE && now >= self.returned_at + LATE
    }

    fn hear(&mut self, now: u64) {
        if now >= self.heard_at + LEASE {
            self.returned_at = now;
        }
        self.heard_at = now;
    }

    fn send(
        &mut self,
        name: &ReplicaName,
        publisher: &mut Publisher,
        now: u64,
        random: &mut Random,
        sent: &mut Vec<(u64, Event)>,
    ) {
        let Some(connection) = &mut self.connection else { return };
        while let Some(line) = publisher.next_line(connection.id) {
            connection.down_at = connection.down_at.max(now + random.between(0, 20));
            let (holder, number) = (name.clone(), connection.number);
            let event = Event::Down { holder, mark: self.mark, connection: number, line: encoded(&line) };
            sent.push((connection.down_at, event));
        }
    }

    /// The services that it hears of; `None` when of all.
    #[must_use]
    pub fn watched(&self) -> Option<&BTreeSet<ServiceName>> {
        match &self.watches {
            Watches::All => None,
            Watches::Only(services) => Some(services),
        }
    }

    /// Whether it hears of a service.
    #[must_use]
    pub fn watches(&self, service: &ServiceName) -> bool {
        self.watches.includes(service)
    }
}

impl World {
    /// A holder tries to connect; later again when nobody is there.
    pub fn connect(&mut self, name: &ReplicaName, mark: Mark) {
        let (at, now) = (self.now, self.time());
        let Some(held) = self.holders.get_mut(name).filter(|held| held.mark == mark && held.connection.is_none())
        else {
            return;
        };
        let Some(supervisor) = self.supervisor.as_mut().filter(|_| held.deaf_until <= at) else {
            self.connect_later(name);
            return;
        };
        let id = match supervisor.publisher.join(held.holder.hello(), now) {
            Ok(id) => id,
            Err(why) => return self.fail(format!("{name} was refused: {why}")),
        };
        self.connections += 1;
        let number = self.connections;
        held.hear(at);
        held.connection = Some(Connection { number, id, down_at: 0, up_at: 0 });
        self.tell(|| format!("{name} connects"));
        self.after(0, Event::Alive { holder: name.clone(), connection: number });
        self.pump_one(name);
    }

    fn connect_later(&mut self, name: &ReplicaName) {
        let Some(mark) = self.holders.get(name).map(|held| held.mark) else { return };
        let delay = self.random.between(25, 1_000);
        self.after(delay, Event::Connect { holder: name.clone(), mark });
    }

    /// A holder's connection ends; what was on its way is lost, and it tries again.
    pub fn disconnect(&mut self, name: &ReplicaName) {
        let Some(connection) = self.holders.get_mut(name).and_then(|held| held.connection.take()) else { return };
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.publisher.leave(connection.id);
        }
        self.connect_later(name);
        self.publisher_news();
    }

    /// The supervisor is gone, and every connection with it.
    pub fn disconnect_all(&mut self) {
        let names: Vec<ReplicaName> = self.holders.keys().cloned().collect();
        for name in &names {
            if self.holders.get_mut(name).and_then(|held| held.connection.take()).is_some() {
                self.connect_later(name);
            }
        }
    }

    /// A holder stands still for a while.
    pub fn deafen(&mut self, name: &ReplicaName, span: u64) {
        let until = self.now + span;
        if let Some(held) = self.holders.get_mut(name) {
            held.deaf_until = held.deaf_until.max(until);
        }
    }

    /// Sends every holder what it was not told yet.
    pub fn pump(&mut self) {
        let Some(supervisor) = &mut self.supervisor else { return };
        let mut sent = Vec::new();
        for (name, held) in &mut self.holders {
            held.send(name, &mut supervisor.publisher, self.now, &mut self.random, &mut sent);
        }
        sent.into_iter().for_each(|(at, event)| self.at(at, event));
    }

    /// Sends one holder what it was not told yet.
    fn pump_one(&mut self, name: &ReplicaName) {
        let Some(supervisor) = &mut self.supervisor else { return };
        let mut sent = Vec::new();
        if let Some(held) = self.holders.get_mut(name) {
            held.send(name, &mut supervisor.publisher, self.now, &mut self.random, &mut sent);
        }
        sent.into_iter().for_each(|(at, event)| self.at(at, event));
    }

    /// A line reaches a holder.
    pub fn down(&mut self, name: &ReplicaName, mark: Mark, connection: u64, line: Vec<u8>) {
        let now = self.now;
        let Some(held) = self.holders.get_mut(name).filter(|held| held.mark == mark) else { return };
        if held.connection.is_none_or(|it| it.number != connection) {
            return;
        }
        if held.deaf_until > now {
            // What comes meanwhile keeps its order, as everything is put off to the same time.
            let at = held.deaf_until;
            let event = Event::Down { holder: name.clone(), mark, connection, line };
            return self.at(at, event);
        }
        let line: FromPublisher = match serde_json::from_slice(&line) {
            Ok(line) => line,
            Err(error) => return self.fail(format!("a line to {name} does not read back: {error}")),
        };
        let about = match &line {
            FromPublisher::Snapshot { service, .. } | FromPublisher::Delta { service, .. } => Some(service.clone()),
            _ => None,
        };
        match (held.holder.receive(line), about) {
            (Effect::Changed, Some(service)) => self.apply(name, &service),
            (Effect::Nothing | Effect::Welcomed | Effect::Changed, _) => self.speak(name),
            (Effect::Reconnect { why }, _) => {
                self.tell(|| format!("{name} connects anew: {why}"));
                self.disconnect(name);
            }
            (Effect::Refused { why }, _) => self.fail(format!("{name} was refused: {why}")),
        }
    }

    /// New requests go by the new view at once; it is applied when those at who left are answered.
    fn apply(&mut self, name: &ReplicaName, service: &ServiceName) {
        let now = self.now;
        let Some(held) = self.holders.get_mut(name) else { return };
        let Some((generation, endpoints)) = held.holder.view().endpoints.get(service).cloned() else { return };
        let routes: BTreeSet<ReplicaName> = endpoints.iter().map(|endpoint| endpoint.replica.clone()).collect();
        let before = held.routes.insert(service.clone(), routes.clone()).unwrap_or_default();
        for left in before.difference(&routes) {
            let requests = match self.random.below(100) {
                _ if !self.is_watched => 0,
                0..50 => 0,
                50..97 => self.random.between(1, 4_000),
                _ => 20_000,
            };
            held.lingering.insert(left.clone(), now + requests);
        }
        held.lingering.retain(|replica, until| *until > now && !routes.contains(replica));
        let lingering = held.lingering.iter().filter(|(replica, _)| replica.service == *service);
        let at = lingering.map(|(_, until)| *until).max().unwrap_or(now);
        let at = if self.planted == Some(Planted::ForgetsRequests) { now } else { at };
        let view = View { endpoints: BTreeMap::from([(service.clone(), (generation, endpoints))]), ..View::default() };
        let (holder, mark, service) = (name.clone(), held.mark, service.clone());
        self.at(at, Event::Applied { holder, mark, service, view: Box::new(view) });
    }

    /// What a view says of a service is applied.
    pub fn applied(&mut self, name: &ReplicaName, mark: Mark, service: &ServiceName, view: &View) {
        let Some(held) = self.holders.get_mut(name).filter(|held| held.mark == mark) else { return };
        held.holder.applied_service(view, service);
        self.speak(name);
    }

    /// A process was told to finish, and says so.
    pub fn leave(&mut self, name: &ReplicaName) {
        if let Some(held) = self.holders.get_mut(name) {
            held.holder.leave();
            self.speak(name);
        }
    }

    /// A holder says what is due.
    fn speak(&mut self, name: &ReplicaName) {
        let Some(held) = self.holders.get_mut(name).filter(|held| held.connection.is_some()) else { return };
        let lines = held.holder.due();
        lines.into_iter().for_each(|line| self.say(name, line));
    }

    fn say(&mut self, name: &ReplicaName, line: FromHolder) {
        let at = self.now + self.random.between(0, 20);
        let Some(held) = self.holders.get_mut(name) else { return };
        let Some(connection) = &mut held.connection else { return };
        connection.up_at = connection.up_at.max(at).max(held.deaf_until);
        let (at, number) = (connection.up_at, connection.number);
        self.at(at, Event::Up { holder: name.clone(), connection: number, line: encoded(&line) });
    }

    /// A holder says that it lives, and will again.
    pub fn alive(&mut self, name: &ReplicaName, connection: u64) {
        let Some(held) = self.holders.get(name) else { return };
        if held.connection.is_some_and(|it| it.number == connection) {
            self.say(name, FromHolder::Alive);
            self.after(1_000, Event::Alive { holder: name.clone(), connection });
        }
    }

    /// A line reaches the publisher.
    pub fn up(&mut self, name: &ReplicaName, connection: u64, line: Vec<u8>) {
        let (at, now) = (self.now, self.time());
        let Some(held) = self.holders.get_mut(name) else { return };
        let Some(connected) = held.connection.filter(|it| it.number == connection) else { return };
        let Some(supervisor) = &mut self.supervisor else { return };
        if supervisor.stands_until > at {
            // Nobody reads it now. It has spoken all the same, unless it was silent for too long before.
            if at < held.heard_at + LEASE {
                held.hear(at);
            }
            let until = supervisor.stands_until;
            return self.at(until, Event::Up { holder: name.clone(), connection, line });
        }
        held.hear(at);
        let line: FromHolder = match serde_json::from_slice(&line) {
            Ok(line) => line,
            Err(error) => return self.fail(format!("a line of {name} does not read back: {error}")),
        };
        if let Err(why) = supervisor.publisher.receive(connected.id, line, now) {
            self.tell(|| format!("{name} is cut off: {why}"));
            self.disconnect(name);
            return;
        }
        self.publisher_news();
    }

    /// What the publisher has to report, and when it may have more.
    pub fn publisher_news(&mut self) {
        let (at, now) = (self.now, self.time());
        let Some(supervisor) = self.supervisor.as_mut().filter(|it| it.stands_until <= at) else { return };
        let (life, publisher) = (supervisor.life, &mut supervisor.publisher);
        let (risen, leaving) = (publisher.newly_acknowledged(now), publisher.newly_leaving());
        let wake_at = at + millis(publisher.wake_at(now).since(now)) + 1;
        if supervisor.leases_at.is_none_or(|it| wake_at < it || it <= at) {
            supervisor.leases_at = Some(wake_at);
            self.at(wake_at, Event::Leases { life });
        }
        for (service, generation) in risen {
            self.tell(|| format!("{service} generation {} is acknowledged", generation.0));
            self.deliver(Observation::RoutesAcknowledged { service, generation }, at + 1);
        }
        for replica in leaving.into_iter().filter_map(|holder| holder.0.parse().ok()) {
            self.deliver(Observation::ReplicaLeaving { replica }, at + 1);
        }
    }
}

/// A line as it goes over a socket.
fn encoded<T: serde::Serialize>(line: &T) -> Vec<u8> {
    serde_json::to_vec(line).unwrap_or_default()
}
