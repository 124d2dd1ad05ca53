//! The life of an application, from `new` to `down`, through the command alone.

use shoal_e2e::{Application, eventually, hello};
use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn replicas_of_an_unmodified_program_share_the_requests() {
    let application = hello(3);
    let up = application.up();
    assert!(up.stdout.contains("http://127.0.0.1:"), "{up:?}");
    application.until_ready("pages", 3);
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        let page = application.get("/");
        assert_eq!(page.status, 200);
        seen.insert(page.body);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn scaling_moves_one_service_and_nothing_else() {
    let application = hello(3);
    application.up();
    let three = application.until_ready("pages", 3);
    let gateway = application.pids("gateway");
    let output = application.shoal(&["scale", "pages=5"]).succeeded();
    assert!(output.stdout.contains("3 → 5"), "{output:?}");
    let five = application.until_ready("pages", 5);
    assert!(three.iter().all(|pid| five.contains(pid)), "{three:?} {five:?}");
    let _ = application.shoal(&["scale", "pages=1"]).succeeded();
    let one = application.until_ready("pages", 1);
    assert!(five.contains(&one[0]));
    assert_eq!(application.pids("gateway"), gateway);
    let _ = application.shoal(&["scale", "pages=0"]).succeeded();
    application.until_ready("pages", 0);
    let page = application.get("/");
    assert_eq!(page.status, 503);
    assert!(page.body.contains("pages"), "{page:?}");
    assert!(page.header("retry-after").is_some(), "{page:?}");
}

#[test]
fn restart_replaces_every_replica_and_logs_tell_of_it() {
    let application = hello(3);
    application.up();
    let before = application.until_ready("pages", 3);
    let _ = application.shoal(&["restart", "pages"]).succeeded();
    eventually("all replicas are new", || {
        let after = application.pids("pages");
        (after.len() == 3 && after.iter().all(|pid| !before.contains(pid))).then_some(())
    });
    let _ = application.get("/wave");
    let logs = application.shoal(&["logs", "pages"]).succeeded().stdout;
    assert!(logs.contains("started pages-1") && logs.contains("started pages-6"), "{logs}");
    let json = application.shoal(&["logs", "--json", "pages"]).succeeded().stdout;
    assert!(json.lines().any(|line| line.contains("\"stdout\"") && line.contains("started pages-1")), "{json}");
    assert!(json.lines().any(|line| line.contains("\"stderr\"") && line.contains("served /wave")), "{json}");
}

#[test]
fn a_new_application_runs_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let make = || Command::new(shoal_e2e::shoal()).args(["new", "greeter"]).current_dir(&folder).output().unwrap();
    let made = make();
    assert!(made.status.success(), "{made:?}");
    let made = folder.path().join("greeter");
    let manifest = std::fs::read_to_string(made.join("shoal.toml")).unwrap();
    let application = Application::new(&manifest.replace("127.0.0.1:8080", "127.0.0.1:0"));
    for file in ["services/hello/Cargo.toml", "services/hello/src/main.rs"] {
        application.write(file, std::fs::read(made.join(file)).unwrap());
    }
    application.up();
    application.until_ready("hello", 2);
    assert!(application.get("/").body.starts_with("Hello from hello-"));

    let again = make();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("not empty"), "{again:?}");
}

#[test]
fn the_application_is_found_from_a_folder_below() {
    let application = hello(1);
    application.write("a/b/c", "");
    application.up();
    let status = application.command(&["status"]).current_dir(application.folder().join("a/b")).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("pages"), "{status:?}");
}
