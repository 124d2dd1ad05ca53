//! Generates what this service calls.

fn main() -> std::process::ExitCode {
    println!("cargo:rerun-if-changed=migrations");
    shoal_build::calls("../../contracts", "::store_contracts")
        .service("store.orders.v1.Orders", &["Events"])
        .service("store.shipping.v1.Shipping", &["Events"])
        .generate()
}
