//! Starting, replacing and idling: ten services with the SDK, each the smallest there can be. Never: with anything to build;
//! the programs are there.

use crate::application::Application;
use crate::process::{Process, neighbour, until};
use crate::report::{Row, millis};
use crate::rounds::{Settings, median};
use crate::{Failure, cpu, interrupt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use shoal_load::{Client, ClientSettings, Request, Running, Target};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many services there are.
const SERVICES: usize = 10;
/// The smallest service.
const PROGRAM: &str = "shoal-sdk-example";
/// How often a program is started in one round.
const STARTS: usize = 10;

fn manifest() -> Result<String, Failure> {
    let program = neighbour(PROGRAM)?;
    let mut routes = String::new();
    let mut services = String::new();
    for number in 0..SERVICES {
        routes.push_str(&format!("    {{ host = \"s{number}.test\", path = \"/\", service = \"s{number}\" }},\n"));
        services.push_str(&format!(
            "[services.s{number}]\npurpose = \"Greets\"\nrun = {{ command = [\"{}\"] }}\nlisten = \"fd\"\nprobe = {{ sdk = true }}\n",
            program.display()
        ));
    }
    Ok(format!("[application]\nname = \"ten\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nroutes = [\n{routes}]\n{services}"))
}

/// From `shoal up` to everything ready.
pub fn up(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let mut application = Application::new(&manifest()?)?;
    let (mut whole, mut replicas) = (Vec::new(), Vec::new());
    for _ in 0..=settings.rounds {
        interrupt::check()?;
        let started = Instant::now();
        application.up()?;
        whole.push(started.elapsed().as_secs_f64());
        let events = application.ask("Events", &json!({"after": 0}))?;
        let at = |kind: &'static str| events_of(&events, kind).filter_map(|event| number(&event["atMs"]));
        let first = at("starting").min().ok_or("nothing started")?;
        let last = at("ready").max().ok_or("nothing is ready")?;
        replicas.push(last.saturating_sub(first) as f64 / 1e3);
        application.down()?;
    }
    // The first one copies the programs, as the first start after each build does; it is shown by itself.
    let first = whole.remove(0);
    let whole = median(whole);
    Ok(vec![
        Row::new("`shoal up -d`, the first time", millis(first)),
        Row::new("`shoal up -d`, again", millis(whole)).at_most(whole * 1e3, " ms", &[1000.0, 150.0]),
        Row::new("of it, from the first start to the last ready", millis(median(replicas))),
    ])
}

/// From `kill -9` to the next replica being ready, and to the first answer.
pub fn replace(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let mut application = Application::new(&manifest()?)?;
    let (mut ready, mut answered, mut failed) = (Vec::new(), Vec::new(), 0);
    for _ in 0..settings.rounds {
        application.up()?;
        let gateway = application.address()?;
        for number in 0..SERVICES {
            interrupt::check()?;
            let service = format!("s{number}");
            let old = application.until_ready(&service, 1)?.pop().ok_or("there is no replica")?;
            let mut after = application.ask("Events", &json!({"after": 0}))?["next"].clone();
            let started = Instant::now();
            kill_process(pid(old.pid)?, Signal::KILL)?;
            let asking = first_answer(gateway, format!("{service}.test"), started)?;
            while {
                let events = application.ask("Events", &json!({"after": after, "waitMs": 1000}))?;
                after = events["next"].clone();
                !events_of(&events, "ready").any(|event| event["service"] == service.as_str())
            } {
                if started.elapsed() > Duration::from_secs(20) {
                    return Err(format!("{service} was not replaced: {}", application.log()).into());
                }
            }
            ready.push(started.elapsed().as_secs_f64());
            let (took, failures) = asking.wait()?;
            answered.push(took.as_secs_f64());
            failed += failures;
        }
        application.down()?;
    }
    let ready = median(ready);
    Ok(vec![
        Row::new("killed to replaced and ready", millis(ready)).at_most(ready * 1e3, " ms", &[100.0, 20.0]),
        Row::new("killed to the first answer through the gateway", millis(median(answered))),
        Row::new("requests that failed meanwhile", failed.to_string()).at_most(f64::from(failed), "", &[0.0]),
    ])
}

/// Asks until there is a good answer; how long that took from `started`, and how many were no good.
fn first_answer(gateway: SocketAddr, host: String, started: Instant) -> Result<Running<(Duration, u32)>, Failure> {
    let running = Running::start(move |_| async move {
        let client = Client::new(Target::Tcp(gateway), ClientSettings::default());
        let request = Request::get(&host, "/", &[]);
        let mut failures = 0;
        while started.elapsed() < Duration::from_secs(20) {
            if client.status(&request).await.is_ok_and(|status| status == 200) {
                return Ok((started.elapsed(), failures));
            }
            failures += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(std::io::Error::other("a service whose replica was killed never answered again"))
    });
    Ok(running?)
}

/// From starting a program to its first answer.
pub fn spawn(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let program = neighbour(PROGRAM)?;
    let folder = tempfile::tempdir()?;
    let mut took = Vec::new();
    for _ in 0..settings.rounds as usize * STARTS {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(&program);
        command.env("PORT", address.port().to_string()).env("SHOAL_HEALTH", folder.path().join("health"));
        command.env("SHOAL_SERVICE", "greeter").env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let _process = Process::started(&mut command)?;
        let mut stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(_) if started.elapsed() < Duration::from_secs(20) => std::thread::sleep(Duration::from_micros(50)),
                Err(error) => return Err(error.into()),
            }
        };
        stream.write_all(b"GET / HTTP/1.1\r\nhost: greeter\r\n\r\n")?;
        let read = stream.read(&mut [0; 1024])?;
        took.push(started.elapsed().as_secs_f64());
        if read == 0 {
            return Err("the program closed the connection".into());
        }
    }
    let took = median(took);
    Ok(vec![Row::new("the smallest service", millis(took)).at_most(took * 1e3, " ms", &[5.0, 2.5])])
}

/// Memory and CPU of all that is Shoal's own while nothing is asked.
pub fn idle(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let application = Application::start(&manifest()?)?;
    let supervisor = application.supervisor()?;
    let replicas = application.all_replicas()?;
    let gateway = replicas.iter().find(|replica| replica.service == "gateway").ok_or("there is no gateway")?.pid;
    let keepers: Vec<u32> = replicas.iter().map(|replica| replica.keeper).collect();
    let own: Vec<u32> = [supervisor, gateway].into_iter().chain(keepers.iter().copied()).collect();
    until("nothing has been done for a moment", || {
        let before = cpu::seconds(&own).ok()?;
        std::thread::sleep(Duration::from_millis(100)); // A moment in which it could have been busy.
        (cpu::seconds(&own).ok()? - before < 0.005).then_some(())
    })?;
    let megabytes = |pids: &[u32]| -> Result<f64, Failure> {
        let shares = pids.iter().map(|pid| cpu::share_of_memory(*pid));
        Ok(shares.sum::<Result<u64, _>>()? as f64 / 1e6)
    };
    let (before, started) = (cpu::seconds(&own)?, Instant::now());
    std::thread::sleep(settings.length); // What is measured is what happens in this time.
    let busy = (cpu::seconds(&own)? - before) / started.elapsed().as_secs_f64();
    let all = megabytes(&own)?;
    let row = |name: String, megabytes: f64| Row::new(name, format!("{megabytes:.1} MB"));
    Ok(vec![
        row("the supervisor".to_owned(), megabytes(&[supervisor])?),
        row("the gateway".to_owned(), megabytes(&[gateway])?),
        row(format!("{} keepers", keepers.len()), megabytes(&keepers)?),
        row("all of them, as PSS".to_owned(), all).at_most(all, " MB", &[40.0]),
        Row::new("CPU meanwhile", format!("{:.2} % of a core", busy * 100.0)),
    ])
}

fn pid(pid: u32) -> Result<Pid, Failure> {
    Ok(Pid::from_raw(i32::try_from(pid)?).ok_or("there is no process 0")?)
}

fn events_of<'a>(events: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    events["events"].as_array().into_iter().flatten().filter(move |event| event["kind"] == kind)
}

/// A 64-bit number, which JSON of Protobuf writes as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
