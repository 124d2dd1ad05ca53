//! The gateway against nginx, HAProxy and the least that hyper can do, all in front of the same two replicas. Never: through
//! a network; what is measured is the proxies.

use crate::application::Application;
use crate::process::{Process, own_program};
use crate::report::{Row, micros};
use crate::rounds::{Contest, Settings};
use crate::{Failure, cpu, peers};
use shoal_load::{Arrivals, Client, ClientSettings, ClosedLoop, Latency, OpenLoop, Request, Target};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How many requests are under way when a proxy is as busy as can be.
const CLIENTS: usize = 64;
/// Requests a second when it is not.
const RATE: f64 = 2000.0;
/// Seconds; what differs by less is taken for this.
const RESOLUTION: f64 = 1e-6;

/// A proxy and the processes it consists of.
struct Contender {
    name: &'static str,
    address: SocketAddr,
    pids: Vec<u32>,
}

/// All proxies, running.
struct Field {
    contenders: Vec<Contender>,
    /// The address of one replica, for going there directly.
    direct: SocketAddr,
    runtime: Runtime,
    /// What must go on running.
    _running: (peers::Proxy, peers::Proxy, Process, Application),
}

const NGINX: usize = 0;
const SHOAL: usize = 3;

impl Field {
    fn start() -> Result<Self, Failure> {
        let manifest = format!(
            r#"
[application]
name = "bench"
[gateway]
listen = "127.0.0.1:0"
routes = [{{ path = "/", service = "pages" }}]
[services.pages]
purpose  = "Answers a kilobyte"
run      = {{ command = ["{}", "__upstream"] }}
replicas = 2
"#,
            own_program()?.display()
        );
        let application = Application::start(&manifest)?;
        let replicas = application.until_ready("pages", 2)?;
        let upstreams: Vec<String> = replicas.iter().map(|replica| replica.address.clone()).collect();
        let direct = upstreams.first().ok_or("there is no replica")?.parse()?;
        let (nginx, haproxy) = (peers::nginx(&upstreams)?, peers::haproxy(&upstreams)?);
        let (hyper, hyper_address) = Process::role("__hyper-proxy", &upstreams)?;
        let gateway = application.until_ready("gateway", 1)?.iter().map(|replica| replica.pid).collect();
        let contenders = vec![
            Contender { name: "nginx", address: nginx.address, pids: nginx.pids()? },
            Contender { name: "HAProxy", address: haproxy.address, pids: haproxy.pids()? },
            Contender { name: "hyper, bare", address: hyper_address.parse()?, pids: vec![hyper.pid()] },
            Contender { name: "Shoal's gateway", address: application.address()?, pids: gateway },
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { contenders, direct, runtime, _running: (nginx, haproxy, hyper, application) })
    }
}

fn client(address: SocketAddr) -> (Client, Request) {
    let host = address.to_string();
    let headers = [("user-agent", "bench/1"), ("accept", "text/html,*/*;q=0.8"), ("accept-encoding", "identity")];
    (Client::new(Target::Tcp(address), ClientSettings::default()), Request::get(&host, "/product/tide-mug", &headers))
}

/// CPU per request, when it is as busy as can be.
pub fn cpu(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let field = Field::start()?;
    let contest = Contest::hold(settings, field.contenders.len(), |index| {
        let contender = &field.contenders[index];
        let (client, request) = client(contender.address);
        let ask = |length| {
            let (client, request) = (client.clone(), request.clone());
            field.runtime.block_on(ClosedLoop { clients: CLIENTS, length }.run(move |_| {
                let (client, request) = (client.clone(), request.clone());
                async move { client.status(&request).await.is_ok_and(|status| status == 200) }
            }))
        };
        ask(settings.length / 5)?; // Until connections are there and memory is warm.
        let before = cpu::seconds(&contender.pids)?;
        let spent = ask(settings.length)?;
        let used = cpu::seconds(&contender.pids)? - before;
        if spent.failed > 0 {
            return Err(format!("{} failed {} requests of {}", contender.name, spent.failed, spent.done).into());
        }
        Ok([used / spent.done as f64, spent.done as f64 / spent.took.as_secs_f64()])
    })?;
    let rows = field.contenders.iter().enumerate().map(|(index, contender)| {
        let rate = format!("{}, {:.0} requests/s", contender.name, contest.value(index, 1));
        let row = Row::new(rate, micros(contest.value(index, 0))).ratio(contest.ratio(index, NGINX, 0));
        if index == SHOAL { row.ratio_at_most(&[1.5, 1.0]) } else { row }
    });
    Ok(rows.collect())
}

/// What it adds to the median and to the slowest of a hundred, at a rate that leaves it idle for most of the time.
pub fn latency(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let field = Field::start()?;
    let direct = field.contenders.len();
    let contest = Contest::hold(settings, direct + 1, |index| {
        let contender = field.contenders.get(index);
        let (client, request) = client(contender.map_or(field.direct, |contender| contender.address));
        let ask = |length: Duration| {
            let load = OpenLoop { rate: RATE, length, arrivals: Arrivals::Even };
            let (client, request) = (client.clone(), request.clone());
            let done = load.run(move |_| {
                let (client, request) = (client.clone(), request.clone());
                async move { client.status(&request).await }
            });
            field.runtime.block_on(done)
        };
        ask(settings.length / 5)?;
        let pids: &[u32] = contender.map_or(&[], |contender| &contender.pids);
        let before = cpu::seconds(pids)?;
        let done = ask(settings.length)?;
        let used = cpu::seconds(pids)? - before;
        if let Some(failed) = done.iter().find(|done| !done.value.as_ref().is_ok_and(|status| *status == 200)) {
            return Err(format!("a request failed: {:?}", failed.value).into());
        }
        let count = done.len() as f64;
        let latency: Latency = done.into_iter().collect();
        Ok([latency.p50().as_secs_f64(), latency.p99().as_secs_f64(), used / count])
    })?;
    let added = |index: usize, number: usize| {
        contest.median(|round| round[index][number] - round[direct][number]).max(RESOLUTION)
    };
    let mut rows = vec![
        Row::new("no proxy, p50", micros(contest.value(direct, 0))),
        Row::new("no proxy, p99", micros(contest.value(direct, 1))),
    ];
    for (number, what, goal) in [(0, "added p50", [1.6]), (1, "added p99", [1.0])] {
        for (index, contender) in field.contenders.iter().enumerate() {
            let row = Row::new(format!("{}, {what}", contender.name), micros(added(index, number)))
                .ratio(added(index, number) / added(NGINX, number));
            rows.push(if index == SHOAL { row.ratio_at_most(&goal) } else { row });
        }
    }
    for (index, contender) in field.contenders.iter().enumerate() {
        let name = format!("{}, CPU per request", contender.name);
        rows.push(Row::new(name, micros(contest.value(index, 2))).ratio(contest.ratio(index, NGINX, 2)));
    }
    Ok(rows)
}
