//! The stand-ins themselves: what each call does to the world.

use checkout::calls;
use shoal_sdk::{Call, Error};
use store_contracts::store::basket::v1::{self as basket, BasketContents, BasketLine};
use store_contracts::store::catalogue::v1::{self as catalogue, Price, Product};
use store_contracts::store::inventory::v1::{self as inventory, StockLine};
use store_contracts::store::orders::v1 as orders;
use store_contracts::store::payment::v1::{self as payment, PaymentRecord, PaymentState};
use store_contracts::store::shipping::v1 as shipping;

use super::{OrderIs, Payment, State, Stock, World, euros};

#[shoal_sdk::async_trait]
impl calls::Basket for World {
    async fn get(&self, _call: &Call, request: basket::GetRequest) -> Result<basket::GetResponse, Error> {
        let contents = |state: &mut State| BasketContents {
            merged_from: state.merged_from.get(&request.shopper_id).cloned().unwrap_or_default(),
            shopper_id: request.shopper_id,
            version: state.basket_version,
            lines: state
                .basket
                .iter()
                .map(|(id, quantity)| BasketLine { product_id: id.clone(), quantity: *quantity, ..Default::default() })
                .collect(),
            ..Default::default()
        };
        self.run("basket/get", "", 0, |state| {
            Ok(basket::GetResponse { basket: contents(state).into(), ..Default::default() })
        })
        .await
    }

    async fn clear(&self, _call: &Call, request: basket::ClearRequest) -> Result<basket::ClearResponse, Error> {
        self.run("basket/clear", "", 0, |state| {
            if request.version == state.basket_version {
                state.basket.clear();
                state.basket_version += 1;
            }
            Ok(basket::ClearResponse::default())
        })
        .await
    }
}

#[shoal_sdk::async_trait]
impl calls::Catalogue for World {
    async fn batch_get_products(
        &self,
        _call: &Call,
        request: catalogue::BatchGetProductsRequest,
    ) -> Result<catalogue::BatchGetProductsResponse, Error> {
        self.run("catalogue/batch-get", "", 0, |state| {
            let product = |id: &String| {
                let price = Price { amount: euros(*state.prices.get(id)?).into(), ..Default::default() };
                Some(Product { id: id.clone(), name: format!("The {id}"), prices: vec![price], ..Default::default() })
            };
            let products = request.ids.iter().filter_map(product).collect();
            Ok(catalogue::BatchGetProductsResponse { products, ..Default::default() })
        })
        .await
    }
}

#[shoal_sdk::async_trait]
impl calls::Inventory for World {
    async fn available(
        &self,
        _call: &Call,
        request: inventory::AvailableRequest,
    ) -> Result<inventory::AvailableResponse, Error> {
        self.run("inventory/available", "", 0, |_| {
            let line = |id: &String| StockLine { product_id: id.clone(), quantity: 2, ..Default::default() };
            let stock = request.product_ids.iter().map(line).collect();
            Ok(inventory::AvailableResponse { stock, ..Default::default() })
        })
        .await
    }

    async fn reserve(
        &self,
        _call: &Call,
        request: inventory::ReserveRequest,
    ) -> Result<inventory::ReserveResponse, Error> {
        self.run("reserve", &request.order_id, request.fence, |state| {
            match state.stock.entry(request.order_id.clone()).or_insert(Stock::Held) {
                Stock::Released => Err(Error::failed_precondition("It was released.")),
                _ => Ok(inventory::ReserveResponse::default()),
            }
        })
        .await
    }

    async fn commit(
        &self,
        _call: &Call,
        request: inventory::CommitRequest,
    ) -> Result<inventory::CommitResponse, Error> {
        self.run("commit-stock", &request.order_id, request.fence, |state| {
            match state.stock.get_mut(&request.order_id) {
                Some(stock @ (Stock::Held | Stock::Sold)) => *stock = Stock::Sold,
                _ => return Err(Error::failed_precondition("Nothing is held.")),
            }
            Ok(inventory::CommitResponse::default())
        })
        .await
    }

    async fn release(
        &self,
        _call: &Call,
        request: inventory::ReleaseRequest,
    ) -> Result<inventory::ReleaseResponse, Error> {
        self.run("undo-release", &request.order_id, request.fence, |state| {
            match state.stock.entry(request.order_id.clone()).or_insert(Stock::Released) {
                Stock::Sold => return Err(Error::failed_precondition("It was sold.")),
                stock @ Stock::Held => *stock = Stock::Released,
                Stock::Released | Stock::Restocked => {}
            }
            Ok(inventory::ReleaseResponse::default())
        })
        .await
    }

    async fn restock(
        &self,
        _call: &Call,
        request: inventory::RestockRequest,
    ) -> Result<inventory::RestockResponse, Error> {
        self.run("undo-restock", &request.order_id, request.fence, |state| {
            match state.stock.get_mut(&request.order_id) {
                Some(stock @ (Stock::Sold | Stock::Restocked)) => *stock = Stock::Restocked,
                _ => return Err(Error::failed_precondition("It was not sold.")),
            }
            Ok(inventory::RestockResponse::default())
        })
        .await
    }
}

fn payment_of(state: PaymentState) -> payment::PaymentRecord {
    let decline_reason = match state {
        PaymentState::PAYMENT_STATE_DECLINED => "The card was declined.".to_owned(),
        _ => String::new(),
    };
    PaymentRecord { state: state.into(), decline_reason, ..Default::default() }
}

#[shoal_sdk::async_trait]
impl calls::Payment for World {
    async fn authorise(
        &self,
        _call: &Call,
        request: payment::AuthoriseRequest,
    ) -> Result<payment::AuthoriseResponse, Error> {
        self.run("authorise", &request.order_id, request.fence, |state| {
            state.cards.push(request.card_number.clone());
            let asked = if request.card_number.is_empty() { Payment::Declined } else { Payment::Authorised };
            let answer = match state.payments.entry(request.order_id.clone()).or_insert(asked) {
                Payment::Authorised => PaymentState::PAYMENT_STATE_AUTHORISED,
                Payment::Captured => PaymentState::PAYMENT_STATE_CAPTURED,
                Payment::Voided => PaymentState::PAYMENT_STATE_VOIDED,
                Payment::Declined => PaymentState::PAYMENT_STATE_DECLINED,
            };
            Ok(payment::AuthoriseResponse { payment: payment_of(answer).into(), ..Default::default() })
        })
        .await
    }

    async fn capture(&self, _call: &Call, request: payment::CaptureRequest) -> Result<payment::CaptureResponse, Error> {
        self.run("capture", &request.order_id, request.fence, |state| {
            match state.payments.get_mut(&request.order_id) {
                Some(payment @ Payment::Authorised) => {
                    *payment = Payment::Captured;
                    state.captures += 1;
                }
                Some(Payment::Captured) => {}
                _ => return Err(Error::failed_precondition("No money is held.")),
            }
            let payment = payment_of(PaymentState::PAYMENT_STATE_CAPTURED);
            Ok(payment::CaptureResponse { payment: payment.into(), ..Default::default() })
        })
        .await
    }

    async fn void(&self, _call: &Call, request: payment::VoidRequest) -> Result<payment::VoidResponse, Error> {
        self.run("undo-void", &request.order_id, request.fence, |state| {
            match state.payments.entry(request.order_id.clone()).or_insert(Payment::Voided) {
                Payment::Captured => return Err(Error::failed_precondition("It was captured.")),
                payment @ Payment::Authorised => *payment = Payment::Voided,
                Payment::Voided | Payment::Declined => {}
            }
            Ok(payment::VoidResponse::default())
        })
        .await
    }
}

#[shoal_sdk::async_trait]
impl calls::Orders for World {
    async fn open(&self, _call: &Call, request: orders::OpenRequest) -> Result<orders::OpenResponse, Error> {
        self.run("open", &request.order_id.clone(), request.fence, |state| {
            let order = (OrderIs::Pending, request.clone());
            state.orders.entry(request.order_id).or_insert(order);
            Ok(orders::OpenResponse::default())
        })
        .await
    }

    async fn confirm(&self, _call: &Call, request: orders::ConfirmRequest) -> Result<orders::ConfirmResponse, Error> {
        self.run("confirm", &request.order_id, request.fence, |state| {
            match state.orders.get_mut(&request.order_id) {
                Some((order @ (OrderIs::Pending | OrderIs::Confirmed), _)) => *order = OrderIs::Confirmed,
                _ => return Err(Error::failed_precondition("It was cancelled.")),
            }
            Ok(orders::ConfirmResponse::default())
        })
        .await
    }

    async fn cancel(&self, _call: &Call, request: orders::CancelRequest) -> Result<orders::CancelResponse, Error> {
        self.run("undo-cancel", &request.order_id, request.fence, |state| {
            match state.orders.get_mut(&request.order_id) {
                Some((order @ OrderIs::Pending, _)) => *order = OrderIs::Cancelled(request.reason),
                Some((OrderIs::Cancelled(_), _)) => {}
                Some((OrderIs::Confirmed, _)) => return Err(Error::failed_precondition("It was confirmed.")),
                None => return Err(Error::not_found("It was never opened.")),
            }
            Ok(orders::CancelResponse::default())
        })
        .await
    }
}

#[shoal_sdk::async_trait]
impl calls::Shipping for World {
    async fn quote(&self, _call: &Call, _request: shipping::QuoteRequest) -> Result<shipping::QuoteResponse, Error> {
        self.run("shipping/quote", "", 0, |_| {
            Ok(shipping::QuoteResponse { amount: euros(490).into(), ..Default::default() })
        })
        .await
    }
}
