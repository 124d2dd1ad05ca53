//! Demo stock: how many pieces of a product a fresh demo store starts with. Inventory knows no catalogue: a product
//! that the store's list names starts with the pieces listed, and any other with a number that follows from its id
//! alone, the same on every machine. It never touches the database.

/// The fewest pieces that a product which is not listed starts with.
pub const FEWEST: i64 = 20;
/// The most pieces that a product which is not listed starts with.
pub const MOST: i64 = 120;

/// `product_id,pieces`, with a line of titles.
const LISTED: &str = include_str!("../../../seed/stock.csv");

/// The first receipt of a product nobody has received before.
#[must_use]
pub fn first_receipt(product_id: &str) -> i64 {
    listed(product_id).unwrap_or_else(|| from_hash(product_id))
}

fn listed(product_id: &str) -> Option<i64> {
    let mut lines = LISTED.lines().skip(1).filter_map(|line| line.split_once(','));
    let (_, pieces) = lines.find(|(id, _)| *id == product_id)?;
    pieces.trim().parse().ok().filter(|pieces| *pieces >= 0)
}

/// 20 to 120 pieces, from the id's hash (FNV-1a).
fn from_hash(product_id: &str) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in product_id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The upper bits of FNV are mixed better than the lower ones.
    let spread = u64::try_from(MOST - FEWEST + 1).unwrap_or(1);
    FEWEST + i64::try_from((hash >> 32) % spread).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_stays_in_its_range_and_spreads() {
        let quantities: std::collections::BTreeSet<i64> =
            (0..500).map(|number| first_receipt(&format!("product-{number}"))).collect();
        assert!(quantities.iter().all(|quantity| (FEWEST..=MOST).contains(quantity)));
        assert!(quantities.len() > 80, "only {} different quantities", quantities.len());
    }

    #[test]
    fn each_line_of_the_list_is_understood() {
        let mut ids = std::collections::BTreeSet::new();
        for line in LISTED.lines().skip(1) {
            let (id, pieces) = line.split_once(',').unwrap();
            assert!(crate::limits::product_id(id).is_ok(), "{line}");
            assert_eq!(first_receipt(id), pieces.trim().parse::<i64>().unwrap(), "{line}");
            assert!(ids.insert(id), "{id} is listed twice");
        }
        assert!(ids.len() >= 50);
    }
}
