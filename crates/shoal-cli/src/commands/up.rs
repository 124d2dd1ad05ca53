//! `shoal up`: starts the supervisor, watches the application come up, and stays attached to its logs.

use crate::application::{Application, patient};
use crate::args::Up;
use crate::commands::{down, logs};
use crate::failure::Failure;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shoal_sdk::Call;
use shoal_server::api::{
    ControlClient as Control, Event, EventsRequest, ReplicaStatus, ServiceStatus, StatusRequest, StatusResponse,
    UpRequest, Variable,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long one question for news waits.
const PATIENCE_MS: u32 = 2_000;
/// How often it is said, where there are no progress bars, what is waited for.
const REMIND_EVERY: Duration = Duration::from_secs(10);

/// Starts the application; without `--detach` stays until Ctrl-C, which stops it.
pub async fn run(up: Up) -> Result<(), Failure> {
    let application = Application::find(up.folder.as_deref())?;
    // A manifest that cannot work should not start a supervisor.
    let manifest = shoal_server::read_manifest(&application.folders)
        .map_err(|diagnostics| Failure::rendered(diagnostics.render(crate::screen::color())))?;
    let mut interrupts = Interrupts::listen()?;
    // An interrupt waits until there is a supervisor to tell of it: started half-way it would be left behind.
    shoal_server::start(&application.folders).await.map_err(|error| {
        Failure::because(format!("{} cannot start", application.folders.application.display()), error)
    })?;
    let control = application.control().await?;
    tokio::select! {
        done = attend(&application, &control, &up, variables(&manifest)) => return done,
        () = interrupts.next() => {}
    }
    tokio::select! {
        done = down::stop(&application, control) => done,
        () = interrupts.next() => Err(Failure::new(format!(
            "left before it was stopped; it goes on stopping, and `shoal down {}` waits for it",
            application.in_folder()
        ))),
    }
}

/// The variables that the manifest looks at, where they are set.
fn variables(manifest: &shoal_manifest::Manifest) -> Vec<Variable> {
    let databases = manifest.application.services.values().filter_map(|service| service.database.as_ref());
    let names: BTreeSet<&str> = databases.flat_map(shoal_model::Database::variables).collect();
    let set =
        |name: &str| Some(Variable { name: name.to_owned(), value: std::env::var(name).ok()?, ..Default::default() });
    names.into_iter().filter_map(set).collect()
}

async fn attend(
    application: &Application,
    control: &Arc<dyn Control>,
    up: &Up,
    variables: Vec<Variable>,
) -> Result<(), Failure> {
    let request = UpRequest { profile: up.profile.clone(), variables, ..Default::default() };
    control.up(&Call::new(), request).await?;
    // From the beginning: what the new supervisor found left running is news too.
    let mut after = 0;
    let mut board = Board::new();
    while !board.is_accepted {
        let (events, next) = events(control, after).await?;
        if let Some(refused) = events.iter().find(|event| event.kind == "refused") {
            board.clear();
            abandon(application, control).await;
            return Err(Failure::said(&refused.text));
        }
        after = board.show((events, next));
    }
    let status = until_ready(control, &mut board, after).await?;
    board.clear();
    announce(&status);
    if up.detach {
        return Ok(());
    }
    crate::say!("Ctrl-C stops it. Its logs follow.\n");
    logs::read(application, control, Vec::new(), 0, true, logs::print_line).await
}

/// A supervisor that has nothing to run has no reason to stay.
async fn abandon(application: &Application, control: &Arc<dyn Control>) {
    let status = control.status(&Call::new(), StatusRequest::default()).await;
    if status.is_ok_and(|status| status.services.is_empty()) {
        // Its end is all that is asked for, and an error means that it has ended.
        let _ = control.down(&Call::new(), Default::default()).await;
        let _ = shoal_server::until_ended(&application.folders).await;
    }
}

async fn events(control: &Arc<dyn Control>, after: u64) -> Result<(Vec<Event>, u64), Failure> {
    let request = EventsRequest { after, wait_ms: PATIENCE_MS, ..Default::default() };
    let news = control.events(&patient(), request).await?;
    Ok((news.events, news.next))
}

/// Watches until each service is ready, or is known not to become so.
async fn until_ready(control: &Arc<dyn Control>, board: &mut Board, mut after: u64) -> Result<StatusResponse, Failure> {
    loop {
        let status = control.status(&Call::new(), StatusRequest::default()).await?;
        board.progress(&status);
        if status.services.iter().all(|service| is_settled(service) || service.failing) {
            return Ok(status);
        }
        after = board.show(events(control, after).await?);
    }
}

/// Whether enough replicas of the wanted revision are ready; older ones may still be finishing.
fn is_settled(service: &ServiceStatus) -> bool {
    let fresh = |replica: &&ReplicaStatus| replica.phase == "ready" && replica.revision == service.revision;
    let fresh = service.replicas.iter().filter(fresh).count();
    u32::try_from(fresh).is_ok_and(|fresh| fresh >= service.wanted)
}

fn announce(status: &StatusResponse) {
    let bold = anstyle::Style::new().bold();
    let failing: Vec<_> = status.services.iter().filter(|service| !is_settled(service)).collect();
    for service in &failing {
        let style = anstyle::AnsiColor::Red.on_default();
        for reason in &service.reasons {
            crate::say!("{style}{}{style:#}: {reason}", service.name);
        }
    }
    // Without those that are no longer in the manifest and still finish.
    let services = status.services.iter().filter(|service| service.name != "gateway" && !service.revision.is_empty());
    let (all, ready) =
        services.fold((0, 0), |(all, ready), service| (all + 1, ready + usize::from(is_settled(service))));
    crate::say!("{bold}{}{bold:#}: {ready} of {all} services ready", status.application);
    let gateway = status.services.iter().find(|service| service.name == "gateway");
    if !status.address.is_empty() && gateway.is_none_or(|gateway| gateway.ready > 0) {
        crate::say!("  open {bold}{}{bold:#}", status.address);
    }
}

/// Ctrl-C, and the request to end that an init system sends.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::because("signals cannot be received", error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The progress bars, where there is a terminal, and plain lines where there is none.
struct Board {
    bars: MultiProgress,
    building: Option<ProgressBar>,
    services: BTreeMap<String, ProgressBar>,
    /// When it was last said what is waited for.
    reminded: Instant,
    /// Whether the target was accepted; from then on there is something to wait for.
    is_accepted: bool,
}

impl Board {
    fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            building: None,
            services: BTreeMap::new(),
            reminded: Instant::now(),
            is_accepted: false,
        }
    }

    /// Shows news and answers the place to ask after next.
    fn show(&mut self, (events, next): (Vec<Event>, u64)) -> u64 {
        for event in events {
            match event.kind.as_str() {
                "build" => self.build(event.text),
                "accepted" => {
                    self.is_accepted = true;
                    self.reminded = Instant::now();
                    self.line(&event.text);
                }
                "starting" | "ready" | "built" => {}
                _ => self.line(&event.text),
            }
        }
        next
    }

    fn build(&mut self, text: String) {
        if self.bars.is_hidden() {
            return crate::say!("{text}");
        }
        let bar = self.building.get_or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(text);
    }

    fn line(&self, text: &str) {
        if self.bars.is_hidden() || self.bars.println(text).is_err() {
            crate::say!("{text}");
        }
    }

    fn progress(&mut self, status: &StatusResponse) {
        if let Some(bar) = self.building.take() {
            bar.finish_and_clear();
        }
        if self.bars.is_hidden() && self.reminded.elapsed() >= REMIND_EVERY {
            self.reminded = Instant::now();
            let waiting = status.services.iter().filter(|service| !is_settled(service));
            for (service, reason) in waiting.filter_map(|service| Some((service, service.reasons.first()?))) {
                crate::say!("still waiting for {}: {reason}", service.name);
            }
        }
        for service in &status.services {
            let bar = self.services.entry(service.name.clone()).or_insert_with(|| {
                let style = ProgressStyle::with_template("{prefix:>14} {bar:20.cyan/dim} {pos}/{len} {msg}");
                let bar = self.bars.add(ProgressBar::new(0));
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_prefix(service.name.clone());
                bar
            });
            bar.set_length(service.wanted.into());
            bar.set_position(service.ready.into());
            // One line: the last words of a crashed replica would break the bar.
            let reason = service.reasons.first().and_then(|reason| reason.lines().next());
            bar.set_message(reason.unwrap_or_default().to_owned());
        }
    }

    fn clear(&mut self) {
        for bar in self.building.iter().chain(self.services.values()) {
            bar.finish_and_clear();
        }
    }
}
