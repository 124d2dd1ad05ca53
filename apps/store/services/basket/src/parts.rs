//! What a line is made of: its parts, each with the basket it was put into first and the versions between which it was
//! there. A purchase takes out the parts that were bought, wherever they are now. It only computes.

use std::collections::BTreeMap;
use store_contracts::store::basket::v1::MergedFrom;

/// Pieces of one product that came into a basket together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The basket they were put into first.
    pub origin: String,
    /// The version of that basket which brought them there.
    pub origin_version: i64,
    /// The version of that basket at which a merge had taken them away; none while they are there, or when an earlier
    /// release merged them.
    pub left_version: Option<i64>,
    /// The version of this basket which brought them here.
    pub arrived_version: i64,
    /// How many.
    pub quantity: i64,
}

impl Part {
    /// Pieces that are put into the basket of `owner` at `version`.
    fn new(owner: &str, version: i64, quantity: i64) -> Part {
        Part {
            origin: owner.to_owned(),
            origin_version: version,
            left_version: None,
            arrived_version: version,
            quantity,
        }
    }
}

/// A line of a basket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub product_id: String,
    /// The oldest first.
    pub parts: Vec<Part>,
}

impl Line {
    /// How many pieces.
    pub fn quantity(&self) -> i64 {
        quantity(&self.parts)
    }
}

/// How many pieces these parts have.
pub fn quantity(parts: &[Part]) -> i64 {
    parts.iter().map(|part| part.quantity).sum()
}

/// The parts of a line of `owner` as it is stored. What a release that knew no parts changed is one part again.
pub fn stored(parts: Vec<Part>, owner: &str, changed_version: i64, quantity: i64) -> Vec<Part> {
    let last = parts.iter().map(|part| part.arrived_version).max();
    if last == Some(changed_version) { parts } else { vec![Part::new(owner, changed_version, quantity)] }
}

/// The oldest of these pieces, at most so many.
pub fn oldest(parts: Vec<Part>, most: i64) -> Vec<Part> {
    let mut room = most;
    let mut kept = Vec::new();
    for part in parts {
        let quantity = part.quantity.min(room);
        if quantity > 0 {
            room -= quantity;
            kept.push(Part { quantity, ..part });
        }
    }
    kept
}

/// What a line of `owner` holds once it is set to `wanted` pieces at `version`: the newest go first, and what is
/// missing is new.
pub fn set(parts: Vec<Part>, owner: &str, version: i64, wanted: i64) -> Vec<Part> {
    let mut parts = oldest(parts, wanted);
    let missing = wanted - quantity(&parts);
    if missing > 0 {
        parts.push(Part::new(owner, version, missing));
    }
    parts
}

/// Parts that a merge takes along: they left their basket at its version `left` and arrive at the other's `arrived`.
pub fn carried(parts: Vec<Part>, left: i64, arrived: i64) -> impl Iterator<Item = Part> {
    let carry =
        move |part: Part| Part { left_version: part.left_version.or(Some(left)), arrived_version: arrived, ..part };
    parts.into_iter().map(carry)
}

/// What is left of a line of `owner` when `buyer`'s basket was bought at `version`.
pub fn not_bought(parts: Vec<Part>, owner: &str, buyer: &str, version: i64) -> Vec<Part> {
    let was_there = |part: &Part| {
        part.origin == buyer && part.origin_version <= version && part.left_version.is_none_or(|left| version < left)
    };
    let bought = |part: &Part| was_there(part) || (owner == buyer && part.arrived_version <= version);
    parts.into_iter().filter(|part| !bought(part)).collect()
}

/// What merges brought into the basket of `owner`, by the basket it was in first and when it left that.
pub fn merged_from(lines: &[Line], owner: &str) -> Vec<MergedFrom> {
    let mut first: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for part in lines.iter().flat_map(|line| &line.parts).filter(|part| part.origin != owner) {
        let first = first.entry((&part.origin, part.left_version.unwrap_or(0))).or_insert(part.origin_version);
        *first = part.origin_version.min(*first);
    }
    let merged = |((shopper, until_version), first_version): ((&str, i64), i64)| MergedFrom {
        shopper_id: shopper.to_owned(),
        first_version,
        until_version,
        ..Default::default()
    };
    first.into_iter().map(merged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(origin: &str, (origin_version, left): (i64, i64), arrived_version: i64, quantity: i64) -> Part {
        let left_version = (left != 0).then_some(left);
        Part { origin: origin.to_owned(), origin_version, left_version, arrived_version, quantity }
    }

    /// Two pieces of the customer's own at version 5; merges brought one from g at 6, four from h at 8, and two more
    /// from h at 9.
    fn parts() -> Vec<Part> {
        vec![part("c", (5, 0), 5, 2), part("g", (1, 2), 6, 1), part("h", (3, 6), 8, 4), part("h", (7, 0), 9, 2)]
    }

    #[test]
    fn a_purchase_takes_what_was_there_and_nothing_else() {
        for (buyer, version, expected) in [
            ("c", 4, 9),
            ("c", 5, 7),
            ("c", 7, 6),
            ("c", 8, 2),
            ("c", 9, 0),
            ("g", 0, 9),
            ("g", 1, 8),
            ("g", 2, 9),
            ("h", 2, 9),
            ("h", 5, 5),
            ("h", 6, 9),
            ("h", 7, 7),
        ] {
            assert_eq!(quantity(&not_bought(parts(), "c", buyer, version)), expected, "{buyer} at {version}");
        }
    }

    #[test]
    fn a_line_that_is_set_keeps_its_oldest_pieces_and_gains_new_ones() {
        let mut more = parts();
        more.push(part("c", (10, 0), 10, 3));
        assert_eq!(set(parts(), "c", 10, 12), more);
        assert_eq!(set(parts(), "c", 10, 9), parts());
        assert_eq!(set(parts(), "c", 10, 3), parts()[..2]);
        assert_eq!(set(parts(), "c", 10, 1), [part("c", (5, 0), 5, 1)]);
        assert_eq!(set(parts(), "c", 10, 0), []);
        assert_eq!(set(Vec::new(), "c", 10, 4), [part("c", (10, 0), 10, 4)]);
    }

    #[test]
    fn what_merges_brought_is_told_by_basket_and_by_when_it_left() {
        let line = |product: &str, parts: Vec<Part>| Line { product_id: product.to_owned(), parts };
        let lines = [line("mug", parts()), line("cup", vec![part("h", (2, 6), 8, 1), part("c", (4, 0), 4, 1)])];
        let told = merged_from(&lines, "c");
        let told: Vec<_> =
            told.iter().map(|from| (from.shopper_id.as_str(), from.first_version, from.until_version)).collect();
        assert_eq!(told, [("g", 1, 2), ("h", 7, 0), ("h", 2, 6)]);
    }

    #[test]
    fn a_line_that_was_set_by_an_earlier_release_is_one_part() {
        assert_eq!(stored(parts(), "c", 9, 9), parts());
        assert_eq!(stored(parts(), "c", 12, 9), [part("c", (12, 0), 12, 9)]);
        assert_eq!(stored(Vec::new(), "c", 3, 2), [part("c", (3, 0), 3, 2)]);
    }
}
