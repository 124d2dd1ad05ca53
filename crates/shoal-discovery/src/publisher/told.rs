//! What a holder has not been told of what its callees take, and of the callers that it serves. What is returned counts as
//! told.

use super::Held;
use crate::messages::{CALLERS_PER_LINE_MAX, Caller, FromPublisher, RoutingTable, Watches};
use shoal_model::{ReplicaName, ServiceName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a holder has not been told of how much its callees take.
pub(super) fn concurrency(holder: &mut Held, routing: Option<&Arc<RoutingTable>>) -> Option<FromPublisher> {
    let table = routing?;
    if holder.concurrency.as_ref().is_some_and(|told| Arc::ptr_eq(told, table)) {
        return None;
    }
    let of_holder = |table: &RoutingTable| -> BTreeMap<ServiceName, u32> {
        let all = table.concurrency_max.iter();
        all.filter(|(service, _)| holder.watches.includes(service)).map(|(name, most)| (name.clone(), *most)).collect()
    };
    let max = of_holder(table);
    let told = holder.concurrency.as_deref().map(of_holder);
    holder.concurrency = Some(Arc::clone(table));
    // On a new connection also when there is nothing to say: an earlier publisher may have said something.
    (told.as_ref() != Some(&max)).then_some(FromPublisher::Concurrency { max })
}

/// What a holder has not been told of the callers it serves.
pub(super) fn callers(
    holder: &mut Held,
    callers: Option<&Arc<BTreeMap<ReplicaName, Caller>>>,
) -> Option<FromPublisher> {
    let callers = callers.filter(|_| holder.watches == Watches::All)?;
    let is_snapshot = holder.callers.is_none();
    let told = holder.callers.get_or_insert_default();
    if !is_snapshot && Arc::ptr_eq(told, callers) {
        return None;
    }
    let differs = |(replica, caller): &(&ReplicaName, &Caller)| told.get(*replica) != Some(*caller);
    let added: Vec<Caller> =
        callers.iter().filter(differs).map(|(_, caller)| caller.clone()).take(CALLERS_PER_LINE_MAX).collect();
    let removed: Vec<ReplicaName> =
        told.keys().filter(|replica| !callers.contains_key(*replica)).take(CALLERS_PER_LINE_MAX).cloned().collect();
    if added.len() < CALLERS_PER_LINE_MAX && removed.len() < CALLERS_PER_LINE_MAX {
        *told = Arc::clone(callers);
    } else {
        let told = Arc::make_mut(told);
        told.extend(added.iter().map(|caller| (caller.replica.clone(), caller.clone())));
        told.retain(|replica, _| !removed.contains(replica));
    }
    let continues = *told != *callers;
    // What was begun is ended, also when it was taken back meanwhile.
    let is_begun = std::mem::replace(&mut holder.callers_continue, continues);
    let is_news = is_snapshot || is_begun || !added.is_empty() || !removed.is_empty();
    is_news.then_some(FromPublisher::Callers { is_snapshot, added, removed, continues })
}
