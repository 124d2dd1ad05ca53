//! Invariant 9: each confirmed order has one event, one shipment and one mail about each; each cancelled one has one event and one mail.

use super::{Invariant, Violation};
use crate::history::{History, MailsEnd, OrderState};

/// Judges shipments and mails at the end.
pub fn judge(history: &History) -> Vec<Violation> {
    let Some(end) = &history.end else { return Vec::new() };
    let mut found = Vec::new();
    for (id, order) in &end.orders {
        let (shipments_due, mails_due) = match order.state {
            OrderState::Confirmed => (1, MailsEnd { confirmed: 1, packed: 1, cancelled: 0 }),
            OrderState::Cancelled => (0, MailsEnd { cancelled: 1, ..MailsEnd::default() }),
            OrderState::Pending => continue,
        };
        let shipments = end.shipments.get(id).copied().unwrap_or(0);
        let mails = end.mails.get(id).copied().unwrap_or_default();
        let mut wrong = Vec::new();
        if order.events != 1 {
            wrong.push(format!("{} events", order.events));
        }
        if shipments != shipments_due {
            wrong.push(format!("{shipments} shipments"));
        }
        if mails != mails_due {
            let MailsEnd { confirmed, cancelled, packed } = mails;
            wrong.push(format!("mails: {confirmed} confirmed, {cancelled} cancelled, {packed} packed"));
        }
        if !wrong.is_empty() {
            let sentence = format!("The order {id}, which is {:?}, has {}.", order.state, wrong.join("; "));
            found.push(Violation::new(Invariant::Events, sentence, [id]));
        }
    }
    found
}
