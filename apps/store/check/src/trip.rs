//! What a shopper does on the pages, one step each: every step is logged with what its answer said. Decides nothing: `buyer` does.

use crate::history::{Action, Lines, Moment, Money, OrderState, Outcome, Shown, Told};
use crate::page::{Page, Visitor, attribute, encoded, plain};
use crate::world::World;
use std::collections::BTreeMap;

/// Pages of a customer's orders that are read at most.
const LIST_PAGES_MAX: usize = 100;

/// One visitor and the basket that is theirs for now.
#[derive(Clone)]
pub struct Trip<'a> {
    /// The run.
    pub world: &'a World,
    /// Who it is, for the log.
    pub who: String,
    /// The cookies.
    pub visitor: Visitor,
    /// The run's name for the basket.
    pub basket: String,
    /// The run's name for who is signed in.
    pub customer: Option<String>,
}

/// The form that places an order.
#[derive(Clone, Debug)]
pub struct PayForm {
    /// The key that it is placed under.
    pub key: String,
    /// What the page showed.
    pub shown: Shown,
    basket_version: String,
}

/// What pressing the button led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// The order of this number is placed.
    Placed(String),
    /// Nobody can tell yet; this page will.
    Look(String),
    /// Nothing was ordered.
    Failed,
}

/// What the payment's page is.
#[derive(Debug)]
pub enum PayPage {
    /// It asks for the card.
    Form(PayForm),
    /// Something is sold out: it asks for no card.
    Blocked,
    /// There is nothing to pay for, or the address is missing.
    Elsewhere,
    /// Nobody can tell right now.
    Unknown,
}

impl<'a> Trip<'a> {
    /// A guest who has just come.
    #[must_use]
    pub fn new(world: &'a World, who: &str, basket: String) -> Self {
        Self { world, who: who.to_owned(), visitor: world.guest(), basket, customer: None }
    }

    fn note(&self, start: Moment, action: Action, outcome: Outcome) -> bool {
        let is_ok = outcome == Outcome::Ok;
        self.world.note(&self.who, start, action, outcome);
        is_ok
    }

    /// Puts pieces of a product into the basket. False unless that is certain.
    pub fn add(&mut self, product: &str, pieces: i64) -> bool {
        let start = self.world.now();
        let answer = self.visitor.post("/basket/add", &[("product", product), ("quantity", &pieces.to_string())]);
        let action = Action::Add { basket: self.basket.clone(), product: product.to_owned(), pieces };
        self.note(start, action, changed(answer, "done=added"))
    }

    /// Sets the pieces of a product, at the version that the basket's page shows.
    pub fn set(&mut self, product: &str, pieces: i64) -> bool {
        let Ok(page) = self.visitor.get("/basket") else { return false };
        let Some(version) = page.field("version") else { return false };
        let start = self.world.now();
        let fields = [("product", product), ("quantity", &pieces.to_string()), ("version", version.as_str())];
        let answer = self.visitor.post("/basket/set", &fields);
        let action = Action::Set { basket: self.basket.clone(), product: product.to_owned(), pieces };
        let done = if pieces == 0 { "done=removed" } else { "done=updated" };
        self.note(start, action, changed(answer, done))
    }

    /// Reads the basket. `None` when it does not show.
    pub fn read_basket(&mut self) -> Option<Lines> {
        let start = self.world.now();
        let lines = self.visitor.get("/basket").ok().and_then(|page| basket_lines(&page));
        let action = Action::Basket { basket: self.basket.clone(), lines: lines.clone().unwrap_or_default() };
        let outcome = if lines.is_some() { Outcome::Ok } else { Outcome::Unknown("it does not show".to_owned()) };
        self.note(start, action, outcome);
        lines
    }

    /// Says where orders go. False unless that is certain.
    pub fn deliver(&mut self, email: &str) -> bool {
        let fields = [
            ("email", email),
            ("name", "Ada Lovelace"),
            ("line1", "12 Analytical Row"),
            ("postcode", "10115"),
            ("city", "Berlin"),
            ("country", "DE"),
        ];
        self.visitor.post("/checkout", &fields).is_ok_and(|page| page.location == "/checkout/pay")
    }

    /// Opens the payment's page; what it shows of the basket is a read of it.
    pub fn pay_page(&mut self) -> PayPage {
        let start = self.world.now();
        let Ok(page) = self.visitor.get("/checkout/pay") else { return PayPage::Unknown };
        if !page.location.is_empty() {
            return PayPage::Elsewhere;
        }
        if page.text("blocked").is_some() {
            return PayPage::Blocked;
        }
        let Some(form) = self.pay_form(&page) else { return PayPage::Unknown };
        let action = Action::Basket { basket: self.basket.clone(), lines: form.shown.lines.clone() };
        self.note(start, action, Outcome::Ok);
        PayPage::Form(form)
    }

    fn pay_form(&self, page: &Page) -> Option<PayForm> {
        let mut lines = Lines::new();
        let summary = page.body.split("class=\"slim-lines\"").nth(1)?.split("</ul>").next()?;
        for line in summary.split("<span>").skip(1) {
            let (pieces, name) = line.split("</span>").next()?.split_once(" × ")?;
            let product = self.world.products.get(&plain(name))?;
            lines.insert(product.clone(), pieces.trim().parse().ok()?);
        }
        let total = Money { minor: page.field("total")?.parse().ok()?, currency: page.field("currency")? };
        let shown = Shown { total, total_text: page.text("total")?, lines };
        Some(PayForm { key: page.field("key")?, shown, basket_version: page.field("basket_version")? })
    }

    /// Presses the button.
    pub fn press(&mut self, form: &PayForm, card: &str) -> Pressed {
        let start = self.world.now();
        let total = form.shown.total.minor.to_string();
        let fields = [
            ("key", form.key.as_str()),
            ("total", &total),
            ("currency", &form.shown.total.currency),
            ("basket_version", &form.basket_version),
            ("card", card),
        ];
        let answer = self.visitor.post("/checkout/pay", &fields);
        let outcome_page = format!("/checkout/outcome/{}", form.key);
        let mut until = None;
        let (outcome, pressed) = match answer {
            Err(why) => (Outcome::Unknown(why), Pressed::Look(outcome_page)),
            Ok(page) if page.location.starts_with(&outcome_page) => {
                until = moment(&page.location);
                (Outcome::Unknown("it is being decided".to_owned()), Pressed::Look(page.location))
            }
            Ok(page) => match placed(&page.location) {
                Some(order) => (Outcome::Ok, Pressed::Placed(order)),
                None => (Outcome::Failed(format!("{} {}", page.status, page.location)), Pressed::Failed),
            },
        };
        let key = form.key.clone();
        let action = Action::Press {
            key: key.clone(),
            basket: self.basket.clone(),
            customer: self.customer.clone(),
            shown: form.shown.clone(),
            card: card.to_owned(),
            until,
        };
        self.note(start, action, outcome);
        if let Pressed::Placed(order) = &pressed {
            self.note(start, Action::Learn { key, told: Some(Told::Placed(order.clone())), until: None }, Outcome::Ok);
        }
        pressed
    }

    /// Asks once what became of a key.
    pub fn learn(&mut self, key: &str, path: &str) -> Option<Told> {
        let start = self.world.now();
        let answer = self.visitor.get(path);
        let told = answer.as_ref().ok().and_then(|page| {
            let says = |text: &str| page.body.contains(text);
            match placed(&page.location) {
                Some(order) => Some(Told::Placed(order)),
                None if says("Your order was not placed") => Some(Told::Refused),
                None if says("is on its way to being placed") || says("not reached us yet") => Some(Told::Pending),
                None if says("Your order did not reach us") => Some(Told::NotReceived),
                None => None,
            }
        });
        let outcome = match (&told, answer) {
            (Some(_), _) => Outcome::Ok,
            (None, Err(why)) => Outcome::Unknown(why),
            (None, Ok(page)) => Outcome::Unknown(format!("{} {}", page.status, page.location)),
        };
        let until = moment(path);
        self.note(start, Action::Learn { key: key.to_owned(), told: told.clone(), until }, outcome);
        told
    }

    /// Reads the page of an order of this visitor's.
    pub fn read_order(&mut self, order: &str) -> bool {
        let start = self.world.now();
        let answer = self.visitor.get(&format!("/orders/{order}"));
        let (page, outcome) = match answer {
            Err(why) => (None, Outcome::Unknown(why)),
            Ok(page) if page.status == 404 => (None, Outcome::Ok),
            Ok(page) => match (page.text("order-state").as_deref().and_then(state), page.text("total")) {
                (Some(state), Some(total)) => (Some((state, total)), Outcome::Ok),
                _ => (None, Outcome::Unknown(format!("it does not show: {}", page.status))),
            },
        };
        self.note(start, Action::Order { order: order.to_owned(), page }, outcome)
    }

    /// Reads the list of the customer's orders to its end. True when it was shown.
    pub fn read_orders(&mut self) -> bool {
        let Some(customer) = self.customer.clone() else { return true };
        let start = self.world.now();
        let mut listed = BTreeMap::new();
        let mut path = "/account".to_owned();
        let mut outcome = Outcome::Unknown("the list has no end".to_owned());
        for _ in 0..LIST_PAGES_MAX {
            let page = match self.visitor.get(&path) {
                Ok(page) if page.text("orders").is_some() => page,
                Ok(page) => {
                    outcome = Outcome::Unknown(format!("it does not show: {} {}", page.status, page.location));
                    break;
                }
                Err(why) => {
                    outcome = Outcome::Unknown(why);
                    break;
                }
            };
            for part in page.parts("order") {
                let state =
                    part.split("data-test=\"order-state\">").nth(1).and_then(|rest| state(rest.split('<').next()?));
                listed.extend(attribute(part, "data-order").zip(state));
            }
            let older = page.body.split("<a href=\"/account?page=").nth(1).and_then(|rest| rest.split('"').next());
            let Some(older) = older else {
                outcome = Outcome::Ok;
                break;
            };
            path = format!("/account?page={}", plain(older));
        }
        self.note(start, Action::Orders { customer, listed }, outcome)
    }

    /// Opens an account, or signs in to it, with these fields; the lines of the guest's basket come along. False unless that is certain.
    pub fn sign_in(&mut self, path: &str, fields: &[(&str, &str)], merge: &Merge<'_>) -> SignIn {
        let start = self.world.now();
        let (outcome, result) = match self.visitor.post(path, fields) {
            Err(why) => (Outcome::Unknown(why), SignIn::Unknown),
            Ok(page) if page.location.contains("done=registered") || page.location.contains("done=signed-in") => {
                (Outcome::Ok, SignIn::Done)
            }
            Ok(page) if page.body.contains("has an account already") => {
                (Outcome::Failed("known".to_owned()), SignIn::Known)
            }
            Ok(page) => (Outcome::Failed(format!("{} {}", page.status, page.location)), SignIn::Refused),
        };
        let action = Action::Merge {
            basket: merge.basket.to_owned(),
            merge: merge.name.to_owned(),
            lines: merge.lines.clone(),
            pressed: merge.pressed.map(str::to_owned),
        };
        self.note(start, action, outcome);
        if result == SignIn::Done {
            self.basket = merge.basket.to_owned();
            self.customer = Some(merge.basket.to_owned());
            // The token of forms has changed.
            let _ = self.visitor.get(&format!("/search?q={}", encoded("mug")));
        }
        result
    }
}

/// What comes along at a sign-in.
#[derive(Clone, Debug)]
pub struct Merge<'a> {
    /// The run's name for this sign-in, however often it is tried.
    pub name: &'a str,
    /// The customer's basket.
    pub basket: &'a str,
    /// What the guest's basket holds.
    pub lines: &'a Lines,
    /// The key under which the guest orders that at the same time.
    pub pressed: Option<&'a str>,
}

/// What became of signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// It is done.
    Done,
    /// The address has an account already.
    Known,
    /// It was refused.
    Refused,
    /// Nobody can tell.
    Unknown,
}

/// What became of a change to the basket.
fn changed(answer: Result<Page, String>, done: &str) -> Outcome {
    match answer {
        Err(why) => Outcome::Unknown(why),
        Ok(page) if page.location.contains(done) => Outcome::Ok,
        Ok(page) if page.location.contains("done=basket-unavailable") => Outcome::Unknown(page.location),
        Ok(page) => Outcome::Failed(format!("{} {}", page.status, page.location)),
    }
}

/// From when on an order is not placed any more, as the path of the page that says what became of it tells.
fn moment(path: &str) -> Option<i64> {
    let digits = path.split(['?', '&']).find_map(|part| part.strip_prefix("before="))?;
    digits.parse().ok()
}

/// The order whose page a redirect after placing it leads to.
fn placed(location: &str) -> Option<String> {
    let order = location.strip_prefix("/orders/")?.strip_suffix("?done=placed")?;
    Some(order.to_owned())
}

fn state(text: &str) -> Option<OrderState> {
    match text {
        "Confirmed" => Some(OrderState::Confirmed),
        "Cancelled" => Some(OrderState::Cancelled),
        "Pending" => Some(OrderState::Pending),
        _ => None,
    }
}

/// The lines that the basket's page shows; `None` when it shows none and does not say that there are none.
fn basket_lines(page: &Page) -> Option<Lines> {
    if page.body.contains("Your basket is empty") {
        return Some(Lines::new());
    }
    let line = |part: &str| {
        let quantity = part.split("name=\"quantity\"").find(|input| input.contains("data-test=\"line-quantity\""))?;
        Some((attribute(part, "data-product")?, attribute(quantity, "value")?.parse().ok()?))
    };
    let lines: Vec<(String, i64)> = page.parts("basket-line").map(line).collect::<Option<_>>()?;
    (!lines.is_empty()).then(|| lines.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basket_is_read_only_where_it_shows() {
        let page = |body: &str| Page { status: 200, location: String::new(), body: body.to_owned() };
        assert_eq!(basket_lines(&page("<h1>Your basket is empty</h1>")), Some(Lines::new()));
        assert_eq!(basket_lines(&page("<h1>Basket unavailable</h1>")), None);
        let shown = "<li data-test=\"basket-line\" data-product=\"tide-mug\"><input id=\"quantity-tide-mug\" name=\"quantity\" \
            type=\"number\" min=\"0\" max=\"99\" required value=\"3\" data-test=\"line-quantity\">\
            <input type=\"hidden\" name=\"quantity\" value=\"0\"></li>";
        assert_eq!(basket_lines(&page(shown)), Some(Lines::from([("tide-mug".to_owned(), 3)])));
    }

    #[test]
    fn only_the_own_order_counts_as_placed() {
        assert_eq!(placed("/orders/o-1?done=placed").as_deref(), Some("o-1"));
        assert_eq!(placed("/orders/o-1?done=already-placed"), None);
        assert_eq!(placed("/checkout/outcome/k"), None);
        assert_eq!(moment("/checkout/outcome/k?before=1700"), Some(1_700));
        assert_eq!(moment("/checkout/outcome/k"), None);
    }
}
