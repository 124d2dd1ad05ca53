//! The double-entry ledger as pure arithmetic: which entries each kind of transfer writes. The entries of one
//! transfer sum to zero. It never touches the database.

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// The shoppers' money, seen from the store: what left it is negative.
    Customer,
    /// Money that banks hold for orders.
    Held,
    /// The store's money.
    Store,
}

impl Account {
    /// The name it has in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Account::Customer => "customer",
            Account::Held => "held",
            Account::Store => "store",
        }
    }
}

/// What happened to the money of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Money is held.
    Authorise,
    /// Held money is taken.
    Capture,
    /// Held money is let go.
    Void,
    /// Taken money is given back.
    Refund,
}

impl Kind {
    /// The name it has in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Authorise => "authorise",
            Kind::Capture => "capture",
            Kind::Void => "void",
            Kind::Refund => "refund",
        }
    }
}

/// The entries of `kind` over `amount` minor units: out of one account, into another, so they sum to zero. `None`
/// unless the amount is positive.
#[must_use]
pub fn entries(kind: Kind, amount: i64) -> Option<[(Account, i64); 2]> {
    let (from, into) = match kind {
        Kind::Authorise => (Account::Customer, Account::Held),
        Kind::Capture => (Account::Held, Account::Store),
        Kind::Void => (Account::Held, Account::Customer),
        Kind::Refund => (Account::Store, Account::Customer),
    };
    (amount > 0).then(|| [(from, -amount), (into, amount)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn any_history_sums_to_zero(history in prop::collection::vec((0u8..4, 1i64..=i64::MAX), 0..100)) {
            let mut balances: BTreeMap<Account, i128> = BTreeMap::new();
            for (kind, amount) in history {
                let kind = [Kind::Authorise, Kind::Capture, Kind::Void, Kind::Refund][usize::from(kind)];
                for (account, amount) in entries(kind, amount).unwrap() {
                    *balances.entry(account).or_default() += i128::from(amount);
                }
                prop_assert_eq!(balances.values().sum::<i128>(), 0);
            }
        }

        #[test]
        fn nothing_or_less_is_no_posting(amount in i64::MIN..=0) {
            prop_assert_eq!(entries(Kind::Capture, amount), None);
        }
    }

    #[test]
    fn a_capture_ends_its_hold() {
        let mut balances: BTreeMap<Account, i64> = BTreeMap::new();
        for kind in [Kind::Authorise, Kind::Capture] {
            for (account, amount) in entries(kind, 1250).unwrap() {
                *balances.entry(account).or_default() += amount;
            }
        }
        assert_eq!(balances[&Account::Held], 0);
        assert_eq!(balances[&Account::Store], 1250);
        assert_eq!(balances[&Account::Customer], -1250);
    }
}
