//! What a line is made of: its parts, each with the basket it was put into first and the version at which it was. A
//! purchase takes out the parts that were bought, wherever they are now. It only computes.

/// Pieces of one product that came into a basket together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The basket they were put into first.
    pub origin: String,
    /// The version of that basket which last changed them.
    pub origin_version: i64,
    /// The version of this basket which brought them here.
    pub arrived_version: i64,
    /// How many.
    pub quantity: i64,
}

/// A line as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub product_id: String,
    pub quantity: i64,
    pub changed_version: i64,
    /// None for a line that no merge has added to.
    pub parts: Vec<Part>,
}

impl Line {
    /// The parts of a line in this basket. What an earlier release changed it left without its parts: it is one again.
    pub fn into_parts(self, owner: &str) -> Vec<Part> {
        let last = self.parts.iter().map(|part| part.arrived_version).max();
        if last == Some(self.changed_version) {
            return self.parts;
        }
        vec![Part {
            origin: owner.to_owned(),
            origin_version: self.changed_version,
            arrived_version: self.changed_version,
            quantity: self.quantity,
        }]
    }
}

/// What is left of a line of `owner` when `buyer`'s basket was bought at `version`.
pub fn not_bought(parts: Vec<Part>, owner: &str, buyer: &str, version: i64) -> Vec<Part> {
    let bought = |part: &Part| {
        (part.origin == buyer && part.origin_version <= version) || (owner == buyer && part.arrived_version <= version)
    };
    parts.into_iter().filter(|part| !bought(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(origin: &str, origin_version: i64, arrived_version: i64, quantity: i64) -> Part {
        Part { origin: origin.to_owned(), origin_version, arrived_version, quantity }
    }

    fn left(parts: &[Part], owner: &str, buyer: &str, version: i64) -> i64 {
        not_bought(parts.to_vec(), owner, buyer, version).iter().map(|part| part.quantity).sum()
    }

    #[test]
    fn a_purchase_takes_what_was_there_and_leaves_what_came_later() {
        // Two pieces of the customer's own at version 5; merges brought one from g at 6 and four from h at 8.
        let parts = [part("c", 5, 5, 2), part("g", 1, 6, 1), part("h", 3, 8, 4)];
        for (buyer, version, expected) in
            [("c", 4, 7), ("c", 5, 5), ("c", 7, 4), ("c", 8, 0), ("g", 0, 7), ("g", 1, 6), ("h", 2, 7), ("h", 9, 3)]
        {
            assert_eq!(left(&parts, "c", buyer, version), expected, "{buyer} at {version}");
        }
    }

    #[test]
    fn a_line_that_was_set_by_an_earlier_release_is_one_part() {
        let stale = Line {
            product_id: "mug".to_owned(),
            quantity: 9,
            changed_version: 12,
            parts: vec![part("c", 5, 5, 2), part("g", 1, 6, 1)],
        };
        assert_eq!(stale.into_parts("c"), [part("c", 12, 12, 9)]);
    }
}
