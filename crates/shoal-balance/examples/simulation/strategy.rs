//! Ways to choose an endpoint, side by side. Never: know how a replica is doing but by what they are told.

use shoal_balance::{BalanceSettings, Balancer, Moment, Outcome, Pick};
use shoal_model::{Address, Endpoint, ReplicaName, RevisionId, ServiceName};
use std::collections::BTreeMap;

/// A way to choose. A try is known by its number.
pub trait Strategy {
    /// These are the endpoints now, by their numbers.
    fn replace(&mut self, endpoints: &[usize], now: u64);
    /// The endpoint for this try, but not one of `avoided`.
    fn pick(&mut self, try_number: u64, now: u64, random: u64, avoided: &[usize]) -> Option<usize>;
    /// How the try ended; whether those who found none to pick should try again now.
    fn finish(&mut self, try_number: u64, now: u64, outcome: Outcome) -> bool;
    /// When to pick again after there was none to pick, if that is known.
    fn next_at(&self, now: u64) -> Option<u64>;
}

/// One after the other.
#[derive(Default)]
pub struct RoundRobin {
    endpoints: Vec<usize>,
    turn: usize,
}

impl Strategy for RoundRobin {
    fn replace(&mut self, endpoints: &[usize], _now: u64) {
        self.endpoints = endpoints.to_vec();
    }

    fn pick(&mut self, _try_number: u64, _now: u64, _random: u64, avoided: &[usize]) -> Option<usize> {
        let turns = (0..self.endpoints.len()).map(|step| self.endpoints[(self.turn + step) % self.endpoints.len()]);
        let picked = turns.into_iter().find(|endpoint| !avoided.contains(endpoint));
        self.turn += 1;
        picked
    }

    fn finish(&mut self, _try_number: u64, _now: u64, _outcome: Outcome) -> bool {
        false
    }

    fn next_at(&self, _now: u64) -> Option<u64> {
        None
    }
}

/// The one with the fewest requests under way; by lot among several.
#[derive(Default)]
pub struct LeastPending {
    endpoints: Vec<usize>,
    pending: BTreeMap<usize, u64>,
    tries: BTreeMap<u64, usize>,
}

impl Strategy for LeastPending {
    fn replace(&mut self, endpoints: &[usize], _now: u64) {
        self.endpoints = endpoints.to_vec();
    }

    fn pick(&mut self, try_number: u64, _now: u64, random: u64, avoided: &[usize]) -> Option<usize> {
        let count = |endpoint: &usize| self.pending.get(endpoint).copied().unwrap_or(0);
        let allowed: Vec<usize> =
            self.endpoints.iter().copied().filter(|endpoint| !avoided.contains(endpoint)).collect();
        let least = allowed.iter().map(&count).min()?;
        let least: Vec<usize> = allowed.into_iter().filter(|endpoint| count(endpoint) == least).collect();
        let picked = least[(random % least.len() as u64) as usize];
        *self.pending.entry(picked).or_default() += 1;
        self.tries.insert(try_number, picked);
        Some(picked)
    }

    fn finish(&mut self, try_number: u64, _now: u64, _outcome: Outcome) -> bool {
        if let Some(pending) = self.tries.remove(&try_number).and_then(|endpoint| self.pending.get_mut(&endpoint)) {
            *pending -= 1;
        }
        false
    }

    fn next_at(&self, _now: u64) -> Option<u64> {
        None
    }
}

/// The balancer of this package.
pub struct Shoal {
    pub balancer: Balancer,
    service: ServiceName,
    /// The weight of each endpoint; 100 where there is none.
    pub weights: BTreeMap<usize, u32>,
    picks: BTreeMap<u64, Pick>,
}

impl Shoal {
    pub fn new(settings: BalanceSettings) -> Self {
        let service = "simulated".parse().unwrap_or_else(|_| unreachable!("a valid name"));
        Self { balancer: Balancer::new(settings), service, weights: BTreeMap::new(), picks: BTreeMap::new() }
    }

    fn name(&self, endpoint: usize) -> ReplicaName {
        ReplicaName { service: self.service.clone(), serial: endpoint as u64 }
    }
}

impl Strategy for Shoal {
    fn replace(&mut self, endpoints: &[usize], now: u64) {
        let endpoints: Vec<Endpoint> = endpoints
            .iter()
            .map(|endpoint| Endpoint {
                replica: self.name(*endpoint),
                revision: RevisionId("simulated".to_owned()),
                address: Address::Unix(format!("/{endpoint}").into()),
                weight: self.weights.get(endpoint).copied().unwrap_or(100),
                identity: None,
            })
            .collect();
        self.balancer.replace(&endpoints, Moment(now));
    }

    fn pick(&mut self, try_number: u64, now: u64, random: u64, avoided: &[usize]) -> Option<usize> {
        let avoided: Vec<ReplicaName> = avoided.iter().map(|endpoint| self.name(*endpoint)).collect();
        let pick = self.balancer.pick_except(Moment(now), random, &avoided)?;
        let endpoint = pick.endpoint().replica.serial as usize;
        self.picks.insert(try_number, pick);
        Some(endpoint)
    }

    fn finish(&mut self, try_number: u64, now: u64, outcome: Outcome) -> bool {
        self.picks.remove(&try_number).is_some_and(|pick| pick.finish(Moment(now), outcome))
    }

    fn next_at(&self, now: u64) -> Option<u64> {
        self.balancer.next_at(Moment(now)).map(|moment| moment.0)
    }
}
