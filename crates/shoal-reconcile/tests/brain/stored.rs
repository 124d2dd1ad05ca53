//! The stored form: it reads back, a newer one is refused, and each version's fixture goes on being read.

use crate::application::{service, target};
use crate::world::World;
use shoal_reconcile::State;

fn lived_in() -> State {
    let mut world = World::new(7);
    let now = world.time();
    let services = ["basket", "catalogue"].map(|name| (service(name), target(name, "a", 3)));
    world.state.set_target(services.into(), now);
    for _ in 0..40 {
        world.tick();
    }
    world.state.scale(&service("basket"), 5, now).unwrap();
    world.tick();
    world.state
}

#[test]
fn a_state_reads_back() {
    let mut state = lived_in();
    let text = serde_json::to_string(&state).unwrap();
    let mut read = State::open(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    let now = shoal_model::Millis(2_000_000);
    read.resumed(now);
    state.resumed(now);
    assert_eq!(read, state);
}

#[test]
fn what_is_not_a_state_is_refused_with_a_sentence() {
    let refused = |text: &str| State::open(serde_json::from_str(text).unwrap()).unwrap_err().to_string();
    assert_eq!(
        refused(r#"{"version": 2, "anything": 1}"#),
        "the stored state has version 2, written by a newer shoal, and this one reads up to 1; use the newer shoal"
    );
    assert_eq!(
        refused(r#"{"version": 0}"#),
        "the stored state has version 0, and this shoal reads 1 and later; open it with the release in between first"
    );
    assert!(refused("[1, 2]").contains("has no version"));
    assert!(refused(r#"{"version": 1, "services": 3}"#).contains("does not read as version 1"));
}

/// `tests/states/1.json` was written once by version 1 and is never written again: as long as version 1 must be
/// accepted, this test proves it.
#[test]
fn a_state_of_version_1_is_accepted() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/states/1.json");
    if std::env::var_os("WRITE_STATE_FIXTURE").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&lived_in()).unwrap()).unwrap();
    }
    let mut stored: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    // A field that a later release of the same version may have added is ignored.
    stored["added-later"] = serde_json::Value::from(1);
    let state = State::open(stored).unwrap();
    assert_eq!(state.service(&service("basket")).unwrap().wanted, 5);
    assert_eq!(state.service(&service("catalogue")).unwrap().wanted, 3);
}
