//! One product of one basket as it may be by now: its pieces in the order in which they came, and what happens to them. Judges nothing.

use std::collections::BTreeSet;

/// The most pieces of a product that a basket holds.
const PIECES_MAX: i64 = 99;

/// Something that may happen to a product's pieces, once, at any time from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The line is set to so many more than it holds.
    Add(i64),
    /// The line is set to so many.
    Set(i64),
    /// So many come along from a guest's basket, beside what the line holds; the guest bought them under this key, if any.
    Merge { pieces: i64, bought: Option<&'a str> },
    /// What is left of what the line held when this purchase was begun leaves. Purchases are counted from 0.
    Clear(u32),
    /// What a guest bought under this key leaves, or does not come along any more.
    ClearFrom(&'a str),
}

/// Pieces that came together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part<'a> {
    /// How many purchases had been begun.
    came: u32,
    /// The key under which the guest who brought them along bought them.
    bought: Option<&'a str>,
    pieces: i64,
}

/// One course that things may have taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Course<'a> {
    /// The oldest first.
    parts: Vec<Part<'a>>,
    /// The keys whose pieces have left.
    gone: BTreeSet<&'a str>,
    /// The numbers of the effects that have happened.
    pub over: BTreeSet<u32>,
}

impl<'a> Course<'a> {
    /// How many there are.
    pub fn pieces(&self) -> i64 {
        self.parts.iter().map(|part| part.pieces).sum()
    }

    /// Whether any of them were bought by a guest who brought them along.
    pub fn holds_what_is_bought(&self) -> bool {
        self.parts.iter().any(|part| part.bought.is_some())
    }

    /// What follows from an effect after so many purchases were begun.
    pub fn after(&self, effect: Effect<'a>, purchases: u32) -> Self {
        let mut next = self.clone();
        match effect {
            Effect::Add(pieces) => next.set(self.pieces() + pieces, purchases),
            Effect::Set(pieces) => next.set(pieces, purchases),
            Effect::Merge { bought: Some(key), .. } if self.gone.contains(key) => {}
            Effect::Merge { pieces, bought } => {
                next.put(Part { came: purchases, bought, pieces: pieces.min(PIECES_MAX - self.pieces()) });
            }
            Effect::Clear(purchase) => next.parts.retain(|part| part.came > purchase),
            Effect::ClearFrom(key) => {
                next.parts.retain(|part| part.bought != Some(key));
                next.gone.insert(key);
            }
        }
        next
    }

    /// To more: what is there stays, and the difference is new. To less: the newest leave first.
    fn set(&mut self, pieces: i64, purchases: u32) {
        let mut surplus = self.pieces() - pieces.min(PIECES_MAX);
        self.put(Part { came: purchases, bought: None, pieces: -surplus });
        while surplus > 0
            && let Some(mut newest) = self.parts.pop()
        {
            let leave = surplus.min(newest.pieces);
            surplus -= leave;
            newest.pieces -= leave;
            self.put(newest);
        }
    }

    fn put(&mut self, part: Part<'a>) {
        match self.parts.last_mut() {
            _ if part.pieces <= 0 => {}
            Some(last) if (last.came, last.bought) == (part.came, part.bought) => last.pieces += part.pieces,
            _ => self.parts.push(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(effects: &[(Effect<'static>, u32)]) -> Course<'static> {
        effects.iter().fold(Course::default(), |course, (effect, purchases)| course.after(*effect, *purchases))
    }

    #[test]
    fn a_purchase_takes_out_what_was_bought_and_is_still_there() {
        // One was bought while there was one; the line was set meanwhile.
        for (set, left) in [(2, 1), (5, 4), (1, 0), (0, 0)] {
            let course = after(&[(Effect::Add(1), 0), (Effect::Set(set), 1), (Effect::Clear(0), 1)]);
            assert_eq!(course.pieces(), left, "set to {set}");
        }
        // What was taken out and put in again is new, and so is what is put in beside what was bought.
        let again = [(Effect::Add(3), 0), (Effect::Set(0), 1), (Effect::Add(2), 1), (Effect::Clear(0), 1)];
        assert_eq!(after(&again).pieces(), 2);
        // The newest leave first: of three bought and two new ones, three are left, and those were bought.
        let fewer = [(Effect::Add(3), 0), (Effect::Add(2), 1), (Effect::Set(3), 1), (Effect::Clear(0), 1)];
        assert_eq!(after(&fewer).pieces(), 0);
    }

    #[test]
    fn what_a_guest_bought_leaves_wherever_it_came_along_to() {
        let merge = Effect::Merge { pieces: 2, bought: Some("k") };
        let before = after(&[(Effect::Add(1), 0), (merge, 0)]);
        assert!((before.pieces(), before.holds_what_is_bought()) == (3, true));
        assert_eq!(before.after(Effect::ClearFrom("k"), 0).pieces(), 1);
        assert_eq!(after(&[(Effect::ClearFrom("k"), 0), (merge, 0)]).pieces(), 0);
        let fits = after(&[(Effect::Set(98), 0), (merge, 0)]);
        assert_eq!(fits.pieces(), PIECES_MAX);
    }
}
