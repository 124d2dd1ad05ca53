//! What else this program can be: each process that a figure needs. Never: started by a user.

mod caller;
mod hyper_proxy;
mod tonic_peer;
mod upstream;

pub use caller::Plain;

use crate::{Failure, report};
use std::process::ExitCode;

/// Plays a role until it is ended.
pub fn play(role: &str, arguments: &[String]) -> ExitCode {
    if matches!(role, "__hyper-proxy" | "__tonic-server")
        && let Err(error) = end_with_parent()
    {
        eprintln!("{role}: {error}");
        return ExitCode::FAILURE;
    }
    let played = match role {
        "__upstream" => upstream::serve(),
        "__hyper-proxy" => hyper_proxy::serve(arguments),
        "__tonic-server" => tonic_peer::serve(arguments),
        "__tonic-client" => tonic_peer::call(arguments),
        "__echo" => return shoal_sdk::run(caller::echo),
        "__caller" => return shoal_sdk::run(caller::caller),
        "__http2-caller" => return shoal_sdk::run(caller::http2_caller),
        _ => Err(format!("there is no role `{role}`").into()),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{role}: {}", report::with_causes(&*failure));
            ExitCode::FAILURE
        }
    }
}

/// Ends this process when its input ends: when whoever started it is gone.
fn end_with_parent() -> std::io::Result<()> {
    let wait = || {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(0);
    };
    std::thread::Builder::new().spawn(wait).map(drop)
}

/// An event loop on one thread, as the SDK runs services on.
fn event_loop() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
