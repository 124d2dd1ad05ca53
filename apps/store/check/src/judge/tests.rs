//! Made-up histories: for each judge one that is right, and one for each thing that can be wrong with it.

use super::{Invariant, given_up, judge};
use crate::history::{
    Action, End, Entry, History, KeyEnd, Lines, MailsEnd, Moment, Money, MoneyTotals, OrderEnd, OrderState, Outcome,
    PaymentEnd, Shown, StockTotals, Told,
};
use std::collections::{BTreeMap, BTreeSet};

/// The names of what a history violates.
fn violated(history: &History) -> BTreeSet<&'static str> {
    judge(history).into_iter().map(|violation| violation.invariant.name()).collect()
}

#[track_caller]
fn is_green(history: &History) {
    assert_eq!(judge(history), []);
}

#[track_caller]
fn is_red(history: &History, invariant: Invariant) {
    let violated = violated(history);
    assert!(violated.contains(invariant.name()), "{violated:?}");
}

/// A history in which each entry takes 10 ms, one after another.
#[derive(Default)]
struct Story(History);

impl Story {
    fn then(self, action: Action) -> Self {
        self.ended(action, Outcome::Ok)
    }

    fn ended(mut self, action: Action, outcome: Outcome) -> Self {
        let start = self.0.entries.last().map_or(0, |entry| entry.end);
        self.0.entries.push(Entry { start, end: start + 10, who: "somebody".to_owned(), action, outcome });
        self
    }

    fn unknown(self, action: Action) -> Self {
        self.ended(action, Outcome::Unknown("lost".to_owned()))
    }

    fn refused(self, action: Action) -> Self {
        self.ended(action, Outcome::Failed("refused".to_owned()))
    }

    fn wait(mut self, milliseconds: Moment) -> Self {
        let start = self.0.entries.last().map_or(0, |entry| entry.end) + milliseconds;
        self.0.entries.push(Entry {
            start,
            end: start,
            who: "time".to_owned(),
            action: Action::Healed,
            outcome: Outcome::Ok,
        });
        self
    }

    fn end(mut self, end: End) -> History {
        self.0.end = Some(end);
        self.0
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn lines(lines: &[(&str, i64)]) -> Lines {
    lines.iter().map(|(product, pieces)| (text(product), *pieces)).collect()
}

fn euros(minor: i64) -> Money {
    Money { minor, currency: text("EUR") }
}

fn add(product: &str, pieces: i64) -> Action {
    Action::Add { basket: text("b"), product: text(product), pieces }
}

fn basket(contents: &[(&str, i64)]) -> Action {
    Action::Basket { basket: text("b"), lines: lines(contents) }
}

/// Two mugs come along at a sign-in, while the order of a key is under way.
fn merge(pressed: Option<&str>) -> Action {
    Action::Merge { basket: text("b"), merge: text("m"), lines: lines(&[("mug", 2)]), pressed: pressed.map(text) }
}

fn press(key: &str) -> Action {
    let shown = Shown { total: euros(500), total_text: text("€5.00"), lines: lines(&[("mug", 1)]) };
    let (basket, customer, card) = (text("b"), Some(text("ada")), text("4242"));
    Action::Press { key: text(key), basket, customer, shown, card, until: None }
}

fn learn(key: &str, told: Told) -> Action {
    Action::Learn { key: text(key), told: Some(told), until: None }
}

/// What is true at the end when the key `k` has the order `o`.
fn end() -> End {
    let order = OrderEnd { state: OrderState::Confirmed, total: euros(500), lines: lines(&[("mug", 1)]), events: 1 };
    End {
        keys: BTreeMap::from([(text("k"), KeyEnd { order: text("o"), state: OrderState::Confirmed })]),
        orders: BTreeMap::from([(text("o"), order)]),
        payments: BTreeMap::from([(text("o"), PaymentEnd { captures: 1, kept: 500, held: 0 })]),
        shipments: BTreeMap::from([(text("o"), 1)]),
        mails: BTreeMap::from([(text("o"), MailsEnd { confirmed: 1, cancelled: 0, packed: 1 })]),
        probes: BTreeSet::new(),
        unfinished: Vec::new(),
    }
}

fn cancelled() -> End {
    let mut end = end();
    end.keys.values_mut().for_each(|key| key.state = OrderState::Cancelled);
    end.orders.values_mut().for_each(|order| order.state = OrderState::Cancelled);
    end.payments.insert(text("o"), PaymentEnd::default());
    end.shipments.clear();
    end.mails.insert(text("o"), MailsEnd { cancelled: 1, ..MailsEnd::default() });
    end
}

fn bought() -> Story {
    Story::default().then(add("mug", 1)).then(press("k")).then(learn("k", Told::Placed(text("o"))))
}

fn changed(change: impl FnOnce(&mut End)) -> History {
    let mut end = end();
    change(&mut end);
    bought().end(end)
}

#[test]
fn a_purchase_is_in_order() {
    let order = |page| Action::Order { order: text("o"), page };
    let confirmed = || Some((OrderState::Confirmed, text("€5.00")));
    let listed = BTreeMap::from([(text("o"), OrderState::Confirmed)]);
    let story = bought()
        .then(order(confirmed()))
        .then(Action::Orders { customer: text("ada"), listed })
        .then(Action::Quiet)
        .then(basket(&[]));
    is_green(&story.end(end()));
    is_green(
        &Story::default().then(add("mug", 1)).unknown(press("k")).then(learn("k", Told::Refused)).end(cancelled()),
    );
}

#[test]
fn an_acknowledged_order_that_is_gone_is_lost() {
    let gone = |page| Action::Order { order: text("o"), page };
    is_red(&bought().then(gone(None)).end(end()), Invariant::Orders);
    is_red(&bought().then(gone(Some((OrderState::Cancelled, text("€5.00"))))).end(end()), Invariant::Orders);
    let unlisted = Action::Orders { customer: text("ada"), listed: BTreeMap::new() };
    is_red(&bought().then(unlisted).end(end()), Invariant::Orders);
    is_red(&changed(|end| drop(end.orders.remove("o"))), Invariant::Orders);
    is_red(&changed(|end| drop(end.keys.remove("k"))), Invariant::Orders);
    // Before it is acknowledged, and where nobody knows, nothing is promised.
    is_green(&Story::default().then(gone(None)).then(add("mug", 1)).then(press("k")).end(end()));
    is_green(&bought().unknown(gone(None)).end(end()));
}

#[test]
fn one_key_has_one_order() {
    is_red(&bought().then(learn("k", Told::Placed(text("p")))).end(end()), Invariant::Charge);
    let another = changed(|end| {
        let order = end.orders["o"].clone();
        end.orders.insert(text("p"), order);
    });
    is_red(&another, Invariant::Decided);
    is_red(&bought().then(learn("k", Told::Refused)).end(end()), Invariant::Decided);
}

#[test]
fn each_order_is_charged_once() {
    is_red(
        &changed(|end| {
            end.payments.insert(text("o"), PaymentEnd { captures: 2, kept: 1_000, held: 0 }).map_or((), drop)
        }),
        Invariant::Charge,
    );
    is_red(&changed(|end| end.payments.clear()), Invariant::Decided);
    is_red(&changed(|end| end.payments.values_mut().for_each(|payment| payment.held = 5)), Invariant::Money);
    let mut charged = cancelled();
    charged.payments.insert(text("o"), PaymentEnd { captures: 1, kept: 500, held: 0 });
    is_red(&Story::default().then(press("k")).end(charged), Invariant::Decided);
    is_red(&changed(|end| end.unfinished.push(text("an order"))), Invariant::Decided);
}

#[test]
fn nobody_is_told_of_nothing_when_there_is_an_order() {
    let began = || Story::default().then(add("mug", 1));
    is_red(&began().refused(press("k")).end(end()), Invariant::Decided);
    is_red(&began().refused(press("k")).refused(press("k")).end(end()), Invariant::Decided);
    is_green(&began().refused(press("k")).then(press("k")).end(end()));
    is_red(&began().unknown(press("k")).then(learn("k", Told::Refused)).end(end()), Invariant::Decided);
    is_green(&began().refused(press("k")).then(learn("k", Told::Refused)).end(cancelled()));
}

#[test]
fn what_did_not_arrive_in_its_time_never_does() {
    let sent = |moment| {
        let mut press = press("k");
        if let Action::Press { until, .. } = &mut press {
            *until = moment;
        }
        press
    };
    let told = |until| Action::Learn { key: text("k"), told: Some(Told::NotReceived), until };
    let story = |until| Story::default().then(add("mug", 1)).unknown(sent(until));
    is_red(&story(Some(7)).then(told(Some(7))).end(end()), Invariant::Decided);
    is_red(&story(Some(7)).refused(press("k")).then(told(Some(8))).end(end()), Invariant::Decided);
    // It was in time; or nobody knows until when it may come, since the store never answered; or it was sent again.
    is_green(&story(Some(8)).then(told(Some(7))).end(end()));
    is_green(&story(None).then(told(Some(7))).end(end()));
    is_green(&story(Some(7)).then(told(None)).end(end()));
    is_green(&story(Some(7)).then(told(Some(7))).unknown(sent(Some(9))).end(end()));
    is_green(&story(Some(7)).then(told(Some(7))).end(cancelled()));
}

#[test]
fn what_is_paid_is_what_was_shown() {
    is_red(&changed(|end| end.orders.values_mut().for_each(|order| order.total = euros(501))), Invariant::Price);
    is_red(
        &changed(|end| end.orders.values_mut().for_each(|order| order.lines = lines(&[("mug", 2)]))),
        Invariant::Price,
    );
    is_red(&changed(|end| end.payments.values_mut().for_each(|payment| payment.kept = 499)), Invariant::Price);
    let page = Action::Order { order: text("o"), page: Some((OrderState::Confirmed, text("€6.00"))) };
    is_red(&bought().then(page).end(end()), Invariant::Price);
}

fn money(captured: i64, captures: i64) -> MoneyTotals {
    MoneyTotals { captured, captures, ..MoneyTotals::default() }
}

fn payments(totals: MoneyTotals) -> Action {
    Action::MoneyAudit { currencies: BTreeMap::from([(text("EUR"), totals)]) }
}

fn orders(confirmed: i64, minor: i64) -> Action {
    Action::OrdersAudit { confirmed, totals: BTreeMap::from([(text("EUR"), minor)]) }
}

#[test]
fn money_is_conserved_at_every_read() {
    is_green(&Story::default().then(orders(1, 500)).then(payments(money(500, 1))).end(End::default()));
    // It is captured before it is confirmed.
    is_green(&Story::default().then(orders(0, 0)).then(payments(money(500, 1))).0);
    is_red(&Story::default().then(orders(1, 500)).then(payments(money(0, 0))).0, Invariant::Money);
    is_red(&Story::default().then(orders(0, 0)).then(payments(money(500, 1))).end(End::default()), Invariant::Money);
    is_red(&Story::default().then(orders(1, 500)).then(payments(money(500, 2))).end(End::default()), Invariant::Charge);
    is_red(&Story::default().then(payments(MoneyTotals { ledger_sum: 1, ..money(0, 0) })).0, Invariant::Money);
    is_red(&Story::default().then(payments(MoneyTotals { held: -1, ..money(0, 0) })).0, Invariant::Money);
    let held = MoneyTotals { held: 1, ..money(0, 0) };
    is_green(&Story::default().then(payments(held.clone())).0);
    is_red(&Story::default().then(orders(0, 0)).then(payments(held)).end(End::default()), Invariant::Money);
}

fn stock(on_hand: i64, reserved: i64, confirmed: i64, received: i64) -> Action {
    let totals = StockTotals { on_hand, reserved, confirmed, received, restocked: 0 };
    Action::StockAudit { balanced: true, products: BTreeMap::from([(text("mug"), totals)]) }
}

fn receive(pieces: i64) -> Action {
    Action::Receive { product: text("mug"), pieces }
}

#[test]
fn stock_is_balanced_at_every_read() {
    is_green(&Story::default().then(stock(5, 2, 3, 10)).0);
    is_red(&Story::default().then(stock(5, 2, 4, 10)).0, Invariant::Stock);
    is_red(&Story::default().then(stock(-1, 0, 11, 10)).0, Invariant::Stock);
    is_red(
        &Story::default().then(Action::StockAudit { balanced: false, products: BTreeMap::new() }).0,
        Invariant::Stock,
    );
}

#[test]
fn what_was_sold_is_what_was_ordered_and_delivered() {
    let story = |last| bought().then(stock(10, 0, 0, 10)).then(receive(2)).then(last);
    is_green(&story(stock(11, 0, 1, 12)).end(end()));
    is_red(&story(stock(12, 0, 0, 12)).end(end()), Invariant::Stock);
    is_red(&story(stock(10, 0, 2, 12)).end(end()), Invariant::Stock);
    is_red(&story(stock(10, 1, 1, 12)).end(end()), Invariant::Stock);
    is_red(&story(stock(9, 0, 1, 10)).end(end()), Invariant::Stock);
    is_red(&story(stock(13, 0, 1, 14)).end(end()), Invariant::Stock);
    let unknown = bought().then(stock(10, 0, 0, 10)).unknown(receive(2)).then(stock(9, 0, 1, 10));
    is_green(&unknown.end(end()));
}

#[test]
fn what_was_put_into_a_basket_is_there() {
    is_green(&Story::default().then(add("mug", 2)).then(add("mug", 1)).then(basket(&[("mug", 3)])).0);
    is_red(&Story::default().then(add("mug", 2)).then(basket(&[])).0, Invariant::Basket);
    is_red(&Story::default().then(add("mug", 2)).then(basket(&[("mug", 4)])).0, Invariant::Basket);
    is_red(&Story::default().then(basket(&[("mug", 1)])).0, Invariant::Basket);
    is_red(&Story::default().refused(add("mug", 2)).then(basket(&[("mug", 2)])).0, Invariant::Basket);
    let set = |pieces| Action::Set { basket: text("b"), product: text("mug"), pieces };
    is_green(&Story::default().then(add("mug", 2)).then(set(5)).then(basket(&[("mug", 5)])).0);
    is_red(&Story::default().then(add("mug", 2)).then(set(0)).then(basket(&[("mug", 2)])).0, Invariant::Basket);
}

#[test]
fn what_nobody_knows_may_happen_late_and_once() {
    let story = || Story::default().then(add("mug", 2)).unknown(add("mug", 1));
    for pieces in [2, 3] {
        is_green(&story().then(basket(&[("mug", pieces)])).then(basket(&[("mug", 3)])).0);
    }
    is_red(&story().then(basket(&[("mug", 4)])).0, Invariant::Basket);
    is_red(&story().then(basket(&[("mug", 3)])).then(basket(&[("mug", 2)])).0, Invariant::Basket);
    is_green(&story().then(add("mug", 1)).then(basket(&[("mug", 3)])).then(basket(&[("mug", 4)])).0);
}

#[test]
fn what_was_bought_leaves_and_stays_away() {
    let story = || bought().then(basket(&[("mug", 1)]));
    is_green(&story().then(basket(&[])).then(Action::Quiet).then(basket(&[])).end(end()));
    is_red(&story().then(Action::Quiet).then(basket(&[("mug", 1)])).end(end()), Invariant::Basket);
    is_red(&story().then(basket(&[])).then(basket(&[("mug", 1)])).end(end()), Invariant::Basket);
    // What was not bought stays, and of what was put beside it only that.
    is_red(&story().then(basket(&[])).end(cancelled()), Invariant::Basket);
    let more = || story().then(add("mug", 1)).then(basket(&[("mug", 2)]));
    is_green(&more().then(Action::Quiet).then(basket(&[("mug", 1)])).end(end()));
    is_red(&more().then(Action::Quiet).then(basket(&[("mug", 2)])).end(end()), Invariant::Basket);
    is_red(&more().then(basket(&[])).end(end()), Invariant::Basket);
    let other_tab = || bought().then(add("bowl", 1));
    is_green(&other_tab().then(Action::Quiet).then(basket(&[("bowl", 1)])).end(end()));
    is_red(&other_tab().then(basket(&[])).end(end()), Invariant::Basket);
}

#[test]
fn a_merge_adds_once() {
    let story = || Story::default().then(add("mug", 1)).unknown(merge(None)).then(merge(None));
    is_green(&story().then(basket(&[("mug", 3)])).0);
    is_red(&story().then(basket(&[("mug", 5)])).0, Invariant::Basket);
    let done = || story().then(Action::Quiet);
    is_green(&done().then(basket(&[("mug", 3)])).end(End::default()));
    is_red(&done().then(basket(&[("mug", 1)])).end(End::default()), Invariant::Basket);
}

#[test]
fn what_came_along_after_a_purchase_stays() {
    let story = || bought().then(merge(None)).then(Action::Quiet);
    is_green(&story().then(basket(&[("mug", 2)])).end(end()));
    is_red(&story().then(basket(&[("mug", 3)])).end(end()), Invariant::Basket);
    is_red(&story().then(basket(&[])).end(end()), Invariant::Basket);
}

/// The order `k` of a guest who signs in before it is decided, and the order `l` of one mug by the customer they became.
fn guest_and_customer() -> End {
    let mut end = end();
    let l = end.orders["o"].clone();
    end.orders.values_mut().for_each(|order| order.lines = lines(&[("mug", 2)]));
    end.keys.insert(text("l"), KeyEnd { order: text("p"), state: OrderState::Confirmed });
    end.orders.insert(text("p"), l);
    end.payments.insert(text("p"), PaymentEnd { captures: 1, kept: 500, held: 0 });
    end.shipments.insert(text("p"), 1);
    end.mails.insert(text("p"), end.mails["o"]);
    end
}

fn press_of(key: &str, of: &str, pieces: i64) -> Action {
    let shown = Shown { total: euros(500), total_text: text("€5.00"), lines: lines(&[("mug", pieces)]) };
    Action::Press { key: text(key), basket: text(of), customer: None, shown, card: text("4242"), until: None }
}

#[test]
fn what_a_guest_bought_is_not_bought_again_by_the_customer_they_became() {
    let story = || {
        Story::default()
            .then(Action::Add { basket: text("guest"), product: text("mug"), pieces: 2 })
            .unknown(press_of("k", "guest", 2))
            .then(merge(Some("k")))
    };
    let quiet = |story: Story| story.then(Action::Quiet).then(basket(&[]));
    // It may have come along and leave later, or not come along at all.
    is_green(&quiet(story().then(basket(&[("mug", 2)]))).end(one_order()));
    is_green(&quiet(story().then(basket(&[]))).end(one_order()));
    is_red(&story().then(Action::Quiet).then(basket(&[("mug", 2)])).end(one_order()), Invariant::Basket);
    let came_and_left = || story().then(basket(&[("mug", 2)])).then(basket(&[]));
    is_green(&came_and_left().end(one_order()));
    is_red(&came_and_left().then(basket(&[("mug", 2)])).end(one_order()), Invariant::Basket);
    // What was refused comes along, and stays.
    is_green(&story().then(Action::Quiet).then(basket(&[("mug", 2)])).end(cancelled()));
    is_red(&story().then(Action::Quiet).then(basket(&[])).end(cancelled()), Invariant::Basket);
    // The customer's own piece may be bought, the guest's may not.
    let own = || story().then(add("mug", 1)).then(basket(&[("mug", 1)])).then(press_of("l", "b", 1));
    is_green(&quiet(own()).end(guest_and_customer()));
    let both = story().then(add("mug", 1)).then(basket(&[("mug", 3)])).then(press_of("l", "b", 3));
    let mut twice = guest_and_customer();
    twice.orders.entry(text("p")).and_modify(|order| order.lines = lines(&[("mug", 3)]));
    is_red(&quiet(both).end(twice), Invariant::Basket);
}

fn one_order() -> End {
    let mut end = end();
    end.orders.values_mut().for_each(|order| order.lines = lines(&[("mug", 2)]));
    end
}

#[test]
fn what_cannot_be_followed_is_counted() {
    let many = (0..11).fold(Story::default(), |story, _| story.unknown(add("mug", 1)));
    let history = many.then(add("bowl", 1)).then(basket(&[("bowl", 1), ("mug", 99)])).0;
    is_green(&history);
    assert_eq!(given_up(&history), 1);
    assert_eq!(given_up(&bought().end(end())), 0);
}

#[test]
fn a_reservation_lasts_its_time() {
    let reserve =
        |order: &str, pieces| Action::Reserve { order: text(order), product: text("mug"), pieces, ttl: 1_000 };
    let available = |pieces| Action::Available { product: text("mug"), pieces };
    let story = || Story::default().then(receive(5)).then(reserve("a", 3));
    is_green(&story().then(available(2)).wait(900).then(available(2)).wait(100).then(available(5)).0);
    is_green(&story().wait(7_000).then(available(5)).0);
    is_red(&story().then(available(5)).0, Invariant::Reservation);
    is_red(&story().wait(900).then(available(5)).0, Invariant::Reservation);
    is_red(&story().wait(7_000).then(available(2)).0, Invariant::Reservation);
    is_red(&story().then(reserve("b", 3)).0, Invariant::Reservation);
    is_green(&story().refused(reserve("b", 3)).wait(1_100).then(reserve("b", 3)).then(available(2)).0);
}

#[test]
fn a_lower_fence_is_refused() {
    let lower = || Action::LowerFence { order: text("o"), command: text("Void") };
    is_green(&Story::default().refused(lower()).unknown(lower()).0);
    is_red(&Story::default().then(lower()).0, Invariant::Fence);
}

#[test]
fn each_order_has_one_shipment_and_one_mail_about_each() {
    is_red(&changed(|end| end.shipments.clear()), Invariant::Events);
    is_red(&changed(|end| end.shipments.values_mut().for_each(|count| *count = 2)), Invariant::Events);
    is_red(&changed(|end| end.mails.values_mut().for_each(|mails| mails.confirmed = 2)), Invariant::Events);
    is_red(&changed(|end| end.mails.values_mut().for_each(|mails| mails.packed = 0)), Invariant::Events);
    is_red(&changed(|end| end.orders.values_mut().for_each(|order| order.events = 2)), Invariant::Events);
    let mut shipped = cancelled();
    shipped.shipments.insert(text("o"), 1);
    is_red(&Story::default().then(press("k")).end(shipped), Invariant::Events);
}

#[test]
fn what_is_not_needed_may_be_gone() {
    let buy = || Action::BuyWithout { without: text("notify") };
    is_green(&Story::default().then(buy()).0);
    is_red(&Story::default().refused(buy()).0, Invariant::Containment);
    is_red(&Story::default().unknown(buy()).0, Invariant::Containment);
}
