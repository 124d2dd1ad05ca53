//! A keeper's loop: it waits for signals, log bytes and requests, and walks the program's end through its phases.
//!
//! Never: waits for anything but `poll`, and never longer than a phase allows once the program has ended.

use super::children::Children;
use super::clients::{CLIENTS_MAX, Client};
use super::disturb::Disturbed;
use super::lines::LineCutter;
use super::log_writer::LogWriter;
use super::protocol::{Answer, Ask, Request};
use super::start::Started;
use crate::clock;
use crate::linux::SignalQueue;
use crate::logs::Stream;
use crate::record::{Ended, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long killed processes may take to vanish.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// From one look at what is left to the next.
const KILL_PERIOD: Duration = Duration::from_millis(20);
/// How long the pipes are read after everyone who is known to write to them has gone.
const PIPES_TIMEOUT: Duration = Duration::from_millis(500);
/// How long an end that could not be recorded is tried again, as on a full disk.
const RECORD_TIMEOUT: Duration = Duration::from_secs(60);
/// From one try to the next.
const RECORD_PERIOD: Duration = Duration::from_secs(1);
/// How long those who listen may take to read the last line.
const FAREWELL: Duration = Duration::from_secs(1);
/// The most numbers of signal actions that are remembered.
const ACTIONS_MAX: usize = 64;

/// Where the replica is in its life.
enum Phase {
    Running,
    /// The program ended after it was told to: what it started may finish until then.
    Finishing {
        until: Instant,
    },
    /// What is left is being killed.
    Killing {
        until: Instant,
    },
    /// The last bytes of the log are read.
    Draining {
        until: Instant,
    },
    /// The end is written down.
    Recording {
        next: Instant,
        until: Instant,
        told: bool,
    },
    /// The program ended by itself, and others are to serve on its sockets: they are kept until somebody has them.
    Keeping,
    /// All is done.
    Over,
}

struct Pipe {
    descriptor: Option<OwnedFd>,
    stream: Stream,
    cutter: LineCutter,
}

/// The keeper at work.
pub(crate) struct Watch {
    record: Record,
    record_path: PathBuf,
    socket: PathBuf,
    listener: UnixListener,
    signals: SignalQueue,
    clients: Vec<Client>,
    log: LogWriter,
    pipes: [Pipe; 2],
    children: Children,
    disturbed: Disturbed,
    phase: Phase,
    terminated: bool,
    stopped: bool,
    forgotten: bool,
    actions: BTreeSet<u64>,
    drain_timeout: Duration,
    kept: Vec<(String, OwnedFd)>,
    buffer: Vec<u8>,
    _lock: OwnedFd,
}

impl Watch {
    /// Takes over a program that was started, and tells the supervisor so.
    pub(crate) fn new(started: Started, signals: SignalQueue, mut supervisor: Client) -> Self {
        supervisor.subscribed = true;
        supervisor.status(&started.record);
        let pipe = |descriptor, stream| Pipe { descriptor: Some(descriptor), stream, cutter: LineCutter::default() };
        Self {
            record: started.record,
            record_path: started.record_path,
            socket: started.socket,
            listener: started.listener,
            signals,
            clients: vec![supervisor],
            log: started.log,
            pipes: [pipe(started.out, Stream::Out), pipe(started.err, Stream::Err)],
            children: started.children,
            disturbed: Disturbed::default(),
            phase: Phase::Running,
            terminated: false,
            stopped: false,
            forgotten: false,
            actions: BTreeSet::new(),
            drain_timeout: started.drain_timeout,
            kept: started.kept,
            buffer: vec![0; 16 * 1024],
            _lock: started.lock,
        }
    }

    /// Works until the program has ended and the end is written down.
    pub(crate) fn run(mut self) -> io::Result<()> {
        // What the supervisor said right after the launch may have been read with it.
        self.serve();
        while !matches!(self.phase, Phase::Over) {
            self.wait()?;
            self.read_pipes();
            self.hear_signals();
            self.serve();
            self.disturbed.retry(&self.children);
            self.advance();
        }
        let until = Instant::now() + FAREWELL;
        while self.clients.iter().any(Client::has_output) && Instant::now() < until {
            self.wait()?;
            self.serve();
        }
        let _ = fs::remove_file(&self.socket);
        Ok(())
    }

    /// Sleeps until something happens or the phase wants a look.
    fn wait(&self) -> io::Result<()> {
        let mut waiting = vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        for pipe in &self.pipes {
            waiting.extend(pipe.descriptor.as_ref().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)));
        }
        for client in &self.clients {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, client.may_ask());
            wanted.set(PollFlags::OUT, client.has_output());
            waiting.push(PollFd::new(client, wanted));
        }
        let timeout = self.patience().map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(span.subsec_nanos()),
        });
        match poll(&mut waiting, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn patience(&self) -> Option<Duration> {
        let until = match &self.phase {
            Phase::Running => self.disturbed.retry_at()?,
            Phase::Keeping => return None,
            Phase::Finishing { until } | Phase::Draining { until } => *until,
            Phase::Killing { until } => (*until).min(Instant::now() + KILL_PERIOD),
            Phase::Recording { next, .. } => *next,
            Phase::Over => Instant::now() + KILL_PERIOD,
        };
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn read_pipes(&mut self) {
        let at = clock::now();
        for pipe in &mut self.pipes {
            let Some(descriptor) = &pipe.descriptor else { continue };
            let log = &mut self.log;
            // One piece a turn, so that a program that never stops writing cannot keep requests waiting.
            match rustix::io::read(descriptor, &mut self.buffer[..]) {
                Ok(0) => {
                    pipe.cutter.finish(|line, cut| log.line(pipe.stream, at, line, cut));
                    pipe.descriptor = None;
                }
                Ok(count) => {
                    let bytes = self.buffer.get(..count).unwrap_or_default();
                    pipe.cutter.feed(bytes, |line, cut| log.line(pipe.stream, at, line, cut));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => pipe.descriptor = None,
            }
        }
        self.log.flush();
    }

    fn hear_signals(&mut self) {
        for signal in self.signals.take() {
            if matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGHUP) {
                self.note("the keeper was told to end; its program is told so too");
                self.terminate();
            }
        }
    }

    fn serve(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < CLIENTS_MAX {
                self.clients.extend(Client::new(stream, Vec::new()));
            }
        }
        for index in 0..self.clients.len() {
            let requests = self.clients.get_mut(index).map(Client::read).unwrap_or_default();
            for request in requests {
                match request {
                    Ok(request) => self.answer(index, request),
                    Err(why) => {
                        if let Some(client) = self.clients.get_mut(index) {
                            client.refuse(why);
                        }
                    }
                }
            }
            if let Some(client) = self.clients.get_mut(index) {
                client.write();
            }
        }
        self.clients.retain(Client::is_open);
    }

    fn answer(&mut self, index: usize, request: Request) {
        let mut answer = Answer::Done;
        match request.ask {
            Ask::Launch(_) => answer = Answer::Refused { why: "this keeper has its program already".to_owned() },
            Ask::Status => answer = Answer::Status { record: Box::new(self.record.clone()) },
            Ask::Subscribe => {
                answer = Answer::Status { record: Box::new(self.record.clone()) };
                if let Some(client) = self.clients.get_mut(index) {
                    client.subscribed = true;
                }
            }
            Ask::Signal { signal, action } => {
                if self.actions.len() >= ACTIONS_MAX {
                    self.actions.pop_first();
                }
                match signal {
                    _ if !self.actions.insert(action) => {}
                    shoal_model::Signal::Terminate => self.terminate(),
                    shoal_model::Signal::Kill => self.kill(),
                }
            }
            Ask::Disturb(disturbance) => {
                if let Err(why) = self.disturbed.change(disturbance, &self.children) {
                    self.note(&why);
                    answer = Answer::Refused { why };
                }
            }
            Ask::Sockets => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.hand_out(&self.kept);
                }
                return;
            }
            Ask::Stop => self.stop(),
            Ask::Forget => self.forgotten = true,
        }
        if let Some(client) = self.clients.get_mut(index) {
            client.answer(answer);
        }
    }

    fn terminate(&mut self) {
        self.terminated = true;
        if let Err(error) = self.children.signal(Signal::TERM) {
            self.note(&format!("failed to signal the program: {error}"));
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.kill();
    }

    /// Kills the program. Unless it was told to stop, that is an end like any other crash.
    fn kill(&mut self) {
        if let Err(error) = self.children.signal(Signal::KILL) {
            self.note(&format!("failed to kill the program: {error}"));
        }
    }

    /// Walks on as far as things have come.
    fn advance(&mut self) {
        let any_left = self.children.reap();
        let now = Instant::now();
        if matches!(self.phase, Phase::Running) && self.children.exit().is_some() {
            self.phase = if self.terminated {
                self.look_after(Children::terminate_others);
                Phase::Finishing { until: now + self.drain_timeout }
            } else {
                Phase::Killing { until: now + KILL_TIMEOUT }
            };
        }
        if let Phase::Finishing { until } = self.phase
            && (!any_left || self.stopped || now >= until)
        {
            self.phase = Phase::Killing { until: now + KILL_TIMEOUT };
        }
        if let Phase::Killing { until } = self.phase {
            if any_left && now >= until {
                self.note("what the program started could not be killed, and is left");
            }
            if !any_left || now >= until {
                self.phase = Phase::Draining { until: now + PIPES_TIMEOUT };
            } else {
                self.look_after(Children::kill_all);
            }
        }
        if let Phase::Draining { until } = self.phase
            && (now >= until || self.pipes.iter().all(|pipe| pipe.descriptor.is_none()))
        {
            self.finish_log();
            self.end();
            self.phase = Phase::Recording { next: now, until: now + RECORD_TIMEOUT, told: false };
        }
        if let Phase::Recording { next, until, told } = self.phase {
            self.record(now, next, until, told);
        }
        let is_released = self.forgotten || self.terminated || self.stopped;
        if matches!(self.phase, Phase::Over) && self.record.is_fixed && !is_released {
            self.phase = Phase::Keeping;
        } else if matches!(self.phase, Phase::Keeping) && is_released {
            self.phase = Phase::Over;
        }
    }

    /// Does something to what the program left behind.
    fn look_after(&mut self, what: impl FnOnce(&Children) -> io::Result<()>) {
        if let Err(error) = what(&self.children) {
            self.note(&format!("failed to look for what the program left behind: {error}"));
        }
    }

    fn finish_log(&mut self) {
        let at = clock::now();
        for pipe in &mut self.pipes {
            let log = &mut self.log;
            pipe.cutter.finish(|line, cut| log.line(pipe.stream, at, line, cut));
            pipe.descriptor = None;
        }
        self.log.flush();
    }

    /// The replica has ended: from here on everyone who asks is told so.
    fn end(&mut self) {
        if !self.record.is_fixed {
            // Nobody is there to call any more.
            self.kept.clear();
        }
        let exit = self.children.exit().cloned().unwrap_or(shoal_model::Exit::KeeperDied);
        self.record.ended = Some(Ended { exit, at: clock::now() });
    }

    /// Writes the end down, then tells of it; tells of it once, too, when it cannot be written yet.
    fn record(&mut self, now: Instant, next: Instant, until: Instant, told: bool) {
        let mut written = false;
        if now >= next {
            match self.record.write(&self.record_path) {
                Ok(()) => written = true,
                // The folder was removed: nobody will look there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => written = true,
                Err(_) => self.phase = Phase::Recording { next: now + RECORD_PERIOD, until, told: true },
            }
        }
        if !told {
            for client in self.clients.iter_mut().filter(|client| client.subscribed) {
                client.status(&self.record);
            }
        }
        if written || self.forgotten || now >= until {
            self.phase = Phase::Over;
        }
    }

    fn note(&mut self, text: &str) {
        self.log.line(Stream::Shoal, clock::now(), text.as_bytes(), 0);
        self.log.flush();
    }
}
