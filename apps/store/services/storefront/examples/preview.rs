//! The storefront over made-up services, for working on its looks: `cargo run -p storefront --example preview -- 127.0.0.1:8090 notify orders`
//! serves it with notify and orders down. The password of every account is `correct horse`; `admin@store.example` minds the shop.

#[path = "../tests/fakes/mod.rs"]
mod fakes;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let world = fakes::World::new();
    let store = world.store();
    if let Err(error) = store.backends.warm().await {
        eprintln!("the made-up catalogue failed: {error}");
        return ExitCode::FAILURE;
    }
    for name in arguments {
        match fakes::SERVICES.into_iter().find(|service| *service == name) {
            Some(service) => world.set_down(service, true),
            None => eprintln!("there is no service `{name}`"),
        }
    }
    let listener = match tokio::net::TcpListener::bind(&address).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    eprintln!("http://{address}");
    match axum::serve(listener, store.router()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
