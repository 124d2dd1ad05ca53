//! Makes the faults of a schedule, and takes them all away again. Each is logged; one that could not be made is logged as failed, so that a
//! report never counts what did not happen.

use crate::history::{Action, Outcome};
use crate::schedule::{Deed, Kind, Planned};
use crate::shoal::kill;
use crate::world::World;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long everything may take to be ready again once the faults are gone.
const RECOVERY: Duration = Duration::from_secs(180);

/// How many faults of each kind were made.
pub type Counts = BTreeMap<&'static str, usize>;

/// Makes the faults when they are due, until the last was made.
pub fn make(world: &World, schedule: &[Planned]) -> Counts {
    let began = world.now();
    let mut counts = Counts::new();
    for planned in schedule {
        while world.now() < began + planned.at && !world.is_stopping() {
            world.pause((began + planned.at).saturating_sub(world.now()).min(200));
        }
        let start = world.now();
        let result = make_one(world, planned);
        if result.is_ok() {
            *counts.entry(planned.kind.name()).or_default() += 1;
        }
        let outcome = result.map_or_else(Outcome::Failed, |()| Outcome::Ok);
        world.note("faults", start, Action::Fault { fault: planned.to_string() }, outcome);
    }
    counts
}

fn make_one(world: &World, planned: &Planned) -> Result<(), String> {
    match &planned.deed {
        Deed::Shoal(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            world.shoal.run(&words).map(drop)
        }
        Deed::KillReplica(service, place) => {
            let status = world.shoal.status()?;
            let pids: Vec<u32> =
                status.replicas(service).iter().map(|replica| replica.pid).filter(|pid| *pid != 0).collect();
            let pid = pids.get(place % pids.len().max(1)).ok_or_else(|| format!("{service} has no process"))?;
            if kill(*pid) { Ok(()) } else { Err(format!("{service}'s process {pid} was gone already")) }
        }
        Deed::KillSupervisor => {
            let pid = world.shoal.status()?.supervisor;
            if !kill(pid) {
                return Err("there is no supervisor".to_owned());
            }
            // A moment without one, in which replicas that die stay dead.
            world.pause(500);
            world.shoal.up()
        }
    }
}

/// Takes every fault away, and waits until every service has all its replicas ready.
///
/// # Errors
/// What is not ready when patience is over.
pub fn heal(world: &World, had_faults: bool) -> Result<(), String> {
    let until = Instant::now() + RECOVERY;
    let start = world.now();
    let mut trouble = String::new();
    let mut removed = !had_faults;
    while Instant::now() < until {
        if !removed {
            match world.shoal.run(&["fault", "remove", "--all"]) {
                Ok(_) => removed = true,
                Err(why) => trouble = why,
            }
        }
        match world.shoal.status() {
            Ok(status) if removed => {
                let unready = status.unready();
                if unready.is_empty() {
                    world.look();
                    world.note("faults", start, Action::Healed, Outcome::Ok);
                    return Ok(());
                }
                trouble = format!("not ready: {}", unready.join(", "));
            }
            Ok(_) => {}
            Err(why) => {
                trouble = why;
                // Perhaps the supervisor is gone.
                if let Err(why) = world.shoal.up() {
                    trouble = why;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(200)); // between two looks
    }
    Err(format!("the store did not recover within {} s after the last fault: {trouble}", RECOVERY.as_secs()))
}

/// Whether a schedule has anything that `shoal fault` makes.
#[must_use]
pub fn has_faults(schedule: &[Planned]) -> bool {
    let is_other = |kind| matches!(kind, Kind::Kill | Kind::Supervisor | Kind::Gateway | Kind::Replace);
    schedule.iter().any(|planned| !is_other(planned.kind))
}
