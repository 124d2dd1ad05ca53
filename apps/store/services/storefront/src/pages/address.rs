//! Addresses: the fields every address form shares, what may stand in them, and saving one to the account.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::Code;
use store_contracts::store::customer::v1::PutAddressRequest;
use store_contracts::store::types::v1::Address;

use super::country::{self, COUNTRIES, COUNTRY_DEFAULT};
use super::{account, missing};
use crate::Store;
use crate::backends::{WRITE_LIMIT, within};
use crate::session::Delivery;
use crate::view::field::{self, Text};
use crate::visit::{Fields, Posted};

/// What is wrong with a field: its name and a sentence.
pub type Errors = Vec<(&'static str, &'static str)>;

/// The sentence about a field; empty when nothing is wrong with it.
pub fn error_of(errors: &Errors, name: &str) -> &'static str {
    errors.iter().find(|(field, _)| *field == name).map_or("", |(_, sentence)| sentence)
}

/// The address that a form holds, and what is wrong with it. The e-mail is left empty.
pub fn read(fields: &Fields) -> (Delivery, Errors) {
    let mut errors = Errors::new();
    let mut text = |name, length_max, required, sentence| {
        let text = fields.text(name, length_max);
        if text.as_ref().is_none_or(|text| required && text.is_empty()) {
            errors.push((name, sentence));
        }
        // What was typed is given back to be mended, cut where it has no end.
        text.unwrap_or_else(|| {
            let typed = fields.raw(name).chars().filter(|letter| !letter.is_control());
            typed.take(length_max).collect()
        })
    };
    let mut delivery = Delivery {
        name: text("name", 100, true, "Who shall receive it? At most 100 characters."),
        line1: text("line1", 200, true, "Street and number, at most 200 characters."),
        line2: text("line2", 200, false, "At most 200 characters."),
        postcode: text("postcode", 20, true, "At most 20 characters."),
        city: text("city", 100, true, "Which town? At most 100 characters."),
        region: text("region", 100, false, "At most 100 characters."),
        country: fields.raw("country").to_owned(),
        email: String::new(),
    };
    if !country::is_known(&delivery.country) {
        delivery.country = COUNTRY_DEFAULT.to_owned();
        errors.push(("country", "Choose a country from the list."));
    }
    (delivery, errors)
}

/// The address in the form of the contracts.
pub fn message(delivery: &Delivery) -> Address {
    Address {
        name: delivery.name.clone(),
        line1: delivery.line1.clone(),
        line2: delivery.line2.clone(),
        city: delivery.city.clone(),
        region: delivery.region.clone(),
        postcode: delivery.postcode.clone(),
        country: delivery.country.clone(),
        ..Default::default()
    }
}

/// The address of the contracts in the form of this crate.
pub fn delivery(address: &Address, email: &str) -> Delivery {
    Delivery {
        email: email.to_owned(),
        name: address.name.clone(),
        line1: address.line1.clone(),
        line2: address.line2.clone(),
        city: address.city.clone(),
        region: address.region.clone(),
        postcode: address.postcode.clone(),
        country: address.country.clone(),
    }
}

/// The fields of an address.
pub fn inputs(delivery: &Delivery, errors: &Errors) -> Markup {
    let error = |name| error_of(errors, name);
    let country = if delivery.country.is_empty() { COUNTRY_DEFAULT } else { &delivery.country };
    html! {
        div class="fields" {
            (Text { autocomplete: "name", error: error("name"), ..Text::new("name", "Name", &delivery.name, 100) }.render())
            (Text {
                autocomplete: "address-line1", error: error("line1"),
                ..Text::new("line1", "Street and number", &delivery.line1, 200)
            }.render())
            (Text {
                autocomplete: "address-line2", error: error("line2"), required: false,
                ..Text::new("line2", "Flat, floor, company", &delivery.line2, 200)
            }.render())
            (Text {
                autocomplete: "postal-code", error: error("postcode"), width: "third",
                ..Text::new("postcode", "Postal code", &delivery.postcode, 20)
            }.render())
            (Text {
                autocomplete: "address-level2", error: error("city"), width: "two-thirds",
                ..Text::new("city", "Town", &delivery.city, 100)
            }.render())
            (Text {
                autocomplete: "address-level1", error: error("region"), required: false, width: "half",
                ..Text::new("region", "State or province", &delivery.region, 100)
            }.render())
            (field::choice("country", "Country", country, &COUNTRIES, "half", "country"))
        }
    }
}

/// An address in lines.
pub fn lines(delivery: &Delivery) -> Markup {
    html! {
        (delivery.name) br;
        (delivery.line1) br;
        @if !delivery.line2.is_empty() { (delivery.line2) br; }
        (delivery.postcode) " " (delivery.city) @if !delivery.region.is_empty() { ", " (delivery.region) } br;
        (country::name(&delivery.country))
    }
}

/// Adds or removes an address of the account.
pub async fn put(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let Some(customer) = visit.session().signed_in.clone() else {
        return visit.redirect(&store, "/sign-in?next=/account");
    };
    let remove = fields.raw("remove") == "true";
    let (delivery, errors) = read(&fields);
    if !remove && !errors.is_empty() {
        return account::page(&store, visit, StatusCode::UNPROCESSABLE_ENTITY, delivery, errors).await;
    }
    let Some(address_id) = fields.text("address_id", 64) else {
        return missing::refused(&store, visit, StatusCode::BAD_REQUEST).await;
    };
    let request = PutAddressRequest {
        token: customer.token,
        address_id,
        address: (!remove).then(|| message(&delivery)).into(),
        remove,
        idempotency_key: fields.key("key").unwrap_or_default(),
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.customer.put_address(&call, request);
    match within(WRITE_LIMIT, "customer", answer).await {
        Ok(_) if remove => visit.redirect(&store, "/account?done=address-removed"),
        Ok(_) => visit.redirect(&store, "/account?done=address-saved"),
        Err(error) if error.code == Code::Unauthenticated => visit.sign_in_again(&store, "/account"),
        Err(error) if error.code == Code::NotFound => visit.redirect(&store, "/account?done=address-removed"),
        Err(error) if matches!(error.code, Code::InvalidArgument | Code::ResourceExhausted) => {
            missing::refused(&store, visit, StatusCode::BAD_REQUEST).await
        }
        Err(_) => visit.redirect(&store, "/account?done=customer-unavailable"),
    }
}
