//! Invariant 7: what was acknowledged is read back; a merge never doubles; what was bought leaves its basket once, and nothing else does.
//!
//! Each product of a basket is followed by itself: all that its pieces may be by now, given that what nobody knows the outcome of may
//! have happened or may still happen, once. A read picks out what is possible from then on; when nothing is, something was lost, doubled
//! or came back.

use super::{Invariant, Violation};
use crate::history::{Action, Entry, History, Lines, Moment, OrderState, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// The most pieces of a product that a basket holds.
const PIECES_MAX: i64 = 99;

/// A product with more open effects than this is not judged any further: all their orders are tried.
const EFFECTS_MAX: usize = 10;

/// Judges every read of every basket.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut entries: Vec<&Entry> =
        history.entries.iter().filter(|entry| !matches!(entry.outcome, Outcome::Failed(_))).collect();
    entries.sort_by_key(|entry| entry.start);
    let quiet = quiet_since(history);
    let mut baskets = Baskets { bought: bought(history), ..Baskets::default() };
    entries.into_iter().filter_map(|entry| baskets.take(entry, quiet)).collect()
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

/// Something that may happen to a product's pieces, once, at any time from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The line is set to so many more than it holds.
    Add(i64),
    /// The line is set to so many.
    Set(i64),
    /// So many come along from a guest's basket, beside what the line holds.
    Merge(i64),
    /// What the line held when this purchase was begun leaves. Purchases are counted from 0.
    Clear(u32),
}

/// One course that things may have taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Course {
    /// The pieces by how many purchases had been begun when they came.
    parts: BTreeMap<u32, i64>,
    /// A bit for each effect that has happened.
    over: u32,
}

impl Course {
    fn pieces(&self) -> i64 {
        self.parts.values().sum()
    }

    /// What follows from an effect after so many purchases were begun.
    fn after(&self, effect: Effect, purchases: u32) -> Self {
        let mut next = self.clone();
        let set = |pieces: i64| BTreeMap::from([(purchases, pieces.min(PIECES_MAX))]);
        match effect {
            Effect::Add(pieces) => next.parts = set(self.pieces() + pieces),
            Effect::Set(pieces) => next.parts = set(pieces),
            Effect::Merge(pieces) => {
                *next.parts.entry(purchases).or_default() += pieces.min(PIECES_MAX - self.pieces());
            }
            Effect::Clear(purchase) => next.parts.retain(|came, _| *came > purchase),
        }
        next.parts.retain(|_, pieces| *pieces != 0);
        next
    }
}

/// One product of one basket.
struct Product<'a> {
    courses: BTreeSet<Course>,
    effects: Vec<Effect>,
    /// A bit for each effect that must have happened once all is quiet.
    due: u32,
    purchases: u32,
    /// The place of each sign-in's merge among the effects; `None` once it has happened for certain.
    merges: BTreeMap<&'a str, Option<usize>>,
    given_up: bool,
}

impl Default for Product<'_> {
    fn default() -> Self {
        Self {
            courses: BTreeSet::from([Course::default()]),
            effects: Vec::new(),
            due: 0,
            purchases: 0,
            merges: BTreeMap::new(),
            given_up: false,
        }
    }
}

impl<'a> Product<'a> {
    /// Adds every course that open effects lead to.
    fn spread(&mut self) {
        let mut fresh: Vec<Course> = self.courses.iter().cloned().collect();
        while let Some(course) = fresh.pop() {
            for (place, effect) in self.effects.iter().enumerate().filter(|(place, _)| course.over & (1 << place) == 0)
            {
                let mut next = course.after(*effect, self.purchases);
                next.over |= 1 << place;
                if self.courses.insert(next.clone()) {
                    fresh.push(next);
                }
            }
        }
    }

    /// An effect that may happen from now on. Answers its place.
    fn open(&mut self, effect: Effect) -> Option<usize> {
        if self.effects.len() >= EFFECTS_MAX {
            self.given_up = true;
        }
        if self.given_up {
            return None;
        }
        self.effects.push(effect);
        Some(self.effects.len() - 1)
    }

    /// A purchase that is or will be confirmed: what is here now leaves.
    fn buy(&mut self) {
        // What is open may have happened before this purchase was begun.
        self.spread();
        let clear = self.open(Effect::Clear(self.purchases));
        self.purchases += 1;
        self.due |= clear.map_or(0, |place| 1 << place);
    }

    /// A sign-in that brings pieces along, tried once or more.
    fn merge(&mut self, merge: &'a str, pieces: i64, is_certain: bool) {
        let place = match self.merges.get(merge) {
            Some(known) => *known,
            None => self.open(Effect::Merge(pieces)),
        };
        self.merges.insert(merge, place);
        if is_certain {
            self.due |= place.map_or(0, |place| 1 << place);
        }
    }

    /// An edit that was answered: it happened now, after whatever was open or before it.
    fn edit(&mut self, effect: Effect) {
        self.spread();
        self.courses = self.courses.iter().map(|course| course.after(effect, self.purchases)).collect();
    }

    /// Keeps the courses that a read agrees with; when there are none, answers what there could be.
    fn read(&mut self, pieces: i64, all_is_over: bool) -> Result<(), BTreeSet<i64>> {
        if self.given_up {
            return Ok(());
        }
        self.spread();
        let due = if all_is_over { self.due } else { 0 };
        self.courses.retain(|course| course.over & due == due);
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
        let over = self.courses.iter().fold(u32::MAX, |over, course| over & course.over);
        for gone in (0..self.effects.len()).rev().filter(|place| over & (1 << place) != 0) {
            self.effects.remove(gone);
            let without = |bits: u32| (bits & ((1 << gone) - 1)) | ((bits >> 1) & !((1 << gone) - 1));
            self.due = without(self.due);
            let courses = std::mem::take(&mut self.courses);
            self.courses = courses.into_iter().map(|course| Course { over: without(course.over), ..course }).collect();
            for place in self.merges.values_mut() {
                *place = place.filter(|place| *place != gone).map(|place| if place > gone { place - 1 } else { place });
            }
        }
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

    /// Takes an entry in; answers what a read shows to be wrong.
    fn take(&mut self, entry: &'a Entry, quiet: Option<Moment>) -> Option<Violation> {
        match &entry.action {
            Action::Add { basket, product, pieces } => self.edit(entry, basket, product, Effect::Add(*pieces)),
            Action::Set { basket, product, pieces } => self.edit(entry, basket, product, Effect::Set(*pieces)),
            Action::Merge { basket, merge, lines } => {
                for (product, pieces) in lines {
                    self.product(basket, product).merge(merge, *pieces, entry.is_ok());
                }
            }
            Action::Press { key, basket, shown, .. } => {
                let may_be_bought = self.bought.as_ref().is_none_or(|bought| bought.contains(key.as_str()));
                if may_be_bought && self.pressed.insert(key) {
                    shown.lines.keys().for_each(|product| self.product(basket, product).buy());
                }
            }
            Action::Basket { basket, lines } if entry.is_ok() => return self.read(entry, basket, lines, quiet),
            _ => {}
        }
        None
    }

    fn edit(&mut self, entry: &Entry, basket: &'a str, product: &'a str, effect: Effect) {
        let product = self.product(basket, product);
        if entry.is_ok() {
            product.edit(effect);
        } else {
            product.open(effect);
        }
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
