//! Those who talk to a keeper: a few, each with bounded lines in and bounded replies out.
//!
//! Never: waits for one of them. Who sends too long a line or does not read is dropped.

use super::protocol::{self, Answer, LINE_MAX, Reply, Request, VERSION};
use crate::record::Record;
use shoal_discovery::descriptors;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The most who may be connected at a time.
pub(crate) const CLIENTS_MAX: usize = 16;

/// The most bytes that may wait for one who does not read.
const WAITING_MAX: usize = 1024 * 1024;

/// One of them.
pub(crate) struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    open: bool,
    /// It will send nothing more, and goes once it has its answers.
    finished: bool,
    /// Whether it wants to hear of the end.
    pub(crate) subscribed: bool,
}

impl Client {
    /// Takes a connection, of which this much was read already.
    pub(crate) fn new(stream: UnixStream, input: Vec<u8>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input, output: Vec::new(), open: true, finished: false, subscribed: false })
    }

    /// Whether it is still there.
    pub(crate) fn is_open(&self) -> bool {
        self.open && !(self.finished && self.output.is_empty())
    }

    /// Whether it may still ask something.
    pub(crate) fn may_ask(&self) -> bool {
        !self.finished
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads what came and returns the requests in it, in their order; for a line that is none, why.
    pub(crate) fn read(&mut self) -> Vec<Result<Request, String>> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.finished = true,
                Ok(count) => {
                    self.input.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if self.input.len() <= LINE_MAX {
                        continue;
                    }
                    self.open = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.open = false,
            }
            break;
        }
        let mut requests = Vec::new();
        while let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            requests.push(match serde_json::from_slice::<Request>(&line) {
                Ok(request) if protocol::understands(request.version) => Ok(request),
                Ok(request) => Err(format!("version {} is not understood, {VERSION} is", request.version)),
                Err(error) => Err(format!("this is not a request: {error}")),
            });
        }
        self.input.shrink_to(4096);
        requests
    }

    /// Says how things are.
    pub(crate) fn status(&mut self, record: &Record) {
        self.answer(Answer::Status { record: Box::new(record.clone()) });
    }

    /// Says that something was not done.
    pub(crate) fn refuse(&mut self, why: String) {
        self.answer(Answer::Refused { why });
    }

    /// Queues an answer and sends what goes at once.
    pub(crate) fn answer(&mut self, answer: Answer) {
        match protocol::line(&Reply { version: VERSION, answer }) {
            Ok(line) if self.output.len() + line.len() <= WAITING_MAX => self.output.extend_from_slice(&line),
            _ => self.open = false,
        }
        self.write();
    }

    /// Answers with copies of these sockets.
    pub(crate) fn hand_out(&mut self, sockets: &[(String, OwnedFd)]) {
        let names = sockets.iter().map(|(name, _)| name.clone()).collect();
        let attached: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        let line = match protocol::line(&Reply { version: VERSION, answer: Answer::Sockets { names } }) {
            // They go with the first byte of the answer, so that nothing may wait before it.
            Ok(line) if self.output.is_empty() => line,
            _ => return self.refuse("read what was answered before, then ask again".to_owned()),
        };
        match descriptors::send(&self.stream, &line, &attached) {
            Ok(sent) => self.output.extend_from_slice(line.get(sent..).unwrap_or_default()),
            Err(error) => self.refuse(format!("the sockets could not be sent: {error}")),
        }
    }

    /// Sends what waits, as far as it goes.
    pub(crate) fn write(&mut self) {
        while self.open && !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => self.open = false,
                Ok(count) => {
                    self.output.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.open = false,
            }
        }
        self.output.shrink_to(4096);
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
