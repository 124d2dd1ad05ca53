//! What a request may look like, and how a payment is told. Each refusal is one sentence that names the field and the
//! mend. It never touches the database.

use shoal_sdk::Error;
use store_contracts::store::payment::v1::{PaymentRecord, PaymentState};
use store_contracts::store::types::v1::Money;

use crate::lifecycle::State;
use crate::records::Record;

/// More than the dearest basket there can be.
const AMOUNT_MAX: i64 = 1_000_000_000_000;
const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];

/// The order of a command, and its fence.
pub fn order(order_id: &str, fence: i64) -> Result<(), Error> {
    let fits = (1..=64).contains(&order_id.len())
        && order_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !fits {
        return Err(Error::invalid_argument(
            "`order_id` must be 1 to 64 characters of `A-Z`, `a-z`, `0-9`, `_` and `-`.",
        ));
    }
    if fence < 0 {
        return Err(Error::invalid_argument("`fence` must not be negative."));
    }
    Ok(())
}

/// The amount to hold.
pub fn amount(amount: Option<&Money>) -> Result<Money, Error> {
    let money = amount.ok_or_else(|| Error::invalid_argument("`amount` is missing."))?;
    if !CURRENCIES.contains(&money.currency.as_str()) {
        return Err(Error::invalid_argument("`amount.currency` must be `EUR`, `USD`, `GBP` or `JPY`."));
    }
    if !(1..=AMOUNT_MAX).contains(&money.minor) {
        return Err(Error::invalid_argument(format!("`amount.minor` must be 1 to {AMOUNT_MAX}.")));
    }
    Ok(money.clone())
}

/// What is told of a payment.
pub fn message(record: Record) -> PaymentRecord {
    let state = match record.state {
        State::Asked => PaymentState::PAYMENT_STATE_PENDING,
        // Until the bank answers, the amount is held and not yet taken, or taken and not yet given back.
        State::Authorised | State::Capturing => PaymentState::PAYMENT_STATE_AUTHORISED,
        State::Declined | State::CaptureRefused => PaymentState::PAYMENT_STATE_DECLINED,
        State::Captured | State::Refunding => PaymentState::PAYMENT_STATE_CAPTURED,
        State::Voided => PaymentState::PAYMENT_STATE_VOIDED,
        State::Refunded => PaymentState::PAYMENT_STATE_REFUNDED,
    };
    let amount =
        (record.amount != 0).then(|| Money { minor: record.amount, currency: record.currency, ..Default::default() });
    PaymentRecord {
        order_id: record.order_id,
        state: state.into(),
        amount: amount.into(),
        card_last_four: record.last_four,
        card_brand: record.brand,
        decline_reason: record.reason,
        ..Default::default()
    }
}
