//! One module per verb. Each asks the control API or a pure crate, and prints; none holds logic that a script could not
//! reach the same way.

pub mod call;
pub mod check;
pub mod completions;
pub mod down;
pub mod fault;
pub mod graph;
pub mod logs;
pub mod new;
pub mod restart;
pub mod scale;
pub mod schema;
pub mod status;
pub mod up;
