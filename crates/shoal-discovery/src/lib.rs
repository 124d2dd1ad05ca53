//! What a running process and its supervisor tell each other: endpoints down; acknowledgements, counters and health up.
//!
//! Two channels. *Discovery* is newline-delimited JSON over a Unix stream socket ([`messages`]): the supervisor
//! publishes each service's endpoints and the gateway's routes ([`DiscoveryServer`]), the gateway and the SDK hold them
//! ([`Follower`]), acknowledge what they applied and report counters per edge ([`Edges`]). Its two halves are pure state
//! machines, [`publisher`] and [`holder`]; [`follow`] and [`serve`] only move bytes. *Health* ([`Health`], [`ask`]) is a
//! socket of each replica's own, served by its own thread. Beside them, [`kept`] has the listening sockets that a replica's
//! keeper hands out, and [`sockets`] those a process was started with.
//!
//! Never: decides which replica is ready, balances, or throws away endpoints because the supervisor is gone.

mod crash;
pub mod descriptors;
pub mod edges;
mod fault_ledger;
pub mod faults;
pub mod follow;
pub mod health;
pub mod holder;
pub mod kept;
mod lines;
pub mod messages;
mod published;
pub mod publisher;
mod reports;
pub mod serve;
pub mod sketch;
pub mod sockets;
mod watchers;

pub use crash::may_crash;
pub use edges::{Edge, Edges, InFlight};
pub use fault_ledger::PublishedFault;
pub use faults::{Faults, Hit, Strike, Try};
pub use follow::Follower;
pub use health::{Health, HealthAnswer, HealthWatch, ask};
pub use holder::View;
pub use messages::{
    Caller, EdgeReport, FromHolder, FromPublisher, HolderName, ListenerRoutes, RoutingTable, VERSION, Watches,
    understands,
};
pub use serve::{DiscoveryServer, DiscoverySettings};
pub use sketch::DurationSketch;
