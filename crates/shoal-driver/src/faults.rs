//! Wishes for faults, and which of them the callers and the publisher are to be told of. Never decides how a fault is kept.

use crate::accepted::Accepted;
use crate::core::Answer;
use shoal_model::{Fault, FaultId, FaultTarget, Millis, Observation, ServiceName};
use shoal_reconcile::{FaultStatus, Refusal, State};

/// What can be wanted of faults.
pub enum FaultWish {
    /// Put this one on.
    Add(Fault),
    /// Take this one away.
    Remove(FaultId),
    /// Take all away.
    RemoveAll,
    /// Have what runs of this target die now.
    Kill(FaultTarget),
}

/// Grants a wish, or says why not.
pub(crate) fn grant(
    wish: FaultWish,
    state: &mut State,
    accepted: Option<&Accepted>,
    now: Millis,
) -> Result<Answer, Refusal> {
    match wish {
        FaultWish::Add(fault) => {
            refuse_unrouted(&fault.target, accepted)?;
            let id = state.add_fault(fault, now)?;
            Ok(Answer::Faults(state.faults().into_iter().filter(|fault| fault.id == id).collect()))
        }
        FaultWish::Remove(id) => Ok(Answer::Faults(vec![state.remove_fault(id)?])),
        FaultWish::RemoveAll => Ok(Answer::Faults(state.remove_faults())),
        FaultWish::Kill(target) => Ok(Answer::Count(u32::try_from(state.kill(&target)?).unwrap_or(u32::MAX))),
    }
}

/// From outside only those services are called that a route leads to.
fn refuse_unrouted(target: &FaultTarget, accepted: Option<&Accepted>) -> Result<(), Refusal> {
    let FaultTarget::Call { caller, callee } = target else { return Ok(()) };
    if *caller != ServiceName::gateway() {
        return Ok(());
    }
    let routes = accepted.and_then(|accepted| accepted.application.gateway.as_ref()).map(|gateway| &gateway.routes);
    if routes.into_iter().flatten().any(|route| route.service == *callee) {
        return Ok(());
    }
    Err(Refusal::new(format!("no route of the gateway leads to {callee}, so that it never calls it")))
}

/// The faults, when they are not those of before but for how often they happened.
pub(crate) fn changed(before: &State, after: &State) -> Option<Vec<FaultStatus>> {
    let (before, after) = (before.faults(), after.faults());
    let same = before.len() == after.len() && before.iter().zip(&after).all(|(before, after)| before.id == after.id);
    (!same).then_some(after)
}

/// How often faults have happened, as it was seen.
pub(crate) fn counted(seen: &[Observation]) -> Vec<(FaultId, u64)> {
    let count = |seen: &Observation| match seen {
        Observation::FaultHappened { fault, total } => Some((*fault, *total)),
        _ => None,
    };
    seen.iter().filter_map(count).collect()
}

/// Whether any of these counts is of a fault that may happen only so often.
pub(crate) fn is_bounded(state: &State, counted: &[(FaultId, u64)]) -> bool {
    if counted.is_empty() {
        return false;
    }
    let mut bounded = state.faults().into_iter().filter(|known| known.fault.times.is_some());
    bounded.any(|known| counted.iter().any(|(id, total)| *id == known.id && *total > known.happened))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Core, Turn, Wish};
    use crate::store::full_disk::Disk;
    use crate::test_world::{running, service, target};
    use crate::{Prepared, Store};
    use shoal_discovery::RoutingTable;
    use shoal_model::{Application, FaultKind, FaultRate, Gateway, Limits, Observation, Route};
    use std::collections::BTreeMap;

    const NOW: Millis = Millis(1_000);

    fn accepted(core: &mut Core) {
        let route = Route { host: None, path: "/".to_owned(), service: service("a"), limits: Limits::default() };
        let listen = "127.0.0.1:0".parse().unwrap();
        let gateway = Some(Gateway { listen, tls: None, routes: vec![route] });
        let application = Application { name: service("shop"), gateway, services: BTreeMap::new() };
        let services = BTreeMap::from([target("a", "r1", 1), target("b", "r1", 1), target("gateway", "r1", 1)]);
        let prepared = Prepared { application, services, routing: RoutingTable::default(), public: None };
        assert!(core.turn(Vec::new(), vec![Wish::Accept(Box::new(prepared))], NOW).answers[0].is_ok());
        let _running = core.turn(vec![running("a-1")], Vec::new(), NOW);
    }

    fn fault(target: FaultTarget, kind: FaultKind) -> Fault {
        Fault { target, kind, rate: FaultRate::ALWAYS, method: None, times: None, until: None }
    }

    fn from_outside(callee: &str) -> FaultWish {
        let target = FaultTarget::Call { caller: ServiceName::gateway(), callee: service(callee) };
        FaultWish::Add(fault(target, FaultKind::LostAnswer))
    }

    fn wish(core: &mut Core, wish: FaultWish) -> Turn {
        core.turn(Vec::new(), vec![Wish::Fault(wish)], NOW)
    }

    #[test]
    fn what_was_granted_is_kept_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let mut core = Core::open(Store::open(&path).unwrap()).unwrap();
        accepted(&mut core);
        let turn = wish(&mut core, from_outside("a"));
        assert!(matches!(&turn.answers[0], Ok(Answer::Faults(added)) if added[0].id == FaultId(1)));
        assert!(turn.is_kept && turn.faults.is_some_and(|faults| faults.len() == 1));
        let refused = wish(&mut core, from_outside("b"));
        let sentence = refused.answers[0].as_ref().err().unwrap().to_string();
        assert_eq!(sentence, "no route of the gateway leads to b, so that it never calls it");
        let counted = Observation::FaultHappened { fault: FaultId(1), total: 5 };
        let turn = core.turn(vec![counted], Vec::new(), NOW);
        assert!(turn.faults.is_none() && !turn.is_kept, "a count alone is nobody's business");
        drop(core);

        let mut core = Core::open(Store::open(&path).unwrap()).unwrap();
        assert_eq!(core.state().faults().len(), 1);
        let turn = wish(&mut core, FaultWish::RemoveAll);
        assert!(turn.faults.is_some_and(|faults| faults.is_empty()));
        assert!(wish(&mut core, FaultWish::Remove(FaultId(1))).answers[0].is_err());
    }

    #[test]
    fn how_often_a_fault_with_a_bound_has_happened_outlives_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let mut core = Core::open(disk.store(&folder.path().join("state.redb"))).unwrap();
        accepted(&mut core);
        let bounded = Fault { times: Some(3), ..fault(FaultTarget::Service(service("a")), FaultKind::LostAnswer) };
        assert!(wish(&mut core, FaultWish::Add(bounded)).is_kept);
        let happened = |total| vec![Observation::FaultHappened { fault: FaultId(1), total }];
        assert_eq!(core.turn(happened(1), Vec::new(), NOW).counted, [(FaultId(1), 1)]);
        disk.set_full(true);
        assert_eq!(core.turn(happened(2), Vec::new(), NOW).counted, [], "that could not be kept");
        disk.set_full(false);
        assert_eq!(core.turn(Vec::new(), Vec::new(), NOW).counted, [(FaultId(1), 2)]);
        drop(core);
        let mut core = Core::open(disk.store(&folder.path().join("state.redb"))).unwrap();
        assert_eq!(core.state().faults()[0].happened, 2);
        let turn = core.turn(happened(3), Vec::new(), NOW);
        assert_eq!(turn.counted, [(FaultId(1), 3)]);
        assert!(turn.faults.is_some_and(|faults| faults.is_empty()), "it is spent");
    }

    #[test]
    fn what_cannot_be_kept_does_not_happen() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::default());
        let mut core = Core::open(disk.store(&folder.path().join("state.redb"))).unwrap();
        accepted(&mut core);
        disk.set_full(true);
        for wished in [from_outside("a"), FaultWish::Kill(FaultTarget::Service(service("a")))] {
            let turn = wish(&mut core, wished);
            assert!(turn.answers[0].is_err() && turn.faults.is_none() && turn.actions.is_empty());
        }
        disk.set_full(false);
        assert!(core.turn(Vec::new(), Vec::new(), NOW).actions.is_empty(), "nor later");
        let killed = wish(&mut core, FaultWish::Kill(FaultTarget::Service(service("a"))));
        assert!(matches!(killed.answers[0], Ok(Answer::Count(1))) && killed.actions.len() == 1);
    }
}
