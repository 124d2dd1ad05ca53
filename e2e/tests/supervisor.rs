//! Nothing that happens to the supervisor stops the application.

use shoal_e2e::{alive, eventually, hello, kill, pids_with_variable};

#[test]
fn a_killed_supervisor_stops_nothing_and_the_next_adopts_all() {
    let application = hello(2);
    application.up();
    let _ = application.shoal(&["scale", "pages=3"]).succeeded();
    let replicas = application.until_ready("pages", 3);
    let gateway = application.pids("gateway");
    let address = application.address();
    let supervisor = application.supervisor();

    kill(supervisor);
    eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
    for _ in 0..20 {
        assert_eq!(shoal_e2e::get(&format!("{address}/")).unwrap().status, 200);
    }
    let told = application.shoal(&["status"]).refused();
    assert!(told.contains("not running") && told.contains("shoal up"), "{told}");

    application.up();
    assert_ne!(application.supervisor(), supervisor);
    assert_eq!(application.until_ready("pages", 3), replicas, "adopted, not restarted; the scale is remembered");
    assert_eq!(application.pids("gateway"), gateway);
    assert_eq!(application.address(), address);
    assert_eq!(application.get("/").status, 200);

    // The new one looks after what it adopted.
    kill(replicas[0]);
    let after = eventually("the killed replica is replaced", || {
        let pids = application.pids("pages");
        (pids.len() == 3 && !pids.contains(&replicas[0])).then_some(pids)
    });
    assert!(replicas[1..].iter().all(|pid| after.contains(pid)));
}

#[test]
fn down_after_a_kill_leaves_nothing() {
    let application = hello(2);
    application.up();
    let before = application.processes();
    assert!(before.len() >= 7, "a supervisor, three replicas and their keepers: {before:?}");
    let supervisor = application.supervisor();
    kill(supervisor);
    eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
    application.down();
    eventually("nothing is left", || pids_with_variable(application.folder()).is_empty().then_some(()));
}

#[test]
fn a_replica_that_died_unseen_is_replaced() {
    let application = hello(2);
    application.up();
    let replicas = application.until_ready("pages", 2);
    let supervisor = application.supervisor();
    kill(supervisor);
    eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
    kill(replicas[0]);
    eventually("the replica is gone", || (!alive(replicas[0])).then_some(()));
    application.up();
    let after = application.until_ready("pages", 2);
    assert!(after.contains(&replicas[1]) && !after.contains(&replicas[0]), "{replicas:?} {after:?}");
}

#[test]
fn a_dead_keeper_takes_its_replica_along_and_both_are_replaced() {
    let application = hello(1);
    application.up();
    let replica = application.until_ready("pages", 1)[0];
    let keeper = application.service("pages")["replicas"][0]["keeperPid"].as_u64().unwrap();
    kill(u32::try_from(keeper).unwrap());
    eventually("the replica died with its keeper", || (!alive(replica)).then_some(()));
    eventually("it is replaced", || {
        let pids = application.pids("pages");
        (pids.len() == 1 && pids[0] != replica).then_some(())
    });
}

#[test]
fn a_killed_gateway_comes_back_at_its_address() {
    let application = hello(1);
    application.up();
    let address = application.address();
    let gateway = application.pids("gateway")[0];
    kill(gateway);
    eventually("the gateway answers again", || {
        shoal_e2e::get(&format!("{address}/")).ok().filter(|page| page.status == 200)
    });
    assert_ne!(application.until_ready("gateway", 1)[0], gateway);
}
