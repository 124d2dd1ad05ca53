//! Asking replicas: has it started, may it receive requests, is it alive.
//!
//! Each outcome is reported as it comes; what counts as too many failures is the brain's business. While a replica starts
//! it is asked often, so that a quick start is seen at once, but a failure is reported once per period at most, as the brain
//! counts them against the startup's budget.
//!
//! Never: reads more than a bounded part of an answer, or waits longer than the probe's timeout.

use crate::reporter::Reporter;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use shoal_discovery::HealthAnswer;
use shoal_model::{Address, Observation, ProbeCheck, ProbeKind, ProbeOutcome, ProbeSettings, Probes, ReplicaName};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How soon a replica that starts is asked again at first; each time half as long again, up to the period.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// No probe is asked more often than this, whatever its settings say.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// The most bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;

/// Who is asked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) replica: ReplicaName,
    pub(crate) address: Option<Address>,
    pub(crate) health: PathBuf,
}

/// What came back when it was good: something that says more, or just that it was good.
enum Answer {
    Passed,
    Health(HealthAnswer),
}

/// Asks until dropped.
pub(crate) async fn run(target: Target, probes: Probes, reporter: Reporter) {
    let prober = Prober { target, reporter };
    prober.start(&probes.startup).await;
    prober.watch(&probes.readiness, &probes.liveness).await;
}

struct Prober {
    target: Target,
    reporter: Reporter,
}

impl Prober {
    async fn start(&self, settings: &ProbeSettings) {
        let period = settings.period.max(PERIOD_MIN);
        let mut pause = FIRST_PAUSE.min(period);
        let mut reported_at = Instant::now();
        loop {
            let outcome = judge(ProbeKind::Startup, &settings.check, &self.ask(settings).await);
            let passed = outcome == ProbeOutcome::Passed;
            if passed || reported_at.elapsed() >= period {
                reported_at = Instant::now();
                self.report(ProbeKind::Startup, outcome).await;
            }
            if passed {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(period);
        }
    }

    async fn watch(&self, readiness: &ProbeSettings, liveness: &ProbeSettings) {
        // One question serves both where they ask the same thing at the same time.
        let same = readiness.check == liveness.check && readiness.timeout == liveness.timeout;
        let (mut readiness_at, mut liveness_at) = (Instant::now(), Instant::now());
        loop {
            let at = readiness_at.min(liveness_at);
            tokio::time::sleep_until(at).await;
            let (ready_due, live_due) = (readiness_at <= at, liveness_at <= at);
            if ready_due && live_due && same {
                let answer = self.ask(readiness).await;
                self.report(ProbeKind::Readiness, judge(ProbeKind::Readiness, &readiness.check, &answer)).await;
                self.report(ProbeKind::Liveness, judge(ProbeKind::Liveness, &liveness.check, &answer)).await;
            } else {
                tokio::join!(
                    self.ask_if(ready_due, ProbeKind::Readiness, readiness),
                    self.ask_if(live_due, ProbeKind::Liveness, liveness)
                );
            }
            // From question to question, not from answer to question; but never two at once.
            let next = |settings: &ProbeSettings| (at + settings.period.max(PERIOD_MIN)).max(Instant::now());
            if ready_due {
                readiness_at = next(readiness);
            }
            if live_due {
                liveness_at = next(liveness);
            }
        }
    }

    async fn ask_if(&self, due: bool, kind: ProbeKind, settings: &ProbeSettings) {
        if due {
            let answer = self.ask(settings).await;
            self.report(kind, judge(kind, &settings.check, &answer)).await;
        }
    }

    async fn report(&self, kind: ProbeKind, outcome: ProbeOutcome) {
        let observation = Observation::ProbeFinished { replica: self.target.replica.clone(), kind, outcome };
        self.reporter.report(observation).await;
    }

    async fn ask(&self, settings: &ProbeSettings) -> Result<Answer, String> {
        let limit = settings.timeout.as_secs_f64();
        let address = || match &self.target.address {
            Some(Address::Tcp(address)) => Ok(*address),
            Some(Address::Unix(_)) | None => Err("it does not listen on an address that could be asked".to_owned()),
        };
        match &settings.check {
            ProbeCheck::Process => Ok(Answer::Passed),
            ProbeCheck::Sdk { .. } => {
                shoal_discovery::ask(&self.target.health, settings.timeout).await.map(Answer::Health)
            }
            ProbeCheck::Tcp => {
                let address = address()?;
                match tokio::time::timeout(settings.timeout, TcpStream::connect(address)).await {
                    Ok(Ok(_)) => Ok(Answer::Passed),
                    Ok(Err(error)) => Err(format!("a connection to {address} failed: {error}")),
                    Err(_) => Err(format!("a connection to {address} was not accepted within {limit} s")),
                }
            }
            ProbeCheck::Http { path } => {
                let address = address()?;
                let asked = format!("GET http://{address}{path}");
                match tokio::time::timeout(settings.timeout, get(address, path)).await {
                    Ok(Ok(status)) if status.is_success() || status.is_redirection() => Ok(Answer::Passed),
                    Ok(Ok(status)) => Err(format!("{asked} answered {status}")),
                    Ok(Err(error)) => Err(format!("{asked} failed: {error}")),
                    Err(_) => Err(format!("{asked} was not answered within {limit} s")),
                }
            }
        }
    }
}

/// What an answer means for one kind of probe.
fn judge(kind: ProbeKind, check: &ProbeCheck, answer: &Result<Answer, String>) -> ProbeOutcome {
    let failed = |why: String| ProbeOutcome::Failed { why };
    match (answer, check) {
        (Err(why), _) => failed(why.clone()),
        (Ok(Answer::Health(health)), ProbeCheck::Sdk { hang_after }) if health.tick_age > *hang_after => {
            failed(format!("the event loop has not ticked for {} s", health.tick_age.as_secs()))
        }
        (Ok(Answer::Health(health)), _) if kind == ProbeKind::Readiness && !health.ready => {
            failed(match &health.waiting_for {
                Some(what) => format!("it is not ready: it waits for {what}"),
                None => "it says that it is not ready".to_owned(),
            })
        }
        (Ok(_), _) => ProbeOutcome::Passed,
    }
}

type ProbeError = Box<dyn std::error::Error + Send + Sync>;

/// The status of one answer; its body is read as far as the limit, so that a server is not cut off in the middle of it.
async fn get(address: SocketAddr, path: &str) -> Result<http::StatusCode, ProbeError> {
    let stream = TcpStream::connect(address).await?;
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(ANSWER_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get(path)
        .header(http::header::HOST, address.to_string())
        .header(http::header::USER_AGENT, "shoal-probe")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // Too long a body, or one that breaks off, does not change the status.
        let _ = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        Ok(status)
    };
    tokio::pin!(answer, connection);
    // The connection only moves while it is polled; when it ends first, the answer is there or never comes.
    tokio::select! {
        biased;
        status = &mut answer => status,
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests;
