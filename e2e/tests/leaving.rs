//! A replica that somebody else tells to end: it says so, its successor starts at once, and nobody notices.

use shoal_e2e::{Application, alive, eventually, terminate};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_replica_that_somebody_else_tells_to_end_is_replaced_and_has_not_crashed() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/shoal-sdk/example");
    let application = Arc::new(Application::new(&format!(
        r#"
[application]
name = "greeter"
[gateway]
listen = "127.0.0.1:0"
routes = [{{ path = "/", service = "greeter" }}]
[services.greeter]
source   = {{ path = "{source}" }}
run      = {{ cargo = "shoal-sdk-example" }}
replicas = 1
"#
    )));
    application.up();
    let mut pid = application.until_ready("greeter", 1)[0];

    let stop = Arc::new(AtomicBool::new(false));
    let asking = std::thread::spawn({
        let (application, stop) = (Arc::clone(&application), Arc::clone(&stop));
        move || {
            let mut answers = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                answers.push(application.get("/").status);
            }
            answers
        }
    });
    for _ in 0..3 {
        terminate(pid);
        eventually("it is gone", || (!alive(pid)).then_some(()));
        let next = eventually("its successor is ready", || {
            let pids = application.until_ready("greeter", 1);
            (pids.len() == 1 && pids[0] != pid).then(|| pids[0])
        });
        pid = next;
    }
    stop.store(true, Ordering::Relaxed);
    let answers = asking.join().unwrap();
    assert!(!answers.is_empty() && answers.iter().all(|status| *status == 200), "{answers:?}");

    let log = std::fs::read_to_string(application.folder().join(".shoal/supervisor.log")).unwrap();
    assert_eq!(log.matches("leaves, because somebody else told its program to end").count(), 3, "{log}");
    assert!(!log.contains("in place of one that crashed"), "{log}");
}
