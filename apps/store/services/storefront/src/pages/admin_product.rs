//! A product's text: making a new one, changing an old one. Nothing that was typed is lost when it is refused.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::Code;
use store_contracts::store::catalogue::v1::PutProductRequest;

use super::admin::admit;
use super::missing;
use crate::Store;
use crate::backends::{WRITE_LIMIT, within};
use crate::view::field::{self, Text};
use crate::view::notice::Tone;
use crate::view::{Notice, Shelf, notice};
use crate::visit::{Fields, Posted, Visit, is_slug, new_key};

/// The contract's limits.
const TAGS_MAX: usize = 12;
const TAG_LENGTH_MAX: usize = 32;

/// What the form holds.
#[derive(Default)]
struct Typed {
    key: String,
    version: i64,
    id: String,
    name: String,
    summary: String,
    description: String,
    category: String,
    tags: Vec<String>,
}

/// Shows the form: for a new product, or for the one in the address.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    let visit = match admit(&store, visit).await {
        Ok(visit) => visit,
        Err(answer) => return answer,
    };
    let id = visit.params.raw("id").to_owned();
    let mut typed = Typed { key: new_key(), ..Typed::default() };
    if is_slug(&id) {
        let products = store.backends.products(&visit.call, vec![id]).await;
        // What is only remembered may not be the version to replace.
        if products.is_stale() {
            return visit.redirect(&store, "/admin?done=admin-unavailable");
        }
        let Some(product) = products.value().and_then(|products| products.into_iter().next()) else {
            return missing::page(&store, visit).await;
        };
        typed = Typed {
            key: new_key(),
            version: product.version,
            id: product.id,
            name: product.name,
            summary: product.summary,
            description: product.description,
            category: product.category,
            tags: product.tags,
        };
    }
    page(&store, visit, StatusCode::OK, &typed, None).await
}

/// Reads the form; the error is a sentence for whoever typed it.
fn read(fields: &Fields) -> (Typed, Option<String>) {
    let tags = fields.raw("tags").split([',', ' ']);
    let typed = Typed {
        key: fields.key("key").unwrap_or_else(new_key),
        version: fields.integer("version").unwrap_or(0),
        id: fields.raw("id").trim().to_owned(),
        name: fields.raw("name").trim().to_owned(),
        summary: fields.raw("summary").trim().to_owned(),
        description: fields.raw("description").replace("\r\n", "\n").trim().to_owned(),
        category: fields.raw("category").to_owned(),
        tags: tags.filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
    };
    let tags_fit =
        typed.tags.len() <= TAGS_MAX && typed.tags.iter().all(|tag| is_slug(tag) && tag.len() <= TAG_LENGTH_MAX);
    let wrong = if !is_slug(&typed.id) {
        "The id has 1 to 64 small letters, digits and hyphens."
    } else if typed.name.is_empty() || fields.text("name", 120).is_none() {
        "The name has 1 to 120 characters."
    } else if fields.text("summary", 200).is_none() {
        "The summary has at most 200 characters, on one line."
    } else if fields.lines("description", 4000).is_none() {
        "The description has at most 4,000 characters."
    } else if !tags_fit {
        "There are at most 12 tags, each of small letters, digits and hyphens."
    } else {
        return (typed, None);
    };
    (typed, Some(wrong.to_owned()))
}

/// Saves the product.
pub async fn save(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let visit = match admit(&store, visit).await {
        Ok(visit) => visit,
        Err(answer) => return answer,
    };
    let (mut typed, wrong) = read(&fields);
    if wrong.is_some() {
        return page(&store, visit, StatusCode::UNPROCESSABLE_ENTITY, &typed, wrong).await;
    }
    let request = PutProductRequest {
        idempotency_key: typed.key.clone(),
        expected_version: typed.version,
        id: typed.id.clone(),
        name: typed.name.clone(),
        summary: typed.summary.clone(),
        description: typed.description.clone(),
        category: typed.category.clone(),
        tags: typed.tags.clone(),
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.catalogue.put_product(&call, request);
    let error = match within(WRITE_LIMIT, "catalogue", answer).await {
        Ok(answer) => {
            let products: Vec<_> = answer.product.into_option().into_iter().collect();
            store.backends.memory.keep_products(&products, None);
            return visit.redirect(&store, "/admin?done=product-saved");
        }
        Err(error) => error,
    };
    // The same key must not carry another body.
    typed.key = new_key();
    let (status, wrong) = match error.code {
        Code::Aborted | Code::AlreadyExists => (
            StatusCode::CONFLICT,
            "There is such a product already, or someone else changed it meanwhile: load it again before you change it."
                .to_owned(),
        ),
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => {
            (StatusCode::UNPROCESSABLE_ENTITY, error.message)
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The catalogue does not answer; nothing was changed. Please try again in a moment.".to_owned(),
        ),
    };
    page(&store, visit, status, &typed, Some(wrong)).await
}

async fn page(store: &Store, visit: Visit, status: StatusCode, typed: &Typed, wrong: Option<String>) -> Response {
    let mut frame = store.frame(&visit, "A product").await;
    frame.here = "/admin".to_owned();
    let wrong = wrong.map(|text| Notice::new(Tone::Bad, "product-refused", "It was not saved.", text));
    let body = view(&frame.csrf, &frame.shelves, typed, wrong.as_ref());
    let page = frame.page(&body);
    visit.page(store, status, &page)
}

fn view(csrf: &str, shelves: &[Shelf], typed: &Typed, wrong: Option<&Notice>) -> Markup {
    let mut categories: Vec<(&str, &str)> =
        shelves.iter().map(|shelf| (shelf.id.as_str(), shelf.title.as_str())).collect();
    // The shop's categories may not have been heard yet: the product's own must not get lost over it.
    if !typed.category.is_empty() && !categories.iter().any(|(id, _)| *id == typed.category) {
        categories.push((&typed.category, &typed.category));
    }
    let tags = typed.tags.join(", ");
    let is_new = typed.version == 0;
    html! {
        div class="inside narrow" {
            div class="page-head" { h1 { (if is_new { "A new product" } else { "Change a product" }) } }
            form class="panel flow" action="/admin/product" method="post" data-test="product-form" {
                (field::csrf(csrf))
                (field::hidden("key", &typed.key))
                (field::hidden("version", &typed.version.to_string()))
                @if let Some(wrong) = wrong { (notice::one(wrong)) }
                @if is_new {
                    (Text { hint: "For good: it stands in the address.", ..Text::new("id", "Id", &typed.id, 64) }.render())
                } @else {
                    (field::hidden("id", &typed.id))
                }
                (Text::new("name", "Name", &typed.name, 120).render())
                (Text { required: false, ..Text::new("summary", "Summary", &typed.summary, 200) }.render())
                (field::area("description", "Description", &typed.description, 4000, "An empty line starts a paragraph."))
                (field::choice("category", "Category", &typed.category, &categories, "", ""))
                (Text { required: false, hint: "With commas between them.", ..Text::new("tags", "Tags", &tags, 420) }.render())
                button class="button full" data-test="product-save" { "Save" }
                p class="muted small" { "A new product has no price yet and is not for sale until it has one." }
            }
        }
    }
}
