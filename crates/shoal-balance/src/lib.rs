//! Pure load balancing: which endpoint takes the next request, and what becomes of one that fails.
//!
//! A [`Balancer`] holds the ready endpoints of one service, counts what each has in flight, and learns from how requests
//! end. [`Balancer::pick`] is a weighted power of two choices: two distinct endpoints are drawn in proportion to their
//! weights, and the one with the lower estimated load takes the request. The [`Pick`] holds that place until it is
//! finished or dropped. New endpoints start slowly, one that cannot be reached is left alone behind its breaker, and one
//! that fails much more than its peers is ejected for a while.
//!
//! ```
//! use shoal_balance::{Balancer, Moment, Outcome};
//!
//! let balancer = Balancer::default();
//! # let endpoint = shoal_model::Endpoint {
//! #     replica: "shop-1".parse()?,
//! #     revision: shoal_model::RevisionId(String::new()),
//! #     address: shoal_model::Address::Unix("/run/shop-1".into()),
//! #     weight: 100,
//! #     identity: None,
//! # };
//! balancer.replace(&[endpoint], Moment(0));
//! let pick = balancer.pick(Moment(10), 42).ok_or("all are gone")?;
//! // Ask `pick.endpoint()`; at the end of its answer's body, with the time as it is then:
//! pick.finish(Moment(2_000_010), Outcome::Succeeded);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Beside it stand the rules that go with it: [`may_retry`] and the [`RetryBudget`], [`Saturation`] for turning away what
//! matters least, and [`Waiting`] for how much may be held until a replica is ready.
//!
//! Never: reads a clock, a file or a socket, waits, logs, or makes its own randomness; the caller brings it.

mod balancer;
mod breaker;
mod candidate;
mod candidates;
mod ejection;
mod estimate;
mod load;
mod moment;
mod outcome;
mod retry;
mod settings;
mod shed;
mod waiting;

pub use balancer::{Balancer, Pick};
pub use moment::Moment;
pub use outcome::Outcome;
pub use retry::{Attempt, RetryBudget, RetrySettings, may_retry};
pub use settings::BalanceSettings;
pub use shed::{Admitted, Saturation};
pub use waiting::{Place, Waiting};
