//! Invariant 7: what was acknowledged is read back; a merge never doubles; what was bought leaves its basket once, and nothing else does;
//! and what a guest bought is not bought again by the customer they became.
//!
//! Each product of a basket is followed by itself: all that its pieces may be by now, given that what nobody knows the outcome of may
//! have happened or may still happen, once. A read picks out what is possible from then on; when nothing is, something was lost, doubled
//! or came back.

use super::course::{Course, Effect};
use super::{Invariant, Violation};
use crate::history::{Action, Entry, History, Lines, Moment, OrderState, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// A product with more open effects than this is not judged any further: all their orders are tried.
const EFFECTS_MAX: usize = 10;

/// Judges every read of every basket.
pub fn judge(history: &History) -> Vec<Violation> {
    follow(history).1
}

/// How many products of baskets were not judged to the end, since too much was open at a time.
pub fn given_up(history: &History) -> usize {
    follow(history).0.products.values().filter(|product| product.given_up).count()
}

fn follow(history: &History) -> (Baskets<'_>, Vec<Violation>) {
    let mut entries: Vec<&Entry> =
        history.entries.iter().filter(|entry| !matches!(entry.outcome, Outcome::Failed(_))).collect();
    entries.sort_by_key(|entry| entry.start);
    let quiet = quiet_since(history);
    let mut baskets = Baskets { bought: bought(history), ..Baskets::default() };
    let violations = entries.into_iter().filter_map(|entry| baskets.take(entry, quiet)).collect();
    (baskets, violations)
}

/// From when on nothing may be open any more.
fn quiet_since(history: &History) -> Option<Moment> {
    let is_over = history.end.as_ref().is_some_and(|end| end.unfinished.is_empty());
    let quiet = history.entries.iter().rev().find(|entry| matches!(entry.action, Action::Quiet));
    quiet.filter(|_| is_over).map(|entry| entry.start)
}

/// The keys whose order was confirmed; `None` when the run broke off and any may have been.
fn bought(history: &History) -> Option<BTreeSet<&str>> {
    let keys = history.end.as_ref()?.keys.iter();
    Some(keys.filter(|(_, end)| end.state == OrderState::Confirmed).map(|(key, _)| key.as_str()).collect())
}

/// One product of one basket.
struct Product<'a> {
    courses: BTreeSet<Course<'a>>,
    effects: BTreeMap<u32, Effect<'a>>,
    /// How many effects there were ever.
    numbers: u32,
    /// The effects that must have happened once all is quiet.
    due: BTreeSet<u32>,
    purchases: u32,
    /// The effect of each sign-in; one that is not among the effects any more has happened for certain.
    merges: BTreeMap<&'a str, Option<u32>>,
    given_up: bool,
}

impl Default for Product<'_> {
    fn default() -> Self {
        Self {
            courses: BTreeSet::from([Course::default()]),
            effects: BTreeMap::new(),
            numbers: 0,
            due: BTreeSet::new(),
            purchases: 0,
            merges: BTreeMap::new(),
            given_up: false,
        }
    }
}

impl<'a> Product<'a> {
    /// Adds every course that open effects lead to.
    fn spread(&mut self) {
        let mut fresh: Vec<Course<'a>> = self.courses.iter().cloned().collect();
        while let Some(course) = fresh.pop() {
            for (number, effect) in self.effects.iter().filter(|(number, _)| !course.over.contains(number)) {
                let mut next = course.after(*effect, self.purchases);
                next.over.insert(*number);
                if self.courses.insert(next.clone()) {
                    fresh.push(next);
                }
            }
        }
    }

    /// An effect that may happen from now on. Answers its number.
    fn open(&mut self, effect: Effect<'a>) -> Option<u32> {
        self.given_up |= self.effects.len() >= EFFECTS_MAX;
        if self.given_up {
            return None;
        }
        self.numbers += 1;
        self.effects.insert(self.numbers, effect);
        Some(self.numbers)
    }

    /// A purchase that is or will be confirmed: what is here now leaves. True when some of it was bought by a guest before, whatever
    /// course things took.
    fn buy(&mut self, shown: i64) -> bool {
        // What is open may have happened before this purchase was begun.
        self.spread();
        let mut bought = self.courses.iter().filter(|course| course.pieces() == shown).peekable();
        let is_twice = !self.given_up && bought.peek().is_some() && bought.all(Course::holds_what_is_bought);
        let clear = self.open(Effect::Clear(self.purchases));
        self.purchases += 1;
        self.due.extend(clear);
        is_twice
    }

    /// A sign-in that brings pieces along, tried once or more; the guest bought them under this key, if any.
    fn merge(&mut self, merge: &'a str, pieces: i64, bought: Option<&'a str>, is_certain: bool) {
        if !self.merges.contains_key(merge) {
            let number = self.open(Effect::Merge { pieces, bought });
            self.merges.insert(merge, number);
            let clear = bought.and_then(|key| self.open(Effect::ClearFrom(key)));
            self.due.extend(clear);
        }
        let number = self.merges.get(merge).copied().flatten();
        self.due.extend(number.filter(|number| is_certain && self.effects.contains_key(number)));
    }

    /// An edit that was answered: it happened now, after whatever was open or before it.
    fn edit(&mut self, effect: Effect<'a>) {
        self.spread();
        self.courses = self.courses.iter().map(|course| course.after(effect, self.purchases)).collect();
    }

    /// Keeps the courses that a read agrees with; when there are none, answers what there could be.
    fn read(&mut self, pieces: i64, all_is_over: bool) -> Result<(), BTreeSet<i64>> {
        if self.given_up {
            return Ok(());
        }
        self.spread();
        if all_is_over {
            self.courses.retain(|course| course.over.is_superset(&self.due));
        }
        let possible = self.courses.iter().map(Course::pieces).collect();
        self.courses.retain(|course| course.pieces() == pieces);
        if self.courses.is_empty() {
            // Said once; from here on what was read counts.
            *self =
                Self { courses: BTreeSet::from([Course::default().after(Effect::Set(pieces), 0)]), ..Self::default() };
            return Err(possible);
        }
        self.forget_what_is_over();
        Ok(())
    }

    /// Drops effects that are over on every course, to make room for others.
    fn forget_what_is_over(&mut self) {
        let is_over = |number: &u32| self.courses.iter().all(|course| course.over.contains(number));
        let over: BTreeSet<u32> = self.effects.keys().copied().filter(is_over).collect();
        self.effects.retain(|number, _| !over.contains(number));
        self.due.retain(|number| !over.contains(number));
        let mut courses: Vec<Course<'a>> = std::mem::take(&mut self.courses).into_iter().collect();
        courses.iter_mut().for_each(|course| course.over.retain(|number| !over.contains(number)));
        self.courses = courses.into_iter().collect();
    }
}

#[derive(Default)]
struct Baskets<'a> {
    products: BTreeMap<(&'a str, &'a str), Product<'a>>,
    /// The keys that are confirmed at the end; `None` when the run broke off and any may be.
    bought: Option<BTreeSet<&'a str>>,
    pressed: BTreeSet<&'a str>,
}

impl<'a> Baskets<'a> {
    fn product(&mut self, basket: &'a str, product: &'a str) -> &mut Product<'a> {
        self.products.entry((basket, product)).or_default()
    }

    /// Takes an entry in; answers what it shows to be wrong.
    fn take(&mut self, entry: &'a Entry, quiet: Option<Moment>) -> Option<Violation> {
        match &entry.action {
            Action::Add { basket, product, pieces } => self.edit(entry, basket, product, Effect::Add(*pieces)),
            Action::Set { basket, product, pieces } => self.edit(entry, basket, product, Effect::Set(*pieces)),
            Action::Merge { basket, merge, lines, pressed } => {
                let bought = pressed.as_deref().filter(|key| self.is_bought(key));
                for (product, pieces) in lines {
                    self.product(basket, product).merge(merge, *pieces, bought, entry.is_ok());
                }
            }
            Action::Press { key, basket, shown, .. } if self.is_bought(key) && self.pressed.insert(key) => {
                return self.buy(key, basket, &shown.lines);
            }
            Action::Basket { basket, lines } if entry.is_ok() => return self.read(entry, basket, lines, quiet),
            _ => {}
        }
        None
    }

    /// Whether the order of a key is confirmed at the end, or may be.
    fn is_bought(&self, key: &str) -> bool {
        self.bought.as_ref().is_none_or(|bought| bought.contains(key))
    }

    fn edit(&mut self, entry: &Entry, basket: &'a str, product: &'a str, effect: Effect<'a>) {
        let product = self.product(basket, product);
        if entry.is_ok() {
            product.edit(effect);
        } else {
            product.open(effect);
        }
    }

    fn buy(&mut self, key: &'a str, basket: &'a str, lines: &'a Lines) -> Option<Violation> {
        let mut twice = Vec::new();
        for (name, pieces) in lines {
            if self.product(basket, name).buy(*pieces) {
                twice.push(name.as_str());
            }
        }
        // When the run broke off nobody can tell whether both were bought.
        (self.bought.is_some() && !twice.is_empty()).then(|| {
            let sentence = format!(
                "The key {key} bought of {} what the guest who brought it into {basket} had bought already.",
                twice.join(" and ")
            );
            Violation::new(Invariant::Basket, sentence, [basket, key])
        })
    }

    fn read(&mut self, entry: &Entry, basket: &'a str, lines: &'a Lines, quiet: Option<Moment>) -> Option<Violation> {
        let all_is_over = quiet.is_some_and(|quiet| entry.start >= quiet);
        let mut wrong = Vec::new();
        // What nobody put there is judged as well.
        lines.keys().for_each(|name| _ = self.product(basket, name));
        for ((_, name), product) in self.products.iter_mut().filter(|((owner, _), _)| *owner == basket) {
            let pieces = lines.get(*name).copied().unwrap_or(0);
            if let Err(possible) = product.read(pieces, all_is_over) {
                wrong.push(format!("{pieces} of `{name}` where {possible:?} can be"));
            }
        }
        (!wrong.is_empty()).then(|| {
            let sentence = format!("The basket {basket} holds at {} ms {}.", entry.end, wrong.join(", and "));
            Violation::new(Invariant::Basket, sentence, [basket])
        })
    }
}
