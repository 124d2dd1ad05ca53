//! Generates the clients for exactly what the storefront calls.

fn main() -> std::process::ExitCode {
    shoal_build::calls("../../contracts", "::store_contracts")
        .service(
            "store.catalogue.v1.Catalogue",
            &["ListProducts", "BatchGetProducts", "Search", "Related", "GetPicture", "PutProduct", "SetPrice"],
        )
        .service("store.basket.v1.Basket", &["Get", "SetItem", "Merge"])
        .service("store.customer.v1.Customer", &["Register", "SignIn", "SignOut", "Verify", "PutAddress", "Erase"])
        .service("store.inventory.v1.Inventory", &["Available", "Receive"])
        .service("store.checkout.v1.Checkout", &["Quote", "Place", "Status"])
        .service("store.orders.v1.Orders", &["Get", "List"])
        .service("store.shipping.v1.Shipping", &["Track"])
        .service("store.notify.v1.Notify", &["List"])
        .generate()
}
