//! The checker itself, proved: with each of these bugs planted in one service, it says which invariant does not hold.
//!
//! Never: plants a bug in a build that anybody uses: the programs with bugs are copies in a temporary folder.

use shoal_e2e::{CheckedStore, Output, Programs, programs, services};
use std::sync::{Mutex, PoisonError};

/// A bug: the services that have it, its name, what the checker must say of it, and how it is asked.
struct Bug {
    services: &'static [&'static str],
    name: &'static str,
    violated: &'static [&'static str],
    arguments: &'static [&'static str],
}

const CALM: &[&str] = &["--faults", "none", "--seconds", "7"];
/// Each turn of a probe shows it.
const SHORT: &[&str] = &["--faults", "none", "--seconds", "3"];
/// An order is taken over at the end.
const TAKEN_OVER: &[&str] = &["--faults", "kill-at", "--seconds", "2"];
const LOST: &[&str] = &["--faults", "lost-answer,duplicate", "--seconds", "10"];
const KILLS: &[&str] = &["--faults", "kill", "--services", "shipping,notify", "--seconds", "14"];

const BUGS: [Bug; 13] = [
    Bug { services: &["payment"], name: "charge-without-key", violated: &["3-charge", "4-money"], arguments: LOST },
    Bug { services: &["payment"], name: "refund-skipped", violated: &["4-money"], arguments: CALM },
    Bug { services: &["payment"], name: "no-fence", violated: &["5-fence"], arguments: SHORT },
    Bug { services: &["inventory"], name: "no-fence", violated: &["5-fence"], arguments: SHORT },
    Bug { services: &["orders"], name: "no-fence", violated: &["5-fence"], arguments: SHORT },
    Bug { services: &["checkout"], name: "no-fence", violated: &["5-fence"], arguments: TAKEN_OVER },
    Bug { services: &["inventory"], name: "check-then-insert", violated: &["1-stock"], arguments: CALM },
    Bug { services: &["inventory"], name: "freed-early", violated: &["8-reservation"], arguments: CALM },
    Bug { services: &["basket"], name: "clear-any-version", violated: &["7-basket"], arguments: CALM },
    Bug { services: &["checkout"], name: "key-ignored", violated: &["3-charge", "5-decided"], arguments: CALM },
    Bug { services: &["shipping"], name: "no-inbox", violated: &["9-events"], arguments: CALM },
    Bug { services: &["notify"], name: "no-inbox", violated: &["9-events"], arguments: CALM },
    Bug { services: &["shipping", "notify"], name: "place-before-effect", violated: &["9-events"], arguments: KILLS },
];

/// How many bugs are looked for at the same time; most of a look is waiting.
const AT_ONCE: usize = 3;

/// A bug shows when things meet in time, so each has several chances.
const SEEDS: [&str; 4] = ["7", "8", "9", "10"];

/// What the checker says of the store with a bug.
fn check(sound: &Programs, broken: &Programs, bug: &Bug, seed: &str) -> Output {
    let mut programs = sound.clone();
    let planted = format!("planted-bug = \"{}\"", bug.name);
    for service in bug.services {
        programs.insert((*service).to_owned(), broken[*service].clone());
    }
    let planted = bug.services.iter().map(|service| (*service, planted.as_str()));
    let settings: Vec<(&str, &str)> = planted.chain([("checkout", "lease-ms = 3000")]).collect();
    let store = CheckedStore::start(&programs, None, &settings);
    store.check(&[bug.arguments, &["--seed", seed, "--buyers", "6", "--patience", "20"]].concat())
}

/// What the checker said, where it did not find the bug by any seed.
fn missed(sound: &Programs, broken: &Programs, bug: &Bug) -> Option<String> {
    let mut said = String::new();
    for seed in SEEDS {
        let output = check(sound, broken, bug, seed);
        let is_found = bug.violated.iter().any(|invariant| output.stdout.contains(&format!("violated: {invariant}")));
        if output.code == Some(1) && is_found {
            return None;
        }
        said.push_str(&format!("{:?} {}: {output:?}\n", bug.services, bug.name));
    }
    Some(said)
}

#[test]
fn each_planted_bug_turns_the_checker_red() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut with_bugs: Vec<&str> = BUGS.iter().flat_map(|bug| bug.services).copied().collect();
    with_bugs.sort_unstable();
    with_bugs.dedup();
    let features: Vec<String> = with_bugs.iter().map(|service| format!("{service}/planted-bugs")).collect();
    let broken = programs(&with_bugs, &features, &folder.path().join("broken"));
    let sound = programs(&services(), &[], &folder.path().join("sound"));
    let bugs = Mutex::new(BUGS.iter());
    let next = || bugs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let look = || std::iter::from_fn(next).filter_map(|bug| missed(&sound, &broken, bug)).collect::<Vec<_>>();
    let missed: Vec<String> = std::thread::scope(|scope| {
        let looking: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(look)).collect();
        looking.into_iter().flat_map(|looking| looking.join().expect("every look ends")).collect()
    });
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
}
