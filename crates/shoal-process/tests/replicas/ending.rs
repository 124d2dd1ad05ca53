//! Ending: by itself, by signal, by force, and with everything it started.

use crate::stage::{Stage, is_alive, name, revision, signal, until};
use rustix::process::Signal;
use shoal_model::{ActionKind, Exit};

#[tokio::test]
async fn codes_and_signals_come_with_the_last_lines() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sh", "-c", "echo one; echo two >&2; exit 7"])).await;
    let (exit, mut log) = stage.ended("web-1").await;
    log.sort();
    assert_eq!((exit, log), (Exit::Code { code: 7 }, vec!["one".to_owned(), "two".to_owned()]));
    stage.start("web-2", revision(&["sh", "-c", "kill -9 $$"])).await;
    assert_eq!(stage.ended("web-2").await.0, Exit::Signal { signal: 9 });
    let keeper = stage.keeper_pid("web-2");
    until("the keeper is gone", || !is_alive(keeper)).await;
    stage.act(ActionKind::Forget { replica: name("web-2") }).await;
    let folder = stage.record_path("web-2").parent().unwrap().to_owned();
    until("the record is gone", || !folder.exists()).await;
    assert!(stage.log("web-2").exists(), "a log outlives its replica");
}

#[tokio::test]
async fn a_signal_is_ignored_then_force_is_not() {
    let mut stage = Stage::new().await;
    stage
        .start("web-1", revision(&["sh", "-c", "trap 'echo ignored' TERM; echo up; while :; do sleep 0.05; done"]))
        .await;
    let (pid, _) = stage.running("web-1").await;
    stage.said("web-1", "up").await;
    stage.terminate("web-1").await;
    stage.said("web-1", "ignored").await;
    assert!(is_alive(pid));
    stage.stop("web-1").await;
    assert_eq!(stage.ended("web-1").await.0, Exit::Signal { signal: 9 });
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_stop_takes_all_that_was_started_along() {
    let mut stage = Stage::new().await;
    // One in the background, one below a dead parent, and one in a session of its own.
    let script = "sleep 1001 & echo child $!; (sleep 1002 & echo orphan $!) ; setsid sh -c 'echo apart $$; exec sleep 1003' & echo up; wait";
    stage.start("web-1", revision(&["sh", "-c", script])).await;
    let mut pids = vec![stage.running("web-1").await.0];
    for what in ["child ", "orphan ", "apart "] {
        pids.push(stage.said("web-1", what).await.parse().unwrap());
    }
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    stage.stop("web-1").await;
    stage.ended("web-1").await;
    assert!(pids.iter().all(|&pid| !is_alive(pid)), "{pids:?}");
}

#[tokio::test]
async fn what_a_crashed_program_left_is_killed() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sh", "-c", "sleep 1004 & echo child $!; exit 3"])).await;
    assert_eq!(stage.ended("web-1").await.0, Exit::Code { code: 3 });
    let child = stage.said("web-1", "child ").await.parse().unwrap();
    assert!(!is_alive(child));
}

#[tokio::test]
async fn a_signal_reaches_the_group_and_its_children_may_finish() {
    let mut stage = Stage::new().await;
    // The shell dies of the signal at once; its child needs a moment more, and gets it.
    let child = "trap 'sleep 0.5; echo finished; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    stage.start("web-1", revision(&["sh", "-c", "sh -c \"$0\" & wait", child])).await;
    stage.said("web-1", "up").await;
    stage.terminate("web-1").await;
    let (exit, log) = stage.ended("web-1").await;
    assert_eq!((exit, log.last().unwrap().as_str()), (Exit::Signal { signal: 15 }, "finished"));
}

#[tokio::test]
async fn a_keepers_death_ends_its_replica_and_counts_as_one() {
    let mut stage = Stage::new().await;
    stage
        .start(
            "web-1",
            revision(&["sh", "-c", "sleep 1005 & echo child $!; setsid sleep 1006 & echo apart $!; echo up; wait"]),
        )
        .await;
    let (pid, _) = stage.running("web-1").await;
    stage.said("web-1", "up").await;
    let mut pids = vec![pid];
    for what in ["child ", "apart "] {
        pids.push(stage.said("web-1", what).await.parse().unwrap());
    }
    signal(stage.keeper_pid("web-1"), Signal::KILL);
    let (exit, log) = stage.ended("web-1").await;
    assert_eq!(exit, Exit::KeeperDied);
    assert!(log.contains(&"up".to_owned()));
    assert!(pids.iter().all(|&pid| !is_alive(pid)), "{pids:?}");
    // The next supervisor comes to the same.
    stage.new_supervisor().await;
    assert_eq!(stage.ended("web-1").await.0, Exit::KeeperDied);
}

#[tokio::test]
async fn a_keeper_that_hangs_is_killed_with_its_program() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sleep", "1007"])).await;
    let (pid, _) = stage.running("web-1").await;
    let keeper = stage.keeper_pid("web-1");
    signal(keeper, Signal::STOP);
    stage.stop("web-1").await;
    assert_eq!(stage.ended("web-1").await.0, Exit::KeeperDied);
    assert!(!is_alive(pid) && !is_alive(keeper));
}

#[tokio::test]
async fn a_keeper_passes_on_what_ends_the_machine() {
    let mut stage = Stage::new().await;
    stage
        .start(
            "web-1",
            revision(&["sh", "-c", "trap 'echo goodbye; exit 0' TERM; echo up; while :; do sleep 0.05; done"]),
        )
        .await;
    stage.running("web-1").await;
    stage.said("web-1", "up").await;
    signal(stage.keeper_pid("web-1"), Signal::TERM);
    let (exit, log) = stage.ended("web-1").await;
    assert_eq!(exit, Exit::Code { code: 0 });
    assert!(log.contains(&"goodbye".to_owned()), "{log:?}");
}

#[tokio::test]
async fn what_left_the_group_is_told_to_end_too() {
    let mut stage = Stage::new().await;
    let apart = "trap 'echo finished; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    stage.start("web-1", revision(&["sh", "-c", "setsid sh -c \"$0\" & wait", apart])).await;
    stage.said("web-1", "up").await;
    let before = std::time::Instant::now();
    stage.terminate("web-1").await;
    let (_, log) = stage.ended("web-1").await;
    assert_eq!(log.last().unwrap(), "finished");
    assert!(before.elapsed() < std::time::Duration::from_secs(15), "it did not wait for the drain timeout");
}
