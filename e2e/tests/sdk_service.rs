//! A service that links the SDK: its socket is passed, its event loop is watched.

use shoal_e2e::{Application, alive, eventually, get, kill, pause};

/// One greeter, whose event loop may stand still for two seconds.
fn greeter() -> Application {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/shoal-sdk/example");
    let application = Application::new(&format!(
        r#"
[application]
name = "greeter"
[gateway]
listen = "127.0.0.1:0"
routes = [{{ path = "/", service = "greeter" }}]
[services.greeter]
source = {{ path = "{source}" }}
run    = {{ cargo = "shoal-sdk-example" }}
[services.greeter.probes]
liveness = {{ sdk = true, period = "200ms", timeout = "500ms", failures = 2, hang-after = "2s" }}
"#
    ));
    application.up();
    application.until_ready("greeter", 1);
    application
}

#[test]
fn a_long_computation_is_told_apart_from_a_hang() {
    let application = greeter();
    let busy = application.pids("greeter")[0];
    assert_eq!(application.get("/busy/1000").body, "done\n");
    assert_eq!(application.pids("greeter"), [busy], "a second's computation is no hang");

    // Asked directly: the gateway would ask another replica what it may ask twice, and that would hang too.
    let address = application.service("greeter")["replicas"][0]["address"].as_str().unwrap().to_owned();
    let asking = std::thread::spawn(move || get(&format!("http://{address}/busy/60000")));
    let after = eventually("the hanging one is replaced", || {
        Some(application.pids("greeter")).filter(|pids| pids.len() == 1 && pids[0] != busy)
    });
    let page = asking.join().unwrap();
    assert!(page.is_err(), "{page:?}");

    // One that stands still altogether answers no question at all.
    pause(after[0]);
    eventually("the paused one is replaced", || {
        Some(application.pids("greeter")).filter(|pids| pids.len() == 1 && pids[0] != after[0])
    });
    eventually("the paused one is gone", || (!alive(after[0])).then_some(()));
}

#[test]
fn a_dead_replica_refuses_at_once() {
    let application = greeter();
    let replica = application.service("greeter")["replicas"][0].clone();
    let address = replica["address"].as_str().unwrap().to_owned();
    // No supervisor, so that nobody starts another in its place.
    kill(application.supervisor());
    kill(u32::try_from(replica["pid"].as_u64().unwrap()).unwrap());
    eventually("connections are refused", || {
        let refused = std::net::TcpStream::connect(&address).err()?;
        (refused.kind() == std::io::ErrorKind::ConnectionRefused).then_some(())
    });
}
