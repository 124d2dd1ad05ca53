//! The steps of a saga as calls to the services that own stock, money, orders and baskets. Each command carries the
//! order as its key and the lease's fence, so repeating it is safe. It decides nothing: an answer becomes an outcome.

use std::sync::Arc;
use std::time::Duration;

use shoal_sdk::{Call, Code, Environment, Error, StartError};
use store_contracts::store::basket::v1::ClearRequest;
use store_contracts::store::inventory::v1::{
    CommitRequest, ReleaseRequest, ReserveRequest, RestockRequest, Shortages, StockLine,
};
use store_contracts::store::orders::v1::{CancelRequest, ConfirmRequest, OpenRequest};
use store_contracts::store::payment::v1::{AuthoriseRequest, CaptureRequest, PaymentRecord, PaymentState, VoidRequest};

use crate::calls;
use crate::log::{Saga, StepResult};
use crate::planted::{Planted, PlantedBug};
use crate::saga::{Outcome, State, Step, Undo};

/// How long stock is held for an order that is being paid.
const HOLD_STOCK: Duration = Duration::from_secs(15 * 60);

/// How long one call may take, at most; and well below the lease.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(3);

/// The longest reason that orders take, in characters.
const REASON_MAX: usize = 300;

/// Everything checkout calls.
#[derive(Clone)]
pub struct Callees {
    pub basket: Arc<dyn calls::Basket>,
    pub catalogue: Arc<dyn calls::Catalogue>,
    pub inventory: Arc<dyn calls::Inventory>,
    pub payment: Arc<dyn calls::Payment>,
    pub orders: Arc<dyn calls::Orders>,
    pub shipping: Arc<dyn calls::Shipping>,
    call_timeout: Duration,
    planted: Planted,
}

/// A card on its way to the payment service. It is never stored, and its debug form shows nothing.
#[derive(Clone, Default)]
pub struct CardInput {
    pub number: String,
    pub expiry: String,
}

impl std::fmt::Debug for CardInput {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CardInput")
    }
}

impl Callees {
    /// The callees that the environment leads to, for orders whose leases last for `lease`.
    pub fn of(environment: &Environment, lease: Duration, planted: Planted) -> Result<Callees, StartError> {
        Ok(Callees {
            basket: calls::basket(environment)?,
            catalogue: calls::catalogue(environment)?,
            inventory: calls::inventory(environment)?,
            payment: calls::payment(environment)?,
            orders: calls::orders(environment)?,
            shipping: calls::shipping(environment)?,
            call_timeout: CALL_TIMEOUT_MAX.min(lease / 3),
            planted,
        })
    }

    /// Runs the saga's current step once. Without a card, an authorisation is asked about instead of asked for.
    pub async fn run(&self, saga: &Saga, card: &CardInput) -> StepResult {
        let call = Call::new().with_timeout(self.call_timeout);
        let step = async {
            match saga.state {
                State::Doing(step) => self.forward(&call, saga, step, card).await,
                State::Undoing(undo) => self.back(&call, saga, undo).await,
                State::Placed | State::Refused => done(),
            }
        };
        match tokio::time::timeout(self.call_timeout, step).await {
            Ok(result) => result,
            Err(_) => unknown("There was no answer in time."),
        }
    }

    /// What every command for this saga carries beside its key.
    fn fence(&self, saga: &Saga) -> i64 {
        if self.planted.is(PlantedBug::NoFence) { 0 } else { saga.fence }
    }

    async fn forward(&self, call: &Call, saga: &Saga, step: Step, card: &CardInput) -> StepResult {
        let (order_id, fence) = (saga.order_id.clone(), self.fence(saga));
        match step {
            Step::Open => {
                let request = OpenRequest { fence, ..saga.order.clone() };
                outcome_of(self.orders.open(call, request).await)
            }
            Step::Reserve => {
                let request = ReserveRequest {
                    order_id,
                    lines: stock_lines(saga),
                    ttl_ms: i64::try_from(HOLD_STOCK.as_millis()).unwrap_or(i64::MAX),
                    fence,
                    ..Default::default()
                };
                reserved(saga, self.inventory.reserve(call, request).await.map(|_| ()))
            }
            Step::Authorise => {
                let request = AuthoriseRequest {
                    order_id,
                    amount: saga.order.total.clone(),
                    card_number: card.number.clone(),
                    card_expiry: card.expiry.clone(),
                    fence,
                    ..Default::default()
                };
                let answer = self.payment.authorise(call, request).await;
                paid(answer.map(|answer| answer.payment.into_option()), PaymentState::PAYMENT_STATE_AUTHORISED)
            }
            Step::CommitStock => {
                let request = CommitRequest { order_id, fence, ..Default::default() };
                let result = outcome_of(self.inventory.commit(call, request).await);
                with_sentence(result, "The time to pay was over before the payment went through: please order again.")
            }
            Step::Capture => {
                let request = CaptureRequest { order_id, fence, ..Default::default() };
                let answer = self.payment.capture(call, request).await;
                paid(answer.map(|answer| answer.payment.into_option()), PaymentState::PAYMENT_STATE_CAPTURED)
            }
            Step::Confirm => {
                let request = ConfirmRequest { order_id, fence, ..Default::default() };
                outcome_of(self.orders.confirm(call, request).await)
            }
            Step::ClearBasket => {
                let request = ClearRequest {
                    shopper_id: saga.order.shopper_id.clone(),
                    version: saga.basket_version,
                    ..Default::default()
                };
                outcome_of(self.basket.clear(call, request).await)
            }
        }
    }

    async fn back(&self, call: &Call, saga: &Saga, undo: Undo) -> StepResult {
        let (order_id, fence) = (saga.order_id.clone(), self.fence(saga));
        match undo {
            Undo::Restock => {
                let request = RestockRequest { order_id, fence, ..Default::default() };
                outcome_of(self.inventory.restock(call, request).await)
            }
            Undo::Void => {
                let request = VoidRequest { order_id, fence, ..Default::default() };
                outcome_of(self.payment.void(call, request).await)
            }
            Undo::Release => {
                let request = ReleaseRequest { order_id, fence, ..Default::default() };
                outcome_of(self.inventory.release(call, request).await)
            }
            Undo::Cancel => {
                let reason = saga.refusal.chars().filter(|letter| !letter.is_control()).take(REASON_MAX).collect();
                let request = CancelRequest { order_id, reason, fence, ..Default::default() };
                match self.orders.cancel(call, request).await {
                    // It was never opened, and now never will be.
                    Err(error) if error.code == Code::NotFound => done(),
                    answer => outcome_of(answer),
                }
            }
        }
    }
}

fn stock_lines(saga: &Saga) -> Vec<StockLine> {
    let line = |line: &store_contracts::store::orders::v1::OrderLine| StockLine {
        product_id: line.product_id.clone(),
        quantity: line.quantity,
        ..Default::default()
    };
    saga.order.lines.iter().map(line).collect()
}

/// Whether an error says for certain that nothing happened and nothing will. The callees refuse with these codes and
/// no others; `permission_denied` is what something on the way there would say, of which nothing follows.
pub fn is_definite(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition)
}

fn outcome_of<T>(answer: Result<T, Error>) -> StepResult {
    match answer {
        Ok(_) => done(),
        Err(error) if is_definite(error.code) => refused(&error.message),
        Err(error) => unknown(&error.to_string()),
    }
}

/// A shortage is told with the names the shopper saw.
fn reserved(saga: &Saga, answer: Result<(), Error>) -> StepResult {
    let shortages = answer.as_ref().err().and_then(Error::detail::<Shortages>);
    let result = outcome_of(answer);
    let Some(shortages) = shortages.filter(|_| result.outcome == Outcome::Refused) else {
        return with_sentence(result, "The goods could not be held for this order: please order again.");
    };
    let name = |product_id: &str| {
        let line = saga.order.lines.iter().find(|line| line.product_id == product_id);
        line.map_or_else(|| product_id.to_owned(), |line| line.name.clone())
    };
    let missing: Vec<String> = shortages
        .shortages
        .iter()
        .map(|shortage| match shortage.available {
            0 => format!("{} is sold out", name(&shortage.product_id)),
            left => format!("only {left} of {} left", name(&shortage.product_id)),
        })
        .collect();
    refused(&format!("There is not enough in stock: {}.", missing.join(", ")))
}

/// The money is where it should be, or was refused for good, or nobody knows.
fn paid(answer: Result<Option<PaymentRecord>, Error>, wanted: PaymentState) -> StepResult {
    let payment = match answer {
        Ok(Some(payment)) => payment,
        Ok(None) => return unknown("The payment service gave an answer without a payment."),
        Err(error) => return outcome_of::<()>(Err(error)),
    };
    match payment.state.as_known() {
        Some(state) if state == wanted => done(),
        // An authorisation that is asked about again later than the capture.
        Some(PaymentState::PAYMENT_STATE_CAPTURED) => done(),
        Some(PaymentState::PAYMENT_STATE_DECLINED) => refused(&payment.decline_reason),
        Some(PaymentState::PAYMENT_STATE_VOIDED | PaymentState::PAYMENT_STATE_REFUNDED) => {
            refused("The payment was called off: please order again.")
        }
        _ => unknown("The bank's answer is not known yet."),
    }
}

fn with_sentence(result: StepResult, sentence: &str) -> StepResult {
    match result.outcome {
        Outcome::Refused => {
            tracing::info!(why = result.detail, "a step was refused");
            refused(sentence)
        }
        Outcome::Done | Outcome::Unknown => result,
    }
}

fn done() -> StepResult {
    StepResult { outcome: Outcome::Done, detail: String::new() }
}

fn refused(sentence: &str) -> StepResult {
    StepResult { outcome: Outcome::Refused, detail: sentence.to_owned() }
}

fn unknown(why: &str) -> StepResult {
    StepResult { outcome: Outcome::Unknown, detail: why.to_owned() }
}
