//! The payments' API. Each command is written ahead, then the bank is asked, then its answer is recorded; when the
//! answer is lost, the state says so and the same command asks the bank again under the same key.

use shoal_sdk::{Call, Database, Error};
use store_contracts::store::payment::v1::{
    AuditRequest, AuditResponse, AuthoriseRequest, AuthoriseResponse, CaptureRequest, CaptureResponse, Payment,
    PaymentRecord, PaymentState, RefundRequest, RefundResponse, VoidRequest, VoidResponse,
};
use store_contracts::store::types::v1::Money;

use crate::bank::{Bank, Operation, Verdict};
use crate::card::Card;
use crate::records::{self, Record, State};
use crate::{Clock, audit};

/// More than the dearest basket there can be.
const AMOUNT_MAX: i64 = 1_000_000_000_000;
const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];

/// Payments over one database, which other replicas may share.
pub struct PaymentApi {
    database: Database,
    bank: Bank,
    clock: Clock,
}

impl PaymentApi {
    /// Payments over `database`.
    #[must_use]
    pub fn new(database: Database, clock: Clock) -> PaymentApi {
        PaymentApi { bank: Bank::new(database.clone(), clock.clone()), database, clock }
    }

    /// Writes an authorisation ahead, or finds the earlier one.
    async fn begin_authorise(
        &self,
        request: &AuthoriseRequest,
        money: &Money,
        card: Option<&Card>,
    ) -> Result<Record, Error> {
        let mut transaction = self.database.write().await?;
        let face = card.map(Card::face);
        if let Some(earlier) = records::load(&mut transaction, &request.order_id, request.fence).await? {
            // A payment that was voided before it was ever asked for has no amount.
            let same_amount = (earlier.amount, earlier.currency.as_str()) == (money.minor, money.currency.as_str());
            let same_card = face.as_ref().is_none_or(|face| {
                earlier.last_four.is_empty() || (&face.brand, &face.last_four) == (&earlier.brand, &earlier.last_four)
            });
            transaction.commit().await?;
            if (earlier.amount != 0 && !same_amount) || !same_card {
                return Err(Error::already_exists(format!(
                    "The order `{}` already has a payment with another amount or card.",
                    request.order_id
                )));
            }
            return Ok(earlier);
        }
        let asked = Record {
            order_id: request.order_id.clone(),
            state: State::Asked,
            amount: money.minor,
            currency: money.currency.clone(),
            brand: face.as_ref().map(|face| face.brand.clone()).unwrap_or_default(),
            last_four: face.map(|face| face.last_four).unwrap_or_default(),
            reason: String::new(),
        };
        records::insert(&mut transaction, &asked, request.fence, (self.clock)()).await?;
        transaction.commit().await?;
        Ok(asked)
    }

    /// Asks the bank about an authorisation whose answer is not known, and records what it says.
    async fn settle_authorise(&self, record: Record, card: Option<&Card>, fence: i64) -> Result<Record, Error> {
        if record.state != State::Asked {
            return Ok(record);
        }
        let operation = Operation::Authorise(card.map(Card::kind));
        let verdict = self.ask(operation, &record).await?;
        self.record(&record.order_id, fence, State::Asked, verdict, State::Authorised, State::Declined).await
    }

    async fn ask(&self, operation: Operation, record: &Record) -> Result<Verdict, Error> {
        let answer = self.bank.ask(operation, &record.order_id, record.amount, &record.currency).await?;
        answer.ok_or_else(|| {
            Error::deadline_exceeded("The bank did not answer in time, so the outcome is not known yet: ask again.")
        })
    }

    /// Records the bank's verdict, unless somebody else did in the meantime.
    async fn record(
        &self,
        order_id: &str,
        fence: i64,
        from: State,
        verdict: Verdict,
        approved: State,
        refused: State,
    ) -> Result<Record, Error> {
        let mut transaction = self.database.write().await?;
        let mut record = records::load(&mut transaction, order_id, fence).await?.ok_or_else(|| nothing(order_id))?;
        if record.state == from {
            let now = (self.clock)();
            match verdict {
                Verdict::Approved => records::advance(&mut transaction, &mut record, approved, "", now).await?,
                Verdict::Refused(why) => records::advance(&mut transaction, &mut record, refused, &why, now).await?,
            }
        }
        transaction.commit().await?;
        Ok(record)
    }

    /// Writes ahead that the bank will be asked: `from` becomes `asking`; any other state is answered as it is.
    async fn write_ahead(&self, order_id: &str, fence: i64, from: State, asking: State) -> Result<Record, Error> {
        let mut transaction = self.database.write().await?;
        let mut record = records::load(&mut transaction, order_id, fence).await?.ok_or_else(|| nothing(order_id))?;
        if record.state == from {
            records::advance(&mut transaction, &mut record, asking, "", (self.clock)()).await?;
        }
        transaction.commit().await?;
        Ok(record)
    }

    /// The payment to void; one that was never asked for is marked, so that it never can be.
    async fn begin_void(&self, order_id: &str, fence: i64) -> Result<Record, Error> {
        let mut transaction = self.database.write().await?;
        let record = match records::load(&mut transaction, order_id, fence).await? {
            Some(record) => record,
            None => {
                let voided = Record {
                    order_id: order_id.to_owned(),
                    state: State::Voided,
                    amount: 0,
                    currency: String::new(),
                    brand: String::new(),
                    last_four: String::new(),
                    reason: "The payment was called off.".to_owned(),
                };
                records::insert(&mut transaction, &voided, fence, (self.clock)()).await?;
                voided
            }
        };
        transaction.commit().await?;
        Ok(record)
    }
}

#[shoal_sdk::async_trait]
impl Payment for PaymentApi {
    async fn authorise(&self, _call: &Call, request: AuthoriseRequest) -> Result<AuthoriseResponse, Error> {
        check_order(&request.order_id, request.fence)?;
        let money = checked(request.amount.as_option())?;
        let card = match request.card_number.trim() {
            "" => None,
            number => Some(Card::check(number, &request.card_expiry, (self.clock)()).map_err(Error::invalid_argument)?),
        };
        let record = self.begin_authorise(&request, &money, card.as_ref()).await?;
        let record = self.settle_authorise(record, card.as_ref(), request.fence).await?;
        Ok(AuthoriseResponse { payment: message(record).into(), ..Default::default() })
    }

    async fn capture(&self, _call: &Call, request: CaptureRequest) -> Result<CaptureResponse, Error> {
        check_order(&request.order_id, request.fence)?;
        let (order_id, fence) = (request.order_id.as_str(), request.fence);
        let mut record = self.write_ahead(order_id, fence, State::Authorised, State::Capturing).await?;
        if record.state == State::Capturing {
            let verdict = self.ask(Operation::Capture, &record).await?;
            record =
                self.record(order_id, fence, State::Capturing, verdict, State::Captured, State::CaptureRefused).await?;
        }
        if matches!(record.state, State::Asked | State::Declined | State::Voided) {
            return Err(nothing(order_id));
        }
        Ok(CaptureResponse { payment: message(record).into(), ..Default::default() })
    }

    async fn void(&self, _call: &Call, request: VoidRequest) -> Result<VoidResponse, Error> {
        check_order(&request.order_id, request.fence)?;
        let (order_id, fence) = (request.order_id.as_str(), request.fence);
        let record = self.begin_void(order_id, fence).await?;
        // An authorisation whose answer was lost: find out first, or withdraw the question.
        let record = self.settle_authorise(record, None, fence).await?;
        match record.state {
            State::Declined | State::Voided => {}
            State::Authorised | State::CaptureRefused => {
                let verdict = self.ask(Operation::Void, &record).await?;
                if let Verdict::Refused(why) = &verdict {
                    return Err(Error::failed_precondition(why.clone()));
                }
                let voided = self.record(order_id, fence, record.state, verdict, State::Voided, record.state).await?;
                if voided.state != State::Voided {
                    return Err(Error::aborted(format!("The payment of the order `{order_id}` changed meanwhile.")));
                }
            }
            State::Asked | State::Capturing => {
                return Err(Error::aborted(format!(
                    "The bank's answer for the order `{order_id}` is not known yet: repeat that command first."
                )));
            }
            State::Captured | State::Refunding | State::Refunded => {
                return Err(Error::failed_precondition(format!(
                    "The payment of the order `{order_id}` was captured: refund it instead."
                )));
            }
        }
        Ok(VoidResponse::default())
    }

    async fn refund(&self, _call: &Call, request: RefundRequest) -> Result<RefundResponse, Error> {
        check_order(&request.order_id, 0)?;
        let order_id = request.order_id.as_str();
        let mut record = self.write_ahead(order_id, 0, State::Captured, State::Refunding).await?;
        if record.state == State::Refunding {
            let verdict = self.ask(Operation::Refund, &record).await?;
            record = self.record(order_id, 0, State::Refunding, verdict, State::Refunded, State::Captured).await?;
        }
        if record.state != State::Refunded {
            return Err(Error::failed_precondition(format!(
                "The payment of the order `{order_id}` was not captured: there is nothing to give back."
            )));
        }
        Ok(RefundResponse { payment: message(record).into(), ..Default::default() })
    }

    async fn audit(&self, _call: &Call, request: AuditRequest) -> Result<AuditResponse, Error> {
        let mut answer = AuditResponse::default();
        let mut snapshot = self.database.pool().begin().await?;
        answer.currencies = audit::currencies(&mut snapshot).await?;
        if !request.order_id.is_empty() {
            check_order(&request.order_id, 0)?;
            let record = records::find(&mut snapshot, &request.order_id).await?;
            answer.payment = record.map(message).into();
            answer.entries = audit::entries(&mut snapshot, &request.order_id).await?;
        }
        snapshot.rollback().await?;
        Ok(answer)
    }
}

fn check_order(order_id: &str, fence: i64) -> Result<(), Error> {
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

fn checked(amount: Option<&Money>) -> Result<Money, Error> {
    let money = amount.ok_or_else(|| Error::invalid_argument("`amount` is missing."))?;
    if !CURRENCIES.contains(&money.currency.as_str()) {
        return Err(Error::invalid_argument("`amount.currency` must be `EUR`, `USD`, `GBP` or `JPY`."));
    }
    if !(1..=AMOUNT_MAX).contains(&money.minor) {
        return Err(Error::invalid_argument(format!("`amount.minor` must be 1 to {AMOUNT_MAX}.")));
    }
    Ok(money.clone())
}

fn nothing(order_id: &str) -> Error {
    Error::failed_precondition(format!("No money is held for the order `{order_id}`."))
}

fn message(record: Record) -> PaymentRecord {
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
