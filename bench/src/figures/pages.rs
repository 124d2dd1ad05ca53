//! What a page of the example store costs, service by service. Never: with pictures; a page is what the storefront writes.

use super::store;
use crate::report::{Row, millis};
use crate::rounds::{Settings, median};
use crate::{Failure, interrupt};
use shoal_load::store::{Store, Visit};
use shoal_load::{Arrivals, Client, ClientSettings, Latency, OpenLoop, Target};
use std::collections::BTreeMap;
use std::time::Duration;

/// Visits a second: thirteen product views for each checkout.
const RATE: f64 = 56.0;

/// CPU per page of each service, and of what is Shoal's own.
pub fn mix(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let application = store::start("sqlite")?;
    let address = application.address()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(Target::Tcp(address), ClientSettings::default());
    let store = runtime.block_on(Store::open(client, &address.to_string()))?;
    let mut number = 0;
    let mut ask = |length: Duration| -> Result<Vec<(Duration, Visit)>, Failure> {
        let load = OpenLoop { rate: RATE, length, arrivals: Arrivals::Even };
        let first = number;
        let done = runtime.block_on(load.run(|number| {
            let store = store.clone();
            async move { store.visit(first + number).await }
        }))?;
        number += done.len() as u64;
        Ok(done.into_iter().map(|done| (done.took(), done.value)).collect())
    };
    ask(Duration::from_secs(1).max(settings.length / 5))?;
    let mut by_service: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let (mut totals, mut views) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        interrupt::check()?;
        let before = store::used(&application)?;
        let visits = ask(settings.length.max(Duration::from_secs(1)))?;
        let after = store::used(&application)?;
        let mut pages = 0_u32;
        for (took, visit) in &visits {
            let bad = visit.steps.iter().find(|step| !step.succeeded());
            if bad.is_some() || visit.order.as_ref().is_some_and(Result::is_err) {
                return Err(format!("a visit failed: {bad:?} {:?}", visit.order).into());
            }
            let answered = visit.steps.iter().filter(|step| matches!(step.outcome, Ok((200, _)))).count();
            pages += u32::try_from(answered)?;
            if visit.steps.len() == 1 {
                views.push(*took);
            }
        }
        let per_page =
            |service: &String| (after[service] - before.get(service).copied().unwrap_or(0.0)) / f64::from(pages.max(1));
        totals.push(after.keys().map(&per_page).sum());
        for service in after.keys() {
            by_service.entry(service.clone()).or_default().push(per_page(service));
        }
    }
    let mut rows: Vec<Row> =
        by_service.into_iter().map(|(service, values)| Row::new(service, millis(median(values)))).collect();
    rows.push(Row::new("all", millis(median(totals))));
    let views: Latency = views.into_iter().collect();
    rows.push(Row::new("a product view, p50", millis(views.p50().as_secs_f64())));
    rows.push(Row::new("a product view, p99", millis(views.p99().as_secs_f64())));
    Ok(rows)
}
