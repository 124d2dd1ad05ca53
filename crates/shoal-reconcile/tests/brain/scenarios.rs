//! Scenarios in plain text: `tests/scenarios/*.txt`. A line that begins with `> ` is something that happens; what
//! follows it, up to the next such line, is what the brain answers. `BLESS=1 cargo test -p shoal-reconcile` rewrites the answers.
//!
//! | what happens | |
//! |---|---|
//! | `up catalogue=2 basket=1@b after=catalogue calls=catalogue` | the target; options follow their service: `@b` the revision, `after=`, `calls=`, `max=`, `worker` |
//! | `scale basket 3`, `restart basket`, `restart all`, `down` | commands |
//! | `run basket-1`, `ready basket-1`, `unready basket-1 why`, `slow basket-1 why`, `hang basket-1 why` | its process runs; it is ready; readiness, startup or liveness fails |
//! | `leave basket-1` | somebody else told its program to end, and it says so |
//! | `exit basket-1 code 1`, `exit basket-1 signal 9` | it ended |
//! | `ack basket` | everyone has its latest routes |
//! | `tick 3s` | time passes; the brain is woken when it asked to be |
//! | `repeat` | the last observations come again |
//! | `supervisor dies, finds basket-1 basket-2` | the state is stored and read, and these replicas are found |
//! | `status` | what `shoal status` would show |

use crate::application::{address, identity, replica, service, target};
use crate::world::told;
use shoal_model::{
    Exit, Listen, Millis, Observation, ProbeKind, ProbeOutcome, ReplicaLife, ReplicaName, RevisionId, ServiceName,
};
use shoal_reconcile::invariants::Invariants;
use shoal_reconcile::{Phase, Reason, ReasonKind, ServiceTarget, State, step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

#[test]
fn scenarios_are_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "scenarios are missing");
    let mut different = Vec::new();
    for path in paths {
        let written = std::fs::read_to_string(&path).unwrap();
        let played = play(&written, &path);
        if written == played {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, played).unwrap();
        } else {
            different.push(format!("{} is now:\n{played}", path.display()));
        }
    }
    assert!(different.is_empty(), "BLESS=1 accepts this:\n{}", different.join("\n"));
}

fn play(written: &str, path: &Path) -> String {
    let mut scene = Scene::new();
    let mut played = String::new();
    for line in written.lines() {
        if line.starts_with('#') || line.is_empty() {
            writeln!(played, "{line}").unwrap();
        } else if let Some(happening) = line.strip_prefix("> ") {
            writeln!(played, "{line}").unwrap();
            scene.happen(happening).unwrap_or_else(|| panic!("{}: `{line}` is not understood", path.display()));
            played.push_str(&std::mem::take(&mut scene.told));
        }
    }
    played
}

struct Scene {
    now: Millis,
    begun: Millis,
    state: State,
    wake_at: Option<Millis>,
    last: Vec<Observation>,
    running: BTreeSet<ReplicaName>,
    invariants: Invariants,
    told: String,
}

impl Scene {
    fn new() -> Self {
        let begun = Millis(1_000_000);
        Self {
            now: begun,
            begun,
            state: State::new(),
            wake_at: None,
            last: Vec::new(),
            running: BTreeSet::new(),
            invariants: Invariants::new(),
            told: String::new(),
        }
    }

    /// `None` when the line says nothing that is known.
    fn happen(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.first()? {
            "up" => {
                let services = targets(&words[1..])?;
                self.state.set_target(services, self.now);
            }
            "scale" => {
                let refused = self.state.scale(&service(words.get(1)?), words.get(2)?.parse().ok()?, self.now).err();
                self.refused(refused);
            }
            "restart" if words.get(1) == Some(&"all") => {
                let refused = self.state.restart_all(self.now).err();
                self.refused(refused);
            }
            "restart" => {
                let refused = self.state.restart(&service(words.get(1)?), self.now).err();
                self.refused(refused);
            }
            "down" => self.state.stop(self.now),
            "tick" => return self.tick(words.get(1)?),
            "status" => return self.status(),
            "supervisor" => self.supervisor_dies(&words[1..]),
            "repeat" => {
                let again = self.last.clone();
                self.step(&again);
                return Some(());
            }
            _ => {
                let observations = self.observations(&words)?;
                self.step(&observations);
                self.last = observations;
                return Some(());
            }
        }
        self.step(&[]);
        Some(())
    }

    fn refused(&mut self, refusal: Option<shoal_reconcile::Refusal>) {
        if let Some(refusal) = refusal {
            writeln!(self.told, "  refused: {refusal}").unwrap();
        }
    }

    fn observations(&mut self, words: &[&str]) -> Option<Vec<Observation>> {
        let rest = || words.get(2..).unwrap_or_default().join(" ");
        if *words.first()? == "ack" {
            let service = service(words.get(1)?);
            let generation = self.state.service(&service)?.generation;
            return Some(vec![Observation::RoutesAcknowledged { service, generation }]);
        }
        let name = replica(words.get(1)?);
        let probe = |kind, outcome| Observation::ProbeFinished { replica: name.clone(), kind, outcome };
        let failed = |kind| probe(kind, ProbeOutcome::Failed { why: rest() });
        let worker = self.state.revision_of(&name).is_some_and(|revision| revision.launch.listen == Listen::None);
        let address = (!worker).then(|| address(&name));
        let running = Observation::ReplicaChanged {
            replica: name.clone(),
            life: ReplicaLife::Running { identity: identity(&name), address },
        };
        Some(match *words.first()? {
            "run" => vec![running],
            "ready" => {
                self.running.insert(name.clone());
                vec![
                    running,
                    probe(ProbeKind::Startup, ProbeOutcome::Passed),
                    probe(ProbeKind::Readiness, ProbeOutcome::Passed),
                ]
            }
            "unready" => vec![failed(ProbeKind::Readiness)],
            "slow" => vec![running, failed(ProbeKind::Startup)],
            "hang" => vec![failed(ProbeKind::Liveness)],
            "leave" => vec![Observation::ReplicaLeaving { replica: name.clone() }],
            "exit" => {
                let number: i32 = words.get(3)?.parse().ok()?;
                let exit = match *words.get(2)? {
                    "code" => Exit::Code { code: number },
                    "signal" => Exit::Signal { signal: number },
                    _ => return None,
                };
                let log = vec!["last words".to_owned()];
                let life = ReplicaLife::Exited { exit, at: self.now, log };
                vec![Observation::ReplicaChanged { replica: name.clone(), life }]
            }
            _ => return None,
        })
    }

    fn supervisor_dies(&mut self, words: &[&str]) {
        let found: BTreeSet<ReplicaName> = words
            .iter()
            .skip_while(|word| **word != "finds")
            .skip(1)
            .map(|word| replica(word.trim_matches(',')))
            .collect();
        self.state = State::open(serde_json::to_value(&self.state).unwrap()).unwrap();
        self.state.resumed(self.now);
        let reasons = self.state.adopted(&found, self.now);
        let exited = self.state.services().into_iter().flat_map(|service| service.replicas);
        let exited = exited.filter(|replica| replica.phase == Phase::Exited);
        self.invariants.gone(exited.map(|replica| replica.replica));
        for reason in &reasons {
            self.tell(reason);
        }
    }

    fn tick(&mut self, span: &str) -> Option<()> {
        let span = match (span.strip_suffix("ms"), span.strip_suffix('s')) {
            (Some(millis), _) => Duration::from_millis(millis.parse().ok()?),
            (None, Some(seconds)) => Duration::from_secs(seconds.parse().ok()?),
            _ => return None,
        };
        let until = self.now.after(span);
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now = at;
            let told = std::mem::take(&mut self.told);
            self.step(&[]);
            let happened = std::mem::replace(&mut self.told, told);
            if !happened.is_empty() {
                let spent = at.since(self.begun).as_secs_f64();
                write!(self.told, "  at {spent:.1} s\n{happened}").unwrap();
            }
        }
        self.now = until;
        self.step(&[]);
        Some(())
    }

    fn step(&mut self, observations: &[Observation]) {
        let before = self.state.clone();
        let step = step(before.clone(), observations, self.now);
        let violations = self.invariants.check(&before, observations, &step, self.now);
        assert!(violations.is_empty(), "{violations:?}");
        for action in &step.actions {
            writeln!(self.told, "  #{} {}", action.id.0, told(&action.kind)).unwrap();
        }
        for reason in &step.reasons {
            self.tell(reason);
        }
        self.wake_at = step.wake_at;
        self.state = step.state;
    }

    fn tell(&mut self, reason: &Reason) {
        let subject = reason.replica.as_ref().map_or_else(|| reason.service.to_string(), ToString::to_string);
        writeln!(self.told, "  {subject} {}", reason.text).unwrap();
    }

    fn status(&mut self) -> Option<()> {
        for status in self.state.services() {
            let revision = status.revision.unwrap_or(RevisionId("removed".to_owned()));
            let replicas: Vec<String> = status
                .replicas
                .iter()
                .map(|replica| match replica.restarts {
                    0 => format!("{} {}", replica.replica, replica.phase),
                    restarts => format!("{} {} (restart {restarts})", replica.replica, replica.phase),
                })
                .collect();
            writeln!(
                self.told,
                "  | {} {revision} {}/{} | {}",
                status.service,
                status.ready,
                status.wanted,
                replicas.join(", ")
            )
            .ok()?;
        }
        for reason in self.state.reasons(self.now) {
            let subject = reason.replica.as_ref().map_or_else(|| reason.service.to_string(), ToString::to_string);
            let mark = if reason.kind == ReasonKind::Blocked { "blocked" } else { "why" };
            writeln!(self.told, "  | {mark}: {subject} {}", reason.text).ok()?;
            for line in reason.log {
                writeln!(self.told, "  |      log: {line}").ok()?;
            }
        }
        if self.state.is_stopped() {
            writeln!(self.told, "  | stopped").ok()?;
        } else if self.state.is_settled() {
            writeln!(self.told, "  | settled").ok()?;
        }
        Some(())
    }
}

fn targets(words: &[&str]) -> Option<BTreeMap<ServiceName, ServiceTarget>> {
    let names = |text: &str| -> BTreeSet<ServiceName> { text.split(',').map(service).collect() };
    let mut services: BTreeMap<ServiceName, ServiceTarget> = BTreeMap::new();
    let mut current: Option<ServiceTarget> = None;
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match (key, &mut current) {
            ("after", Some(target)) => target.after = names(value),
            ("calls", Some(target)) => target.revision.launch.calls = names(value),
            ("max", Some(target)) => target.replicas_max = value.parse().ok()?,
            ("worker", Some(target)) => target.revision.launch.listen = Listen::None,
            _ => {
                services.extend(current.take().map(|target| (target.revision.service.clone(), target)));
                let (count, id) = value.split_once('@').unwrap_or((value, "a"));
                current = Some(target(key, id, count.parse().ok()?));
            }
        }
    }
    services.extend(current.map(|target| (target.revision.service.clone(), target)));
    Some(services)
}
