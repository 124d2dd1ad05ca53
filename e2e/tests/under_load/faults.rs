//! What can happen to an application, and when it did.

use shoal_e2e::{Application, alive, eventually, kill, terminate};
use std::process::Child;
use std::time::Instant;

/// A part of the story.
pub struct Phase {
    pub name: &'static str,
    pub began: Instant,
    pub ended: Instant,
    /// The processes that were killed in it.
    pub kills: Vec<Kill>,
}

/// A `kill -9`.
pub struct Kill {
    /// The service, or `supervisor`.
    pub what: &'static str,
    /// Just before the signal.
    pub from: Instant,
    /// Once nothing ran any more.
    pub to: Instant,
}

/// An application while things happen to it.
pub struct Faults<'a> {
    pub application: &'a Application,
    /// Its services.
    pub services: &'static [&'static str],
    kills: Vec<Kill>,
    phases: Vec<Phase>,
}

/// A fault, done and overcome when it returns.
pub type Fault = fn(&mut Faults<'_>);

impl<'a> Faults<'a> {
    pub fn new(application: &'a Application, services: &'static [&'static str]) -> Self {
        Self { application, services, kills: Vec::new(), phases: Vec::new() }
    }

    /// Does a part of the story.
    pub fn phase(&mut self, name: &'static str, work: impl FnOnce(&mut Self)) {
        let began = Instant::now();
        work(self);
        let kills = std::mem::take(&mut self.kills);
        self.phases.push(Phase { name, began, ended: Instant::now(), kills });
    }

    /// The story.
    pub fn done(self) -> Vec<Phase> {
        self.phases
    }

    /// `kill -9`, until nothing runs.
    pub fn kill(&mut self, what: &'static str, pids: &[u32]) {
        let from = Instant::now();
        for pid in pids {
            kill(*pid);
        }
        eventually(&format!("{what} is gone"), || pids.iter().all(|pid| !alive(*pid)).then_some(()));
        self.kills.push(Kill { what, from, to: Instant::now() });
    }

    /// Kills some replica, waits for another in its place, and so on.
    pub fn kill_one_by_one(&mut self, service: &'static str, times: usize) {
        for _ in 0..times {
            let pids = self.application.pids(service);
            self.kill(service, &pids[..1]);
            let after = self.application.until_ready(service, pids.len());
            assert!(!after.contains(&pids[0]), "it was replaced");
        }
    }

    pub fn kill_all(&mut self, service: &'static str) {
        let pids = self.application.pids(service);
        self.kill(service, &pids);
        self.until_renewed(&[service], &pids);
    }

    pub fn replace_supervisor(&mut self) {
        let before = self.pids(self.services);
        self.kill_supervisor();
        self.application.up();
        assert_eq!(self.pids(self.services), before, "adopted, not restarted");
    }

    pub fn kill_supervisor(&mut self) {
        let supervisor = self.application.supervisor();
        self.kill("supervisor", &[supervisor]);
    }

    /// Kills the supervisor while it carries out a command, once `midway` is reached, and starts the next.
    pub fn while_running(&mut self, words: &[&str], midway: impl FnOnce(&Self)) {
        let command: Child = self.application.command(words).spawn().expect("shoal runs");
        midway(self);
        self.kill_supervisor();
        // The command may have had its answer, or not: what it asked for was accepted before.
        let _status = command.wait_with_output().expect("shoal ends");
        self.application.up();
    }

    pub fn terminate_gateway(&mut self) {
        let before = self.application.pids("gateway");
        terminate(before[0]);
        self.until("the gateway is another", |faults| {
            let after = faults.application.pids("gateway");
            after.len() == 1 && after != before
        });
        self.until("the old gateway is gone", |_| !alive(before[0]));
    }

    pub fn scale(&self, service: &str, count: usize) {
        let _ = self.application.shoal(&["scale", &format!("{service}={count}")]).succeeded();
        self.application.until_ready(service, count);
    }

    pub fn restart_all(&self) {
        let before = self.pids(self.services);
        let _ = self.application.shoal(&["restart"]).succeeded();
        self.until_renewed(self.services, &before);
    }

    pub fn kill_supervisor_and_gateway(&mut self) {
        let gateway = self.pids(&["gateway"]);
        self.kill_supervisor();
        self.kill("gateway", &gateway);
        self.application.up();
        self.until_renewed(&["gateway"], &gateway);
    }

    pub fn pids(&self, services: &[&str]) -> Vec<u32> {
        services.iter().flat_map(|service| self.application.pids(service)).collect()
    }

    /// Waits until as many replicas as before are ready, none of them from before, and those are gone.
    pub fn until_renewed(&self, services: &[&str], before: &[u32]) {
        self.until(&format!("{} are new", services.join(", ")), |faults| {
            let after = faults.pids(services);
            after.len() == before.len() && after.iter().all(|pid| !before.contains(pid))
        });
        self.until("the old ones are gone", |_| before.iter().all(|pid| !alive(*pid)));
    }

    pub fn until_count(&self, service: &str, count: usize) {
        self.until(&format!("{service} has {count} replicas"), |faults| {
            faults.application.service(service)["replicas"].as_array().is_some_and(|replicas| replicas.len() >= count)
        });
    }

    pub fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        eventually(what, || is_so(self).then_some(()));
    }
}
