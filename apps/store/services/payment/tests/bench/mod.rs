//! A payment service over a database of the test's own, and its commands in one line each.

#![allow(dead_code)] // Each test binary uses its own part of it.
#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

use std::path::Path;
use std::sync::Arc;

use payment::PaymentApi;
use shoal_sdk::{Call, Environment, Error};
use store_contracts::store::payment::v1::{
    AuditRequest, AuditResponse, AuthoriseRequest, CaptureRequest, Payment, PaymentRecord, RefundRequest, VoidRequest,
};
use store_contracts::store::types::v1::Money;
use test_databases::{Kind, TestDatabase};

pub const GOOD: &str = "4242 4242 4242 4242";
pub const DECLINED: &str = "4000 0000 0000 0002";
pub const SILENT: &str = "4000 0000 0000 0119";
pub const SILENT_EACH: &str = "4000 0000 0000 0127";
pub const TWICE: &str = "4000 0000 0000 0259";
pub const SLOW: &str = "4000 0000 0000 0077";
pub const NO_CAPTURE: &str = "4000 0000 0000 0341";

pub struct Bench {
    pub api: PaymentApi,
    pub database: TestDatabase,
}

impl Bench {
    pub async fn new(kind: Kind) -> Bench {
        let database = TestDatabase::new(kind);
        Bench { api: open(environment(&database)).await, database }
    }

    /// Another replica over the same database.
    pub async fn replica(&self) -> PaymentApi {
        open(environment(&self.database)).await
    }

    pub async fn authorise(&self, order: &str, minor: i64, card: &str) -> Result<PaymentRecord, Error> {
        authorise(&self.api, order, minor, card).await
    }

    pub async fn capture(&self, order: &str) -> Result<PaymentRecord, Error> {
        capture(&self.api, order).await
    }

    pub async fn void(&self, order: &str) -> Result<(), Error> {
        void(&self.api, order).await
    }

    pub async fn refund(&self, order: &str) -> Result<PaymentRecord, Error> {
        refund(&self.api, order).await
    }

    pub async fn audit(&self, order: &str) -> AuditResponse {
        audit(&self.api, order).await
    }

    /// Euros captured, refunded, held, and the number of captures.
    pub async fn totals(&self) -> (i64, i64, i64, i64) {
        let audit = self.audit("").await;
        let euros = audit.currencies.iter().find(|currency| currency.currency == "EUR");
        euros.map_or((0, 0, 0, 0), |euros| (euros.captured, euros.refunded, euros.held, euros.captures))
    }
}

pub fn environment(database: &TestDatabase) -> Environment {
    Environment::for_tests(Path::new("no-data-is-kept-in-files")).with_database(database.url())
}

pub async fn open(environment: Environment) -> PaymentApi {
    // 14 November 2023.
    PaymentApi::open(&environment, Arc::new(|| 1_700_000_000_000)).await.unwrap()
}

/// A replica whose bank behaves like this.
pub async fn open_with(database: &TestDatabase, settings: &impl serde::Serialize) -> PaymentApi {
    open(environment(database).with_settings(settings).unwrap()).await
}

pub fn authorise_request(order: &str, minor: i64, card: &str) -> AuthoriseRequest {
    AuthoriseRequest {
        order_id: order.to_owned(),
        amount: Money { minor, currency: "EUR".to_owned(), ..Default::default() }.into(),
        card_number: card.to_owned(),
        ..Default::default()
    }
}

pub async fn authorise(api: &PaymentApi, order: &str, minor: i64, card: &str) -> Result<PaymentRecord, Error> {
    let request = authorise_request(order, minor, card);
    Ok(api.authorise(&Call::new(), request).await?.payment.into_option().unwrap())
}

pub async fn capture(api: &PaymentApi, order: &str) -> Result<PaymentRecord, Error> {
    let request = CaptureRequest { order_id: order.to_owned(), ..Default::default() };
    Ok(api.capture(&Call::new(), request).await?.payment.into_option().unwrap())
}

pub async fn void(api: &PaymentApi, order: &str) -> Result<(), Error> {
    let request = VoidRequest { order_id: order.to_owned(), ..Default::default() };
    api.void(&Call::new(), request).await.map(|_| ())
}

pub async fn refund(api: &PaymentApi, order: &str) -> Result<PaymentRecord, Error> {
    let request = RefundRequest { order_id: order.to_owned(), ..Default::default() };
    Ok(api.refund(&Call::new(), request).await?.payment.into_option().unwrap())
}

/// Reads the totals, which must sum to zero.
pub async fn audit(api: &PaymentApi, order: &str) -> AuditResponse {
    let request = AuditRequest { order_id: order.to_owned(), ..Default::default() };
    let audit = api.audit(&Call::new(), request).await.unwrap();
    for currency in &audit.currencies {
        assert_eq!(currency.ledger_sum, 0, "{currency:?}");
        assert!(currency.held >= 0 && currency.captured >= currency.refunded, "{currency:?}");
    }
    audit
}
