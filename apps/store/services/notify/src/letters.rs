//! The words of each mail. Never: sends or stores one.

use store_contracts::store::orders::v1::{Order, OrderEvent, OrderEventKind};
use store_contracts::store::shipping::v1::{Shipment, ShipmentEvent};
use store_contracts::store::types::v1::Money;

/// A mail that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Letter {
    /// The event it is about.
    pub event_id: String,
    /// To whom.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// The order it is about.
    pub order_id: String,
}

/// What to write about something that happened to an order; nothing for what this service does not know.
pub fn about_order(event: &OrderEvent) -> Option<Letter> {
    let order = event.order.as_option()?;
    let (subject, body) = match event.kind.as_known()? {
        OrderEventKind::ORDER_EVENT_KIND_CONFIRMED => {
            (format!("Your order {} is confirmed", short(&order.order_id)), confirmed(order))
        }
        OrderEventKind::ORDER_EVENT_KIND_CANCELLED => {
            (format!("Your order {} did not go through", short(&order.order_id)), cancelled(order))
        }
        OrderEventKind::ORDER_EVENT_KIND_UNSPECIFIED => return None,
    };
    Some(Letter {
        event_id: event.event_id.clone(),
        recipient: order.email.to_lowercase(),
        subject,
        body,
        order_id: order.order_id.clone(),
    })
}

/// What to write about a new shipment.
pub fn about_shipment(event: &ShipmentEvent) -> Option<Letter> {
    let shipment = event.shipment.as_option()?;
    Some(Letter {
        event_id: event.event_id.clone(),
        recipient: shipment.email.to_lowercase(),
        subject: format!("Your parcel for order {} is being packed", short(&shipment.order_id)),
        body: packed(shipment),
        order_id: shipment.order_id.clone(),
    })
}

fn confirmed(order: &Order) -> String {
    let mut body = format!(
        "Dear {},\n\nthank you for your order. It is paid, and we are getting it ready:\n\n",
        order.address.name
    );
    for line in &order.lines {
        body.push_str(&format!("  {} × {}   {}\n", line.quantity, line.name, amount(&line.total)));
    }
    body.push_str(&format!(
        "\n  Shipping   {}\n  Total      {}\n\nIt goes to {}, {}, {} {}, {}.\n\nOrder number: {}\n",
        amount(&order.shipping),
        amount(&order.total),
        order.address.name,
        order.address.line1,
        order.address.postcode,
        order.address.city,
        order.address.country,
        order.order_id
    ));
    body
}

fn cancelled(order: &Order) -> String {
    let reason = if order.cancel_reason.is_empty() { "It could not be completed." } else { &order.cancel_reason };
    format!(
        "Dear {},\n\nyour order over {} did not go through: {reason}\n\nNothing was charged, or it is on its way back to your card. \
         What you chose is still in your basket.\n\nOrder number: {}\n",
        order.address.name,
        amount(&order.total),
        order.order_id
    )
}

fn packed(shipment: &Shipment) -> String {
    format!(
        "Good news: your parcel is being packed and goes to {}.\n\nCarrier: {}\nTracking number: {}\n\nOrder number: {}\n",
        shipment.destination, shipment.carrier, shipment.tracking_number, shipment.order_id
    )
}

/// The last eight characters: ids of version 7 begin alike when they are made close together.
fn short(order_id: &str) -> &str {
    let from = order_id.len().saturating_sub(8);
    order_id.get(from..).unwrap_or(order_id)
}

/// An amount as people write it: `EUR 12.50`, `JPY 1200`.
fn amount(money: &Money) -> String {
    if money.currency == "JPY" {
        return format!("JPY {}", money.minor);
    }
    let sign = if money.minor < 0 { "-" } else { "" };
    let minor = money.minor.unsigned_abs();
    format!("{} {sign}{}.{:02}", money.currency, minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, currency: &str) -> Money {
        Money { minor, currency: currency.to_owned(), ..Default::default() }
    }

    #[test]
    fn amounts_have_their_currencys_digits() {
        assert_eq!(amount(&money(1_250, "EUR")), "EUR 12.50");
        assert_eq!(amount(&money(5, "GBP")), "GBP 0.05");
        assert_eq!(amount(&money(-5, "USD")), "USD -0.05");
        assert_eq!(amount(&money(1_200, "JPY")), "JPY 1200");
        assert_eq!(amount(&money(i64::MIN, "EUR")), "EUR -92233720368547758.08");
    }

    #[test]
    fn order_numbers_are_shortened_by_whole_letters() {
        assert_eq!(short("0192f3a0-1111-7222-8333-444455556666"), "55556666");
        assert_eq!(short("abc"), "abc");
        assert_eq!(short("ääääa"), "ääääa");
    }
}
