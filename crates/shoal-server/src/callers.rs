//! Tells the gateway, by discovery, of the replicas that call through listening sockets of their own. What runs is told as
//! it is: there is nothing to decide.

use shoal_discovery::{Caller, DiscoveryServer};
use shoal_model::ReplicaName;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Tells of those that run now, and of each change, for as long as there is a runtime.
pub async fn tell(mut callers: watch::Receiver<Arc<BTreeMap<ReplicaName, Caller>>>, discovery: Arc<DiscoveryServer>) {
    loop {
        let now = Arc::clone(&callers.borrow_and_update());
        discovery.set_callers(now);
        if callers.changed().await.is_err() {
            return;
        }
    }
}
