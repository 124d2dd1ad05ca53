//! Supervisors come and go; replicas stay. And no stranger is ever taken for one.

use crate::stage::{Stage, is_alive, name, revision, signal, until};
use rustix::process::Signal;
use shoal_model::{Exit, ProbeKind, ReplicaName};
use std::process::{Child, Command};

/// A process that has nothing to do with Shoal; ended by the test itself.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("2000").spawn().unwrap())
    }
}

/// When a process started, in the machine's clock ticks.
fn start_time(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_replica_outlives_its_supervisor_and_is_adopted() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"])).await;
    stage.start("web-2", revision(&["sh", "-c", "read line < gate; exit 9"])).await;
    let mut gated = revision(&["sh", "-c", "while [ ! -e gate ]; do sleep 0.02; done; echo through; exit 9"]);
    gated.launch.folder = stage.folder.path().to_owned();
    stage.start("web-3", gated).await;
    let (pid, _) = stage.running("web-1").await;
    stage.said("web-1", "up").await;
    let (ending, _) = stage.running("web-3").await;
    stage.lose_supervisor();
    // One ends while nobody looks.
    std::fs::write(stage.folder.path().join("gate"), "").unwrap();
    until("it ended", || !is_alive(ending)).await;
    assert!(is_alive(pid));

    let adopted = stage.new_supervisor().await;
    assert_eq!(adopted, ["web-1", "web-2", "web-3"].map(name));
    assert_eq!(stage.running("web-1").await.0, pid);
    let (exit, log) = stage.ended("web-3").await;
    assert_eq!((exit, log), (Exit::Code { code: 9 }, vec!["through".to_owned()]));
    // It is asked again, and does what it is told.
    stage.passed("web-1", ProbeKind::Liveness).await;
    stage.terminate("web-1").await;
    assert_eq!(stage.ended("web-1").await.0, Exit::Code { code: 5 });
    // Nothing is started anew under a name that is there.
    stage.start("web-3", revision(&["sleep", "1000"])).await;
    assert_eq!(stage.ended("web-3").await.0, Exit::Code { code: 9 });
}

#[tokio::test]
async fn both_died_while_nobody_looked() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sh", "-c", "sleep 1010 & echo child $!; wait"])).await;
    let (pid, _) = stage.running("web-1").await;
    let child = stage.said("web-1", "child ").await.parse().unwrap();
    let keeper = stage.keeper_pid("web-1");
    stage.lose_supervisor();
    signal(keeper, Signal::KILL);
    until("the program is gone with its keeper", || !is_alive(pid)).await;
    stage.new_supervisor().await;
    assert_eq!(stage.ended("web-1").await.0, Exit::KeeperDied);
    assert!(!is_alive(child), "what it left is killed");
}

#[tokio::test]
async fn a_reused_pid_is_neither_adopted_nor_signalled() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sleep", "1011"])).await;
    let (dead, _) = stage.running("web-1").await;
    let died_after = start_time(dead);
    // A pid comes back after all others were given, never in the same hundredth of a second.
    let stranger = loop {
        let stranger = Stranger::new();
        if start_time(stranger.0.id()) > died_after {
            break stranger;
        }
    };
    let mut record = stage.record("web-1");
    stage.stop("web-1").await;
    stage.ended("web-1").await;
    until("the keeper is gone", || !is_alive(stage.keeper_pid("web-1"))).await;
    stage.lose_supervisor();
    // As if the machine had given both pids to the stranger since: the start times are those of the dead.
    let pid = stranger.0.id();
    record["keeper"]["pid"] = pid.into();
    record["program"]["pid"] = pid.into();
    std::fs::write(stage.record_path("web-1"), record.to_string()).unwrap();
    stage.new_supervisor().await;
    assert_eq!(stage.ended("web-1").await.0, Exit::KeeperDied);
    assert!(is_alive(pid));

    // Even with the right start time, but of another boot.
    record["keeper"]["started"] = start_time(pid).into();
    record["program"]["started"] = start_time(pid).into();
    record["boot"] = "another".into();
    stage.lose_supervisor();
    std::fs::write(stage.record_path("web-1"), record.to_string()).unwrap();
    stage.new_supervisor().await;
    assert_eq!(stage.ended("web-1").await.0, Exit::KeeperDied);
    stage.stop("web-1").await;
    stage.runtime().end_all().await.unwrap();
    assert!(is_alive(pid));
}

#[tokio::test]
async fn nothing_is_left_behind_even_after_a_supervisor_was_lost() {
    let mut stage = Stage::new().await;
    let mut pids = Vec::new();
    for replica in ["web-1", "web-2", "web-3"] {
        stage.start(replica, revision(&["sh", "-c", "trap '' TERM; setsid sleep 1012 & echo child $!; wait"])).await;
        pids.push(stage.running(replica).await.0);
        pids.push(stage.said(replica, "child ").await.parse().unwrap());
        pids.push(stage.keeper_pid(replica));
    }
    stage.lose_supervisor();
    // One whose record was deleted by hand, one whose keeper died.
    std::fs::remove_dir_all(stage.record_path("web-2").parent().unwrap()).unwrap();
    signal(stage.keeper_pid("web-3"), Signal::KILL);
    stage.new_supervisor().await;
    stage.runtime().end_all().await.unwrap();
    until("all are gone", || pids.iter().all(|&pid| !is_alive(pid))).await;
    let count = |folder: &str| std::fs::read_dir(stage.folder.path().join(folder)).unwrap().count();
    assert_eq!((count("run/k"), count("run/h"), count(".shoal/replicas")), (0, 0, 0));
}

#[tokio::test]
async fn damaged_records_are_survived() {
    let mut stage = Stage::new().await;
    for (replica, text) in [("web-1", ""), ("web-2", "{\"version\":1"), ("web-3", "{\"version\":99}")] {
        std::fs::create_dir_all(stage.record_path(replica).parent().unwrap()).unwrap();
        std::fs::write(stage.record_path(replica), text).unwrap();
    }
    std::fs::create_dir_all(stage.folder.path().join(".shoal/replicas/not a replica")).unwrap();
    std::fs::create_dir_all(stage.folder.path().join(".shoal/replicas/web-4")).unwrap();
    let adopted: Vec<ReplicaName> = stage.new_supervisor().await;
    assert_eq!(adopted.len(), 4);
    for replica in ["web-1", "web-2", "web-3"] {
        assert_eq!(stage.ended(replica).await.0, Exit::KeeperDied);
    }
    assert!(matches!(stage.ended("web-4").await.0, Exit::NotStarted { .. }));
    // A live keeper answers for itself, whatever became of its record.
    stage.start("web-9", revision(&["sleep", "1013"])).await;
    let (pid, _) = stage.running("web-9").await;
    std::fs::write(stage.record_path("web-9"), "").unwrap();
    stage.new_supervisor().await;
    assert_eq!(stage.running("web-9").await.0, pid);
}

#[tokio::test]
async fn a_keeper_answers_whoever_may_open_its_socket() {
    use std::io::{BufRead, BufReader, Write};
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sleep", "1014"])).await;
    let (pid, _) = stage.running("web-1").await;
    let socket = stage.folder.path().join("run/k/web-1");
    let answers = tokio::task::spawn_blocking(move || {
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        stream
            .write_all(
                b"{\"version\":1,\"ask\":\"status\",\"unknown\":1}\n{\"version\":7,\"ask\":\"stop\"}\nnonsense\n",
            )
            .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        BufReader::new(stream).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    });
    let answers: Vec<serde_json::Value> = answers.await.unwrap();
    assert_eq!(answers[0]["record"]["program"]["pid"], pid, "{answers:#?}");
    assert_eq!((answers[1]["answer"].as_str(), answers[2]["answer"].as_str()), (Some("refused"), Some("refused")));
    assert!(is_alive(pid));
}

#[tokio::test]
async fn an_end_does_not_wait_for_a_receiver_that_sleeps() {
    let mut stage = Stage::new().await;
    // Asked often enough to fill the channel, which nobody empties from here on.
    let mut busy = revision(&["sleep", "1015"]);
    for probe in [&mut busy.launch.probes.readiness, &mut busy.launch.probes.liveness] {
        probe.period = std::time::Duration::from_millis(1);
    }
    for number in 1..=8 {
        stage.start(&format!("web-{number}"), busy.clone()).await;
    }
    stage.fill().await;
    let before = std::time::Instant::now();
    stage.runtime().end_all().await.unwrap();
    assert!(before.elapsed() < std::time::Duration::from_secs(15), "{:?}", before.elapsed());
}
