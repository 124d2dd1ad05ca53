//! Logs: told apart, timed, cut, bounded, and never in the program's way.

use crate::stage::{Stage, revision};
use shoal_model::Exit;
use shoal_process::logs::{self, Stream};

#[tokio::test]
async fn output_and_errors_are_told_apart_and_timed() {
    let mut stage = Stage::new().await;
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    stage.start("web-1", revision(&["sh", "-c", "echo fine; echo bad >&2; printf 'no end'"])).await;
    stage.ended("web-1").await;
    let page = logs::last(&stage.log("web-1"), 10).unwrap();
    let mut seen: Vec<_> = page.lines.iter().map(|line| (line.text.as_str(), line.stream)).collect();
    seen.sort_by_key(|(text, _)| *text);
    assert_eq!(seen, [("bad", Stream::Err), ("fine", Stream::Out), ("no end", Stream::Out)]);
    assert!(page.lines.iter().all(|line| u128::from(line.at.0) >= before));
    assert_eq!(logs::replicas(&stage.folder.path().join(".shoal"), &"web".parse().unwrap()).unwrap().len(), 1);
}

#[tokio::test]
async fn a_flood_is_bounded_and_ends_with_the_last_line() {
    let mut stage = Stage::new().await;
    let script = "import sys\nfor n in range(400000): sys.stdout.write('line %d of a program that talks\\n' % n)";
    stage.start("web-1", revision(&["python3", "-c", script])).await;
    assert_eq!(stage.ended("web-1").await.0, Exit::Code { code: 0 });
    let folder = stage.log("web-1").parent().unwrap().to_owned();
    let sizes: Vec<u64> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|&size| size <= 4 << 20), "{sizes:?}");
    let lines = logs::last(&stage.log("web-1"), 10_000).unwrap().lines;
    let numbers: Vec<u32> = lines.iter().map(|line| line.text.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (390_000..400_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn following_sees_every_line_once() {
    let mut stage = Stage::new().await;
    let script = "import sys\nfor n in range(120000): sys.stdout.write('line %d of a program that talks\\n' % n)";
    let path = stage.log("web-1");
    stage.start("web-1", revision(&["python3", "-c", script])).await;
    stage.running("web-1").await;
    let follower = tokio::task::spawn_blocking(move || {
        let (mut cursor, mut next) = (String::new(), 0_u32);
        let deadline = std::time::Instant::now() + crate::stage::PATIENCE;
        while next < 120_000 {
            let page = logs::after(&path, &cursor, 5000).unwrap();
            assert!(!page.missed);
            for line in &page.lines {
                assert_eq!(line.text, format!("line {next} of a program that talks"));
                next += 1;
            }
            cursor = page.cursor;
            assert!(std::time::Instant::now() < deadline, "only {next} lines came");
        }
    });
    follower.await.unwrap();
    stage.ended("web-1").await;
}

#[tokio::test]
async fn long_lines_are_cut() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["python3", "-c", "print('x' * 100000); print('after')"])).await;
    let (_, log) = stage.ended("web-1").await;
    assert!(log[0].len() < 17_000 && log[0].contains("83616 more bytes"), "{}", log[0].len());
    assert_eq!(log[1], "after");
}

#[tokio::test]
async fn only_the_newest_logs_of_ended_replicas_are_kept() {
    let mut stage = Stage::new().await;
    let state = stage.folder.path().join(".shoal");
    let kept = |service: &str| -> Vec<u64> {
        let replicas = logs::replicas(&state, &service.parse().unwrap()).unwrap();
        replicas.iter().map(|replica| replica.serial).collect()
    };
    // The oldest of all, but it runs; and a neighbour with a longer name.
    stage.start("web-1", revision(&["sh", "-c", "echo hello; exec sleep 1000"])).await;
    stage.running("web-1").await;
    std::fs::create_dir_all(state.join("logs/web-admin")).unwrap();
    std::fs::write(state.join("logs/web-admin/web-admin-1.log"), "").unwrap();
    crate::stage::until("it has a log", || stage.log("web-1").exists()).await;
    for number in 2..=15 {
        let replica = format!("web-{number}");
        stage.start(&replica, revision(&["echo", "hello"])).await;
        stage.ended(&replica).await;
        // A log that was moved aside goes with its other half.
        std::fs::write(state.join(format!("logs/web/{replica}.log.1")), "").unwrap();
        stage.act(shoal_model::ActionKind::Forget { replica: replica.parse().unwrap() }).await;
        let folder = stage.record_path(&replica).parent().unwrap().to_owned();
        crate::stage::until("it is forgotten", || !folder.exists()).await;
    }
    let expected: Vec<u64> = [1].into_iter().chain(6..=15).collect();
    crate::stage::until("the oldest are gone", || kept("web") == expected).await;
    assert_eq!(std::fs::read_dir(state.join("logs/web")).unwrap().count(), 1 + 2 * 10);
    assert_eq!(kept("web-admin"), [1]);
}
