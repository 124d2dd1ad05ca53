//! The eleven invariants as pure functions over a history. Each judge says what it found wrong; none asks the store anything.

mod baskets;
mod containment;
mod course;
mod events;
mod fences;
mod money;
mod orders;
mod reservations;
mod stock;
#[cfg(test)]
mod tests;

pub use baskets::given_up;

use crate::history::History;
use std::collections::BTreeSet;
use std::fmt;

/// What must hold. The numbers are those of the invariants as the store documents them; that they hold while services are replaced,
/// number 10, is judged by replacing services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// 1: no oversell, no stock leak.
    Stock,
    /// 2: no lost order.
    Orders,
    /// 3: no double charge.
    Charge,
    /// 4: money is conserved.
    Money,
    /// 5: a charge for each order and an order for each charge; nothing stays undecided.
    Decided,
    /// 5 again: whoever lost an order to another replica commands it no more.
    Fence,
    /// 6: paid is what was shown.
    Price,
    /// 7: baskets are kept, merged once, and do not come back once bought.
    Basket,
    /// 8: a reservation lasts its time, and no longer.
    Reservation,
    /// 9: one shipment and one mail, however often an event is delivered.
    Events,
    /// 11: what is not needed may be out of order.
    Containment,
}

impl Invariant {
    /// Its number and its name, for reports and scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "1-stock",
            Self::Orders => "2-orders",
            Self::Charge => "3-charge",
            Self::Money => "4-money",
            Self::Decided => "5-decided",
            Self::Fence => "5-fence",
            Self::Price => "6-price",
            Self::Basket => "7-basket",
            Self::Reservation => "8-reservation",
            Self::Events => "9-events",
            Self::Containment => "11-containment",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub invariant: Invariant,
    /// One sentence.
    pub sentence: String,
    /// The baskets, keys, orders and products it is about.
    pub subjects: BTreeSet<String>,
}

impl Violation {
    fn new<const COUNT: usize>(invariant: Invariant, sentence: String, subjects: [&str; COUNT]) -> Self {
        Self { invariant, sentence, subjects: subjects.into_iter().map(str::to_owned).collect() }
    }
}

/// Everything that is wrong with a history.
#[must_use]
pub fn judge(history: &History) -> Vec<Violation> {
    let judges = [
        stock::judge,
        orders::judge,
        money::judge,
        fences::judge,
        baskets::judge,
        reservations::judge,
        events::judge,
        containment::judge,
    ];
    judges.into_iter().flat_map(|judge| judge(history)).collect()
}
