//! How many orders the example store takes in when shoppers wait for nothing but their answers, and what one costs, on
//! each of its databases. Never: counts an order that was not confirmed.

use super::store;
use crate::application::Application;
use crate::report::{Row, millis};
use crate::rounds::{Contest, Settings};
use crate::{Failure, cpu};
use shoal_load::store::{Store, VISITS_PER_CHECKOUT};
use shoal_load::{Client, ClientSettings, Target};
use std::time::{Duration, Instant};
use test_databases::PostgresServer;
use tokio::runtime::Runtime;

/// Shoppers who order at the same time, one order after the other.
const SHOPPERS: u64 = 16;

/// The store on one database.
struct Contender {
    name: &'static str,
    application: Application,
    store: Store,
    postgres: Option<PostgresServer>,
    /// The number of the next visit; each guest is another one.
    next: u64,
}

/// Confirmed orders per second, and CPU per order, of everything: services, gateway, Shoal's own, and the database's server.
pub fn durable(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut contenders = [
        Contender::start(&runtime, "SQLite", None)?,
        Contender::start(&runtime, "PostgreSQL", Some(PostgresServer::start_durable()))?,
    ];
    let length = settings.length.max(Duration::from_secs(1));
    for contender in &mut contenders {
        contender.order(&runtime, length / 2)?;
    }
    let contest = Contest::hold(settings, contenders.len(), |index| contenders[index].turn(&runtime, length))?;
    let mut rows = Vec::new();
    for (index, contender) in contenders.iter().enumerate() {
        let per_second = format!("{:.0} orders/s", contest.value(index, 0));
        rows.push(Row::new(contender.name, per_second).ratio(contest.ratio(index, 0, 0)));
        let cost = millis(contest.value(index, 1));
        rows.push(Row::new(format!("{}, CPU per order", contender.name), cost).ratio(contest.ratio(index, 0, 1)));
    }
    Ok(rows)
}

impl Contender {
    fn start(runtime: &Runtime, name: &'static str, postgres: Option<PostgresServer>) -> Result<Self, Failure> {
        let database = postgres.as_ref().map_or_else(|| "sqlite".to_owned(), |server| server.url(""));
        let application = store::start(&database)?;
        let address = application.address()?;
        let client = Client::new(Target::Tcp(address), ClientSettings::default());
        let store = runtime.block_on(Store::open(client, &address.to_string()))?;
        Ok(Self { name, application, store, postgres, next: 0 })
    }

    fn turn(&mut self, runtime: &Runtime, length: Duration) -> Result<[f64; 2], Failure> {
        let before = self.used()?;
        let started = Instant::now();
        let orders = self.order(runtime, length)? as f64;
        let took = started.elapsed().as_secs_f64();
        Ok([orders / took, (self.used()? - before) / orders])
    }

    /// Has the shoppers order until time is up; answers how many orders were confirmed. One that is not yet when its page
    /// is shown is not counted.
    fn order(&mut self, runtime: &Runtime, length: Duration) -> Result<u64, Failure> {
        let until = Instant::now() + length;
        let first = self.next;
        let shopper = |shopper: u64| {
            let store = self.store.clone();
            async move {
                let (mut visits, mut confirmed, mut problem) = (0, 0, None);
                while Instant::now() < until {
                    let visit = store.check_out((first + visits * SHOPPERS + shopper) * VISITS_PER_CHECKOUT).await;
                    visits += 1;
                    match visit.order {
                        Some(Ok(_)) => confirmed += 1,
                        other => problem = Some(format!("{other:?} {:?}", visit.steps.last())),
                    }
                }
                (visits, confirmed, problem)
            }
        };
        let shoppers = runtime.block_on(futures::future::join_all((0..SHOPPERS).map(shopper)));
        let most = shoppers.iter().map(|(visits, _, _)| *visits).max().unwrap_or(0);
        self.next += most * SHOPPERS;
        match shoppers.iter().map(|(_, confirmed, _)| *confirmed).sum() {
            0 => Err(format!("no order was confirmed: {:?}", shoppers.into_iter().find_map(|(_, _, why)| why)).into()),
            confirmed => Ok(confirmed),
        }
    }

    /// Seconds of CPU of all that belongs to it.
    fn used(&self) -> Result<f64, Failure> {
        let own: f64 = store::used(&self.application)?.values().sum();
        let server = self.postgres.as_ref().map(|server| cpu::seconds_of_family(server.pid())).transpose()?;
        Ok(own + server.unwrap_or(0.0))
    }
}
