//! What a basket costs right now: its lines at the catalogue's prices, shipping, and a hint about stock. The arithmetic
//! is pure and checked; it never charges or holds anything.

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_sdk::{Call, Error};
use store_contracts::store::basket::v1::{BasketContents, BasketLine, GetRequest, MergedFrom};
use store_contracts::store::catalogue::v1::{BatchGetProductsRequest, Product};
use store_contracts::store::checkout::v1::{PricedLine, QuoteResponse};
use store_contracts::store::inventory::v1::AvailableRequest;
use store_contracts::store::orders::v1::{OpenRequest, OrderLine};
use store_contracts::store::shipping::v1::QuoteRequest as ShippingRequest;
use store_contracts::store::types::v1::Money;

use crate::steps::{Callees, is_definite};

/// How long a quote waits for what it can do without: the stock's hint and the exact rate of shipping.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What shipping costs when nobody can be asked, in minor units.
const FLAT_RATES: [(&str, i64); 4] = [("EUR", 990), ("USD", 1_090), ("GBP", 850), ("JPY", 1_600)];

/// The lines of a basket at today's prices, before shipping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Priced {
    pub lines: Vec<PricedLine>,
    pub subtotal: i64,
    pub pieces: i32,
    pub unavailable: Vec<String>,
}

/// Prices `basket` in `currency`. What is not sold, or not in this currency, is listed apart.
pub fn price(basket: &[BasketLine], products: &[Product], currency: &str) -> Result<Priced, Error> {
    let products: BTreeMap<&str, &Product> = products.iter().map(|product| (product.id.as_str(), product)).collect();
    let mut priced = Priced::default();
    for line in basket {
        let product = products.get(line.product_id.as_str());
        let unit = product.and_then(|product| unit_price(product, currency));
        let (Some(product), Some(unit)) = (product, unit) else {
            priced.unavailable.push(line.product_id.clone());
            continue;
        };
        let total = unit.checked_mul(i64::from(line.quantity)).filter(|_| line.quantity > 0).ok_or_else(too_large)?;
        priced.subtotal = priced.subtotal.checked_add(total).ok_or_else(too_large)?;
        priced.pieces = priced.pieces.checked_add(line.quantity).ok_or_else(too_large)?;
        priced.lines.push(PricedLine {
            product_id: line.product_id.clone(),
            name: product.name.clone(),
            quantity: line.quantity,
            unit_price: money(unit, currency).into(),
            total: money(total, currency).into(),
            ..Default::default()
        });
    }
    Ok(priced)
}

fn unit_price(product: &Product, currency: &str) -> Option<i64> {
    let amounts = product.prices.iter().filter_map(|price| price.amount.as_option());
    amounts.filter(|amount| amount.currency == currency && amount.minor > 0).map(|amount| amount.minor).next()
}

/// The rate that is taken when shipping does not answer.
pub fn flat_rate(currency: &str) -> Option<i64> {
    FLAT_RATES.iter().find(|(code, _)| *code == currency).map(|(_, rate)| *rate)
}

/// The order that a quote becomes when it is placed; its lines are what the shopper saw.
pub fn order_of(quote: &QuoteResponse) -> OpenRequest {
    let line = |line: &PricedLine| OrderLine {
        product_id: line.product_id.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price.clone(),
        total: line.total.clone(),
        ..Default::default()
    };
    OpenRequest {
        lines: quote.lines.iter().map(line).collect(),
        subtotal: quote.subtotal.clone(),
        shipping: quote.shipping.clone(),
        total: quote.total.clone(),
        ..Default::default()
    }
}

impl Callees {
    /// What the basket costs right now, and what was merged into it. `with_stock` also looks how much there is; without
    /// an answer there is enough.
    pub async fn quote(
        &self,
        call: &Call,
        shopper_id: &str,
        currency: &str,
        country: &str,
        with_stock: bool,
    ) -> Result<(QuoteResponse, Vec<MergedFrom>), Error> {
        let basket = self.contents(call, shopper_id).await?;
        let ids: Vec<String> = basket.lines.iter().map(|line| line.product_id.clone()).collect();
        let products = async {
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let request = BatchGetProductsRequest { ids: ids.clone(), ..Default::default() };
            let answer = self.catalogue.batch_get_products(call, request).await;
            answer.map(|answer| answer.products).map_err(|error| closed("the prices", &error))
        };
        let stock = async { if with_stock { self.stock(call, &ids).await } else { BTreeMap::new() } };
        let (products, stock) = tokio::join!(products, stock);
        let mut priced = price(&basket.lines, &products?, currency)?;
        for line in &mut priced.lines {
            line.short = stock.get(&line.product_id).is_some_and(|available| *available < line.quantity);
        }
        let (shipping, flat) = self.shipping(call, country, currency, &priced).await?;
        let total = priced.subtotal.checked_add(shipping).ok_or_else(too_large)?;
        let quote = QuoteResponse {
            lines: priced.lines,
            subtotal: money(priced.subtotal, currency).into(),
            shipping: money(shipping, currency).into(),
            total: money(total, currency).into(),
            basket_version: basket.version,
            shipping_is_flat_rate: flat,
            unavailable_product_ids: priced.unavailable,
            ..Default::default()
        };
        Ok((quote, basket.merged_from))
    }

    async fn contents(&self, call: &Call, shopper_id: &str) -> Result<BasketContents, Error> {
        let request = GetRequest { shopper_id: shopper_id.to_owned(), ..Default::default() };
        let answer = self.basket.get(call, request).await.map_err(|error| closed("your basket", &error))?;
        Ok(answer.basket.into_option().unwrap_or_default())
    }

    /// How much there is of each product; empty when the inventory does not say.
    async fn stock(&self, call: &Call, ids: &[String]) -> BTreeMap<String, i32> {
        if ids.is_empty() {
            return BTreeMap::new();
        }
        let call = call.clone().with_timeout(PATIENCE);
        let request = AvailableRequest { product_ids: ids.to_vec(), ..Default::default() };
        match tokio::time::timeout(PATIENCE, self.inventory.available(&call, request)).await {
            Ok(Ok(answer)) => answer.stock.into_iter().map(|line| (line.product_id, line.quantity)).collect(),
            Ok(Err(error)) => {
                tracing::info!(%error, "quoting without a hint about stock");
                BTreeMap::new()
            }
            Err(_) => BTreeMap::new(),
        }
    }

    /// What shipping costs, and whether that is the flat rate because shipping did not say.
    async fn shipping(
        &self,
        call: &Call,
        country: &str,
        currency: &str,
        priced: &Priced,
    ) -> Result<(i64, bool), Error> {
        if priced.pieces == 0 {
            return Ok((0, false));
        }
        let call = call.clone().with_timeout(PATIENCE);
        let request = ShippingRequest {
            country: country.to_owned(),
            subtotal: money(priced.subtotal, currency).into(),
            pieces: priced.pieces,
            ..Default::default()
        };
        let why = match tokio::time::timeout(PATIENCE, self.shipping.quote(&call, request)).await {
            Ok(Ok(answer)) => match answer.amount.as_option() {
                Some(amount) if amount.currency == currency && amount.minor >= 0 => return Ok((amount.minor, false)),
                _ => "shipping answered in another currency".to_owned(),
            },
            // It was asked and said no, for instance to the country: a guess would be wrong.
            Ok(Err(error)) if is_definite(error.code) => return Err(error),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "shipping did not answer in time".to_owned(),
        };
        tracing::info!(why, "quoting shipping at its flat rate");
        let rate =
            flat_rate(currency).ok_or_else(|| Error::invalid_argument("There is no shipping in this currency."))?;
        Ok((rate, true))
    }
}

fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: currency.to_owned(), ..Default::default() }
}

fn too_large() -> Error {
    Error::invalid_argument("The basket is too large to be priced: take something out.")
}

/// Checkout cannot go on without this answer. A definite refusal is passed on.
fn closed(what: &str, error: &Error) -> Error {
    if is_definite(error.code) {
        return error.clone();
    }
    tracing::warn!(%error, "cannot read {what}");
    Error::unavailable(format!(
        "Your basket is safe, but checkout is closed because {what} cannot be read: please try again in a moment."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use store_contracts::store::catalogue::v1::Price;

    fn product(id: &str, minor: i64) -> Product {
        let price = Price { amount: money(minor, "EUR").into(), ..Default::default() };
        Product { id: id.to_owned(), name: id.to_uppercase(), prices: vec![price], ..Default::default() }
    }

    fn line(id: &str, quantity: i32) -> BasketLine {
        BasketLine { product_id: id.to_owned(), quantity, ..Default::default() }
    }

    #[test]
    fn prices_lines_and_lists_what_is_not_sold() {
        let basket = [line("mug", 3), line("gone", 1), line("cup", 1)];
        let priced = price(&basket, &[product("cup", 250), product("mug", 999)], "EUR").unwrap();
        assert_eq!(priced.subtotal, 3 * 999 + 250);
        assert_eq!(priced.pieces, 4);
        assert_eq!(priced.unavailable, ["gone"]);
        assert_eq!(priced.lines[0].total.minor, 2997);
        let in_dollars = price(&basket, &[product("cup", 250)], "USD").unwrap();
        assert_eq!(in_dollars.unavailable, ["mug", "gone", "cup"]);
    }

    proptest! {
        /// Any prices and quantities, also absurd ones: the sums are right or refused, never wrapped.
        #[test]
        fn sums_are_exact_or_refused(lines in prop::collection::vec((any::<i64>(), any::<i32>()), 0..20)) {
            let basket: Vec<BasketLine> = lines.iter().enumerate()
                .map(|(index, (_, quantity))| line(&format!("p{index}"), *quantity)).collect();
            let products: Vec<Product> = lines.iter().enumerate()
                .map(|(index, (minor, _))| product(&format!("p{index}"), *minor)).collect();
            if let Ok(priced) = price(&basket, &products, "EUR") {
                let exact: i128 = lines.iter().filter(|(minor, _)| *minor > 0)
                    .map(|(minor, quantity)| i128::from(*minor) * i128::from(*quantity)).sum();
                prop_assert_eq!(i128::from(priced.subtotal), exact);
            }
        }
    }
}
