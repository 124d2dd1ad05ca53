//! A PostgreSQL server in a folder of its own, reached by a Unix socket only. A guard, `sh` reading a pipe, ends it and
//! removes the folder when the test's process is gone, however that died. Never: listens on a port.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take to accept connections, on a slow machine.
const START_MAX: Duration = Duration::from_secs(60);

/// Lines on standard input tell it what to do: `start`, or the name of a signal. Its first argument is the folder, the
/// others are the command. The file `ended` is there once the server it started last is not.
const GUARD: &str = r#"
folder=$1; shift; runner=
end() {
    until [ -s "$folder/pid" ]; do sleep 0.1; done
    for signal in CONT "$1"; do kill -s "$signal" "$(cat "$folder/pid")"; done; wait "$runner"; runner=
}
while read -r word; do
    case $word in
        start)
            rm -f "$folder/ended" "$folder/pid"
            { "$@" >>"$folder/log" 2>&1 & echo $! >"$folder/pid"; wait $!; touch "$folder/ended"; } & runner=$! ;;
        *) end "$word"; echo ended ;;
    esac
done
if [ -n "$runner" ]; then end QUIT; fi
rm -rf "$folder"
"#;

/// A server of a test's own, which may stop and restart it.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    folder: PathBuf,
    guard: Mutex<Guard>,
}

#[derive(Debug)]
struct Guard {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl PostgresServer {
    /// Starts one that survives its own death, but not the machine's: it does not wait for the disk.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts one that waits for the disk at each commit, as a real one does; for measurements.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_with(true)
    }

    fn start_with(durable: bool) -> Self {
        let programs = programs();
        // Short, for a socket's path may have a hundred letters only.
        let folder = tempfile::Builder::new().prefix("shoal-pg").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a folder: {error}"));
        let owner = owner();
        if let Some((user, group)) = owner {
            must(std::os::unix::fs::chown(folder.path(), Some(user), Some(group)), "cannot give the folder away");
        }
        let mut initdb = as_owner(owner, &programs.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"]);
        let made = must(initdb.arg(folder.path().join("data")).output(), "cannot run initdb");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        // From here on the guard removes it.
        let folder = folder.keep();
        let mut server = as_owner(owner, &programs.join("postgres"));
        server.arg("-D").arg(folder.join("data"));
        let socket = format!("unix_socket_directories={}", folder.display());
        let fsync = format!("fsync={}", if durable { "on" } else { "off" });
        for setting in ["listen_addresses=", "max_connections=300", &socket, &fsync] {
            server.args(["-c", setting]);
        }
        let guard = Mutex::new(Guard::new(&folder, &server));
        let server = Self { programs, folder, guard };
        server.restart();
        server
    }

    /// The address of a database of this name. The name is one word of letters, digits and `_`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.folder.display())
    }

    /// The process id of the server, whose children are its sessions.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let text = must(std::fs::read_to_string(self.folder.join("pid")), "PostgreSQL does not run");
        text.trim().parse().unwrap_or_else(|error| panic!("`{text}` is no process id: {error}"))
    }

    /// Stops it, as an administrator does: sessions end, nothing is lost. Returns when it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&self) {
        self.guard().end("INT");
    }

    /// Kills it, with whatever is under way. Returns when it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&self) {
        self.guard().end("KILL");
    }

    /// Lets it and its sessions sleep: connections are neither closed nor answered, as when its machine has vanished.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        // First the one that could start more of them.
        self.signal(self.pid(), Signal::STOP);
        self.freeze_sessions();
    }

    /// Lets those sleep that are its clients' now. They must be between two statements, or others wait for what they
    /// hold.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze_sessions(&self) {
        self.sessions().into_iter().for_each(|session| self.signal(session, Signal::STOP));
    }

    /// Wakes what sleeps.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        self.sessions().into_iter().chain([self.pid()]).for_each(|process| self.signal(process, Signal::CONT));
    }

    /// The server's children that each serve one client; the others are named for what they do.
    fn sessions(&self) -> Vec<u32> {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = must(children, "cannot read the server's children");
        let is_session = |child: &u32| {
            let title = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            title.starts_with(b"postgres: postgres ")
        };
        children.split_whitespace().filter_map(|child| child.parse().ok()).filter(is_session).collect()
    }

    fn signal(&self, process: u32, signal: Signal) {
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
        let sent = pid.map(|pid| kill_process(pid, signal));
        assert!(sent.is_some_and(|sent| sent.is_ok()), "cannot signal process {process} of PostgreSQL");
    }

    /// Starts it again, and waits until it accepts connections.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub fn restart(&self) {
        let until = Instant::now() + START_MAX;
        self.guard().order("start");
        while !self.accepts() {
            assert!(Instant::now() < until, "PostgreSQL does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
            // What is left of a killed one refuses a new one for a moment.
            if self.folder.join("ended").exists() {
                self.guard().order("start");
            }
        }
    }

    /// Removes a database, with the sessions that use it.
    pub(crate) fn remove(&self, database: &str) {
        let mut dropdb = Command::new(self.programs.join("dropdb"));
        dropdb.args(["--force", "--if-exists", "--username=postgres", "--host"]).arg(&self.folder).arg(database);
        if !dropdb.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            eprintln!("the database {database} stays until its server ends");
        }
    }

    fn accepts(&self) -> bool {
        let mut asked = Command::new(self.programs.join("pg_isready"));
        asked.args(["--quiet", "--host"]).arg(&self.folder);
        asked.status().is_ok_and(|status| status.success())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when nothing of it is left.
impl Drop for PostgresServer {
    fn drop(&mut self) {
        let mut guard = self.guard();
        drop(guard.orders.take());
        if let Err(error) = guard.process.wait() {
            eprintln!("the guard of {} is gone: {error}", self.folder.display());
        }
    }
}

impl Guard {
    fn new(folder: &Path, server: &Command) -> Self {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(folder).arg(server.get_program()).args(server.get_args());
        // A group of its own, so that Ctrl-C reaches the test, and then the guard has its turn.
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut process = must(guard.spawn(), "cannot run sh");
        let orders = process.stdin.take();
        let Some(answers) = process.stdout.take() else { panic!("the guard has no output") };
        Self { process, orders, answers: BufReader::new(answers) }
    }

    fn order(&mut self, word: &str) {
        let Some(orders) = &mut self.orders else { panic!("the guard was dismissed") };
        must(writeln!(orders, "{word}"), "the guard is gone");
    }

    fn end(&mut self, signal: &str) {
        self.order(signal);
        let mut answer = String::new();
        must(self.answers.read_line(&mut answer), "the guard is gone");
        assert_eq!(answer, "ended\n", "the guard is gone");
    }
}

/// Where PostgreSQL's programs are: the newest of those that Debian keeps side by side, or those on the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let debian = newest.filter(|(_, bin)| bin.join("initdb").exists()).max().map(|(_, bin)| bin);
    let found = debian.or_else(|| std::env::split_paths(&paths).find(|bin| bin.join("initdb").exists()));
    found.unwrap_or_else(|| panic!("PostgreSQL is not installed: `cargo xtask setup` installs it"))
}

/// The user and group to run as, where this process is root's: PostgreSQL refuses that.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = must(std::fs::read_to_string("/etc/passwd"), "cannot read /etc/passwd");
    let fields = users.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut fields = fields.unwrap_or_else(|| panic!("there is no user `postgres`")).split(':').skip(1);
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    number().zip(number())
}

fn as_owner(owner: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((user, group)) = owner else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups"]).arg("--").arg(program);
    // The folder this process is in may be root's alone.
    command.current_dir("/");
    command
}

fn must<T>(done: std::io::Result<T>, otherwise: &str) -> T {
    done.unwrap_or_else(|error| panic!("{otherwise}: {error}"))
}
