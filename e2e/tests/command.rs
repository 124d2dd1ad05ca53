//! The command as people and scripts use it: in a terminal, through a pipe, and past it to the control API.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use shoal_e2e::{Application, alive, eventually, hello, kill};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

const BROKEN: &str = "[application]\nname = \"broken\"\n[services.one]\nsource = { path = \"svc\" }\n\
                      run = { cargo = \"one\" }\nlisten = \"none\"\n";

fn cargo_application(build: &str, main: &str) -> Application {
    let application = Application::new(BROKEN);
    application.write("svc/Cargo.toml", "[package]\nname = \"one\"\nedition = \"2024\"\n[workspace]\n");
    application.write("svc/build.rs", build);
    application.write("svc/src/main.rs", main);
    application
}

fn spawn(application: &Application, words: &[&str]) -> Child {
    application.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("shoal runs")
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).expect("the process is there");
}

/// Reads lines until one of them holds `wanted`.
fn until_said(lines: &mut impl BufRead, wanted: &str) -> String {
    let mut all = String::new();
    while !all.contains(wanted) {
        assert_ne!(
            lines.read_line(&mut all).expect("lines can be read"),
            0,
            "it ended before it said {wanted:?}:\n{all}"
        );
    }
    all
}

/// Calls the control API as a script would.
fn control(application: &Application, method: &str, request: &str) -> (String, Value) {
    let shoal = application.runtime().join("shoal");
    let mut folders = std::fs::read_dir(shoal)
        .expect("the runtime folder is there")
        .map(|entry| entry.expect("it can be read").path().join("control.sock"));
    let socket = folders.find(|socket| socket.exists()).expect("a supervisor listens");
    let output = Command::new("curl")
        .args(["-sS", "-w", "\n%{http_code}", "-H", "content-type: application/json", "-d", request, "--unix-socket"])
        .arg(socket)
        .arg(format!("http://shoal/shoal.control.v1.Control/{method}"))
        .output()
        .expect("curl runs");
    let text = String::from_utf8(output.stdout).expect("an answer is text");
    let (body, code) = text.rsplit_once('\n').expect("the status is on a line of its own");
    (code.to_owned(), serde_json::from_str(body).expect("an answer is JSON"))
}

#[test]
fn ctrl_c_stops_what_up_started() {
    let application = hello(2);
    let mut up = spawn(&application, &["up"]);
    let mut stdout = BufReader::new(up.stdout.take().unwrap());
    let said = until_said(&mut stdout, "Ctrl-C stops it");
    assert!(said.contains("1 of 1 services ready") && said.contains("http://127.0.0.1:"), "{said}");
    let _ = application.get("/wave");
    until_said(&mut stdout, "served /wave");
    interrupt(&up);
    until_said(&mut stdout, "Stopped.");
    assert_eq!(up.wait().unwrap().code(), Some(0));
    assert!(application.processes().is_empty());
}

#[test]
fn who_is_attached_is_told_of_a_down_from_elsewhere() {
    let application = hello(1);
    let mut up = spawn(&application, &["up"]);
    let mut stdout = BufReader::new(up.stdout.take().unwrap());
    until_said(&mut stdout, "Ctrl-C stops it");
    application.down();
    until_said(&mut stdout, "Stopped.");
    assert_eq!(up.wait().unwrap().code(), Some(0));
}

#[test]
fn a_build_that_is_called_off_leaves_nothing() {
    let wait = "fn main() { println!(\"cargo::warning=here\"); std::fs::write(\"../started\", \"\").unwrap(); \
                loop { std::thread::park() } }";
    let application = cargo_application(wait, "fn main() {}");
    let mut up = spawn(&application, &["up", "--profile", "dev"]);
    eventually("the build is under way", || application.folder().join("started").exists().then_some(()));
    assert_eq!(application.status()["phase"], "building");
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("already runs, under supervisor"), "{told}");
    interrupt(&up);
    assert_eq!(up.wait().unwrap().code(), Some(0));
    eventually("no compiler is left", || application.processes().is_empty().then_some(()));
}

#[test]
fn a_build_that_fails_shows_the_compilers_words_and_the_line() {
    let application = cargo_application("fn main() {}", "fn main() { let _: u32 = \"no\"; }");
    let told = application.shoal(&["up", "-d", "--profile", "dev"]).refused();
    for part in ["mismatched types", "SH0105", "shoal.toml:5", "cargo = \"one\""] {
        assert!(told.contains(part), "{part} in:\n{told}");
    }
    assert!(application.processes().is_empty(), "no supervisor without anything to run");
}

#[test]
fn of_two_that_start_it_at_once_one_wins_and_the_others_say_so() {
    let application = hello(1);
    let ups: Vec<Child> = (0..3).map(|_| spawn(&application, &["up", "-d"])).collect();
    let outputs: Vec<_> = ups.into_iter().map(|up| up.wait_with_output().unwrap()).collect();
    let won = outputs.iter().filter(|output| output.status.success()).count();
    assert_eq!(won, 1, "{outputs:?}");
    for lost in outputs.iter().filter(|output| !output.status.success()) {
        assert!(String::from_utf8_lossy(&lost.stderr).contains("already runs"), "{lost:?}");
    }
    application.until_ready("pages", 1);
}

#[test]
fn following_logs_shows_replicas_that_come_later_and_ends_as_other_tools_do() {
    let application = hello(1);
    application.up();
    let mut logs = spawn(&application, &["logs", "-f", "pages"]);
    let mut stdout = BufReader::new(logs.stdout.take().unwrap());
    until_said(&mut stdout, "started pages-1");
    let _ = application.shoal(&["scale", "pages=2"]).succeeded();
    until_said(&mut stdout, "started pages-2");
    interrupt(&logs);
    assert_eq!(logs.wait().unwrap().signal(), Some(2));

    // Whoever reads may stop reading: `shoal logs | head -1`.
    let mut logs = spawn(&application, &["logs", "-f"]);
    drop(logs.stdout.take());
    let _ = application.get("/");
    assert!(!logs.wait().unwrap().success());
    let mut said = String::new();
    logs.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn what_was_killed_half_way_down_is_not_called_stopped() {
    let slow = "[application]\nname = \"slow\"\n[services.slow]\nlisten = \"none\"\ndrain-timeout = \"3s\"\n\
                run = { command = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"] }\n";
    let application = Application::new(slow);
    application.up();
    let supervisor = application.supervisor();
    let mut down = spawn(&application, &["down"]);
    let mut stdout = BufReader::new(down.stdout.take().unwrap());
    until_said(&mut stdout, "Stopping");
    kill(supervisor);
    let mut said = String::new();
    down.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!down.wait().unwrap().success() && said.contains("may still run"), "{said}");
    assert!(!application.processes().is_empty());
}

#[test]
fn scripts_use_the_control_api() {
    let application = hello(1);
    application.up();
    let (code, status) = control(&application, "Status", "{}");
    assert_eq!((code.as_str(), &status["application"], &status["phase"]), ("200", &json!("hello"), &json!("running")));
    let (code, scaled) = control(&application, "Scale", r#"{"service":"pages","replicas":2}"#);
    assert_eq!((code.as_str(), &scaled["before"]), ("200", &json!(1)));
    for (request, expected) in [
        (r#"{"service":"pages","replicas":100000}"#, "at most 1000"),
        (r#"{"service":"pages","replicas":"x"}"#, "not what the contract says"),
        (r#"{"service":"pages","replicas":-1}"#, "not what the contract says"),
        (r#"{"service":"nobody","replicas":1}"#, "there is no service"),
        (r#"{"service":"../x","replicas":1}"#, "not a service name"),
    ] {
        let (code, refused) = control(&application, "Scale", request);
        assert!(code == "400" && refused["message"].to_string().contains(expected), "{request}: {refused}");
    }
    let (code, refused) = control(&application, "Logs", r#"{"cursor":"zzz"}"#);
    assert!(code == "400" && refused["message"].to_string().contains("cursor"), "{refused}");
    application.until_ready("pages", 2);
}

#[test]
fn what_is_read_without_running_is_json_for_scripts() {
    let application = hello(1);
    let json = |words: &[&str]| -> Value { serde_json::from_str(&application.shoal(words).stdout).unwrap() };
    assert_eq!(json(&["check", "--json"])["valid"], true);
    assert_eq!(json(&["graph", "--json"])["services"][0]["name"], "pages");
    assert!(json(&["schema"])["properties"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        let script = application.shoal(&["completions", shell]).succeeded().stdout;
        assert!(script.contains("scale") && script.contains("restart"), "{shell}");
    }
    application.write("shoal.toml", "[application]\nname = 7\n");
    let checked = application.shoal(&["check", "--json"]);
    let found: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!((checked.code, &found["valid"]), (Some(1), &json!(false)));
    assert!(found["diagnostics"].to_string().contains("name"), "{found}");
}

#[test]
fn an_up_after_a_kill_changes_what_the_manifest_changed_and_nothing_else() {
    let application = hello(2);
    let manifest = std::fs::read_to_string(application.folder().join("shoal.toml")).unwrap();
    let extra = "\n[services.extra]\nrun = { command = [\"sleep\", \"1000\"] }\nlisten = \"none\"\n";
    application.write("shoal.toml", format!("{manifest}{extra}"));
    application.up();
    let (pages, extras) = (application.until_ready("pages", 2), application.until_ready("extra", 1));
    let gateway = application.pids("gateway");
    let address = application.address();
    let crash = || {
        let supervisor = application.supervisor();
        kill(supervisor);
        eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
    };

    crash();
    let up = application.up();
    assert!(up.stdout.contains("Found 4 replicas") && up.stdout.contains("Nothing has changed"), "{up:?}");
    assert_eq!(
        (application.until_ready("pages", 2), application.until_ready("extra", 1)),
        (pages.clone(), extras.clone())
    );

    // A changed setting: one by one, without a failed request.
    crash();
    application.write("shoal.toml", format!("{manifest}env = {{ COLOUR = \"blue\" }}\n{extra}"));
    let asking = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut count = 0;
            while asking.load(std::sync::atomic::Ordering::SeqCst) {
                let page = shoal_e2e::get(&format!("{address}/")).unwrap();
                assert_eq!(page.status, 200, "{page:?}");
                count += 1;
            }
            count
        });
        let up = application.up();
        assert!(up.stdout.contains("1 service is new or has changed"), "{up:?}");
        eventually("all replicas are new", || {
            let now = application.pids("pages");
            (now.len() == 2 && now.iter().all(|pid| !pages.contains(pid))).then_some(())
        });
        asking.store(false, std::sync::atomic::Ordering::SeqCst);
        assert!(asked.join().unwrap() > 0);
    });
    assert_eq!((application.pids("extra"), application.pids("gateway")), (extras.clone(), gateway));

    // A service that is removed.
    crash();
    application.write("shoal.toml", format!("{manifest}env = {{ COLOUR = \"blue\" }}\n"));
    let up = application.up();
    assert!(up.stdout.contains("1 service was removed") && up.stdout.contains("1 of 1 services"), "{up:?}");
    eventually("it is gone", || (application.service("extra").is_null() && !alive(extras[0])).then_some(()));
}

#[test]
fn one_whose_manifest_is_gone_can_still_be_stopped() {
    let application = hello(1);
    application.up();
    std::fs::remove_file(application.folder().join("shoal.toml")).unwrap();
    let folder = application.folder().display().to_string();
    let output = application.shoal(&["down", "--in", &folder]).succeeded();
    assert!(output.stdout.contains("Stopped."), "{output:?}");
    application.write("shoal.toml", "");
    assert!(application.shoal(&["down"]).succeeded().stdout.contains("not running"));
}
