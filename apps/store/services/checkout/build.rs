//! Generates checkout's clients: what is not listed here cannot be called.

#[allow(clippy::print_stdout)] // How a build script speaks to cargo.
fn main() -> std::process::ExitCode {
    println!("cargo::rerun-if-changed=migrations");
    shoal_build::calls("../../contracts", "::store_contracts")
        .service("store.basket.v1.Basket", &["Get", "Clear"])
        .service("store.catalogue.v1.Catalogue", &["BatchGetProducts"])
        .service("store.inventory.v1.Inventory", &["Available", "Reserve", "Commit", "Release", "Restock"])
        .service("store.payment.v1.Payment", &["Authorise", "Capture", "Void"])
        .service("store.orders.v1.Orders", &["Open", "Confirm", "Cancel"])
        .service("store.shipping.v1.Shipping", &["Quote"])
        .generate()
}
