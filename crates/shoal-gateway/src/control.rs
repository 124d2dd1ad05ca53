//! The control thread: follows discovery, makes each view ready to serve, acknowledges what it says of a service once
//! nothing is under way at endpoints that left, and ends the gateway step by step.
//!
//! Never: serves a request, so that no load delays an acknowledgement or the lease.

use crate::applied::{Applied, Builder};
use crate::callers::{Callers, Fetched};
use crate::core_loop::{Busy, CallersChange, stopped};
use crate::gateway::GatewaySettings;
use shoal_discovery::{Edges, Faults, Follower, Health, View, Watches};
use shoal_model::ServiceName;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How often requests at endpoints that left are looked at, while there are some.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long callers have at least to finish, once nobody from outside waits for them.
const CALLS_DRAIN_MIN: Duration = Duration::from_secs(1);
/// How long the end waits for the supervisor to have heard of it.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the control thread is given.
pub(crate) struct ControlTask {
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) sockets: BTreeSet<String>,
    pub(crate) edges: Edges,
    pub(crate) health: Option<Health>,
    pub(crate) views: watch::Sender<Arc<Applied>>,
    pub(crate) cores: Vec<mpsc::UnboundedSender<CallersChange>>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) stop_calls: watch::Sender<bool>,
    pub(crate) ended: watch::Sender<bool>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) busy_calls: Arc<Busy>,
}

/// How far the gateway's end has come.
#[derive(Clone, Copy)]
enum Stage {
    Serving,
    /// Requests from outside are being finished, and the calls that they need are still taken.
    Public {
        until: Instant,
    },
    /// Calls under way are being finished.
    Calls {
        until: Instant,
    },
}

/// What the control thread works with.
struct Control {
    task: ControlTask,
    follower: Follower,
    builder: Builder,
    callers: Callers,
    view: Arc<View>,
    /// Services whose endpoints in the view are not acknowledged yet.
    unacknowledged: BTreeSet<ServiceName>,
    /// The problems that were logged last.
    told: Option<Vec<String>>,
    stage: Stage,
}

/// Runs until everything has ended; returns how many connections had not.
pub(crate) async fn run(task: ControlTask) -> usize {
    let (mut control, mut fetched) = Control::start(task);
    let (mut views, mut stop) = (control.follower.watch(), control.task.stop.clone());
    loop {
        control.acknowledge();
        tokio::select! {
            changed = views.changed() => {
                if changed.is_err() {
                    tracing::error!("the follower of discovery ended");
                    return control.finish();
                }
                let view = Arc::clone(&views.borrow_and_update());
                control.apply(view);
            }
            Some(sockets) = fetched.recv() => {
                let Control { callers, builder, .. } = &mut control;
                callers.open(sockets, |caller, callee| builder.call(caller, callee));
            }
            () = tokio::time::sleep(LOOK_EVERY), if !control.unacknowledged.is_empty() => {}
            () = stopped(&mut stop), if matches!(control.stage, Stage::Serving) => control.begin_to_end().await,
            () = done(control.stage, &control.task) => if control.is_over() {
                // Should the supervisor not know yet, this would look like a crash.
                control.follower.leave(FAREWELL).await;
                return control.finish();
            }
        }
    }
}

impl Control {
    fn start(mut task: ControlTask) -> (Self, mpsc::UnboundedReceiver<Fetched>) {
        if let Some(health) = &task.health {
            tokio::spawn(health.beat());
            health.set_waiting_for(Some("the supervisor's discovery socket".to_owned()));
        }
        let GatewaySettings { discovery, name, .. } = &*task.settings;
        let (edges, faults) = (task.edges.clone(), Faults::new());
        let follower = Follower::start(discovery.clone(), name.clone(), Watches::All, edges.clone(), faults.clone());
        let builder = Builder::new(edges, faults, task.sockets.clone());
        let (callers, fetched) = Callers::new(std::mem::take(&mut task.cores));
        let control = Self {
            task,
            follower,
            builder,
            callers,
            view: Arc::default(),
            unacknowledged: BTreeSet::new(),
            told: None,
            stage: Stage::Serving,
        };
        (control, fetched)
    }

    /// Acknowledges what is applied: balancers know of it, and nothing is under way at endpoints that left.
    fn acknowledge(&mut self) {
        let Self { follower, builder, view, unacknowledged, .. } = self;
        unacknowledged.retain(|service| {
            let is_left = builder.leaving(service) == 0;
            if is_left {
                follower.applied_service(view, service);
            }
            !is_left
        });
    }

    fn apply(&mut self, view: Arc<View>) {
        self.unacknowledged.extend(changed_services(&self.view, &view));
        let applied = Arc::new(self.builder.build(&view));
        self.callers.follow(&view.callers);
        self.view = view;
        self.say(&applied);
        self.task.views.send_replace(applied);
        self.tell_ready();
    }

    /// Logs what keeps the gateway from being ready, or that nothing does, when it is not what was logged last.
    fn say(&mut self, applied: &Applied) {
        if self.told.as_ref() == Some(&applied.problems) {
            return;
        }
        for problem in &applied.problems {
            tracing::warn!("not ready: {problem}");
        }
        if applied.problems.is_empty() {
            tracing::info!("ready: routes are known for every listener");
        }
        self.told = Some(applied.problems.clone());
    }

    /// Ready while the view has everything, and the gateway is not stopping.
    fn tell_ready(&self) {
        let Some(health) = &self.task.health else { return };
        let problem = self.task.views.borrow().problems.first().cloned();
        health.set_ready(problem.is_none() && matches!(self.stage, Stage::Serving));
        health.set_waiting_for(problem);
    }

    async fn begin_to_end(&mut self) {
        self.stage = Stage::Public { until: Instant::now() + self.task.settings.drain_timeout };
        self.tell_ready();
        // Sent meanwhile; nobody waits for it here.
        self.follower.leave(Duration::ZERO).await;
    }

    /// A stage of the end is over: goes on to the next, or was the last.
    fn is_over(&mut self) -> bool {
        match self.stage {
            Stage::Serving => false,
            Stage::Public { until } => {
                self.task.stop_calls.send_replace(true);
                self.stage = Stage::Calls { until: until.max(Instant::now() + CALLS_DRAIN_MIN) };
                false
            }
            Stage::Calls { .. } => true,
        }
    }

    fn finish(&self) -> usize {
        let unfinished = self.task.busy.count() + self.task.busy_calls.count();
        self.task.ended.send_replace(true);
        unfinished
    }
}

/// Returns when a stage of the end is over; never while serving.
async fn done(stage: Stage, task: &ControlTask) {
    let (busy, until) = match stage {
        Stage::Serving => return std::future::pending().await,
        Stage::Public { until } => (&task.busy, until),
        Stage::Calls { until } => (&task.busy_calls, until),
    };
    // Past its time a stage is over, whatever is under way.
    let _ = tokio::time::timeout_at(until, busy.none()).await;
}

/// The services whose endpoints differ between two views.
fn changed_services(before: &View, now: &View) -> Vec<ServiceName> {
    let differs = |service: &ServiceName| now.endpoints.get(service) != before.endpoints.get(service);
    now.endpoints.keys().filter(|service| differs(service)).cloned().collect()
}
