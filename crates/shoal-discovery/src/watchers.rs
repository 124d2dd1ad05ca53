//! Which connections watch a service: an index, so that a change looks at those it concerns and at no other. Knows nothing
//! of what they were told.

use crate::messages::Watches;
use crate::publisher::ConnectionId;
use shoal_model::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// By service, the connections that watch it.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    by_service: BTreeMap<ServiceName, BTreeSet<ConnectionId>>,
    /// Those that watch every service; they are in each of the sets too.
    of_all: BTreeSet<ConnectionId>,
}

impl Watchers {
    /// A connection watches these from now on.
    pub(crate) fn join(&mut self, id: ConnectionId, watches: &Watches) {
        match watches {
            Watches::All => {
                self.of_all.insert(id);
                for watchers in self.by_service.values_mut() {
                    watchers.insert(id);
                }
            }
            Watches::Only(services) => {
                for service in services {
                    self.by_service.entry(service.clone()).or_insert_with(|| self.of_all.clone()).insert(id);
                }
            }
        }
    }

    /// A connection watches nothing any more.
    pub(crate) fn leave(&mut self, id: ConnectionId, watches: &Watches) {
        self.of_all.remove(&id);
        match watches {
            Watches::All => {
                for watchers in self.by_service.values_mut() {
                    watchers.remove(&id);
                }
            }
            Watches::Only(services) => {
                for service in services {
                    let left = self.by_service.get_mut(service).map(|watchers| {
                        watchers.remove(&id);
                        watchers.len()
                    });
                    // A set that only has those of all is made anew when it is needed.
                    if left == Some(self.of_all.len()) {
                        self.by_service.remove(service);
                    }
                }
            }
        }
    }

    /// The connections that watch a service, in their order.
    pub(crate) fn of(&self, service: &ServiceName) -> &BTreeSet<ConnectionId> {
        self.by_service.get(service).unwrap_or(&self.of_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        name.parse().unwrap()
    }

    fn ids(watchers: &Watchers, name: &str) -> Vec<ConnectionId> {
        watchers.of(&service(name)).iter().copied().collect()
    }

    #[test]
    fn who_watches_all_watches_each_whenever_it_came() {
        let (mut watchers, id) = (Watchers::default(), ConnectionId::numbered);
        let only = Watches::Only(BTreeSet::from([service("a"), service("b")]));
        watchers.join(id(1), &only);
        watchers.join(id(2), &Watches::All);
        watchers.join(id(3), &Watches::Only(BTreeSet::from([service("c")])));
        assert_eq!(ids(&watchers, "a"), [id(1), id(2)]);
        assert_eq!(ids(&watchers, "c"), [id(2), id(3)]);
        assert_eq!(ids(&watchers, "d"), [id(2)]);
        watchers.leave(id(1), &only);
        assert_eq!((ids(&watchers, "a"), watchers.by_service.len()), (vec![id(2)], 1));
        watchers.leave(id(2), &Watches::All);
        assert_eq!((ids(&watchers, "a"), ids(&watchers, "c")), (vec![], vec![id(3)]));
    }
}
