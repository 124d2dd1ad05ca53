//! Notices: one sentence about what just happened, or about what is missing right now and what that means for the shopper.
//! Every sentence that a missing service puts on a page is written here, and nowhere else.

use maud::{Markup, html};

use super::icon;

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something worked.
    Good,
    /// Something is missing or different; shopping goes on.
    Caution,
    /// Something was refused.
    Bad,
}

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How it is meant.
    pub tone: Tone,
    /// Its stable name, for scripts and tests.
    pub name: &'static str,
    /// The point, in bold.
    pub lead: String,
    /// What follows from it.
    pub text: String,
}

impl Notice {
    /// A notice in its own words.
    pub fn new(tone: Tone, name: &'static str, lead: impl Into<String>, text: impl Into<String>) -> Notice {
        Notice { tone, name, lead: lead.into(), text: text.into() }
    }

    fn caution(name: &'static str, lead: &str, text: &str) -> Notice {
        Notice::new(Tone::Caution, name, lead, text)
    }

    /// The catalogue is down and the page shows what was remembered.
    pub fn catalogue_stale() -> Notice {
        Notice::caution(
            "catalogue-stale",
            "This list may be out of date.",
            "Prices and products are the last we knew; the current price is shown again before you pay.",
        )
    }

    /// The catalogue is down and nothing is remembered.
    pub fn catalogue_absent() -> Notice {
        Notice::caution(
            "catalogue-unavailable",
            "The shelves cannot be shown right now.",
            "Please try again in a moment.",
        )
    }

    /// The basket is down.
    pub fn basket_absent() -> Notice {
        Notice::caution(
            "basket-unavailable",
            "Basket unavailable.",
            "Have a look around meanwhile; what you put in earlier is kept.",
        )
    }

    /// What the visitor collected before signing in has not come along.
    pub fn basket_waits(is_full: bool) -> Notice {
        let (lead, text) = if is_full {
            (
                "Not everything fits.",
                "Your basket holds 50 different products. What else you put in before you signed in waits, and comes along once there is room.",
            )
        } else {
            (
                "Something may be missing.",
                "What you put in before you signed in is kept, and comes along in a moment: please look again.",
            )
        };
        Notice::caution("basket-waits", lead, text)
    }

    /// The customer service is down.
    pub fn customer_absent() -> Notice {
        Notice::caution(
            "customer-unavailable",
            "Accounts are unavailable right now.",
            "You can go on browsing, and check out as a guest.",
        )
    }

    /// The inventory is down.
    pub fn stock_unknown() -> Notice {
        Notice::caution(
            "stock-unknown",
            "Stock is checked at checkout.",
            "We cannot see the shelves right now; nothing is charged before your order is sure.",
        )
    }

    /// The checkout is down.
    pub fn checkout_closed() -> Notice {
        Notice::caution(
            "checkout-closed",
            "Your basket is safe, checkout is closed.",
            "It opens again in a moment; nothing was charged.",
        )
    }

    /// The orders service is down.
    pub fn orders_absent() -> Notice {
        Notice::caution(
            "orders-unavailable",
            "Order history unavailable.",
            "Your orders are safe and will be listed here again soon.",
        )
    }

    /// Shipping is down while a quote is made.
    pub fn flat_rate() -> Notice {
        Notice::caution(
            "flat-rate",
            "Shipping is a flat rate right now.",
            "The carrier's rates do not answer; you pay no more than what is shown.",
        )
    }

    /// Shipping is down while an order is shown.
    pub fn shipment_unknown() -> Notice {
        Notice::caution(
            "shipment-unknown",
            "Tracking is unavailable right now.",
            "Your order is safe; the shipment follows later.",
        )
    }

    /// Notify is down.
    pub fn mail_late() -> Notice {
        Notice::caution("mail-late", "The mail log is unavailable right now.", "Mail arrives late; none is lost.")
    }

    /// What the `done` part of an address stands for after a redirect; nothing for a code that no page gives.
    pub fn of_code(code: &str) -> Option<Notice> {
        match code {
            "basket-unavailable" => Some(Notice::basket_absent()),
            "customer-unavailable" => Some(Notice::customer_absent()),
            "checkout-closed" => Some(Notice::checkout_closed()),
            _ => SAID
                .iter()
                .find(|(name, ..)| *name == code)
                .map(|(name, tone, lead, text)| Notice::new(*tone, name, *lead, *text)),
        }
    }
}

/// What is said after a redirect: its code, which is also its name, and the words.
const SAID: [(&str, Tone, &str, &str); 29] = [
    ("added", Tone::Good, "Added to your basket.", ""),
    ("removed", Tone::Good, "Taken out of your basket.", ""),
    ("updated", Tone::Good, "Your basket is up to date.", ""),
    (
        "basket-changed",
        Tone::Caution,
        "Your basket was changed in another tab.",
        "This is how it is now; please make your change again.",
    ),
    ("basket-full", Tone::Bad, "Your basket is full.", "It holds 50 different products."),
    ("signed-in", Tone::Good, "Welcome back.", ""),
    ("registered", Tone::Good, "Your account is open.", "Welcome."),
    ("signed-out", Tone::Good, "You are signed out.", ""),
    (
        "signed-out-waits",
        Tone::Good,
        "You are signed out.",
        "What you put in before you signed in had not come along: it is in this browser's basket.",
    ),
    ("session-over", Tone::Caution, "Your session is over.", "Please sign in again."),
    ("erased", Tone::Good, "Your account is deleted.", ""),
    ("not-erased", Tone::Bad, "Your account was not deleted.", "The password was not right."),
    ("address-saved", Tone::Good, "Your address is saved.", ""),
    ("address-removed", Tone::Good, "The address is removed.", ""),
    ("placed", Tone::Good, "Thank you, your order is placed.", ""),
    ("card-invalid", Tone::Bad, "That is not a card number.", "It has 12 to 19 digits; nothing was charged."),
    (
        "total-changed",
        Tone::Caution,
        "The price or your basket has changed.",
        "Nothing was charged. Please look at the new total and place your order again.",
    ),
    (
        "basket-bought",
        Tone::Caution,
        "Your basket is not as you saw it.",
        "Nothing was charged. Please look at it and check out again.",
    ),
    (
        "being-placed",
        Tone::Caution,
        "This basket is being ordered already.",
        "The order is not decided yet and goes on by itself. Nothing more was charged.",
    ),
    ("already-placed", Tone::Good, "This basket was ordered already.", "This is the order; nothing more was charged."),
    (
        "order-invalid",
        Tone::Bad,
        "This could not be ordered.",
        "Nothing was charged. Please look at the address and the basket, and order again.",
    ),
    ("address-needed", Tone::Caution, "Where should it go?", "Please fill in your address first."),
    ("price-set", Tone::Good, "The price is changed.", ""),
    ("price-invalid", Tone::Bad, "The price was not changed.", "Write an amount in digits, like 12.50."),
    (
        "version-conflict",
        Tone::Bad,
        "Someone else changed this meanwhile.",
        "This is how it is now; please make your change again.",
    ),
    ("received", Tone::Good, "The delivery is booked.", ""),
    ("receive-invalid", Tone::Bad, "The delivery was not booked.", "Write a number from 1 to 100,000."),
    ("product-saved", Tone::Good, "The product is saved.", ""),
    (
        "admin-unavailable",
        Tone::Caution,
        "That service did not answer.",
        "Perhaps it was changed all the same: please look before you try again.",
    ),
];

/// The notices of a page, as a region of its own; nothing when there are none.
pub fn list(notices: &[Notice]) -> Markup {
    html! {
        @if !notices.is_empty() {
            div class="inside notices" {
                @for notice in notices { (one(notice)) }
            }
        }
    }
}

/// One notice. A refusal is announced at once, the rest politely.
pub fn one(notice: &Notice) -> Markup {
    let (class, role, sign) = match notice.tone {
        Tone::Good => ("notice good", "status", icon::tick()),
        Tone::Caution => ("notice caution", "status", icon::alert()),
        Tone::Bad => ("notice bad", "alert", icon::alert()),
    };
    html! {
        div class=(class) role=(role) data-test="notice" data-notice=(notice.name) {
            (sign)
            p {
                strong { (notice.lead) }
                @if !notice.text.is_empty() { " " (notice.text) }
            }
        }
    }
}
