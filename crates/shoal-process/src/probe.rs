//! Asking replicas: has it started, may it receive requests, is it alive.
//!
//! Each outcome is reported as it comes; what counts as too many failures is the brain's business. While a replica starts
//! it is asked often, so that a quick start is seen at once, but a failure is reported once per period at most, as the brain
//! counts them against the startup's budget. With the SDK's health socket one connection stays, over which a replica says
//! by itself that it has become ready, or is so no more.
//!
//! Never: reads more than a bounded part of an answer, or waits longer than the probe's timeout.

use crate::reporter::Reporter;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use shoal_discovery::{HealthAnswer, HealthWatch};
use shoal_model::{Address, Observation, ProbeCheck, ProbeKind, ProbeOutcome, ProbeSettings, Probes, ReplicaName};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How soon a replica that starts is asked again at first; each time a quarter as long again, up to the period. So it is
/// seen to have started at most a quarter later than it had.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

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
#[derive(Clone)]
enum Answer {
    Passed,
    Health(HealthAnswer),
}

/// Asks until dropped.
pub(crate) async fn run(target: Target, probes: Probes, reporter: Reporter) {
    let prober = Prober { target, reporter, health: Mutex::new(None) };
    let answer = prober.start(&probes.startup).await;
    prober.watch(&probes, answer).await;
}

struct Prober {
    target: Target,
    reporter: Reporter,
    /// The connection to the health socket, while there is one.
    health: Mutex<Option<HealthWatch>>,
}

impl Prober {
    /// Asks until it has started; the answer that said so.
    async fn start(&self, settings: &ProbeSettings) -> Result<Answer, String> {
        let period = settings.period.max(PERIOD_MIN);
        let mut pause = FIRST_PAUSE.min(period);
        let mut reported_at = Instant::now();
        loop {
            let answer = self.ask(settings).await;
            let outcome = judge(ProbeKind::Startup, &settings.check, &answer);
            let passed = outcome == ProbeOutcome::Passed;
            if passed || reported_at.elapsed() >= period {
                reported_at = Instant::now();
                self.report(ProbeKind::Startup, outcome).await;
            }
            if passed {
                return answer;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(period);
        }
    }

    async fn watch(&self, probes: &Probes, started: Result<Answer, String>) {
        let Probes { startup, readiness, liveness } = probes;
        let (mut readiness_at, mut liveness_at) = (Instant::now(), Instant::now());
        // From question to question, not from answer to question; but never two at once.
        let next = |at: Instant, settings: &ProbeSettings| (at + settings.period.max(PERIOD_MIN)).max(Instant::now());
        // What it was just asked need not be asked again.
        if readiness.check == startup.check {
            self.tell(ProbeKind::Readiness, readiness, &started).await;
            readiness_at = next(readiness_at, readiness);
        }
        if liveness.check == startup.check {
            liveness_at = next(liveness_at, liveness);
        }
        // One question serves both where they ask the same thing at the same time.
        let same = readiness.check == liveness.check && readiness.timeout == liveness.timeout;
        let says = |settings: &ProbeSettings| matches!(settings.check, ProbeCheck::Sdk { .. });
        loop {
            let at = readiness_at.min(liveness_at);
            tokio::select! {
                answer = self.hear() => {
                    if says(readiness) {
                        self.tell(ProbeKind::Readiness, readiness, &Ok(answer)).await;
                    }
                    continue;
                }
                () = tokio::time::sleep_until(at) => {}
            }
            let (ready_due, live_due) = (readiness_at <= at, liveness_at <= at);
            if ready_due && live_due && same {
                let answer = self.ask(readiness).await;
                self.tell(ProbeKind::Readiness, readiness, &answer).await;
                self.tell(ProbeKind::Liveness, liveness, &answer).await;
            } else {
                tokio::join!(
                    self.ask_if(ready_due, ProbeKind::Readiness, readiness),
                    self.ask_if(live_due, ProbeKind::Liveness, liveness)
                );
            }
            if ready_due {
                readiness_at = next(at, readiness);
            }
            if live_due {
                liveness_at = next(at, liveness);
            }
        }
    }

    async fn ask_if(&self, due: bool, kind: ProbeKind, settings: &ProbeSettings) {
        if due {
            let answer = self.ask(settings).await;
            self.tell(kind, settings, &answer).await;
        }
    }

    async fn tell(&self, kind: ProbeKind, settings: &ProbeSettings, answer: &Result<Answer, String>) {
        self.report(kind, judge(kind, &settings.check, answer)).await;
    }

    async fn report(&self, kind: ProbeKind, outcome: ProbeOutcome) {
        let observation = Observation::ProbeFinished { replica: self.target.replica.clone(), kind, outcome };
        self.reporter.report(observation).await;
    }

    /// Asks over the connection that is there, or else a new one. One given up in the middle is not used again.
    async fn ask_health(&self) -> Result<Answer, String> {
        let mut kept = self.health.lock().await;
        if let Some(mut watch) = kept.take()
            && watch.ask().await.is_ok()
            && let Ok(answer) = watch.next().await
        {
            *kept = Some(watch);
            return Ok(Answer::Health(answer));
        }
        let mut watch = HealthWatch::connect(&self.target.health).await?;
        let answer = watch.next().await?;
        *kept = Some(watch);
        Ok(Answer::Health(answer))
    }

    /// What the replica says by itself; waits for ever when it is not connected. A connection that has ended is made again
    /// with the next question: a replica of an earlier release closes it after each answer.
    async fn hear(&self) -> Answer {
        let mut kept = self.health.lock().await;
        if let Some(watch) = &mut *kept {
            match watch.next().await {
                Ok(answer) => return Answer::Health(answer),
                Err(_) => *kept = None,
            }
        }
        drop(kept);
        std::future::pending().await
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
                let asked = tokio::time::timeout(settings.timeout, self.ask_health()).await;
                asked.unwrap_or_else(|_| {
                    let socket = self.target.health.display();
                    Err(format!("the health socket {socket} did not answer within {limit} s"))
                })
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
