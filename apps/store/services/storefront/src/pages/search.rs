//! What matches some words.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::cards;
use crate::Store;
use crate::view::{Card, Notice, card, icon, summary};
use crate::visit::Visit;

/// The contract's limit.
const QUERY_LENGTH_MAX: usize = 200;

/// Shows the results, or an empty page with what to try.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    let currency = visit.session().currency();
    let query: String =
        visit.params.raw("q").chars().filter(|letter| !letter.is_control()).take(QUERY_LENGTH_MAX).collect();
    let query = query.trim();
    if query.is_empty() {
        return visit.redirect(&store, "/products");
    }
    let title = format!("Search for “{query}”");
    let (found, mut frame) = tokio::join!(store.backends.search(&visit.call, query), store.frame(&visit, &title),);
    if found.is_stale() {
        frame.notices.push(Notice::catalogue_stale());
    }
    frame.search = query.to_owned();
    let cards = cards(&found.value().unwrap_or_default(), currency);
    let page = frame.page(&view(query, &cards));
    visit.page(&store, StatusCode::OK, &page)
}

fn view(query: &str, cards: &[Card]) -> Markup {
    if cards.is_empty() {
        let title = format!("Nothing found for “{query}”");
        let text = "Fewer or shorter words often help: “mug” finds every mug.";
        return summary::blank(icon::glass(), &title, text, &[("/products", "Browse everything")]);
    }
    html! {
        div class="inside" {
            div class="list-head" {
                div {
                    h1 { "“" (query) "”" }
                    p data-test="list-total" { (cards.len()) @if cards.len() == 1 { " thing found" } @else { " things found" } }
                }
            }
            (card::grid(cards))
        }
    }
}
