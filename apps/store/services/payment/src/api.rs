//! The payments' API. Each command is written ahead, and then settled with the bank; when its answer is lost, the state
//! says so and the same command asks the bank again under the same key.

use shoal_sdk::{Call, Database, Environment, Error, StartError};
use store_contracts::store::payment::v1::{
    AuditRequest, AuditResponse, AuthoriseRequest, AuthoriseResponse, CaptureRequest, CaptureResponse, Payment,
    RefundRequest, RefundResponse, VoidRequest, VoidResponse,
};
use store_contracts::store::types::v1::Money;

use crate::bank::{Bank, Operation};
use crate::card::Card;
use crate::lifecycle::State;
use crate::planted::{self, Planted, PlantedBug};
use crate::records::{self, Record};
use crate::settle::Settlements;
use crate::{Clock, Settings, audit, checks};

/// Where this service can be made to die on purpose, of each operation: it is written ahead and the bank not asked; the
/// bank has answered and nothing is recorded; the answer is recorded and the caller not told.
pub const CRASH_POINTS: [&str; 12] = [
    "authorise.logged",
    "authorise.answered",
    "authorise.recorded",
    "capture.logged",
    "capture.answered",
    "capture.recorded",
    "void.logged",
    "void.answered",
    "void.recorded",
    "refund.logged",
    "refund.answered",
    "refund.recorded",
];

/// Payments over one database, which other replicas may share.
pub struct PaymentApi {
    database: Database,
    settlements: Settlements,
    clock: Clock,
    planted: Planted,
}

impl PaymentApi {
    /// Payments over the environment's database, treated by the bank as the settings say.
    ///
    /// # Errors
    /// When the database cannot be opened or a setting is wrong.
    pub async fn open(environment: &Environment, clock: Clock) -> Result<PaymentApi, StartError> {
        let settings: Settings = environment.settings()?;
        let manners = settings.manners()?;
        let database = environment.database(crate::migrations()).await?;
        let bank = Bank::new(database.clone(), clock.clone(), manners);
        let settlements = Settlements::new(database.clone(), bank, clock.clone(), environment.faults());
        Ok(PaymentApi { database, settlements, clock, planted: Planted::of(&settings) })
    }

    /// The fence that a command is held to.
    fn fence(&self, fence: i64) -> i64 {
        if self.planted.is(PlantedBug::NoFence) { 0 } else { fence }
    }

    /// Writes an authorisation ahead, or finds the earlier one.
    async fn begin_authorise(
        &self,
        request: &AuthoriseRequest,
        money: &Money,
        card: Option<&Card>,
    ) -> Result<Record, Error> {
        let fence = self.fence(request.fence);
        let mut transaction = self.database.write_for(&request.order_id).await?;
        let face = card.map(Card::face);
        if let Some(earlier) = records::load(&mut transaction, &request.order_id, fence).await? {
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
        records::insert(&mut transaction, &asked, fence, (self.clock)()).await?;
        transaction.commit().await?;
        Ok(asked)
    }

    /// Writes ahead that the bank will be asked: `from` becomes `asking`; any other state is answered as it is.
    async fn write_ahead(&self, order_id: &str, fence: i64, from: State, asking: State) -> Result<Record, Error> {
        let mut transaction = self.database.write_for(order_id).await?;
        let mut record = records::load(&mut transaction, order_id, fence).await?.ok_or_else(|| nothing(order_id))?;
        if record.state == from {
            records::advance(&mut transaction, &mut record, asking, "", (self.clock)()).await?;
        }
        transaction.commit().await?;
        Ok(record)
    }

    /// The payment to void; one that was never asked for is marked, so that it never can be.
    async fn begin_void(&self, order_id: &str, fence: i64) -> Result<Record, Error> {
        let mut transaction = self.database.write_for(order_id).await?;
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
    async fn authorise(&self, call: &Call, request: AuthoriseRequest) -> Result<AuthoriseResponse, Error> {
        checks::order(&request.order_id, request.fence)?;
        let money = checks::amount(request.amount.as_option())?;
        let card = match request.card_number.trim() {
            "" => None,
            number => Some(Card::check(number, &request.card_expiry, (self.clock)()).map_err(Error::invalid_argument)?),
        };
        let record = self.begin_authorise(&request, &money, card.as_ref()).await?;
        let kind = card.as_ref().map(Card::kind);
        let record = self.settlements.settle(call, Operation::Authorise, kind, record).await?;
        Ok(AuthoriseResponse { payment: checks::message(record).into(), ..Default::default() })
    }

    async fn capture(&self, call: &Call, request: CaptureRequest) -> Result<CaptureResponse, Error> {
        checks::order(&request.order_id, request.fence)?;
        let (order_id, fence) = (request.order_id.as_str(), self.fence(request.fence));
        if self.planted.is(PlantedBug::ChargeWithoutKey) {
            planted::charge_again(&self.database, order_id, (self.clock)()).await?;
        }
        let record = self.write_ahead(order_id, fence, State::Authorised, State::Capturing).await?;
        let record = self.settlements.settle(call, Operation::Capture, None, record).await?;
        if matches!(record.state, State::Asked | State::Declined | State::Voided) {
            return Err(nothing(order_id));
        }
        Ok(CaptureResponse { payment: checks::message(record).into(), ..Default::default() })
    }

    async fn void(&self, call: &Call, request: VoidRequest) -> Result<VoidResponse, Error> {
        checks::order(&request.order_id, request.fence)?;
        let (order_id, fence) = (request.order_id.as_str(), self.fence(request.fence));
        let record = self.begin_void(order_id, fence).await?;
        if self.planted.is(PlantedBug::RefundSkipped) {
            return Ok(VoidResponse::default());
        }
        // An authorisation whose answer was lost: find out first, or withdraw the question.
        let record = self.settlements.settle(call, Operation::Authorise, None, record).await?;
        let record = self.settlements.settle(call, Operation::Void, None, record).await?;
        match record.state {
            // What was given back is held no more, either.
            State::Declined | State::Voided | State::Refunded => Ok(VoidResponse::default()),
            State::Asked | State::Capturing | State::Refunding => Err(Error::aborted(format!(
                "The bank's answer for the order `{order_id}` is not known yet: repeat that command first."
            ))),
            State::Authorised | State::CaptureRefused => {
                Err(Error::aborted(format!("The payment of the order `{order_id}` changed meanwhile: ask again.")))
            }
            State::Captured => Err(Error::failed_precondition(format!(
                "The payment of the order `{order_id}` was captured: refund it instead."
            ))),
        }
    }

    async fn refund(&self, call: &Call, request: RefundRequest) -> Result<RefundResponse, Error> {
        checks::order(&request.order_id, request.fence)?;
        let (order_id, fence) = (request.order_id.as_str(), self.fence(request.fence));
        let mut record = self.write_ahead(order_id, fence, State::Captured, State::Refunding).await?;
        if self.planted.is(PlantedBug::RefundSkipped) {
            record.state = State::Refunded;
        }
        let record = self.settlements.settle(call, Operation::Refund, None, record).await?;
        if record.state != State::Refunded {
            return Err(Error::failed_precondition(format!(
                "The payment of the order `{order_id}` was not captured: there is nothing to give back."
            )));
        }
        Ok(RefundResponse { payment: checks::message(record).into(), ..Default::default() })
    }

    async fn audit(&self, _call: &Call, request: AuditRequest) -> Result<AuditResponse, Error> {
        let mut answer = AuditResponse::default();
        let mut snapshot = self.database.snapshot().await?;
        answer.currencies = audit::currencies(&mut snapshot).await?;
        if !request.order_id.is_empty() {
            checks::order(&request.order_id, 0)?;
            let record = records::find(&mut snapshot, &request.order_id).await?;
            answer.payment = record.map(checks::message).into();
            answer.entries = audit::entries(&mut snapshot, &request.order_id).await?;
        }
        Ok(answer)
    }
}

fn nothing(order_id: &str) -> Error {
    Error::failed_precondition(format!("No money is held for the order `{order_id}`."))
}
