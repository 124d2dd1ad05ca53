//! The control thread: follows discovery, hands each view to the cores, and acknowledges it when all have applied it and
//! what they had sent to endpoints that left is answered.
//!
//! Never: serves a request, so that no load delays an acknowledgement or the lease.

use crate::applied::{Applied, Builder};
use crate::core_loop::stopped;
use crate::gateway::GatewaySettings;
use shoal_discovery::{Edges, Follower, Health, View, Watches};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What the control thread is given.
pub(crate) struct ControlTask {
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) sockets: BTreeSet<String>,
    pub(crate) edges: Edges,
    pub(crate) health: Option<Health>,
    pub(crate) views: watch::Sender<Arc<Applied>>,
    /// A core's number, and the serial of the view it applied.
    pub(crate) applied: mpsc::Receiver<(usize, u64)>,
    pub(crate) stop: watch::Receiver<bool>,
    /// Set when the cores have ended.
    pub(crate) ended: watch::Receiver<bool>,
}

/// Views that some core has not applied yet, and how far each core is.
struct Progress {
    waiting: BTreeMap<u64, Arc<View>>,
    cores: Vec<u64>,
}

/// How often requests at endpoints that left are looked at, while there are some.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs until the cores have ended.
pub(crate) async fn run(mut task: ControlTask) {
    if let Some(health) = &task.health {
        tokio::spawn(health.beat());
        health.set_waiting_for(Some("the supervisor's discovery socket".to_owned()));
    }
    let settings = &task.settings;
    let follower = Follower::start(settings.discovery.clone(), settings.name.clone(), Watches::All, task.edges.clone());
    let mut views = follower.watch();
    let mut builder = Builder::new(task.edges.clone(), task.sockets.clone());
    let mut progress = Progress { waiting: BTreeMap::new(), cores: vec![0; settings.cores] };
    let mut told = None;
    let mut stopping = false;
    // The newest view that all cores have and that is not acknowledged yet.
    let mut reached: Option<Arc<View>> = None;
    loop {
        if builder.leaving() == 0
            && let Some(view) = reached.take()
        {
            follower.applied(&view);
        }
        tokio::select! {
            changed = views.changed() => {
                if changed.is_err() {
                    return tracing::error!("the follower of discovery ended");
                }
                let view = Arc::clone(&views.borrow_and_update());
                let applied = Arc::new(builder.build(&view));
                say(&applied, &mut told);
                progress.waiting.insert(applied.serial, view);
                task.views.send_replace(applied);
            }
            Some((core, serial)) = task.applied.recv() => {
                if let Some(view) = progress.reached(core, serial) {
                    reached = Some(view);
                    ready(&task, stopping);
                }
            }
            () = tokio::time::sleep(LOOK_EVERY), if reached.is_some() => {}
            () = stopped(&mut task.stop), if !stopping => {
                stopping = true;
                ready(&task, stopping);
            }
            () = stopped(&mut task.ended) => return,
        }
    }
}

impl Progress {
    /// A core has applied a view; returns the newest view that all cores have now, if it is news.
    fn reached(&mut self, core: usize, serial: u64) -> Option<Arc<View>> {
        if let Some(reached) = self.cores.get_mut(core) {
            *reached = serial.max(*reached);
        }
        let all = self.cores.iter().copied().min().unwrap_or(0);
        let later = self.waiting.split_off(&(all + 1));
        let done = std::mem::replace(&mut self.waiting, later);
        done.into_values().next_back()
    }
}

/// Logs what keeps the gateway from being ready, or that nothing does, when it is not what was logged last.
fn say(applied: &Applied, told: &mut Option<Vec<String>>) {
    if told.as_ref() == Some(&applied.problems) {
        return;
    }
    for problem in &applied.problems {
        tracing::warn!("not ready: {problem}");
    }
    if applied.problems.is_empty() {
        tracing::info!("ready: routes are known for every listener");
    }
    *told = Some(applied.problems.clone());
}

/// Ready while every core serves a view that has everything, and the gateway is not stopping.
fn ready(task: &ControlTask, stopping: bool) {
    let Some(health) = &task.health else { return };
    let problem = task.views.borrow().problems.first().cloned();
    health.set_ready(problem.is_none() && !stopping);
    health.set_waiting_for(problem);
}
