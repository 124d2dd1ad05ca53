//! What a program finds when it starts: variables, descriptors, signals, limits.

use crate::stage::{Stage, revision};

#[tokio::test]
async fn the_environment_is_what_is_promised_and_no_more() {
    let mut stage = Stage::new().await;
    let mut wanted = revision(&["env"]);
    wanted.launch.env = [("GREETING", "hello\tthere"), ("HOME", "/elsewhere")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    stage.start("web-7", wanted).await;
    stage.ended("web-7").await;
    let lines = shoal_process::logs::last(&stage.log("web-7"), 100).unwrap().lines;
    let value =
        |name: &str| lines.iter().find_map(|line| line.text.strip_prefix(&format!("{name}=")).map(str::to_owned));
    assert_eq!(value("SHOAL_SERVICE").unwrap(), "web");
    assert_eq!(value("SHOAL_REPLICA").unwrap(), "web-7");
    assert_eq!(value("GREETING").unwrap(), "hello\tthere");
    assert_eq!(value("HOME").unwrap(), "/elsewhere");
    assert!(value("SHOAL_HEALTH").unwrap().ends_with("/run/h/web-7"));
    assert!(value("PATH").is_some());
    assert!(value("PORT").is_none() && value("LISTEN_FDS").is_none());
    assert!(!lines.iter().any(|line| line.text.starts_with("CARGO")), "{lines:#?}");
}

#[tokio::test]
async fn descriptors_signals_and_groups_are_in_order() {
    let mut stage = Stage::new().await;
    // Opening the folder takes the lowest free descriptor, which would be higher if anything had leaked.
    let script = "import os,signal\nprint('descriptors', sorted(int(n) for n in os.listdir('/proc/self/fd'))[:4])\n\
        print('status', [l.split()[1] for l in open('/proc/self/status') if l.startswith(('SigBlk','ShdPnd'))])\n\
        print('group', os.getpgid(0) == os.getpid(), 'session', os.getsid(0) == os.getppid())\n\
        print('input', os.readlink('/proc/self/fd/0'))";
    stage.start("web-1", revision(&["python3", "-c", script])).await;
    let (_, log) = stage.ended("web-1").await;
    assert_eq!(
        log,
        [
            "descriptors [0, 1, 2, 3]",
            "status ['0000000000000000', '0000000000000000']",
            "group True session True",
            "input /dev/null",
        ]
    );
}
