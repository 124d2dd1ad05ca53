//! What happened in a run, as seen from outside: each call with its times and whether it succeeded, definitely failed, or
//! nobody can tell; and what was true at the end. Data only: `judge` says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Milliseconds since the run began, by a clock that only goes forward.
pub type Moment = u64;

/// Pieces by product.
pub type Lines = BTreeMap<String, i64>;

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, and took effect.
    Ok,
    /// It was answered, and had and will have no effect.
    Failed(String),
    /// Nobody can tell: it may have taken effect, or may do so later.
    Unknown(String),
}

/// One call, or one fault.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it began.
    pub start: Moment,
    /// When its outcome was known.
    pub end: Moment,
    /// Who did it.
    pub who: String,
    /// What.
    pub action: Action,
    /// What became of it.
    pub outcome: Outcome,
}

/// An amount in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    /// Exact minor units.
    pub minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.minor, self.currency)
    }
}

/// What the page that asks for the card showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The total in the form.
    pub total: Money,
    /// The total as people read it.
    pub total_text: String,
    /// What would be bought.
    pub lines: Lines,
}

/// What the store says of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderState {
    /// Not decided yet.
    Pending,
    /// Paid.
    Confirmed,
    /// Will not be.
    Cancelled,
}

/// What a page says of a key under which an order was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is the order of this number, confirmed.
    Placed(String),
    /// It was refused; nothing is paid.
    Refused,
    /// It is not decided yet.
    Pending,
    /// It never arrived.
    NotReceived,
}

/// One product's totals in the stock's audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockTotals {
    /// Can be sold.
    pub on_hand: i64,
    /// Set aside.
    pub reserved: i64,
    /// Sold, ever.
    pub confirmed: i64,
    /// Delivered, ever.
    pub received: i64,
    /// Came back after being sold, ever.
    pub restocked: i64,
}

/// One currency's totals in the payments' audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoneyTotals {
    /// All accounts together.
    pub ledger_sum: i64,
    /// Ever, in minor units.
    pub captured: i64,
    /// Ever, in minor units.
    pub refunded: i64,
    /// Now, in minor units.
    pub held: i64,
    /// How many, ever.
    pub captures: i64,
}

/// What is done, with what an answer said. Baskets, keys and orders are named as the run names them.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "what no judge asks for is still shown with a violation")]
pub enum Action {
    /// Puts more pieces of a product into a basket.
    Add { basket: String, product: String, pieces: i64 },
    /// Sets a product's pieces in a basket.
    Set { basket: String, product: String, pieces: i64 },
    /// Signs in, which moves these lines from a guest's basket into the customer's, unless the order of these lines that the guest `pressed`
    /// the button for, if any, came to be before. Repeats have the same `merge`.
    Merge { basket: String, merge: String, lines: Lines, pressed: Option<String> },
    /// Reads a basket.
    Basket { basket: String, lines: Lines },
    /// Sends the form that places an order. `until`: from when on it is not placed any more, where the store's answer says so.
    Press { key: String, basket: String, customer: Option<String>, shown: Shown, card: String, until: Option<i64> },
    /// Learns what became of a key, on a page that says what is true from the moment `until` on.
    Learn { key: String, told: Option<Told>, until: Option<i64> },
    /// Its owner reads an order's page; the state and the total as people read it. `None`: there is no such page.
    Order { order: String, page: Option<(OrderState, String)> },
    /// A customer reads the list of their orders, from its first page to its last.
    Orders { customer: String, listed: BTreeMap<String, OrderState> },
    /// Reads the stock's audit.
    StockAudit { balanced: bool, products: BTreeMap<String, StockTotals> },
    /// Reads the payments' audit.
    MoneyAudit { currencies: BTreeMap<String, MoneyTotals> },
    /// Reads the orders' audit: how many are confirmed, and their totals by currency.
    OrdersAudit { confirmed: i64, totals: BTreeMap<String, i64> },
    /// Books a delivery.
    Receive { product: String, pieces: i64 },
    /// Sets pieces aside under `order`, for so many milliseconds.
    Reserve { order: String, product: String, pieces: i64, ttl: u64 },
    /// Reads how many pieces can be sold.
    Available { product: String, pieces: i64 },
    /// Commands an order with a fencing token lower than one it was commanded with before: it has to fail.
    LowerFence { order: String, command: String },
    /// A fault is made or taken away, or something is replaced.
    Fault { fault: String },
    /// Somebody buys from the first page to the last while only `without` is out of order.
    BuyWithout { without: String },
    /// All faults are taken away, and every service is ready again.
    Healed,
    /// Nothing is under way any more.
    Quiet,
}

/// What the store says of a key at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEnd {
    /// Its order.
    pub order: String,
    /// Where that stands.
    pub state: OrderState,
}

/// An order at the end, as its event told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEnd {
    /// Confirmed or cancelled.
    pub state: OrderState,
    /// What it costs.
    pub total: Money,
    /// What was bought.
    pub lines: Lines,
    /// How many events there are about it.
    pub events: usize,
}

/// An order's payment at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentEnd {
    /// How often money was taken.
    pub captures: usize,
    /// What was taken less what was given back.
    pub kept: i64,
    /// What is still held.
    pub held: i64,
}

/// Mails about an order at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailsEnd {
    /// That it is confirmed.
    pub confirmed: usize,
    /// That it did not go through.
    pub cancelled: usize,
    /// That its parcel is being packed.
    pub packed: usize,
}

/// What was true once nothing was under way any more.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// Each key that was ever sent, as far as the checkout knows it.
    pub keys: BTreeMap<String, KeyEnd>,
    /// Every order that was decided in this run.
    pub orders: BTreeMap<String, OrderEnd>,
    /// The payment of each of those.
    pub payments: BTreeMap<String, PaymentEnd>,
    /// How many shipments each has.
    pub shipments: BTreeMap<String, usize>,
    /// Its mails.
    pub mails: BTreeMap<String, MailsEnd>,
    /// Orders that probes made, which no key belongs to.
    pub probes: BTreeSet<String>,
    /// What was still under way when patience was over; empty when all was quiet.
    pub unfinished: Vec<String>,
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which outcomes were known.
    pub entries: Vec<Entry>,
    /// `None` when the run broke off before.
    pub end: Option<End>,
}

impl Entry {
    /// Whether it succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

impl History {
    /// The entries that succeeded.
    pub fn succeeded(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_ok())
    }
}

impl Action {
    /// The names of everything it is about: baskets, keys, orders, customers, products.
    #[must_use]
    pub fn subjects(&self) -> Vec<&str> {
        match self {
            Action::Add { basket, product, .. } | Action::Set { basket, product, .. } => vec![basket, product],
            Action::Merge { basket, .. } | Action::Basket { basket, .. } => vec![basket],
            Action::Press { key, basket, customer, .. } => {
                [Some(key), Some(basket), customer.as_ref()].into_iter().flatten().map(String::as_str).collect()
            }
            Action::Learn { key, told: Some(Told::Placed(order)), .. } => vec![key, order],
            Action::Learn { key, .. } => vec![key],
            Action::Order { order, .. } | Action::LowerFence { order, .. } => vec![order],
            Action::Orders { customer, .. } => vec![customer],
            Action::Receive { product, .. } | Action::Available { product, .. } => vec![product],
            Action::Reserve { order, product, .. } => vec![order, product],
            Action::BuyWithout { without } => vec![without],
            Action::StockAudit { .. }
            | Action::MoneyAudit { .. }
            | Action::OrdersAudit { .. }
            | Action::Fault { .. }
            | Action::Healed
            | Action::Quiet => Vec::new(),
        }
    }
}
