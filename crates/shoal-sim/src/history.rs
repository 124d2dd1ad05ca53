//! One history from beginning to end: faults and wishes for a while; then none, and everything must settle, stay so, and
//! stop when it is told to.

use crate::application;
use crate::planted::Planted;
use crate::world::{Event, World};
use shoal_driver::Wish;
use std::collections::BTreeMap;

/// How long faults go on, at least and at most, in virtual milliseconds.
const FAULTS: (u64, u64) = (10_000, 90_000);
/// The longest that settling may take: several rolling replacements of the slowest replicas.
const SETTLES_WITHIN: u64 = 900_000;
/// How late anything can come.
const LATE: u64 = 5_000;
/// How long nothing may happen then.
const QUIET: u64 = 60_000;
/// The longest that stopping may take.
const STOPS_WITHIN: u64 = 300_000;

/// What a history came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How often what was counted happened.
    pub counts: BTreeMap<&'static str, u64>,
}

/// A history that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which; the same seed goes wrong again.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
    /// The last of what happened.
    pub story: String,
}

/// Plays the history of a seed, with a planted fault or none.
///
/// # Errors
/// When something happened that must not, or did not that must.
pub fn play(seed: u64, planted: Option<Planted>) -> Result<Summary, Box<Failure>> {
    let mut world = World::new(seed, planted);
    match last(&mut world) {
        Ok(()) => Ok(Summary { counts: world.counts }),
        Err(what) => Err(Box::new(Failure { seed, what, story: world.story() })),
    }
}

fn last(world: &mut World) -> Result<(), String> {
    let first = application::random(&mut world.random, true);
    world.ask(Wish::Accept(Box::new(first)));
    let begin = world.now;
    let (fault, user) = (world.random.between(0, 8_000), world.random.between(0, 8_000));
    world.after(fault, Event::Fault);
    world.after(user, Event::User);
    let span = world.random.between(FAULTS.0, FAULTS.1);
    world.run_until(begin + span);
    sound(world)?;
    calm(world)?;
    settle(world)?;
    stay(world)?;
    stop(world)
}

fn sound(world: &World) -> Result<(), String> {
    world.violation().map_or(Ok(()), |violation| Err(violation.0.clone()))
}

/// From here on nothing goes wrong any more. What hangs goes on hanging, and must be replaced.
fn calm(world: &mut World) -> Result<(), String> {
    world.faults = false;
    world.disk.set_full(false);
    world.disk.spare();
    world.tell(|| "no more faults".to_owned());
    // Whoever wishes something of a supervisor that is about to end, or to be killed, may have to wish it again.
    while let Some(until) = world.supervisor.as_ref().map(|it| it.stands_until).filter(|until| *until > world.now) {
        world.run_until(until);
    }
    // The same again leaves those that hang for the probes to find; another would replace them anyway.
    let target = if world.random.chance(500) {
        application::prepared(world.wanted.clone())
    } else {
        application::random(&mut world.random, false)
    };
    world.ask(Wish::Accept(Box::new(target)));
    for service in application::names() {
        let replicas = u32::try_from(world.random.between(1, 4)).unwrap_or(1);
        // A refusal, of a service that there is not, is an answer too.
        world.ask(Wish::Scale(service, replicas));
    }
    sound(world)
}

fn settle(world: &mut World) -> Result<(), String> {
    let until = world.now + SETTLES_WITHIN;
    loop {
        world.run_until(world.now + 1_000);
        sound(world)?;
        match world.unsettled() {
            None => return Ok(()),
            Some(why) if world.now >= until => return Err(format!("it does not settle: {why}")),
            Some(_) => {}
        }
    }
}

fn stay(world: &mut World) -> Result<(), String> {
    // What was on its way twice may still come, and be put right.
    world.run_until(world.now + LATE);
    let actions = world.counts.get("actions").copied();
    world.run_until(world.now + QUIET);
    sound(world)?;
    if let Some(why) = world.unsettled() {
        return Err(format!("it does not stay settled: {why}"));
    }
    if world.counts.get("actions").copied() != actions {
        return Err("something is done though everything is settled".to_owned());
    }
    Ok(())
}

fn stop(world: &mut World) -> Result<(), String> {
    world.tell(|| "user: down, at last".to_owned());
    world.ask(Wish::Stop);
    let until = world.now + STOPS_WITHIN;
    loop {
        world.run_until(world.now + 1_000);
        sound(world)?;
        match world.leftover() {
            None => return Ok(()),
            Some(why) if world.now >= until => return Err(format!("it does not stop: {why}")),
            Some(_) => {}
        }
    }
}
