//! What a program is made to suffer: it stands still, its disk is full, it dies; and then no more.

use crate::stage::{Stage, is_alive, name, revision, until};
use shoal_model::{ActionKind, Disturbance, Exit, Signal};

/// Tries to write a file again and again, and says how that went. A shell would do, but for the moments in which it waits for
/// a child to begin and does not look stopped though it is.
const WRITER: &str = r#"
import os, time
while True:
    try:
        with open(os.environ["WRITTEN"], "w") as file: file.write("x")
        print("wrote", flush=True)
    except OSError:
        print("full", flush=True)
    time.sleep(0.02)
"#;

/// As [`WRITER`], in a process that leaves the program's group as soon as it cannot write.
const LEAVER: &str = r#"
import os, time
if os.fork():
    while True: time.sleep(60)
has_left = False
while True:
    try:
        with open(os.environ["WRITTEN"], "w") as file: file.write("x")
        print("wrote", flush=True)
    except OSError:
        if not has_left: os.setsid()
        has_left = True
        print("full", flush=True)
    time.sleep(0.02)
"#;

impl Stage {
    async fn disturb(&mut self, replica: &str, is_paused: bool, is_disk_full: bool) {
        let disturbance = Disturbance { is_paused, is_disk_full };
        self.act(ActionKind::Disturb { replica: name(replica), disturbance }).await;
    }

    async fn start_writer(&mut self, replica: &str, program: &str) -> u32 {
        let mut revision = revision(&["python3", "-c", program]);
        let file = self.folder.path().join("written").display().to_string();
        revision.launch.env.insert("WRITTEN".to_owned(), file);
        self.start(replica, revision).await;
        let (pid, _) = self.running(replica).await;
        self.said(replica, "wrote").await;
        pid
    }

    /// Waits until its log goes on with this line.
    async fn says(&self, replica: &str, line: &str) {
        let path = self.log(replica);
        until(&format!("{replica} says {line}"), || {
            let page = shoal_process::logs::last(&path, 1).unwrap();
            page.lines.iter().any(|last| last.text == line)
        })
        .await;
    }
}

/// Whether a process stands still.
fn is_paused(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// How large its files may become.
fn file_size(pid: u32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max file size")).unwrap();
    line.split_whitespace().nth(3).unwrap().to_owned()
}

#[tokio::test]
async fn a_paused_program_stands_still_and_goes_on() {
    let mut stage = Stage::new().await;
    let pid = stage.start_writer("web-1", WRITER).await;
    stage.disturb("web-1", true, false).await;
    until("it stands still", || is_paused(pid)).await;
    // Another supervisor finds it so, and may let it go on.
    stage.new_supervisor().await;
    assert_eq!(stage.running("web-1").await.0, pid);
    assert!(is_paused(pid));
    stage.disturb("web-1", false, false).await;
    until("it goes on", || !is_paused(pid)).await;
    stage.disturb("web-1", true, false).await;
    until("it stands still again", || is_paused(pid)).await;
    stage.stop("web-1").await;
    assert_eq!(stage.ended("web-1").await.0, Exit::Signal { signal: 9 }, "standing still keeps nobody alive");
}

#[tokio::test]
async fn a_full_disk_refuses_and_does_not_kill() {
    let mut stage = Stage::new().await;
    let pid = stage.start_writer("web-1", WRITER).await;
    let usual = file_size(pid);
    stage.disturb("web-1", false, true).await;
    stage.says("web-1", "full").await;
    assert_eq!(file_size(pid), "0");
    stage.disturb("web-1", true, true).await;
    until("it stands still", || is_paused(pid)).await;
    assert_eq!(file_size(pid), "0", "both at once");
    stage.disturb("web-1", false, false).await;
    stage.says("web-1", "wrote").await;
    assert_eq!(file_size(pid), usual);
    assert!(is_alive(pid));
}

#[tokio::test]
async fn a_disk_has_room_again_also_for_who_left_the_group_meanwhile() {
    let mut stage = Stage::new().await;
    stage.start_writer("web-1", LEAVER).await;
    stage.disturb("web-1", false, true).await;
    stage.says("web-1", "full").await;
    stage.disturb("web-1", false, false).await;
    stage.says("web-1", "wrote").await;
    stage.disturb("web-1", false, true).await;
    stage.says("web-1", "full").await;
}

#[tokio::test]
async fn a_kill_is_a_crash_like_any_other() {
    let mut stage = Stage::new().await;
    let pid = stage.start_writer("web-1", WRITER).await;
    stage.act(ActionKind::Signal { replica: name("web-1"), signal: Signal::Kill }).await;
    assert_eq!(stage.ended("web-1").await.0, Exit::Signal { signal: 9 });
    assert!(!is_alive(pid));
    // Who has ended suffers nothing more.
    stage.disturb("web-1", true, true).await;
    stage.act(ActionKind::Forget { replica: name("web-1") }).await;
}
