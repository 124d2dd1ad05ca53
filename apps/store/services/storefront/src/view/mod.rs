//! What pages are built from: pure functions from small structs to markup.
//! Nothing here calls a service, reads a cookie or knows a message of the contracts. Text is escaped by construction.

pub mod card;
pub mod field;
pub mod icon;
pub mod layout;
pub mod notice;
pub mod summary;

pub use card::Card;
pub use layout::{Count, Frame, Shelf, Visitor};
pub use notice::Notice;
