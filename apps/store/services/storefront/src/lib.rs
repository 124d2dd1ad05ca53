//! The store's storefront: turns the other services into web pages, on the server and without scripts.
//! It keeps nothing but encrypted cookies in browsers and a memory of the catalogue, and never fails because another service is down.
//!
//! Where to start reading: [`Store::router`] lists the pages; a page is a file in `pages/`; what it is built from is in `view/`; the calls to
//! other services, with what stands in for each, are in `backends.rs`.

pub mod assets;
pub mod backends;
pub mod calls;
pub mod guard;
pub mod identity;
pub mod memory;
pub mod money;
pub mod pages;
pub mod session;
pub mod view;
pub mod visit;
pub mod vouched;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use shoal_sdk::{Environment, Service, Shutdown, StartError};
use tracing::info;

use backends::Backends;
use session::Sealer;
use vouched::{VOUCHED_FOR, Vouched};

/// The largest form that is read, in bytes.
const FORM_BYTES_MAX: usize = 64 << 10;
/// How often the catalogue is read into memory,
const WARM_EVERY: Duration = Duration::from_secs(30);
/// and how soon again while it does not answer.
const WARM_RETRY: Duration = Duration::from_secs(1);

/// What all requests share.
pub struct Store {
    /// The services behind the pages.
    pub backends: Backends,
    /// Seals and opens the cookies.
    pub sealer: Sealer,
    /// What the customer service said about sign-ins a moment ago.
    pub vouched: Vouched,
}

/// The storefront as a service: its pages, and a task that keeps the memory of the catalogue warm.
///
/// # Errors
/// When the key of the cookies cannot be read or made, or a call is not declared.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let store = Arc::new(Store {
        backends: Backends::connect(&environment)?,
        sealer: Sealer::new(&environment.key("cookies")?)?,
        vouched: Vouched::new(VOUCHED_FOR),
    });
    let warmed = Arc::clone(&store);
    Ok(Service::new()
        .pages(store.router())
        .background("warm the memory of the catalogue", move |shutdown| keep_warm(warmed, shutdown)))
}

async fn keep_warm(store: Arc<Store>, shutdown: Shutdown) {
    let mut was_warm = None;
    loop {
        let pause = match store.backends.warm().await {
            Ok(()) => {
                if was_warm != Some(true) {
                    info!("the catalogue is in memory");
                }
                was_warm = Some(true);
                WARM_EVERY
            }
            Err(error) => {
                if was_warm != Some(false) {
                    info!("the catalogue does not answer yet, trying again: {}", error.message);
                }
                was_warm = Some(false);
                WARM_RETRY
            }
        };
        if tokio::time::timeout(pause, shutdown.requested()).await.is_ok() {
            return;
        }
    }
}

impl Store {
    /// Every address of the store.
    pub fn router(self: &Arc<Store>) -> Router {
        use pages::*;
        Router::new()
            .route("/", get(home::show))
            .route("/products", get(list::everything))
            .route("/products/in/{category}", get(list::category))
            .route("/search", get(search::show))
            .route("/product/{id}", get(product::show))
            .route("/pictures/{id}", get(picture::show))
            .route("/basket", get(basket::show))
            .route("/basket/add", post(basket_change::add))
            .route("/basket/set", post(basket_change::set))
            .route("/checkout", get(delivery::show).post(delivery::save))
            .route("/checkout/pay", get(pay::show).post(pay::place))
            .route("/checkout/outcome/{key}", get(outcome::show))
            .route("/orders/{id}", get(order::show))
            .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
            .route("/register", get(register::show).post(register::register))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/account", get(account::show))
            .route("/account/addresses", post(address::put))
            .route("/account/erase", post(account::erase))
            .route("/mail", get(mail::show))
            .route("/admin", get(admin::show))
            .route("/admin/price", post(admin_change::price))
            .route("/admin/stock", post(admin_change::stock))
            .route("/admin/product", get(admin_product::show).post(admin_product::save))
            .route("/currency", post(currency::choose))
            .route("/assets/{file}", get(asset::show))
            .route("/favicon.ico", get(asset::icon))
            .route("/robots.txt", get(asset::robots))
            .fallback(missing::show)
            .method_not_allowed_fallback(missing::wrong_method)
            .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
            .layer(from_fn(guard::headers))
            .with_state(Arc::clone(self))
    }
}
