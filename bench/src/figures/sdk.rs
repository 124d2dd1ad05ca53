//! A call with the SDK: over the wire against tonic, within a process, and what balancing adds. Never: with messages that are
//! borrowed or shared; each call makes its own, and reads all of the answer.

use crate::application::{Application, Replica};
use crate::calls;
use crate::contracts::contracts::echo::v1::{Echo, SayRequest, SayResponse};
use crate::process::{Process, own_program};
use crate::report::{Row, micros};
use crate::roles::Plain;
use crate::rounds::{Contest, Settings, median};
use crate::{Failure, cpu, messages};
use shoal_balance::{BalanceSettings, Balancer, Moment, Outcome};
use shoal_load::{Client, ClientSettings, Request, Target};
use shoal_model::{Address, Endpoint, ReplicaName, RevisionId, ServiceName};
use shoal_sdk::{Call, Environment};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Calls in flight.
const CLIENTS: usize = 64;

/// A caller and the callee it has for itself.
enum Pair {
    Tonic { caller: Process, callee: Process },
    Sdk { caller: Replica, callee: Replica, client: Client },
}

impl Pair {
    fn tonic(path: &[String]) -> Result<Self, Failure> {
        let (callee, address) = Process::role("__tonic-server", path)?;
        let (caller, _) = Process::role("__tonic-client", &[address])?;
        Ok(Self::Tonic { caller, callee })
    }

    fn sdk(application: &Application, caller: &str) -> Result<Self, Failure> {
        let caller = application.until_ready(caller, 1)?.pop().ok_or("there is no caller")?;
        let callee = application.until_ready("echo", 1)?.pop().ok_or("there is no callee")?;
        let client = Client::new(Target::Tcp(caller.address.parse()?), ClientSettings::default());
        Ok(Self::Sdk { caller, callee, client })
    }

    fn pids(&self) -> [u32; 2] {
        match self {
            Self::Tonic { caller, callee } => [caller.pid(), callee.pid()],
            Self::Sdk { caller, callee, .. } => [caller.pid, callee.pid],
        }
    }

    /// Calls for so long; how often.
    fn call(&mut self, runtime: &Runtime, length: Duration) -> Result<f64, Failure> {
        let milliseconds = length.as_millis().max(1);
        let answer = match self {
            Self::Tonic { caller, .. } => caller.ask(&format!("closed {CLIENTS} {milliseconds}"))?,
            Self::Sdk { client, .. } => {
                let request = Request::get("caller", &format!("/load/{CLIENTS}/{milliseconds}"), &[]);
                runtime.block_on(client.send(&request))?.text()
            }
        };
        calls_done(&answer)
    }
}

/// CPU per call, of caller and callee together.
pub fn call(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir()?;
    let program = own_program()?.display().to_string();
    let caller = |name: &str, role: &str| {
        format!(
            "[services.{name}]\npurpose = \"Calls\"\nrun = {{ command = [\"{program}\", \"{role}\"] }}\n\
             calls = [\"echo\"]\nlisten = \"fd\"\nprobe = {{ sdk = true }}\n"
        )
    };
    let callers = caller("caller", "__caller") + &caller("http2-caller", "__http2-caller");
    let application = Application::start(&(with_echo()? + &callers))?;
    let socket = folder.path().join("tonic").display().to_string();
    let mut pairs = [
        ("tonic", Pair::tonic(&[])?),
        ("tonic, over a Unix socket", Pair::tonic(&[socket])?),
        ("Shoal's SDK, over HTTP/2", Pair::sdk(&application, "http2-caller")?),
        ("Shoal's SDK, as it chooses", Pair::sdk(&application, "caller")?),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let contest = Contest::hold(settings, pairs.len(), |index| {
        let pair = &mut pairs[index].1;
        pair.call(&runtime, settings.length / 5)?;
        let (before, started) = (cpu::seconds(&pair.pids())?, Instant::now());
        let done = pair.call(&runtime, settings.length)?;
        let used = cpu::seconds(&pair.pids())? - before;
        Ok([used / done, done / started.elapsed().as_secs_f64()])
    })?;
    let rows = pairs.iter().enumerate().map(|(index, (name, _))| {
        let name = format!("{name}, {:.0} calls/s", contest.value(index, 1));
        let row = Row::new(name, micros(contest.value(index, 0))).ratio(contest.ratio(index, 0, 0));
        if index > 1 { row.ratio_at_most(&[0.85, 0.35]) } else { row }
    });
    Ok(rows.collect())
}

/// The manifest of an application with a service that gives back what it gets.
pub fn with_echo() -> Result<String, Failure> {
    Ok(format!(
        r#"
[application]
name = "bench"
[services.echo]
purpose  = "Gives back what it gets"
run      = {{ command = ["{}", "__echo"] }}
contract = "{}/contracts/echo/v1"
listen   = "fd"
probe    = {{ sdk = true }}
"#,
        own_program()?.display(),
        env!("CARGO_MANIFEST_DIR"),
    ))
}

/// How many calls there were, by what the caller answered.
pub fn calls_done(answer: &str) -> Result<f64, Failure> {
    match answer.trim().split_once(' ') {
        Some((done, "0")) if done != "0" => Ok(done.parse()?),
        _ => Err(format!("calls failed: {answer}").into()),
    }
}

/// A call through the generated client to an implementation in the same process, and the same call of the bare trait.
pub fn in_process(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let echo: Arc<dyn Echo> = Arc::new(Plain);
    let environment = Environment::for_tests(folder.path()).provide(Arc::clone(&echo));
    let client = calls::echo(&environment).map_err(|error| error.to_string())?;
    let contest = Contest::hold(settings, 2, |index| {
        let turn = async {
            let mut request = messages::for_sdk();
            let started = Instant::now();
            let mut done = 0_u32;
            while started.elapsed() < settings.length {
                let call = Call::new();
                for _ in 0..100 {
                    let answer =
                        if index == 0 { echo.say(&call, request).await } else { client.say(&call, request).await };
                    request = again(answer?);
                }
                done += 100;
            }
            Ok::<_, Failure>([started.elapsed().as_secs_f64() / f64::from(done)])
        };
        runtime.block_on(turn)
    })?;
    let through_client = contest.value(1, 0);
    Ok(vec![
        Row::new("the trait, called directly", micros(contest.value(0, 0))),
        Row::new("through the generated client", micros(through_client)).at_most(
            through_client * 1e6,
            " µs",
            &[1.5, 0.8],
        ),
    ])
}

/// The answer as the next request: moved, so that only the call is measured.
fn again(answer: SayResponse) -> SayRequest {
    SayRequest { product: black_box(answer.product), ..Default::default() }
}

/// A pick and its end, among so many endpoints.
pub fn balancing(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for count in [1, 5, 100] {
        let balancer = Balancer::new(BalanceSettings::default());
        let endpoints: Vec<Endpoint> = (1..=count).map(endpoint).collect::<Result<_, _>>()?;
        balancer.replace(&endpoints, Moment(0));
        let rounds = (0..settings.rounds).map(|_| one_pick(&balancer, settings.length / 3));
        let took = median(rounds.collect::<Result<_, _>>()?);
        let row = Row::new(format!("a pick and its end, {count} endpoints"), micros(took));
        rows.push(row.at_most(took * 1e6, " µs", &[1.0]));
    }
    Ok(rows)
}

/// Seconds, with the two looks at a clock that a caller needs for it.
fn one_pick(balancer: &Balancer, length: Duration) -> Result<f64, Failure> {
    let origin = Instant::now();
    let now = || Moment(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let (mut done, mut random) = (0_u32, 0_u64);
    while origin.elapsed() < length {
        for _ in 0..100 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = balancer.pick(now(), random).ok_or("there is no endpoint")?;
            black_box(pick.endpoint());
            pick.finish(now(), Outcome::Succeeded);
        }
        done += 100;
    }
    Ok(origin.elapsed().as_secs_f64() / f64::from(done))
}

fn endpoint(serial: u64) -> Result<Endpoint, Failure> {
    let service: ServiceName = "echo".parse().map_err(|error| format!("{error}"))?;
    Ok(Endpoint {
        replica: ReplicaName { service, serial },
        revision: RevisionId("bench".to_owned()),
        address: Address::Tcp(([127, 0, 0, 1], u16::try_from(serial)?).into()),
        weight: 100,
        identity: None,
    })
}
