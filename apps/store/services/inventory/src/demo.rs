//! Demo stock: how many pieces of a product a fresh demo store starts with. Inventory knows no catalogue, so the
//! quantity follows from the product's id alone and is the same on every machine. It never touches the database.

/// The fewest pieces a demo product starts with.
pub const FEWEST: i64 = 20;
/// The most pieces a demo product starts with.
pub const MOST: i64 = 120;

/// The first receipt of a product nobody has received before: 20 to 120 pieces, from a hash of its id (FNV-1a).
#[must_use]
pub fn first_receipt(product_id: &str) -> i64 {
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
    fn stays_in_its_range_and_spreads() {
        let quantities: std::collections::BTreeSet<i64> = (0..500)
            .map(|number| first_receipt(&format!("product-{number}")))
            .collect();
        assert!(quantities.iter().all(|quantity| (FEWEST..=MOST).contains(quantity)));
        assert!(quantities.len() > 80, "only {} different quantities", quantities.len());
        assert_eq!(first_receipt("blue-mug"), first_receipt("blue-mug"));
    }
}
