//! One run: buyers and probes while faults are made, then healing, quiet, and judgement.

use crate::buyer::{Buyer, GOOD_CARD, Left};
use crate::faults::{self, Counts};
use crate::history::{Action, History, OrderState, Outcome};
use crate::judge::{self, Violation};
use crate::probes;
use crate::quiet::{self, Baseline};
use crate::random::Random;
use crate::schedule::{Kind, Planned, plan};
use crate::shoal::Shoal;
use crate::takeover;
use crate::trip::{PayPage, Pressed, Trip};
use crate::world::World;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names the schedule and everybody's choices.
    pub seed: u64,
    /// How many people buy at a time.
    pub buyers: usize,
    /// For how long faults are made.
    pub length: Duration,
    /// Of which kinds.
    pub menu: Vec<Kind>,
    /// The services that faults of one service hit; any when there are none.
    pub services: Vec<&'static str>,
    /// How long all may take to be quiet afterwards.
    pub patience: Duration,
}

/// What came of a run.
#[derive(Debug)]
pub struct Verdict {
    /// The faults that were to be made.
    pub schedule: Vec<Planned>,
    /// How many of each kind were.
    pub faults: Counts,
    /// Everything that happened.
    pub history: History,
    /// What is wrong with it.
    pub violations: Vec<Violation>,
    /// How many lines of baskets were not judged to the end.
    pub given_up: usize,
}

impl Verdict {
    /// How many orders were confirmed.
    #[must_use]
    pub fn orders(&self) -> usize {
        let orders = self.history.end.iter().flat_map(|end| end.orders.values());
        orders.filter(|order| order.state == OrderState::Confirmed).count()
    }
}

/// Makes one run in a store that stands still, and judges it. `before` is where its events stand.
///
/// # Errors
/// When the store does not run, does not recover, or cannot be read.
pub fn run(shoal: &Shoal, settings: &Settings, before: &mut Baseline) -> Result<Verdict, String> {
    let world = World::new(shoal.clone())?;
    *before = quiet::baseline(&world, *before)?;
    probes::open_the_shelves(&world)?;
    calm_audit(&world)?;
    let length = u64::try_from(settings.length.as_millis()).unwrap_or(u64::MAX);
    let schedule = plan(settings.seed, length, &settings.menu, &settings.services);
    let (mut left, probes, faults) = busy(&world, settings, &schedule)?;
    world.look();
    let mut unfinished = quiet::wait(&world, settings.patience)?;
    if unfinished.is_empty() && settings.menu.contains(&Kind::KillAt) {
        takeover::probe(&world)?;
        unfinished = quiet::wait(&world, settings.patience)?;
    }
    quiet::settle(&world, &mut left);
    calm_audit(&world)?;
    let mut end = quiet::end(&world, *before, probes, settings.patience)?;
    end.unfinished = unfinished;
    quiet::look_again(&mut left);
    drop(left);
    let mut history = world.history();
    history.end = Some(end);
    let (violations, given_up) = (judge::judge(&history), judge::given_up(&history));
    Ok(Verdict { schedule, faults, history, violations, given_up })
}

/// Reads the audits while nothing is broken: the first and the last of a run are compared with what was bought between them.
fn calm_audit(world: &World) -> Result<(), String> {
    probes::audit(world, Duration::from_secs(30))?;
    probes::is_understood(world)
}

/// What is left of the busy part: visitors, the probes' orders, and the faults that were made.
type Busy<'a> = (Vec<Left<'a>>, BTreeSet<String>, Counts);

fn busy<'a>(world: &'a World, settings: &Settings, schedule: &[Planned]) -> Result<Busy<'a>, String> {
    std::thread::scope(|scope| {
        let buyers: Vec<_> = (0..settings.buyers)
            .map(|number| scope.spawn(move || Buyer::new(world, settings.seed, number).shop()))
            .collect();
        scope.spawn(|| probes::audit_all_the_time(world));
        scope.spawn(|| probes::reserve_all_the_time(world, settings.seed));
        scope.spawn(|| probes::mind_the_shop(world, settings.seed));
        let fences = scope.spawn(|| probes::fence_all_the_time(world));
        scope.spawn(|| {
            while !world.is_stopping() {
                world.look();
                world.pause(700);
            }
        });
        let began = Instant::now();
        let faults = faults::make(world, schedule);
        world.pause(u64::try_from(settings.length.saturating_sub(began.elapsed()).as_millis()).unwrap_or(0));
        let mut healed = faults::heal(world, faults::has_faults(schedule));
        if healed.is_ok() && settings.menu.contains(&Kind::Pause) {
            healed = buy_without(world, settings.seed);
        }
        world.stop();
        let buyers = buyers.into_iter().map(|buyer| buyer.join().map_err(|_| "a buyer broke down".to_owned()));
        let left: Vec<Vec<Left<'a>>> = buyers.collect::<Result<_, _>>()?;
        let probes = fences.join().map_err(|_| "a probe broke down".to_owned())?;
        healed?;
        Ok((left.into_iter().flatten().collect(), probes, faults))
    })
}

/// What a purchase does not need, and the fault that takes it away.
const NOT_NEEDED: [(&str, &[&str]); 4] = [
    ("notify", &["notify", "pause"]),
    ("shipping", &["shipping", "pause"]),
    ("customer", &["customer", "pause"]),
    ("search", &["storefront->catalogue", "error", "unavailable", "--method", "Search"]),
];

/// Somebody buys while only one service, which a purchase does not need, is out of order.
fn buy_without(world: &World, seed: u64) -> Result<(), String> {
    let mut random = Random::of(seed, "without");
    let Some((without, words)) = random.pick(&NOT_NEEDED) else { return Ok(()) };
    let words: Vec<&str> = ["fault", "add"].iter().chain(*words).copied().chain(["--for", "60s"]).collect();
    world.shoal.run(&words)?;
    let start = world.now();
    let until = Instant::now() + Duration::from_secs(45);
    let mut outcome = Outcome::Failed("it was never tried".to_owned());
    for number in 0.. {
        // Somebody else may have bought the last piece, or changed a price, while this one looked.
        outcome = buy_once(world, number);
        if outcome == Outcome::Ok || Instant::now() >= until {
            break;
        }
    }
    world.note("without", start, Action::BuyWithout { without: (*without).to_owned() }, outcome);
    faults::heal(world, true)
}

fn buy_once(world: &World, number: u32) -> Outcome {
    let mut trip = Trip::new(world, "without", format!("guest-without-{number}"));
    let failed = |step: &str| Outcome::Failed(format!("{step} did not succeed"));
    if !trip.visitor.get("/").is_ok_and(|page| page.status == 200) {
        return failed("browsing");
    }
    if !trip.add("tide-mug", 1) {
        return failed("the basket");
    }
    if !trip.deliver("without@example.org") {
        return failed("the address");
    }
    let PayPage::Form(form) = trip.pay_page() else { return failed("the payment's page") };
    match trip.press(&form, GOOD_CARD) {
        Pressed::Placed(_) => Outcome::Ok,
        Pressed::Look(_) | Pressed::Failed => failed("buying"),
    }
}
