//! The load, and how much of it is done.

use shoal_e2e::{Application, eventually};
use shoal_load::store::{Step, Store, Visit};
use shoal_load::{Arrivals, Client, ClientSettings, OpenLoop, Request, Running, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Visits a second: what a busy machine with two slow cores can serve from unoptimised programs. `SHOAL_LOAD_RATE` says
/// otherwise.
const RATE: f64 = 25.0;
/// Visits before, between and after the faults.
const CALM: u64 = 20;
/// The longest that this may go on.
const LENGTH: Duration = Duration::from_secs(600);

/// What visitors ask for.
#[derive(Clone, Copy)]
pub enum Visitor {
    /// The store's pages, and now and then an order.
    OfTheStore,
    /// One page.
    OfAPage,
}

/// Load that runs.
pub struct Load {
    running: Running<Vec<Visit>>,
    done: Arc<AtomicU64>,
    client: Client,
}

/// What the load came to.
pub struct Ended {
    pub visits: Vec<Visit>,
    /// Requests that were asked again on a kept connection that turned out to be closed.
    pub repeated: u64,
    /// Connections.
    pub opened: u64,
}

impl Load {
    /// Starts it.
    pub fn start(application: &Application, visitor: Visitor) -> Self {
        let address = application.address();
        let host = address.strip_prefix("http://").expect("the gateway speaks HTTP").to_owned();
        let target = Target::Tcp(host.parse().expect("an address is a host and a port"));
        let client = Client::new(target, ClientSettings::default());
        let done = Arc::new(AtomicU64::new(0));
        let rate = std::env::var("SHOAL_LOAD_RATE").ok().and_then(|rate| rate.parse().ok()).unwrap_or(RATE);
        let (counted, sending) = (Arc::clone(&done), client.clone());
        let running = Running::start(move |stop| async move {
            let store = match visitor {
                Visitor::OfTheStore => Some(Store::open(sending.clone(), &host).await?),
                Visitor::OfAPage => None,
            };
            let visit = move |number| {
                let (store, client, counted) = (store.clone(), sending.clone(), Arc::clone(&counted));
                let request = Request::get(&host, &format!("/{number}"), &[]);
                async move {
                    let visit = match store {
                        Some(store) => store.visit(number).await,
                        None => Visit { steps: vec![page(&client, &request).await], order: None },
                    };
                    counted.fetch_add(1, Ordering::Relaxed);
                    visit
                }
            };
            let load = OpenLoop { rate, length: LENGTH, arrivals: Arrivals::Random(7) };
            let done = load.run_until(stop, visit).await?;
            Ok(done.into_iter().map(|done| done.value).collect())
        });
        Self { running: running.expect("the load starts"), done, client }
    }

    /// Waits until some visits more are done.
    pub fn calm(&self) {
        let before = self.done.load(Ordering::Relaxed);
        eventually("visits go on", || (self.done.load(Ordering::Relaxed) >= before + CALM).then_some(()));
    }

    /// Ends it, once all that was asked is answered.
    pub fn stop(self) -> Ended {
        let visits = self.running.stop().expect("the load comes to its end");
        Ended { visits, repeated: self.client.repeated(), opened: self.client.opened() }
    }
}

async fn page(client: &Client, request: &Request) -> Step {
    let started = Instant::now();
    let outcome = client.send(request).await.map(|answer| (answer.status, answer.text()));
    Step { name: "GET /".to_owned(), idempotent: true, started, ended: Instant::now(), outcome, notice: None }
}
