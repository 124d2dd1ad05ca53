//! Drives the real `shoal` binary as a user would. What a test needs to say about an application is here; what it
//! expects is in `tests/`.
//!
//! Never: sleeps for a time where it could wait for a state; ends a process it did not start.

mod application;
mod browser;
mod checked;
mod hello;
mod page;
mod peers;
mod processes;
mod shopper;
mod store;
pub mod strict;
mod visit;
mod wait;

pub use application::{Application, Output, shoal};
pub use browser::{Browser, Window};
pub use checked::{CheckedStore, Programs, programs, services};
pub use hello::hello;
pub use page::{Page, get, send};
pub use peers::{Door, Peers, Proxy};
pub use processes::{alive, kill, pause, pids_with_variable, resume, terminate};
pub use shopper::{Form, Shopper};
pub use store::{BACKENDS, SharedStore, store};
pub use visit::Visit;
pub use wait::{PATIENCE, eventually};
