//! Programs that do not behave, and what Shoal makes of them.

use shoal_e2e::{Application, alive, eventually, hello, kill, pause};

fn with_service(run: &str, more: &str) -> Application {
    Application::new(&format!(
        "[application]\nname = \"odd\"\n[services.odd]\nrun = {{ command = {run} }}\n{more}\n\
         [services.fine]\nrun = {{ command = [\"sleep\", \"1000\"] }}\nlisten = \"none\"\n"
    ))
}

fn reasons(application: &Application, service: &str) -> String {
    application.service(service)["reasons"].to_string()
}

#[test]
fn one_that_never_becomes_ready_is_told_of_and_stops_no_other() {
    let probes = "[services.odd.probes]\nstartup = { tcp = true, period = \"100ms\", failures = 5 }";
    let application = with_service("[\"sleep\", \"1000\"]", probes);
    let up = application.up();
    assert!(up.stdout.contains("odd"), "{up:?}");
    application.until_ready("fine", 1);
    eventually("status says that it did not start", || {
        let reasons = reasons(&application, "odd");
        reasons.contains("start").then_some(())
    });
}

#[test]
fn one_that_crashes_at_once_is_told_of_with_its_last_words() {
    let application = with_service("[\"sh\", \"-c\", \"echo cannot find my keys >&2; exit 3\"]", "listen = \"none\"");
    application.up();
    application.until_ready("fine", 1);
    eventually("status tells of the crash loop", || {
        let reasons = reasons(&application, "odd");
        (reasons.contains("exited with code 3") && reasons.contains("cannot find my keys")).then_some(())
    });
}

#[test]
fn one_that_ignores_sigterm_is_killed_after_its_time() {
    let application = with_service(
        "[\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"]",
        "listen = \"none\"\ndrain-timeout = \"1s\"",
    );
    application.up();
    let pid = application.until_ready("odd", 1)[0];
    let _ = application.shoal(&["scale", "odd=0"]).succeeded();
    application.until_ready("odd", 0);
    assert!(!alive(pid));
}

#[test]
fn one_that_hangs_is_replaced() {
    let application = hello(1);
    application.write(
        "shoal.toml",
        "[application]\nname = \"hello\"\n[services.pages]\nrun = { command = [\"python3\", \"-u\", \"server.py\"] }\n\
         [services.pages.probes]\n\
         liveness = { http = \"/\", period = \"200ms\", timeout = \"500ms\", failures = 3 }\n",
    );
    application.up();
    let pid = application.until_ready("pages", 1)[0];
    pause(pid);
    let after = eventually("the hanging one is replaced", || {
        Some(application.pids("pages")).filter(|pids| pids.len() == 1 && pids[0] != pid)
    });
    assert!(alive(after[0]));
    eventually("the hanging one is gone", || (!alive(pid)).then_some(()));
}

/// Closes its listening socket on its first request, and lives on.
const DEAF: &str = r#"
import os, socket, time
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
answered = 0
while True:
    peer, _ = listener.accept()
    if peer.recv(1000):
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        listener.close()
        time.sleep(1000)
    peer.close()
"#;

#[test]
fn one_that_closes_its_socket_but_lives_is_replaced() {
    let application = Application::new(
        "[application]\nname = \"odd\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nroutes = [{ path = \"/\", service = \"deaf\" }]\n\
         [services.deaf]\nrun = { command = [\"python3\", \"deaf.py\"] }\ndrain-timeout = \"1s\"\n\
         [services.deaf.probes]\nreadiness = { tcp = true, period = \"200ms\" }\n\
         liveness = { tcp = true, period = \"200ms\", failures = 2 }\n",
    );
    application.write("deaf.py", DEAF);
    application.up();
    let pid = application.until_ready("deaf", 1)[0];
    assert_eq!(application.get("/").body, "ok");
    let after = eventually("the deaf one is replaced", || {
        Some(application.pids("deaf")).filter(|pids| pids.len() == 1 && pids[0] != pid)
    });
    assert!(alive(after[0]));
}

#[test]
fn one_that_is_killed_is_replaced() {
    let application = hello(2);
    application.up();
    let before = application.until_ready("pages", 2);
    kill(before[0]);
    let after = eventually("two are ready again", || {
        Some(application.pids("pages")).filter(|pids| pids.len() == 2 && !pids.contains(&before[0]))
    });
    assert!(after.contains(&before[1]));
    assert_eq!(application.get("/").status, 200);
}
