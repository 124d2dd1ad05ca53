//! What the tests need from the machine beside Rust: found, installed on Debian as root, or named.
//!
//! Never: installs anything that is there already, or on a machine where it may not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A thing that tests need.
struct Need {
    /// What it is for.
    purpose: &'static str,
    /// How it is recognised.
    sign: Sign,
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
}

/// How a need is recognised.
enum Sign {
    /// One of these programs is on `PATH`.
    Program(&'static [&'static str]),
    /// Python can import these modules.
    PythonModule(&'static str),
    /// A file with this ending lies somewhere below this folder.
    File(&'static str, &'static str),
}

const NEEDS: &[Need] = &[
    Need { purpose: "building SQLite and rustls", sign: Sign::Program(&["cc"]), packages: &["gcc", "libc6-dev"] },
    Need { purpose: "shopping with a browser", sign: Sign::Program(&["chromium"]), packages: &["chromium"] },
    Need { purpose: "driving the browser", sign: Sign::Program(&["chromedriver"]), packages: &["chromium-driver"] },
    Need {
        purpose: "text in screenshots",
        sign: Sign::File("/usr/share/fonts", ".ttf"),
        packages: &["fonts-dejavu-core", "fonts-liberation"],
    },
    Need {
        purpose: "an unmodified Python server, gRPC from Python",
        sign: Sign::Program(&["python3"]),
        packages: &["python3"],
    },
    Need { purpose: "gRPC from Python", sign: Sign::PythonModule("venv, ensurepip"), packages: &["python3-venv"] },
    Need { purpose: "an unmodified Node server", sign: Sign::Program(&["node"]), packages: &["nodejs"] },
    Need { purpose: "calls as anyone makes them", sign: Sign::Program(&["curl"]), packages: &["curl"] },
    Need { purpose: "a proxy to compare with", sign: Sign::Program(&["nginx"]), packages: &["nginx-light"] },
    Need { purpose: "another proxy to compare with", sign: Sign::Program(&["haproxy"]), packages: &["haproxy"] },
    Need {
        purpose: "the suites of services on PostgreSQL",
        sign: Sign::Program(&["initdb"]),
        packages: &["postgresql"],
    },
    Need { purpose: "certificates for TLS tests", sign: Sign::Program(&["openssl"]), packages: &["openssl"] },
];

/// The Python packages that the gRPC tests import.
const PYTHON_PACKAGES: &[&str] = &["grpcio", "grpcio-reflection", "grpcio-health-checking", "protobuf"];

/// Makes sure that every program the tests need is there.
pub fn programs() -> Result<(), String> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_there(&need.sign)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    if !(is_debian() && is_root()) {
        return Err(named(&missing, &packages));
    }
    eprintln!("installing for the tests: {}", packages.join(" "));
    if packages.contains(&"postgresql") {
        without_a_cluster()?;
    }
    let install = ["install", "--yes", "--no-install-recommends"];
    succeed(Command::new("apt-get").arg("update").arg("--quiet"))?;
    succeed(Command::new("apt-get").args(install).args(&packages).env("DEBIAN_FRONTEND", "noninteractive"))?;
    let still: Vec<&Need> = missing.into_iter().filter(|need| !is_there(&need.sign)).collect();
    if still.is_empty() { Ok(()) } else { Err(format!("installed, but not found:\n{}", list(&still))) }
}

/// Keeps Debian from making and running a PostgreSQL of its own: tests start theirs.
fn without_a_cluster() -> Result<(), String> {
    let file = Path::new("/etc/postgresql-common/createcluster.conf");
    if file.exists() {
        return Ok(());
    }
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = folder.and_then(|()| std::fs::write(file, "create_main_cluster = false\n"));
    written.map_err(|error| format!("{} could not be written: {error}", file.display()))
}

/// The Python of an environment under `target` that has the packages the tests import.
pub fn python(target: &Path) -> Result<PathBuf, String> {
    let folder = target.join("test-python");
    let python = folder.join("bin/python3");
    let stamp = folder.join("packages.txt");
    let wanted = PYTHON_PACKAGES.join("\n");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("installing for the tests: {} (Python, into {})", PYTHON_PACKAGES.join(" "), folder.display());
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    succeed(Command::new(&python).args(pip).args(PYTHON_PACKAGES))?;
    // Written last: an installation that was cut short is made again.
    std::fs::write(&stamp, wanted).map_err(|error| format!("{} could not be written: {error}", stamp.display()))?;
    Ok(python)
}

fn named(missing: &[&Need], packages: &[&str]) -> String {
    let how = if is_debian() {
        format!("as root: apt-get install --no-install-recommends {}", packages.join(" "))
    } else {
        "with your system's package manager; Debian calls them as shown in brackets".to_owned()
    };
    format!("the tests need programs that are not there:\n{}install them {how}", list(missing))
}

fn list(needs: &[&Need]) -> String {
    let line = |need: &&Need| {
        let what = match need.sign {
            Sign::Program(names) => names.join(" or "),
            Sign::PythonModule(modules) => format!("Python's {modules}"),
            Sign::File(folder, ending) => format!("a {ending} file below {folder}"),
        };
        format!("  {what}: for {} [{}]\n", need.purpose, need.packages.join(" "))
    };
    needs.iter().map(line).collect()
}

fn is_there(sign: &Sign) -> bool {
    match sign {
        Sign::Program(names) => names.iter().any(|name| on_path(name)),
        Sign::PythonModule(modules) => succeeds(Command::new("python3").args(["-c", &format!("import {modules}")])),
        Sign::File(folder, ending) => has_file(Path::new(folder), ending, 4),
    }
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian puts servers where the path of somebody who is not root may not lead, and PostgreSQL's by version.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.chain(versions.map(|version| version.path().join("bin"))).any(|folder| folder.join(name).is_file())
}

fn has_file(folder: &Path, ending: &str, depth: usize) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.to_string_lossy().ends_with(ending) || (depth > 0 && path.is_dir() && has_file(&path, ending, depth - 1))
    })
}

fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let says = |line: &str| {
        line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")).is_some_and(|ids| ids.contains("debian"))
    };
    release.lines().any(says) && on_path("apt-get")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs a command, and says which one failed when it did.
pub fn succeed(command: &mut Command) -> Result<(), String> {
    let shown = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    let line = shown();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed ({status})")),
        Err(error) => Err(format!("`{line}` could not be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let need = Need { purpose: "a test", sign: Sign::Program(&["no-such-program"]), packages: &["no-such"] };
        assert!(!is_there(&need.sign));
        let text = named(&[&need], &["no-such"]);
        assert!(text.contains("  no-such-program: for a test [no-such]\n"), "{text}");
        assert!(is_there(&Sign::Program(&["no-such-program", "sh"])));
    }

    #[test]
    fn files_are_found_below_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_file(folder.path(), ".ttf", 4));
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/a.ttf"), "").unwrap();
        assert!(has_file(folder.path(), ".ttf", 4));
    }

    #[test]
    fn a_command_that_fails_is_named() {
        assert_eq!(succeed(&mut Command::new("true")), Ok(()));
        assert_eq!(
            succeed(Command::new("sh").args(["-c", "exit 3"])),
            Err("`sh -c exit 3` failed (exit status: 3)".to_owned())
        );
        assert!(succeed(&mut Command::new("/no/such")).is_err_and(|said| said.contains("could not be run")));
    }
}
