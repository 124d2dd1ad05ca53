//! The figures, in the order in which they are printed. Never: one that depends on another having been measured.

mod gateway;
mod grpc;
mod life;
mod orders;
mod pages;
mod scale;
mod sdk;
mod store;

use crate::Failure;
use crate::report::Row;
use crate::rounds::Settings;

/// Something that is measured.
pub struct Figure {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// Measures it.
    pub measure: fn(&Settings) -> Result<Vec<Row>, Failure>,
}

/// All of them.
pub const ALL: &[Figure] = &[
    Figure {
        name: "gateway-cpu",
        title: "CPU of a proxy per request: 1 KiB answers, 64 kept connections, as many requests as it can take",
        measure: gateway::cpu,
    },
    Figure {
        name: "gateway-latency",
        title: "What a proxy adds at 2,000 requests a second, arriving whether or not the ones before were answered",
        measure: gateway::latency,
    },
    Figure {
        name: "grpc-proxy",
        title: "gRPC from a program without the SDK, through the local proxy: 1 KiB there and back on one connection",
        measure: grpc::proxy,
    },
    Figure {
        name: "sdk-call",
        title: "CPU of a call, caller and callee together: 1 KiB there and back, owned messages, 64 in flight",
        measure: sdk::call,
    },
    Figure {
        name: "in-process",
        title: "A call of a service in the same process, through the generated client",
        measure: sdk::in_process,
    },
    Figure { name: "balancing", title: "What choosing among replicas adds to a call", measure: sdk::balancing },
    Figure { name: "up", title: "Ten services with the SDK, from `shoal up` to everything ready", measure: life::up },
    Figure { name: "replace", title: "A killed replica, the only one of its service", measure: life::replace },
    Figure { name: "spawn", title: "A program with the SDK, from its start to its first answer", measure: life::spawn },
    Figure { name: "idle", title: "All that is Shoal's own, with ten services and nothing to do", measure: life::idle },
    Figure {
        name: "pages",
        title: "CPU of a page of the store, thirteen product views for each checkout",
        measure: pages::mix,
    },
    Figure {
        name: "orders",
        title: "Orders of the store, from the basket to the confirmation: 16 shoppers, each commit on disk",
        measure: orders::durable,
    },
    Figure {
        name: "scale",
        title: "A thousand services of ten replicas in the simulated runtime: a crash, until everybody knows the successor",
        measure: scale::change,
    },
];
