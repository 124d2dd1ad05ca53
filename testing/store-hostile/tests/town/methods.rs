//! Every method of every API of the store, with a request that is in order.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shoal_sdk::Message;
use store_contracts::store::{basket, catalogue, checkout, customer, inventory, notify, orders, payment, shipping};

const KEY: &str = "key-00000001";
/// The order that is begun again and again; see [`anew`].
const NEW_ORDER: &str = "0192f3a0-3333-7222-8333-444455556666";
pub const ORDER: &str = "0192f3a0-1111-7222-8333-444455556666";
pub const GUEST: &str = "guest:0192f3a0-2222-7222-8333-444455556666";
pub const CUSTOMER: &str = "customer:0192f3a0-aaaa-7bbb-8ccc-ddddeeeeffff";
/// In no other field than a card's number.
pub const CARD: &str = "5555555555554444";
/// In no other field than a password.
pub const PASSWORD: &str = "hunter-two-is-taken";

/// A method.
pub struct Method {
    pub name: &'static str,
    /// In Protobuf's JSON, in order.
    pub request: Value,
    encode: fn(&Value) -> Option<Vec<u8>>,
}

impl Method {
    fn new<Request: Message + DeserializeOwned>(name: &'static str, request: Value) -> Method {
        let encode = |json: &Value| {
            let request: Request = serde_json::from_value(json.clone()).ok()?;
            Some(request.encode_to_vec())
        };
        Method { name, request, encode }
    }

    /// The same in Protobuf's own encoding, when it is a message at all.
    pub fn encoded(&self, json: &Value) -> Option<Vec<u8>> {
        (self.encode)(json)
    }
}

/// The same request under another key and for another order: a repeat would be answered without a look at the rest of it.
pub fn anew(request: &Value) -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let text = request.to_string();
    let text = text.replace(KEY, &format!("key-{count:08}-anew"));
    let text = text.replace(NEW_ORDER, &format!("0192f3a0-3333-7222-8333-{count:012}"));
    serde_json::from_str(&text).unwrap()
}

fn euros(minor: i64) -> Value {
    json!({ "minor": minor, "currency": "EUR" })
}

fn address() -> Value {
    json!({
        "name": "Ada Lovelace", "line1": "12 Analytical Row", "line2": "Left", "city": "Berlin", "region": "Berlin",
        "postcode": "10115", "country": "DE",
    })
}

/// All of them.
pub fn all() -> Vec<Method> {
    [shopping(), keeping(), paying(), after()].into_iter().flatten().collect()
}

fn shopping() -> Vec<Method> {
    use basket::v1 as b;
    use catalogue::v1 as c;
    use customer::v1 as p;
    let key = KEY;
    vec![
        Method::new::<b::GetRequest>("store.basket.v1.Basket/Get", json!({ "shopperId": GUEST })),
        Method::new::<b::SetItemRequest>(
            "store.basket.v1.Basket/SetItem",
            json!({ "shopperId": GUEST, "productId": "tide-mug", "quantity": 2, "expectedVersion": 0 }),
        ),
        Method::new::<b::MergeRequest>(
            "store.basket.v1.Basket/Merge",
            json!({ "guestShopperId": GUEST, "customerShopperId": CUSTOMER }),
        ),
        Method::new::<b::ClearRequest>("store.basket.v1.Basket/Clear", json!({ "shopperId": GUEST, "version": 1 })),
        Method::new::<c::ListProductsRequest>(
            "store.catalogue.v1.Catalogue/ListProducts",
            json!({ "category": "kitchen", "pageSize": 10, "pageToken": "tide-mug", "sort": "SORT_NAME", "currency": "EUR" }),
        ),
        Method::new::<c::BatchGetProductsRequest>(
            "store.catalogue.v1.Catalogue/BatchGetProducts",
            json!({ "ids": ["tide-mug", "nothing"] }),
        ),
        Method::new::<c::SearchRequest>("store.catalogue.v1.Catalogue/Search", json!({ "query": "mug", "limit": 5 })),
        Method::new::<c::RelatedRequest>(
            "store.catalogue.v1.Catalogue/Related",
            json!({ "productId": "tide-mug", "limit": 4 }),
        ),
        Method::new::<c::GetPictureRequest>(
            "store.catalogue.v1.Catalogue/GetPicture",
            json!({ "productId": "tide-mug", "knownEtag": "x" }),
        ),
        Method::new::<c::PutProductRequest>(
            "store.catalogue.v1.Catalogue/PutProduct",
            json!({
                "idempotencyKey": key, "expectedVersion": 0, "id": "odd-thing", "name": "Odd thing", "summary": "Odd",
                "description": "It is\nodd", "category": "kitchen", "tags": ["odd"],
            }),
        ),
        Method::new::<c::SetPriceRequest>(
            "store.catalogue.v1.Catalogue/SetPrice",
            json!({ "idempotencyKey": key, "productId": "tide-mug", "amount": euros(500), "expectedVersion": 1 }),
        ),
        Method::new::<p::RegisterRequest>(
            "store.customer.v1.Customer/Register",
            json!({ "idempotencyKey": key, "email": "ada@example.org", "password": PASSWORD, "name": "Ada" }),
        ),
        Method::new::<p::SignInRequest>(
            "store.customer.v1.Customer/SignIn",
            json!({ "email": "ada@example.org", "password": PASSWORD }),
        ),
        Method::new::<p::SignOutRequest>("store.customer.v1.Customer/SignOut", json!({ "token": "v4.local.x" })),
        Method::new::<p::VerifyRequest>("store.customer.v1.Customer/Verify", json!({ "token": "v4.local.x" })),
        Method::new::<p::PutAddressRequest>(
            "store.customer.v1.Customer/PutAddress",
            json!({
                "token": "v4.local.x", "addressId": "a", "address": address(), "remove": false, "idempotencyKey": key,
            }),
        ),
        Method::new::<p::EraseRequest>(
            "store.customer.v1.Customer/Erase",
            json!({ "token": "v4.local.x", "password": PASSWORD }),
        ),
    ]
}

fn keeping() -> Vec<Method> {
    use inventory::v1 as i;
    let order = json!({ "orderId": ORDER, "fence": 1 });
    vec![
        Method::new::<i::AvailableRequest>(
            "store.inventory.v1.Inventory/Available",
            json!({ "productIds": ["tide-mug", "nothing"] }),
        ),
        Method::new::<i::ReserveRequest>(
            "store.inventory.v1.Inventory/Reserve",
            json!({ "orderId": NEW_ORDER, "lines": [{ "productId": "tide-mug", "quantity": 1 }], "ttlMs": 60_000, "fence": 1 }),
        ),
        Method::new::<i::ExtendRequest>(
            "store.inventory.v1.Inventory/Extend",
            json!({ "orderId": ORDER, "ttlMs": 60_000, "fence": 1 }),
        ),
        Method::new::<i::CommitRequest>("store.inventory.v1.Inventory/Commit", order.clone()),
        Method::new::<i::RestockRequest>("store.inventory.v1.Inventory/Restock", order.clone()),
        Method::new::<i::ReleaseRequest>("store.inventory.v1.Inventory/Release", order),
        Method::new::<i::ReceiveRequest>(
            "store.inventory.v1.Inventory/Receive",
            json!({ "idempotencyKey": KEY, "productId": "tide-mug", "quantity": 5, "note": "from the mill" }),
        ),
        Method::new::<i::AuditRequest>(
            "store.inventory.v1.Inventory/Audit",
            json!({ "productId": "tide-mug", "limit": 10, "pageToken": "a" }),
        ),
    ]
}

fn paying() -> Vec<Method> {
    use checkout::v1 as c;
    use payment::v1 as p;
    let order = json!({ "orderId": ORDER, "fence": 1 });
    vec![
        Method::new::<p::AuthoriseRequest>(
            "store.payment.v1.Payment/Authorise",
            json!({
                "orderId": NEW_ORDER, "amount": euros(500), "cardNumber": CARD, "cardExpiry": "12/40", "fence": 1,
            }),
        ),
        Method::new::<p::CaptureRequest>("store.payment.v1.Payment/Capture", order.clone()),
        Method::new::<p::RefundRequest>("store.payment.v1.Payment/Refund", order.clone()),
        Method::new::<p::VoidRequest>("store.payment.v1.Payment/Void", order),
        Method::new::<p::AuditRequest>("store.payment.v1.Payment/Audit", json!({ "orderId": ORDER })),
        Method::new::<c::QuoteRequest>(
            "store.checkout.v1.Checkout/Quote",
            json!({ "shopperId": GUEST, "currency": "EUR", "country": "DE" }),
        ),
        Method::new::<c::PlaceRequest>(
            "store.checkout.v1.Checkout/Place",
            json!({
                "idempotencyKey": KEY, "shopperId": GUEST, "basketVersion": 1, "expectedTotal": euros(500),
                "address": address(), "email": "ada@example.org", "cardNumber": CARD, "cardExpiry": "12/40",
                "placeBeforeMs": "4000000000000",
            }),
        ),
        Method::new::<c::StatusRequest>(
            "store.checkout.v1.Checkout/Status",
            json!({ "idempotencyKey": KEY, "orderId": ORDER }),
        ),
    ]
}

fn after() -> Vec<Method> {
    use notify::v1 as n;
    use orders::v1 as o;
    use shipping::v1 as s;
    vec![
        Method::new::<o::OpenRequest>(
            "store.orders.v1.Orders/Open",
            json!({
                "orderId": NEW_ORDER, "shopperId": GUEST, "email": "ada@example.org", "address": address(),
                "lines": [{
                    "productId": "tide-mug", "name": "Tide mug", "quantity": 2, "unitPrice": euros(250), "total": euros(500),
                }],
                "subtotal": euros(500), "shipping": euros(0), "total": euros(500), "fence": 1,
            }),
        ),
        Method::new::<o::ConfirmRequest>("store.orders.v1.Orders/Confirm", json!({ "orderId": ORDER, "fence": 1 })),
        Method::new::<o::CancelRequest>(
            "store.orders.v1.Orders/Cancel",
            json!({ "orderId": ORDER, "reason": "It was sold out.", "fence": 1 }),
        ),
        Method::new::<o::GetRequest>("store.orders.v1.Orders/Get", json!({ "orderId": ORDER })),
        Method::new::<o::ListRequest>(
            "store.orders.v1.Orders/List",
            json!({ "shopperId": GUEST, "limit": 5, "pageToken": format!("1700000000000.{ORDER}") }),
        ),
        Method::new::<o::EventsRequest>("store.orders.v1.Orders/Events", json!({ "after": 0, "limit": 5 })),
        Method::new::<o::AuditRequest>("store.orders.v1.Orders/Audit", json!({})),
        Method::new::<s::QuoteRequest>(
            "store.shipping.v1.Shipping/Quote",
            json!({ "country": "DE", "subtotal": euros(500), "pieces": 2 }),
        ),
        Method::new::<s::TrackRequest>("store.shipping.v1.Shipping/Track", json!({ "orderId": ORDER })),
        Method::new::<s::EventsRequest>("store.shipping.v1.Shipping/Events", json!({ "after": 0, "limit": 5 })),
        Method::new::<n::ListRequest>(
            "store.notify.v1.Notify/List",
            json!({ "recipient": "ada@example.org", "limit": 5, "pageToken": "7" }),
        ),
    ]
}
