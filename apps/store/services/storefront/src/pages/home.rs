//! The first page: what this store is, its categories, and a few products.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use store_contracts::store::catalogue::v1::Sort;

use super::cards;
use crate::Store;
use crate::backends::{Answer, ListQuery};
use crate::view::{Card, Notice, Shelf, card, icon};
use crate::visit::Visit;

/// Products in the picture at the top, and below it.
const HERO: usize = 3;
const FEATURED: i32 = 11;

/// Shows the page.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    let currency = visit.session().currency();
    let query = ListQuery {
        category: String::new(),
        sort: Sort::SORT_UNSPECIFIED,
        currency,
        token: String::new(),
        size: FEATURED,
    };
    let (list, mut frame) =
        tokio::join!(store.backends.list(&visit.call, &query), store.frame(&visit, "Useful things, made to be kept"),);
    let list = list.unwrap_or(Answer::Absent);
    frame.notices.extend(match &list {
        Answer::Fresh(_) => None,
        Answer::Stale(_) => Some(Notice::catalogue_stale()),
        Answer::Absent => Some(Notice::catalogue_absent()),
    });
    let products = list.value().unwrap_or_default().products;
    let cards = cards(&products, currency);
    if frame.shelves.is_empty() {
        // The very first answer of the catalogue came after the frame looked.
        frame.shelves = store.frame_with(&visit, "", None).shelves;
    }
    let body = view(&cards, &frame.shelves);
    let page = frame.page(&body);
    visit.page(&store, StatusCode::OK, &page)
}

fn view(cards: &[Card], shelves: &[Shelf]) -> Markup {
    let (hero, featured) = cards.split_at(HERO.min(cards.len()));
    html! {
        section class="inside hero" aria-labelledby="hello" {
            div {
                h1 id="hello" { "Useful things, " em { "made to be kept." } }
                p {
                    "Stoneware, lamps, wool and garden tools from workshops we know by name. \
                     Few of each, and nothing that you will want to replace next year."
                }
                div class="actions" {
                    a class="button" href="/products" data-test="browse" { "Browse everything" }
                    a class="button quiet" href="#featured" { "New this week" }
                }
            }
            @if hero.len() == HERO {
                div class="collage" {
                    @for card in hero {
                        a href=(card.href()) aria-label=(card.name) {
                            img src=(card.picture) alt=(card.picture_alt) width="600" height="600";
                        }
                    }
                }
            }
        }
        @if !shelves.is_empty() {
            section class="inside" aria-labelledby="shelves" {
                div class="section-head" { h2 id="shelves" { "By room" } }
                ul class="tiles" {
                    @for shelf in shelves {
                        li {
                            a class="tile" href={ "/products/in/" (shelf.id) } data-test="category" {
                                (shelf.title)
                                (icon::arrow())
                            }
                        }
                    }
                }
            }
        }
        @if !featured.is_empty() {
            section class="inside section" id="featured" aria-labelledby="featured-title" {
                div class="section-head" {
                    h2 id="featured-title" { "New this week" }
                    a href="/products" { "See everything" }
                }
                (card::grid(featured))
            }
        }
        section class="inside section" aria-label="What we promise" {
            div class="promises" {
                div {
                    h3 { "Made to be mended" }
                    p class="muted" { "Every piece comes apart again, and we keep the spare parts." }
                }
                div {
                    h3 { "The price you see" }
                    p class="muted" { "What the page shows is what the card pays, to the cent, or we ask you first." }
                }
                div {
                    h3 { "Packed by hand" }
                    p class="muted" { "In paper and card, usually on the day you order." }
                }
            }
        }
    }
}
