//! What happens to each application, in this order.

use crate::faults::Fault;
use shoal_e2e::BACKENDS;

/// The store's services.
pub const STORE: [&str; 10] = [
    "storefront",
    "basket",
    "catalogue",
    "checkout",
    "customer",
    "inventory",
    "notify",
    "orders",
    "payment",
    "shipping",
];

/// What happens to the store.
pub const OF_THE_STORE: &[(&str, Fault)] = &[
    ("storefronts killed one by one", |faults| faults.kill_one_by_one("storefront", 4)),
    ("catalogues killed one by one", |faults| faults.kill_one_by_one("catalogue", 4)),
    ("every storefront killed", |faults| faults.kill_all("storefront")),
    ("each service behind it killed", |faults| {
        for service in BACKENDS {
            faults.kill_all(service);
        }
    }),
    ("supervisor killed", |faults| faults.replace_supervisor()),
    ("supervisor killed while scaling", |faults| {
        faults.while_running(&["scale", "catalogue=4"], |faults| faults.until_count("catalogue", 3));
        faults.application.until_ready("catalogue", 4);
    }),
    ("supervisor killed while restarting", |faults| {
        let before = faults.pids(&["catalogue"]);
        faults.while_running(&["restart", "catalogue"], |faults| {
            faults.until("a replica is new", |faults| {
                faults.pids(&["catalogue"]).iter().any(|pid| !before.contains(pid))
            });
        });
        faults.until_renewed(&["catalogue"], &before);
    }),
    ("gateway killed three times", |faults| (0..3).for_each(|_| faults.kill_all("gateway"))),
    ("gateway terminated three times", |faults| (0..3).for_each(|_| faults.terminate_gateway())),
    ("supervisor and gateway killed", |faults| faults.kill_supervisor_and_gateway()),
    ("scaled up and down", |faults| {
        for (service, count) in
            [("storefront", 4), ("basket", 2), ("catalogue", 1), ("storefront", 2), ("catalogue", 2), ("basket", 1)]
        {
            faults.scale(service, count);
        }
    }),
    ("everything restarted", |faults| faults.restart_all()),
];

/// The services of the two unmodified programs.
pub const PROGRAMS: [&str; 2] = ["pages", "stock"];

/// What happens to the two unmodified programs.
pub const OF_THE_PROGRAMS: &[(&str, Fault)] = &[
    ("callees killed one by one", |faults| faults.kill_one_by_one("stock", 4)),
    ("every callee killed", |faults| faults.kill_all("stock")),
    ("every caller killed", |faults| faults.kill_all("pages")),
    ("supervisor killed", |faults| faults.replace_supervisor()),
    ("gateway killed three times", |faults| (0..3).for_each(|_| faults.kill_all("gateway"))),
    ("gateway terminated three times", |faults| (0..3).for_each(|_| faults.terminate_gateway())),
    ("supervisor and gateway killed", |faults| faults.kill_supervisor_and_gateway()),
    ("scaled up and down", |faults| {
        for (service, count) in [("stock", 4), ("pages", 1), ("stock", 1), ("pages", 2), ("stock", 2)] {
            faults.scale(service, count);
        }
    }),
    ("everything restarted", |faults| faults.restart_all()),
];
