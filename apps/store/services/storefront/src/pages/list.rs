//! Lists of products: everything, or one category, in pages and in a chosen order.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use store_contracts::store::catalogue::v1::Sort;

use super::{cards, encoded, missing};
use crate::Store;
use crate::backends::{Answer, ListQuery, PAGE_SIZE};
use crate::view::{Card, Notice, card};
use crate::visit::{Visit, is_slug};

/// The orders on offer: as in an address, as shown, as asked for.
const SORTS: [(&str, &str, Sort); 4] = [
    ("", "Our own order", Sort::SORT_UNSPECIFIED),
    ("name", "Name", Sort::SORT_NAME),
    ("price", "Price, lowest first", Sort::SORT_PRICE_ASCENDING),
    ("price-down", "Price, highest first", Sort::SORT_PRICE_DESCENDING),
];
/// A token longer than this is none of the catalogue's.
const TOKEN_LENGTH_MAX: usize = 500;

/// Shows all products.
pub async fn everything(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    list(&store, visit, String::new()).await
}

/// Shows one category.
pub async fn category(State(store): State<Arc<Store>>, Path(category): Path<String>, visit: Visit) -> Response {
    if !is_slug(&category) {
        return missing::page(&store, visit).await;
    }
    list(&store, visit, category).await
}

async fn list(store: &Store, visit: Visit, category: String) -> Response {
    let currency = visit.session().currency();
    let sort = visit.params.raw("sort");
    let (sort_name, _, sort) = SORTS.into_iter().find(|(name, _, _)| *name == sort).unwrap_or(SORTS[0]);
    let token = visit.params.text("page", TOKEN_LENGTH_MAX).unwrap_or_default();
    let query = ListQuery { category, sort, currency, token, size: PAGE_SIZE };
    let (list, mut frame) = tokio::join!(store.backends.list(&visit.call, &query), store.frame(&visit, "Everything"),);
    // Only a page token that was tampered with, or of another list, is refused.
    let Ok(list) = list else {
        return missing::page(store, visit).await;
    };
    let shelves = store.frame_with(&visit, "", None).shelves;
    let shelf = shelves.iter().find(|shelf| shelf.id == query.category);
    if let Some(shelf) = shelf {
        frame.title.clone_from(&shelf.title);
    } else if !query.category.is_empty() && matches!(list, Answer::Fresh(_)) {
        return missing::page(store, visit).await;
    }
    frame.shelves = shelves;
    frame.shelf = Some(query.category.clone());
    frame.notices.extend(match &list {
        Answer::Fresh(_) => None,
        Answer::Stale(_) => Some(Notice::catalogue_stale()),
        Answer::Absent => Some(Notice::catalogue_absent()),
    });
    let listing = list.value().unwrap_or_default();
    let body = view(&View {
        title: &frame.title,
        path: path(&query.category),
        sort: sort_name,
        total: listing.total,
        cards: cards(&listing.products, currency),
        is_first: query.token.is_empty(),
        next: &listing.next,
    });
    let page = frame.page(&body);
    visit.page(store, StatusCode::OK, &page)
}

fn path(category: &str) -> String {
    if category.is_empty() { "/products".to_owned() } else { format!("/products/in/{category}") }
}

struct View<'a> {
    title: &'a str,
    path: String,
    sort: &'a str,
    total: usize,
    cards: Vec<Card>,
    is_first: bool,
    next: &'a str,
}

fn view(list: &View<'_>) -> Markup {
    let sorted = if list.sort.is_empty() { list.path.clone() } else { format!("{}?sort={}", list.path, list.sort) };
    let first = (!list.is_first).then_some(sorted.as_str());
    let joint = if list.sort.is_empty() { '?' } else { '&' };
    let next = (!list.next.is_empty()).then(|| format!("{sorted}{joint}page={}", encoded(list.next)));
    html! {
        div class="inside" {
            div class="list-head" {
                div {
                    h1 { (list.title) }
                    p data-test="list-total" { (list.total) @if list.total == 1 { " thing" } @else { " things" } }
                }
                form class="sort" action=(list.path) method="get" {
                    label for="sort" { "Sort by" }
                    select id="sort" name="sort" data-test="sort" {
                        @for (name, label, _) in SORTS {
                            option value=(name) selected[name == list.sort] { (label) }
                        }
                    }
                    button class="button quiet slim" data-test="sort-button" { "Sort" }
                }
            }
            @if list.cards.is_empty() {
                p class="muted" { "There is nothing on this shelf." }
            } @else {
                (card::grid(&list.cards))
            }
            (card::paging(first, next.as_deref()))
        }
    }
}
