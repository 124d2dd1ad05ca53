//! Bad input and bad luck: each a clear sentence, and nothing lost.

use shoal_e2e::{Application, hello, shoal};
use std::process::Command;

const SLEEPER: &str = "[application]\nname = \"quiet\"\n[services.sleeper]\nrun = { command = [\"sleep\", \"1000\"] }\nlisten = \"none\"\n";

#[test]
fn a_manifest_of_ten_megabytes_is_refused() {
    let application = Application::new(&"# filler\n".repeat(1_200_000));
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("SH0002") && told.contains("shoal.toml"), "{told}");
}

#[test]
fn a_manifest_of_random_bytes_is_refused() {
    let application = Application::new("");
    let mut seed = 0x9e37_79b9_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    })
    .take(10_000)
    .collect();
    application.write("shoal.toml", bytes);
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("SH0001"), "{told}");
}

#[test]
fn a_name_given_twice_is_shown_at_its_line() {
    let application = Application::new(&format!("{SLEEPER}\n[services.sleeper]\nrun = {{ command = [\"true\"] }}\n"));
    let told = application.shoal(&["check"]).refused();
    assert!(told.contains("shoal.toml:7") && told.contains("sleeper"), "{told}");
}

#[test]
fn what_the_machine_lacks_is_shown_at_its_line() {
    let application = Application::new(&SLEEPER.replace("sleep\"", "no-such-program-anywhere\""));
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("SH0101") && told.contains("shoal.toml:4"), "{told}");
    assert!(application.processes().is_empty(), "nothing was left running");
}

#[test]
fn a_taken_address_is_shown_at_its_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let application = hello(1);
    let manifest = std::fs::read_to_string(application.folder().join("shoal.toml")).unwrap();
    application.write("shoal.toml", manifest.replace("127.0.0.1:0", &address));
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("SH0100") && told.contains(&address), "{told}");
}

#[test]
fn an_impossible_scale_changes_nothing() {
    let application = Application::new(SLEEPER);
    application.up();
    let pids = application.until_ready("sleeper", 1);
    for (wish, expected) in [
        ("slepper=2", "did you mean `sleeper`"),
        ("sleeper=-1", "whole number"),
        ("sleeper=100000", "0 to 1000"),
        ("sleeper", "catalogue=6"),
        ("gateway=2", "gateway"),
    ] {
        let told = application.shoal(&["scale", wish]).refused();
        assert!(told.contains(expected), "{wish}: {told}");
    }
    // The first is right, the second is not: neither happens.
    let told = application.shoal(&["scale", "sleeper=3", "sleeper=x"]).refused();
    assert!(told.contains("whole number"), "{told}");
    assert_eq!(application.until_ready("sleeper", 1), pids);
}

#[test]
fn a_second_up_is_refused_and_harms_nothing() {
    let application = Application::new(SLEEPER);
    application.up();
    let pids = application.until_ready("sleeper", 1);
    let told = application.shoal(&["up", "-d"]).refused();
    assert!(told.contains("already runs") && told.contains(&application.supervisor().to_string()), "{told}");
    assert_eq!(application.until_ready("sleeper", 1), pids);
}

#[test]
fn verbs_without_an_application_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["up", "status", "down", "logs", "check", "graph", "restart"] {
        let output = Command::new(shoal()).arg(verb).current_dir(&folder).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && told.contains("shoal new"), "{verb}: {output:?}");
    }
    let application = Application::new(SLEEPER);
    for verb in ["status", "logs", "restart"] {
        assert!(application.shoal(&[verb]).refused().contains("not running"), "{verb}");
    }
}

#[test]
fn a_call_to_what_is_not_there_lists_what_is() {
    let application = Application::new(SLEEPER);
    application.up();
    assert!(application.shoal(&["call", "shop.v1.Shop/Buy"]).refused().contains("no service has"));
    assert!(application.shoal(&["call", "nonsense"]).refused().contains("not a method"));
    assert!(application.shoal(&["call", "a/B", "{"]).refused().contains("not JSON"));
}

#[test]
fn a_full_disk_refuses_a_scale_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let application = Application::new(SLEEPER);
    let state = application.folder().join(".shoal");
    std::os::unix::fs::symlink(disk.path(), &state).unwrap();
    application.up();
    let pids = application.until_ready("sleeper", 1);
    disk.fill();
    let told = application.shoal(&["scale", "sleeper=9"]).refused();
    assert!(told.contains("nothing was changed") && told.contains("disk"), "{told}");
    assert_eq!(application.until_ready("sleeper", 1), pids);
    disk.free();
    let _ = application.shoal(&["scale", "sleeper=2"]).succeeded();
    assert!(application.until_ready("sleeper", 2).contains(&pids[0]));
    application.down();
}

#[test]
fn an_unwritable_folder_is_named() {
    let Some(disk) = SmallDisk::mount() else { return };
    let application = Application::new(SLEEPER);
    std::fs::copy(application.folder().join("shoal.toml"), disk.path().join("shoal.toml")).unwrap();
    disk.make_read_only();
    let folder = disk.path().display().to_string();
    let told = application.shoal(&["up", "-d", &folder]).refused();
    assert!(told.contains(&folder) && told.contains("writable"), "{told}");
}

/// A file system of a few megabytes, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, said aloud, where this user may not mount: only root may.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=300m", "none"]).arg(folder.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        assert_ne!(std::env::var_os("CI"), Some("true".into()), "CI runs as root, so that this test is never left out");
        eprintln!("left out: only root may mount the small disk that this test fills");
        None
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(self.path().join("filler")).expect("the disk takes a file");
        while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("the filler can be removed");
    }

    fn make_read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status().expect("mount runs");
        assert!(done.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path().display());
        }
    }
}
