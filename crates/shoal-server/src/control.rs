//! The control API: what the `shoal` command asks, and any script may. Translates; the driver and the brain decide.

use crate::api::{
    AddFaultRequest, AddFaultResponse, Control, ControlServer, DownRequest, DownResponse, Event as ApiEvent,
    EventsRequest, EventsResponse, Fault as ApiFault, ListFaultsRequest, ListFaultsResponse, LogsRequest, LogsResponse,
    RemoveFaultRequest, RemoveFaultResponse, RestartRequest, RestartResponse, ScaleRequest, ScaleResponse,
    StatusRequest, StatusResponse, UpRequest, UpResponse,
};
use crate::clock;
use crate::driver::{Driver, Event};
use crate::faults::{self, Asked};
use crate::folders::Folders;
use crate::journal::{Entry, Journal};
use crate::log_reader::LogReader;
use crate::prepare::{self, Surroundings};
use crate::samples::{Sample, Samples};
use crate::status::{self, Measured};
use crate::tale;
use shoal_discovery::DiscoveryServer;
use shoal_driver::{Answer, FaultWish, Snapshot, Wish, WishError};
use shoal_model::{FaultId, FaultTarget, Replicas, RevisionId, ServiceName};
use shoal_process::ProcessRuntime;
use shoal_sdk::{Call, Error, Service, Shutdown, async_trait};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};

/// The longest that an answer waits for news.
const PATIENCE_MAX: Duration = Duration::from_secs(30);
/// How long an answer waits until those who make calls know of a change of faults.
const FAULTS_APPLIED_WITHIN: Duration = Duration::from_secs(2);
/// How often totals are sampled for rates.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// Answers the control API.
pub struct ControlService {
    folders: Folders,
    shoal: PathBuf,
    events: mpsc::Sender<Event>,
    journal: Journal,
    runtime: ProcessRuntime,
    discovery: Arc<DiscoveryServer>,
    samples: Mutex<Samples>,
    logs: LogReader,
    /// One `up` at a time: two builds of one application would only wait for each other.
    building: tokio::sync::Mutex<()>,
    /// Counts the wishes for the end: each calls off the `up`s that were asked for before it.
    ends: watch::Sender<u64>,
    shutdown: Shutdown,
    own: Weak<Self>,
}

impl ControlService {
    /// Answers for the application that `driver` drives.
    #[must_use]
    pub fn new(
        folders: Folders,
        shoal: PathBuf,
        events: mpsc::Sender<Event>,
        driver: &Driver,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        let service = Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            logs: LogReader::new(folders.state.clone()),
            folders,
            shoal,
            events,
            journal: driver.journal.clone(),
            runtime: driver.runtime.clone(),
            discovery: Arc::clone(&driver.discovery),
            samples: Mutex::default(),
            building: tokio::sync::Mutex::default(),
            ends: watch::Sender::new(0),
            shutdown,
        });
        tokio::spawn(keep_sampling(Arc::downgrade(&service)));
        service
    }

    async fn wish(&self, wish: Wish) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        self.events.send(Event::Asked(wish, reply)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?.map_err(|error| match error {
            WishError::Refused(refusal) => Error::failed_precondition(refusal.to_string()),
            WishError::NotKept(error) => Error::unavailable(error.to_string()),
        })
    }

    async fn bring_up(&self, profile: &str, variables: &BTreeMap<String, String>, mut ends: watch::Receiver<u64>) {
        // Looks for an end first: what comes of a build must not undo a `down` that was asked for meanwhile.
        let outcome = tokio::select! {
            biased;
            _ = ends.changed() => Err("it was called off by `shoal down`".to_owned()),
            outcome = async {
                let _one = self.building.lock().await;
                self.try_bring_up(profile, variables).await
            } => outcome,
        };
        match outcome {
            Ok(text) => self.journal.note(clock::now(), "accepted", text),
            Err(text) => self.journal.note(clock::now(), "refused", text),
        }
    }

    /// Answers in either case what is to be said of it.
    async fn try_bring_up(&self, profile: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
        let before = self.look().await.map_err(|error| error.message)?;
        let search: Vec<PathBuf> =
            std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        let around = Surroundings {
            folders: &self.folders,
            shoal: &self.shoal,
            search: &search,
            variables,
            held: status::held_address(&before),
            journal: &self.journal,
        };
        let prepared = prepare::prepare(&around, profile).await.map_err(|error| shoal_model::with_causes(&error))?;
        let changed = tale::changed(&before.state, &prepared.services);
        self.count(Wish::Accept(Box::new(prepared))).await.map_err(|error| error.message)?;
        self.tidy_revisions(self.look().await.map_err(|error| error.message)?).await;
        Ok(changed)
    }

    async fn count(&self, wish: Wish) -> Result<u32, Error> {
        match self.wish(wish).await? {
            Answer::Count(count) => Ok(count),
            Answer::Seen(_) | Answer::Faults(_) => Err(another_question()),
        }
    }

    /// Answers once whoever makes calls knows: what is asked for next is asked under these faults, and what they met until
    /// then is counted. With it, those who do not know yet.
    async fn wish_fault(&self, wish: FaultWish) -> Result<(Vec<ApiFault>, Vec<String>), Error> {
        let Answer::Faults(changed) = self.wish(Wish::Fault(wish)).await? else { return Err(another_question()) };
        // Of those of processes only the supervisor need know.
        let concerns_callers = changed.iter().any(|changed| changed.fault.kind.is_told());
        let mut unheard = Vec::new();
        if concerns_callers {
            self.discovery.faults_applied(FAULTS_APPLIED_WITHIN).await;
            unheard.extend(self.discovery.faults_unheard().iter().map(ToString::to_string));
        }
        if !unheard.is_empty() {
            tracing::warn!(?unheard, "not everybody who makes calls has heard of the change of faults");
        }
        let counted = changed.into_iter().map(|mut changed| {
            changed.happened =
                self.discovery.fault_total(changed.id).map_or(changed.happened, |total| total.max(changed.happened));
            faults::shown(&changed)
        });
        Ok((counted.collect(), unheard))
    }

    async fn look(&self) -> Result<Snapshot, Error> {
        match self.wish(Wish::Look).await? {
            Answer::Seen(snapshot) => Ok(*snapshot),
            Answer::Count(_) | Answer::Faults(_) => Err(another_question()),
        }
    }

    async fn sample(&self) -> (Sample, BTreeMap<shoal_model::ReplicaName, shoal_process::Usage>) {
        let usage = self.runtime.usage();
        let cpu = usage.iter().map(|(replica, usage)| (replica.clone(), usage.cpu)).collect();
        (Sample::new(clock::now(), &self.discovery.edges(), cpu), usage)
    }

    async fn tidy_revisions(&self, snapshot: Snapshot) {
        let mut used: BTreeMap<ServiceName, Vec<RevisionId>> = BTreeMap::new();
        for revision in snapshot.state.revisions() {
            used.entry(revision.service.clone()).or_default().push(revision.id.clone());
        }
        let folders = self.folders.clone();
        // A disk may take its time over large files: the rest of the supervisor does not wait for it.
        let tidied = tokio::task::spawn_blocking(move || prepare::tidy_revisions(&folders, &used)).await;
        if let Err(error) = tidied.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::warn!("old revisions could not be removed: {error}");
        }
    }
}

/// Answers on the control API's socket until the shutdown is requested and the answers under way are given.
pub async fn serve(listener: UnixListener, control: Arc<ControlService>, shutdown: Shutdown) {
    let service = Service::new().rpc(ControlServer::new(control));
    if let Err(error) = service.serve_unix(listener, shutdown).await {
        tracing::error!("the control API has ended: {error}");
    }
}

async fn keep_sampling(service: Weak<ControlService>) {
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(service) = service.upgrade() else { return };
        let (sample, _) = service.sample().await;
        service.samples.lock().unwrap_or_else(PoisonError::into_inner).add(sample);
    }
}

#[async_trait]
impl Control for ControlService {
    async fn up(&self, _call: &Call, request: UpRequest) -> Result<UpResponse, Error> {
        let profile = profile(&request.profile)?.to_owned();
        let service = self.own.upgrade().ok_or_else(ending)?;
        let place = self.journal.last_place();
        let ends = self.ends.subscribe();
        // A build outlives any deadline, and whoever asked for it.
        let variables = request.variables.into_iter().map(|variable| (variable.name, variable.value)).collect();
        tokio::spawn(async move { service.bring_up(&profile, &variables, ends).await });
        Ok(UpResponse { place, ..Default::default() })
    }

    async fn events(&self, _call: &Call, request: EventsRequest) -> Result<EventsResponse, Error> {
        let entries = self.journal.after(request.after, patience(request.wait_ms)).await;
        let next = entries.last().map_or(request.after, |entry| entry.place);
        Ok(EventsResponse { events: entries.into_iter().map(event).collect(), next, ..Default::default() })
    }

    async fn status(&self, _call: &Call, _request: StatusRequest) -> Result<StatusResponse, Error> {
        let snapshot = self.look().await?;
        let (now, usage) = self.sample().await;
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let measured = Measured {
            usage: &usage,
            samples: &samples,
            now: &now,
            edges: &self.discovery.edges(),
            is_building: self.building.try_lock().is_err(),
            supervisor_memory: shoal_process::memory(std::process::id()),
        };
        Ok(status::compose(&self.folders, &snapshot, &measured))
    }

    async fn scale(&self, _call: &Call, request: ScaleRequest) -> Result<ScaleResponse, Error> {
        let service = name(&request.service)?;
        if request.replicas > Replicas::MOST {
            let most = Replicas::MOST;
            return Err(Error::invalid_argument(format!("a service has at most {most} replicas; ask for 0 to {most}")));
        }
        let before = self.look().await?.state.service(&service).map_or(0, |known| known.wanted);
        self.count(Wish::Scale(service, request.replicas)).await?;
        Ok(ScaleResponse { before, ..Default::default() })
    }

    async fn restart(&self, _call: &Call, request: RestartRequest) -> Result<RestartResponse, Error> {
        let services = request.services.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
        let replicas = self.count(Wish::Restart(services)).await?;
        Ok(RestartResponse { replicas, ..Default::default() })
    }

    async fn logs(&self, _call: &Call, request: LogsRequest) -> Result<LogsResponse, Error> {
        let known = self.look().await?.state.services().into_iter().map(|known| known.service).collect::<Vec<_>>();
        let mut services = request.services.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
        if let Some(unknown) = services.iter().find(|service| !known.contains(service)) {
            let names: Vec<&str> = known.iter().map(ServiceName::as_str).collect();
            return Err(Error::not_found(format!("there is no service `{unknown}`; there are: {}", names.join(", "))));
        }
        if services.is_empty() {
            services = known;
        }
        let patience = patience(request.wait_ms);
        tokio::select! {
            lines = self.logs.read(&services, &request.cursor, request.lines, patience) => lines,
            () = self.shutdown.requested() => Err(ending()),
        }
    }

    async fn add_fault(&self, _call: &Call, request: AddFaultRequest) -> Result<AddFaultResponse, Error> {
        let state = self.look().await?.state;
        let crash_points = |target: &FaultTarget| self.discovery.crash_points(target.service());
        match faults::read(&request, &state, clock::now(), crash_points)? {
            Asked::Kept(fault) => {
                let (added, unheard) = self.wish_fault(FaultWish::Add(fault)).await?;
                Ok(AddFaultResponse { fault: added.into_iter().next().into(), unheard, ..Default::default() })
            }
            Asked::Kill(target) => {
                let killed = self.count(Wish::Fault(FaultWish::Kill(target))).await?;
                Ok(AddFaultResponse { killed, ..Default::default() })
            }
        }
    }

    async fn remove_fault(&self, _call: &Call, request: RemoveFaultRequest) -> Result<RemoveFaultResponse, Error> {
        let wish = if request.id == 0 { FaultWish::RemoveAll } else { FaultWish::Remove(FaultId(request.id)) };
        let (faults, unheard) = self.wish_fault(wish).await?;
        Ok(RemoveFaultResponse { faults, unheard, ..Default::default() })
    }

    async fn list_faults(&self, _call: &Call, _request: ListFaultsRequest) -> Result<ListFaultsResponse, Error> {
        let faults = self.look().await?.state.faults().iter().map(faults::shown).collect();
        Ok(ListFaultsResponse { faults, ..Default::default() })
    }

    async fn down(&self, _call: &Call, _request: DownRequest) -> Result<DownResponse, Error> {
        let place = self.journal.last_place();
        self.ends.send_modify(|count| *count += 1);
        self.count(Wish::Stop).await?;
        Ok(DownResponse { place, ..Default::default() })
    }
}

fn another_question() -> Error {
    Error::internal("the driver answered another question")
}

fn ending() -> Error {
    Error::unavailable("the supervisor is ending")
}

/// Cargo's own rule for a profile's name; anything else could pass for an option.
fn profile(text: &str) -> Result<&str, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match text {
        "" => Ok("release"),
        _ if text.len() <= 64 && !text.starts_with('-') && text.bytes().all(allowed) => Ok(text),
        _ => Err(Error::invalid_argument("a profile's name has letters, digits, `-` and `_`, such as `release`")),
    }
}

fn name(text: &str) -> Result<ServiceName, Error> {
    text.parse().map_err(|error: shoal_model::NameError| Error::invalid_argument(error.to_string()))
}

fn patience(wait_ms: u32) -> Duration {
    Duration::from_millis(wait_ms.into()).min(PATIENCE_MAX)
}

fn event(entry: Entry) -> ApiEvent {
    ApiEvent {
        place: entry.place,
        at_ms: entry.at.0,
        kind: entry.kind.to_owned(),
        service: entry.service.map(String::from).unwrap_or_default(),
        replica: entry.replica.map(String::from).unwrap_or_default(),
        text: entry.text,
        ..Default::default()
    }
}
