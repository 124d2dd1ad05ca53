//! The storefront as the SDK runs it: made from an environment, with the other services provided in the same process.

mod fakes;

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use fakes::World;
use shoal_sdk::{Body, Environment};
use storefront::calls;

fn environment(folder: &std::path::Path, world: &Arc<World>) -> Environment {
    Environment::for_tests(folder)
        .provide::<dyn calls::Catalogue>(world.clone())
        .provide::<dyn calls::Basket>(world.clone())
        .provide::<dyn calls::Customer>(world.clone())
        .provide::<dyn calls::Inventory>(world.clone())
        .provide::<dyn calls::Checkout>(world.clone())
        .provide::<dyn calls::Orders>(world.clone())
        .provide::<dyn calls::Shipping>(world.clone())
        .provide::<dyn calls::Notify>(world.clone())
}

#[tokio::test]
async fn two_replicas_read_the_same_cookies() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let first = storefront::service(environment(folder.path(), &world)).await.unwrap();
    let second = storefront::service(environment(folder.path(), &world)).await.unwrap();
    let request = Request::get("/").body(Body::default()).unwrap();
    let page = first.page(request).await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let cookie = page.headers()["set-cookie"].to_str().unwrap();
    let pair = cookie.split(';').next().unwrap();
    let request = Request::get("/").header("cookie", pair).body(Body::default()).unwrap();
    let page = second.page(request).await.unwrap();
    assert!(!page.headers().contains_key("set-cookie"), "the other replica knows the visitor");
}
