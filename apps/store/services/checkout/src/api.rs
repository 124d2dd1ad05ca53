//! The checkout's API: quotes, places and tells where an order stands. An order is logged before anything is held, and
//! then driven by a task that outlives the request.

use std::time::Duration;

use shoal_sdk::{Call, Error};
use store_contracts::store::checkout::v1::{
    Checkout, PlaceRequest, PlaceResponse, QuoteRequest, QuoteResponse, StatusRequest, StatusResponse,
};
use store_contracts::store::orders::v1::OpenRequest;
use store_contracts::store::types::v1::Money;
use tokio::time::Instant;

use crate::drive::{Driver, Started};
use crate::log::{self, Log, NewOrder, Saga};
use crate::planted::{Planted, PlantedBug};
use crate::steps::{Callees, CardInput};
use crate::{answer, limits, quote};

/// How long Place waits for a decision before it answers that there is none yet.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is kept of the caller's time for the way back.
const WAY_BACK: Duration = Duration::from_millis(300);

/// How often Place looks for the decision of an order that another task drives.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The checkout.
pub struct CheckoutApi {
    callees: Callees,
    log: Log,
    driver: Driver,
    planted: Planted,
}

impl CheckoutApi {
    /// The checkout that logs in `log` and drives with `driver`.
    pub(crate) fn new(callees: Callees, log: Log, driver: Driver, planted: Planted) -> CheckoutApi {
        CheckoutApi { callees, log, driver, planted }
    }

    /// The order that was placed under this key before: the original one, or a refusal when the request is another.
    async fn earlier(&self, wanted: &PlaceRequest) -> Result<Option<Saga>, Error> {
        let earlier = self.log.by_key(&wanted.idempotency_key).await?;
        if earlier.as_ref().is_some_and(|saga| !saga.body.is(wanted)) {
            return Err(Error::already_exists(
                "Another order was placed under this key: open the checkout page again to order anew.",
            ));
        }
        Ok(earlier)
    }

    /// The order that the shopper saw, if it still costs the same.
    async fn order_as_seen(&self, call: &Call, request: &PlaceRequest, seen: &Money) -> Result<NewOrder, Error> {
        let country = &request.address.country;
        let (quote, merged_from) =
            self.callees.quote(call, &request.shopper_id, &seen.currency, country, false).await?;
        let why = if quote.lines.is_empty() && quote.unavailable_product_ids.is_empty() {
            "The basket is empty: there is nothing to order."
        } else if !quote.unavailable_product_ids.is_empty() {
            "Something in the basket is not sold any more: please take it out."
        } else if quote.basket_version != request.basket_version {
            "The basket has changed since this page was shown: please check it and order again."
        } else if quote.total.as_option() != Some(seen) {
            "A price has changed since this page was shown: please check the new total and order again."
        } else {
            let body = OpenRequest {
                order_id: uuid::Uuid::now_v7().to_string(),
                shopper_id: request.shopper_id.clone(),
                email: request.email.clone(),
                address: request.address.clone(),
                ..quote::order_of(&quote)
            };
            return Ok(NewOrder { body, merged_from });
        };
        Err(Error::failed_precondition(why).with_detail(&quote))
    }

    /// Logs the order and waits for its decision, or for that of the order that was logged under this key meanwhile.
    async fn start(
        &self,
        wanted: PlaceRequest,
        order: NewOrder,
        card: CardInput,
        before: i64,
        until: Instant,
    ) -> Result<PlaceResponse, Error> {
        let Some(Started { saga, decided }) = self.driver.open(wanted.clone(), order, card, before).await? else {
            let saga = self.earlier(&wanted).await?;
            let saga = saga.ok_or_else(|| Error::aborted("The order could not be logged: please try again."))?;
            return Ok(answer(self.wait_for(saga, until).await?));
        };
        match tokio::time::timeout_at(until, decided).await {
            Ok(Ok(saga)) => Ok(answer(*saga)),
            // Its task rests, or another replica has it: the log knows.
            Ok(Err(_)) => Ok(answer(self.wait_for(saga, until).await?)),
            Err(_) => Ok(answer(saga)),
        }
    }

    /// The bug `key-ignored`: the order of a key that comes again is placed again.
    async fn place_again(
        &self,
        earlier: Saga,
        mut wanted: PlaceRequest,
        card: CardInput,
        until: Instant,
    ) -> Result<PlaceResponse, Error> {
        wanted.idempotency_key = uuid::Uuid::now_v7().to_string();
        let body = OpenRequest { order_id: uuid::Uuid::now_v7().to_string(), ..earlier.order };
        self.start(wanted, NewOrder { body, ..NewOrder::default() }, card, 0, until).await
    }

    /// Waits for the decision of an order that some other task or replica drives.
    async fn wait_for(&self, mut saga: Saga, until: Instant) -> Result<Saga, Error> {
        while !is_decided(&saga) && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(now) = self.log.by_order(&saga.order_id).await? {
                saga = now;
            }
        }
        Ok(saga)
    }
}

#[shoal_sdk::async_trait]
impl Checkout for CheckoutApi {
    async fn quote(&self, call: &Call, request: QuoteRequest) -> Result<QuoteResponse, Error> {
        limits::shopper_id(&request.shopper_id)?;
        limits::currency(&request.currency)?;
        limits::country(&request.country)?;
        let (quote, _) =
            self.callees.quote(call, &request.shopper_id, &request.currency, &request.country, true).await?;
        if quote.lines.is_empty() && quote.unavailable_product_ids.is_empty() {
            return Err(Error::failed_precondition("The basket is empty: there is nothing to order."));
        }
        Ok(quote)
    }

    async fn place(&self, call: &Call, request: PlaceRequest) -> Result<PlaceResponse, Error> {
        let seen = limits::place(&request)?;
        let until = Instant::now() + PATIENCE.min(call.time_left().saturating_sub(WAY_BACK));
        let card = CardInput { number: request.card_number.clone(), expiry: request.card_expiry.clone() };
        let before = request.place_before_ms;
        let wanted = log::comparable(request);
        if let Some(saga) = self.earlier(&wanted).await? {
            if self.planted.is(PlantedBug::KeyIgnored) {
                return self.place_again(saga, wanted, card, until).await;
            }
            return Ok(answer(self.wait_for(saga, until).await?));
        }
        if !self.driver.has_room() {
            return Err(Error::resource_exhausted("Too many orders are being placed: please try again in a moment."));
        }
        let order = match self.order_as_seen(call, &wanted, &seen).await {
            Ok(order) => order,
            // The same key, placed meanwhile by a request that ran beside this one, has emptied the basket.
            Err(error) => match self.earlier(&wanted).await? {
                Some(saga) => return Ok(answer(self.wait_for(saga, until).await?)),
                None => return Err(error),
            },
        };
        self.start(wanted, order, card, before, until).await
    }

    async fn status(&self, _call: &Call, request: StatusRequest) -> Result<StatusResponse, Error> {
        let saga = if !request.idempotency_key.is_empty() {
            limits::key(&request.idempotency_key)?;
            let saga = match self.log.by_key(&request.idempotency_key).await? {
                Some(saga) => Some(saga),
                // It may be about to be logged: then this waits for it.
                None => self.log.by_key_for_certain(&request.idempotency_key).await?,
            };
            Some(saga.ok_or_else(|| Error::not_found("No order was placed under this key."))?)
        } else if !request.order_id.is_empty() {
            limits::order_id(&request.order_id)?;
            let saga = self.log.by_order(&request.order_id).await?;
            Some(saga.ok_or_else(|| Error::not_found("There is no such order."))?)
        } else {
            None
        };
        let (unfinished, oldest) = self.log.unfinished().await?;
        Ok(StatusResponse {
            fence: saga.as_ref().map_or(0, |saga| saga.fence),
            order: saga.map(answer).into(),
            unfinished: i32::try_from(unfinished).unwrap_or(i32::MAX),
            oldest_unfinished_at_ms: oldest,
            ..Default::default()
        })
    }
}

fn is_decided(saga: &Saga) -> bool {
    saga.state.is_confirmed() || saga.state.is_refused()
}
