//! Which faults are made when: a function of the seed alone, so that a seed names a schedule for good. It replays the faults, not how calls
//! interleave with them. Never: makes one.

use crate::history::Moment;
use crate::random::Random;
use std::fmt;

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A replica is killed at once.
    Kill,
    /// A replica kills itself at a named point.
    KillAt,
    /// A service stands still for a while.
    Pause,
    /// Calls take longer.
    Delay,
    /// Calls fail before they are made.
    Error,
    /// Calls have their effect and no answer.
    LostAnswer,
    /// Calls are made twice.
    Duplicate,
    /// A service can write to no file.
    DiskFull,
    /// The supervisor is killed and started again.
    Supervisor,
    /// The gateway is killed.
    Gateway,
    /// A service's replicas are replaced one at a time, as an upgrade does.
    Replace,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 11] = [
        Self::Kill,
        Self::KillAt,
        Self::Pause,
        Self::Delay,
        Self::Error,
        Self::LostAnswer,
        Self::Duplicate,
        Self::DiskFull,
        Self::Supervisor,
        Self::Gateway,
        Self::Replace,
    ];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillAt => "kill-at",
            Self::Pause => "pause",
            Self::Delay => "delay",
            Self::Error => "error",
            Self::LostAnswer => "lost-answer",
            Self::Duplicate => "duplicate",
            Self::DiskFull => "disk-full",
            Self::Supervisor => "supervisor",
            Self::Gateway => "gateway",
            Self::Replace => "replace",
        }
    }

    /// Those that a list of words names, such as `kill,pause`, `all` or `none`.
    ///
    /// # Errors
    /// The first word that names none.
    pub fn menu(words: &str) -> Result<Vec<Self>, String> {
        match words {
            "all" => Ok(Self::ALL.to_vec()),
            "none" | "" => Ok(Vec::new()),
            words => words.split(',').map(Self::named).collect(),
        }
    }

    fn named(word: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == word.trim());
        found.ok_or_else(|| format!("`{}` is no kind of fault; there are: {known}, and all and none", word.trim()))
    }
}

/// How it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// By the `shoal` command with these words.
    Shoal(Vec<String>),
    /// By `kill -9` of one of a service's replicas; the number says which, whatever their count.
    KillReplica(&'static str, usize),
    /// By `kill -9` of the supervisor, and `shoal up`.
    KillSupervisor,
}

/// One fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When, in milliseconds since the schedule began.
    pub at: Moment,
    /// What kind it is.
    pub kind: Kind,
    /// How it is made.
    pub deed: Deed,
}

impl fmt::Display for Planned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.deed {
            Deed::Shoal(words) => formatter.write_str(&words.join(" ")),
            Deed::KillReplica(service, place) => write!(formatter, "kill -9 {service} (place {place})"),
            Deed::KillSupervisor => formatter.write_str("kill -9 the supervisor"),
        }
    }
}

/// Who calls whom in the store.
const PATHS: [&str; 18] = [
    "gateway->storefront",
    "storefront->catalogue",
    "storefront->basket",
    "storefront->customer",
    "storefront->inventory",
    "storefront->checkout",
    "storefront->orders",
    "storefront->shipping",
    "storefront->notify",
    "checkout->basket",
    "checkout->catalogue",
    "checkout->inventory",
    "checkout->payment",
    "checkout->orders",
    "checkout->shipping",
    "shipping->orders",
    "notify->orders",
    "notify->shipping",
];

/// The paths that a purchase depends on: hit more often than the rest.
const MONEY_PATHS: [&str; 6] = [
    "checkout->payment",
    "checkout->inventory",
    "checkout->orders",
    "checkout->basket",
    "storefront->checkout",
    "storefront->basket",
];

const SERVICES: [&str; 10] = [
    "storefront",
    "catalogue",
    "basket",
    "customer",
    "inventory",
    "checkout",
    "payment",
    "orders",
    "shipping",
    "notify",
];

const WITH_DATABASE: [&str; 9] =
    ["catalogue", "basket", "customer", "inventory", "checkout", "payment", "orders", "shipping", "notify"];

/// Where a purchase is decided: hit more often than the rest.
const DECIDING: [&str; 4] = ["checkout", "payment", "inventory", "orders"];

const CRASH_POINTS: [(&str, &[&str]); 4] = [
    (
        "checkout",
        &[
            "place.logging",
            "place.logged",
            "open.called",
            "open.logged",
            "reserve.called",
            "reserve.logged",
            "authorise.called",
            "authorise.logged",
            "commit-stock.called",
            "commit-stock.logged",
            "capture.called",
            "capture.logged",
            "confirm.called",
            "confirm.logged",
            "clear-basket.called",
            "clear-basket.logged",
            "undo-restock.called",
            "undo-restock.logged",
            "undo-void.called",
            "undo-void.logged",
            "undo-release.called",
            "undo-release.logged",
            "undo-cancel.called",
            "undo-cancel.logged",
        ],
    ),
    (
        "payment",
        &[
            "authorise.logged",
            "authorise.answered",
            "authorise.recorded",
            "capture.logged",
            "capture.answered",
            "capture.recorded",
            "void.logged",
            "void.answered",
            "void.recorded",
        ],
    ),
    ("inventory", &["reserve.committed", "commit.committed", "release.committed", "restock.committed"]),
    ("orders", &["open.committed", "confirm.committed", "cancel.committed"]),
];

/// The services that a list of words names, such as `payment,orders`; an empty list stands for all.
///
/// # Errors
/// The first word that names none.
pub fn services(words: &str) -> Result<Vec<&'static str>, String> {
    let known = |word: &str| {
        let found = SERVICES.into_iter().find(|service| *service == word.trim());
        found.ok_or_else(|| format!("`{}` is no service of the store; there are: {}", word.trim(), SERVICES.join(", ")))
    };
    words.split(',').filter(|word| !word.trim().is_empty()).map(known).collect()
}

/// The faults of a seed, over so many milliseconds, of these kinds; those that hit a service hit only these, or any when there are none.
#[must_use]
pub fn plan(seed: u64, length: Moment, kinds: &[Kind], services: &[&'static str]) -> Vec<Planned> {
    let mut random = Random::of(seed, "faults");
    let mut planned = Vec::new();
    let mut at = random.between(200, 1_200);
    while at < length {
        let Some(kind) = random.pick(kinds).copied() else { break };
        // What costs whole seconds of everybody's time is made more rarely.
        let is_rare = matches!(kind, Kind::Supervisor | Kind::Gateway | Kind::Replace);
        if !is_rare || random.chance(40) {
            let left = length.saturating_sub(at).clamp(1_000, 8_000);
            planned.push(Planned { at, kind, deed: deed(kind, &mut random, left, services) });
        }
        at += random.between(300, 1_500);
    }
    planned
}

fn deed(kind: Kind, random: &mut Random, longest: Moment, services: &[&'static str]) -> Deed {
    let path = |random: &mut Random| {
        let all: &[&str] = if random.chance(60) { &MONEY_PATHS } else { &PATHS };
        random.pick(all).map_or(PATHS[0], |path| *path)
    };
    let service = |random: &mut Random, all: &'static [&'static str]| {
        let all = if random.chance(50) { &DECIDING } else { all };
        let all = if services.is_empty() { all } else { services };
        random.pick(all).map_or(DECIDING[0], |service| *service)
    };
    let span = random.between(longest / 4, longest);
    let lasting = |mut words: Vec<String>| {
        words.extend(["--for".to_owned(), format!("{span}ms")]);
        fault(words)
    };
    let rate = |random: &mut Random| ["--rate".to_owned(), format!("0.{}", random.between(1, 9))];
    match kind {
        Kind::Kill => Deed::KillReplica(service(random, &SERVICES), usize::try_from(random.between(0, 7)).unwrap_or(0)),
        Kind::KillAt => kill_at(random),
        Kind::Pause => lasting(vec![service(random, &SERVICES).to_owned(), "pause".to_owned()]),
        Kind::DiskFull => lasting(vec![service(random, &WITH_DATABASE).to_owned(), "disk-full".to_owned()]),
        Kind::Delay => {
            let words = [path(random).to_owned(), "delay".to_owned(), format!("{}ms", random.between(20, 2_500))];
            lasting(words.into_iter().chain(rate(random)).collect())
        }
        Kind::Error => {
            let errors = ["unavailable", "internal", "resource-exhausted", "deadline-exceeded"];
            let error = random.pick(&errors).map_or("unavailable", |error| *error);
            let mut words = vec![path(random).to_owned(), "error".to_owned(), error.to_owned()];
            // What a guest collected must come along also when only that step fails.
            if random.chance(15) {
                words = ["storefront->basket", "error", error, "--method", "Merge"].map(str::to_owned).to_vec();
            }
            lasting(words.into_iter().chain(rate(random)).collect())
        }
        Kind::LostAnswer | Kind::Duplicate => {
            let path = match path(random) {
                // A form that puts something into a basket puts it there as often as it is sent; the buyers themselves send those twice that
                // must have their effect once.
                "gateway->storefront" if kind == Kind::Duplicate => "storefront->checkout",
                path => path,
            };
            let words = [path, kind.name()].map(str::to_owned);
            lasting(words.into_iter().chain(rate(random)).collect())
        }
        Kind::Supervisor => Deed::KillSupervisor,
        Kind::Gateway => Deed::KillReplica("gateway", 0),
        Kind::Replace => Deed::Shoal(vec!["restart".to_owned(), service(random, &SERVICES).to_owned()]),
    }
}

fn kill_at(random: &mut Random) -> Deed {
    let (service, points) = random.pick(&CRASH_POINTS).copied().unwrap_or(CRASH_POINTS[0]);
    let point = random.pick(points).map_or("", |point| *point);
    fault([service, "kill", "--at", point, "--times", "1"].map(str::to_owned).to_vec())
}

fn fault(words: Vec<String>) -> Deed {
    Deed::Shoal(["fault", "add"].map(str::to_owned).into_iter().chain(words).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_is_always_the_same_schedule() {
        assert_eq!(plan(7, 60_000, &Kind::ALL, &[]), plan(7, 60_000, &Kind::ALL, &[]));
        assert_ne!(plan(7, 60_000, &Kind::ALL, &[]), plan(8, 60_000, &Kind::ALL, &[]));
    }

    #[test]
    fn every_kind_comes_and_none_that_was_not_asked_for() {
        let kinds = |menu: &[Kind]| {
            plan(1, 600_000, menu, &[]).into_iter().map(|planned| planned.kind).collect::<BTreeSet<_>>()
        };
        assert_eq!(kinds(&Kind::ALL), BTreeSet::from(Kind::ALL));
        assert_eq!(kinds(&[Kind::Pause]), BTreeSet::from([Kind::Pause]));
        assert_eq!(plan(1, 600_000, &[], &[]), []);
        assert!(plan(1, 5_000, &Kind::ALL, &[]).iter().all(|planned| planned.at < 5_000));
    }

    #[test]
    fn only_the_services_asked_for_are_killed() {
        let planned = plan(1, 60_000, &[Kind::Kill], &["notify"]);
        assert!(!planned.is_empty());
        assert!(planned.iter().all(|planned| matches!(planned.deed, Deed::KillReplica("notify", _))));
        assert_eq!(services("notify, payment"), Ok(vec!["notify", "payment"]));
        assert_eq!(services(""), Ok(Vec::new()));
        assert!(services("mail").is_err());
    }

    #[test]
    fn menus_are_read() {
        assert_eq!(Kind::menu("kill, lost-answer"), Ok(vec![Kind::Kill, Kind::LostAnswer]));
        assert_eq!(Kind::menu("none"), Ok(Vec::new()));
        assert!(Kind::menu("kil").is_err_and(|why| why.contains("kill-at")));
    }
}
