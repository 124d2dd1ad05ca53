//! People who buy, each at their own choice from the run's seed: as guests and as customers, in two tabs, with all kinds of cards, pressing
//! the button more than once, and again when they do not know what became of it.

use crate::history::{Lines, Told};
use crate::random::Random;
use crate::trip::{Merge, PayForm, PayPage, Pressed, SignIn, Trip};
use crate::world::World;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What most people buy: there is enough of it. More than one trip's worth, so that other tabs find something new.
pub const PLENTY: [&str; 10] = [
    "tide-mug",
    "enamel-camp-mug",
    "terracotta-pot",
    "tallow-candle-trio",
    "soft-bath-towel",
    "trail-flask",
    "slate-dinner-plate",
    "linen-tea-towels",
    "dune-espresso-cup",
    "field-linen-cushion",
];

/// What everybody wants, and there are few pieces of.
pub const SCARCE: [&str; 2] = ["picnic-hamper", "wren-armchair"];

/// The simulated bank's cards, and how many of a hundred purchases try each. One that the bank does not know is declined.
const CARDS: [(&str, u64); 8] = [
    (GOOD_CARD, 55),
    ("4000 0000 0000 0119", 10),
    ("4000 0000 0000 0127", 8),
    ("4000 0000 0000 0259", 7),
    (SLOW_CARD, 4),
    ("4000 0000 0000 0341", 9),
    ("4000 0000 0000 0002", 4),
    ("4000 0000 0000 9995", 3),
];

/// The card over which the bank takes seconds.
const SLOW_CARD: &str = "4000 0000 0000 0077";

/// The card that pays.
pub const GOOD_CARD: &str = "4242 4242 4242 4242";

/// How long somebody asks what became of an order before they go on with something else.
const CURIOSITY: Duration = Duration::from_secs(30);

/// What a buyer leaves behind: the visitor who can still see the basket and the orders.
pub struct Left<'a> {
    /// With its cookies.
    pub trip: Trip<'a>,
    /// The orders that are known to be placed.
    pub orders: BTreeSet<String>,
}

/// Somebody who buys until it is time to stop.
pub struct Buyer<'a> {
    world: &'a World,
    who: String,
    random: Random,
    email: String,
    has_account: bool,
    trips: u32,
    left: Vec<Left<'a>>,
}

impl<'a> Buyer<'a> {
    /// Buyer number `number`, choosing from the run's seed.
    #[must_use]
    pub fn new(world: &'a World, seed: u64, number: usize) -> Self {
        let who = format!("buyer {number}");
        let random = Random::of(seed, &who);
        let email = format!("buyer{number}.{}@example.org", world.tag);
        Self { world, who, random, email, has_account: false, trips: 0, left: Vec::new() }
    }

    /// Shops until it is time to stop. Answers what is left behind.
    #[must_use]
    pub fn shop(mut self) -> Vec<Left<'a>> {
        while !self.world.is_stopping() {
            self.trip();
            let pause = self.random.between(0, 300);
            self.world.pause(pause);
        }
        self.left
    }

    fn trip(&mut self) {
        self.trips += 1;
        let basket = format!("guest-{}-{}", self.who.replace(' ', "-"), self.trips);
        let mut trip = Trip::new(self.world, &self.who, basket);
        let mut all_certain = true;
        for product in self.choose(3) {
            all_certain &= self.add(&mut trip, &product);
        }
        if !self.become_customer(&mut trip, all_certain) {
            return;
        }
        if self.random.chance(25) {
            self.edit(&mut trip);
        }
        let mut orders = BTreeSet::new();
        let purchases = self.random.between(1, 2);
        for purchase in 0..purchases {
            if purchase > 0 {
                let product = self.choose(1);
                product.iter().for_each(|product| _ = trip.add(product, 1));
            }
            if let Some(order) = self.buy(&mut trip) {
                trip.read_order(&order);
                orders.insert(order);
            }
            trip.read_basket();
            if self.world.is_stopping() {
                break;
            }
        }
        if self.random.chance(50) {
            trip.read_orders();
        }
        self.left.push(Left { trip, orders });
    }

    /// Puts one or two pieces into the basket; now and then by two tabs at once, both of which must count.
    fn add(&mut self, trip: &mut Trip<'_>, product: &str) -> bool {
        let pieces = i64::try_from(self.random.between(1, 2)).unwrap_or(1);
        // Two tabs are of one visitor only once that has been given its cookie.
        if !self.random.chance(30) || trip.read_basket().is_none() {
            return trip.add(product, pieces);
        }
        let mut other = trip.clone();
        std::thread::scope(|scope| {
            let second = scope.spawn(move || other.add(product, 1));
            let first = trip.add(product, pieces);
            second.join().unwrap_or(false) && first
        })
    }

    /// Signs in, or does not, before anything is ordered or while it is. False when nobody can tell whether it worked: the trip ends there.
    fn become_customer(&mut self, trip: &mut Trip<'_>, all_certain: bool) -> bool {
        let draw = self.random.between(0, 99);
        // What comes along at a sign-in must be known for certain, or nobody could say what the customer's basket should hold.
        if draw >= 60 || !all_certain {
            return true;
        }
        match trip.read_basket() {
            Some(lines) if draw < 40 => self.sign_in(trip, &lines, None),
            Some(_) => self.sign_in_while_ordering(trip),
            None => true,
        }
    }

    /// Presses the button as a guest, and signs in before it is known what became of that: what came along is ordered already, and must not be
    /// ordered again by whoever goes on to buy.
    fn sign_in_while_ordering(&mut self, trip: &mut Trip<'_>) -> bool {
        if !trip.deliver(&self.email) {
            return true;
        }
        let PayPage::Form(form) = trip.pay_page() else { return true };
        let card = if self.random.chance(60) { SLOW_CARD } else { self.card() };
        let moment = self.random.between(0, 500);
        let mut guest = trip.clone();
        std::thread::scope(|scope| {
            let form = &form;
            scope.spawn(move || guest.press(form, card));
            self.world.pause(moment);
            let signed_in = self.sign_in(trip, &form.shown.lines, Some(&form.key));
            // Before the guest's order is decided, where the bank takes its time.
            if signed_in && trip.deliver(&self.email) {
                if let PayPage::Form(form) = trip.pay_page() {
                    trip.press(&form, GOOD_CARD);
                }
                trip.read_basket();
            }
            signed_in
        })
    }

    /// Different products, now and then one that everybody wants.
    fn choose(&mut self, most: u64) -> BTreeSet<String> {
        let count = self.random.between(1, most);
        (0..count)
            .filter_map(|_| {
                let shelf: &[&str] = if self.random.chance(30) { &SCARCE } else { &PLENTY };
                self.random.pick(shelf).map(|product| (*product).to_owned())
            })
            .collect()
    }

    fn edit(&mut self, trip: &mut Trip<'_>) {
        let Some(lines) = trip.read_basket() else { return };
        let products: Vec<&String> = lines.keys().collect();
        if let Some(product) = self.random.pick(&products) {
            let pieces = i64::try_from(self.random.between(0, 4)).unwrap_or(1);
            trip.set(product, pieces);
            trip.read_basket();
        }
    }

    /// Signs in with what the guest's basket holds. False when nobody can tell whether it worked: the trip ends there.
    fn sign_in(&mut self, trip: &mut Trip<'_>, lines: &Lines, pressed: Option<&str>) -> bool {
        let basket = format!("customer-{}", self.email);
        let name = format!("{basket}-{}", self.trips);
        let merge = Merge { name: &name, basket: &basket, lines, pressed };
        let key = uuid::Uuid::new_v4().to_string();
        let email = self.email.clone();
        let register =
            [("key", key.as_str()), ("name", "Ada"), ("email", &email), ("password", "correct horse battery")];
        let known = [("email", email.as_str()), ("password", "correct horse battery")];
        for _ in 0..8 {
            let (path, fields) = if self.has_account { ("/sign-in", &known[..]) } else { ("/register", &register[..]) };
            let twice = self.random.chance(30);
            let mut second = trip.clone();
            let result = std::thread::scope(|scope| {
                // The same form from an impatient hand: what comes along must come along once.
                let again = twice.then(|| scope.spawn(|| second.sign_in(path, fields, &merge)));
                let result = trip.sign_in(path, fields, &merge);
                let again = again.and_then(|again| again.join().ok());
                if result == SignIn::Done {
                    result
                } else {
                    again.filter(|again| *again == SignIn::Done).unwrap_or(result)
                }
            });
            match result {
                SignIn::Done => {
                    if trip.customer.is_none() {
                        *trip = second;
                    }
                    self.has_account = true;
                    return true;
                }
                SignIn::Known => self.has_account = true,
                SignIn::Refused => return false,
                SignIn::Unknown => self.world.pause(300),
            }
        }
        false
    }

    /// Buys what is in the basket. Answers the order when it is known to be placed.
    fn buy(&mut self, trip: &mut Trip<'_>) -> Option<String> {
        if !trip.deliver(&self.email) {
            return None;
        }
        for _ in 0..4 {
            match trip.pay_page() {
                PayPage::Form(form) => {
                    let card = self.card();
                    match self.pay(trip, &form, card) {
                        Some(Told::Placed(order)) => {
                            self.press_again(trip, &form, card);
                            return Some(order);
                        }
                        // Refused: perhaps with another card. Anything else is left to itself.
                        Some(Told::Refused) if self.random.chance(60) => {}
                        None => {}
                        Some(Told::Refused | Told::Pending | Told::NotReceived) => return None,
                    }
                }
                PayPage::Blocked => {
                    for product in SCARCE {
                        trip.set(product, 0);
                    }
                }
                PayPage::Elsewhere => return None,
                PayPage::Unknown => self.world.pause(200),
            }
            if self.world.is_stopping() {
                return None;
            }
        }
        None
    }

    fn card(&mut self) -> &'static str {
        let mut draw = self.random.between(0, CARDS.iter().map(|(_, share)| share).sum::<u64>() - 1);
        for (card, share) in CARDS {
            if draw < share {
                return card;
            }
            draw -= share;
        }
        GOOD_CARD
    }

    /// Presses the button in one of several ways, and asks what became of it.
    fn pay(&mut self, trip: &mut Trip<'_>, form: &PayForm, card: &str) -> Option<Told> {
        let (hands, tab) = match self.random.between(0, 99) {
            0..55 => (1, None),
            55..75 => (self.random.between(2, 3), None),
            // Something that the form does not know of, so that nobody else edits it meanwhile.
            _ => (1, PLENTY.iter().find(|product| !form.shown.lines.contains_key(**product))),
        };
        let pressed: Vec<Pressed> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..hands)
                .map(|_| {
                    let mut other = trip.clone();
                    scope.spawn(move || other.press(form, card))
                })
                .collect();
            let mut other_tab = trip.clone();
            let adding = tab.map(|product| scope.spawn(move || other_tab.add(product, 1)));
            let mine = trip.press(form, card);
            let others = others.into_iter().filter_map(|other| other.join().ok());
            let pressed = others.chain([mine]).collect();
            drop(adding.map(std::thread::ScopedJoinHandle::join));
            pressed
        });
        let mut look = None;
        for one in pressed {
            match one {
                Pressed::Placed(order) => return Some(Told::Placed(order)),
                Pressed::Look(path) => look = Some(path),
                Pressed::Failed => {}
            }
        }
        self.follow(trip, form, card, look?)
    }

    /// Asks until it is known what became of a key; places it once more, under the same key, when it did not arrive.
    fn follow(&mut self, trip: &mut Trip<'_>, form: &PayForm, card: &str, mut path: String) -> Option<Told> {
        let until = Instant::now() + CURIOSITY;
        let mut again = 0;
        while Instant::now() < until {
            match trip.learn(&form.key, &path) {
                Some(told @ (Told::Placed(_) | Told::Refused)) => return Some(told),
                Some(Told::NotReceived) if again >= 2 => return None,
                Some(Told::NotReceived) => {
                    again += 1;
                    match trip.press(form, card) {
                        Pressed::Placed(order) => return Some(Told::Placed(order)),
                        Pressed::Look(next) => path = next,
                        Pressed::Failed => return None,
                    }
                }
                Some(Told::Pending) | None => {}
            }
            std::thread::sleep(Duration::from_millis(250)); // between two looks
        }
        Some(Told::Pending)
    }

    /// Sends the form of an order that is placed once more, perhaps with another card: it must stay the one order.
    fn press_again(&mut self, trip: &mut Trip<'_>, form: &PayForm, card: &str) {
        if self.random.chance(30) {
            let card = if self.random.chance(30) { "4000 0000 0000 0119" } else { card };
            if let Pressed::Look(path) = trip.press(form, card) {
                trip.learn(&form.key, &path);
            }
        }
    }
}
