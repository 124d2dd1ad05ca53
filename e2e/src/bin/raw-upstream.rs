//! A server that reads requests as strictly as can be, notes each in a file before it answers, and answers what it is told to.
//!
//! `raw-upstream LOG [SOCKET]` listens on the Unix socket, or on `127.0.0.1:$PORT`. Each line of the log is JSON: a request
//! that arrived whole, or why the bytes of a connection are none.
//!
//! Never: guesses what was meant. A connection that brings something else than a request is closed.

use serde_json::{Value, json};
use shoal_e2e::strict::{Kind, Message, read};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, PoisonError};

/// How many letters an `@` of an answer stands for.
const FILLER: usize = 1024 * 1024;

type Log = Arc<Mutex<File>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let log = words.next().ok_or("say where to note the requests")?;
    let log = Arc::new(Mutex::new(File::options().create(true).append(true).open(log)?));
    if let Some(socket) = words.next() {
        for connection in UnixListener::bind(socket)?.incoming() {
            let (log, connection) = (Arc::clone(&log), connection?);
            std::thread::spawn(move || serve(connection, &log));
        }
    } else {
        let port: u16 = std::env::var("PORT")?.parse()?;
        for connection in TcpListener::bind(("127.0.0.1", port))?.incoming() {
            let (log, connection) = (Arc::clone(&log), connection?);
            connection.set_nodelay(true)?;
            std::thread::spawn(move || serve(connection, &log));
        }
    }
    Ok(())
}

fn serve(mut connection: impl Read + Write, log: &Log) {
    let mut waiting = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match read(&waiting, Kind::Request) {
            Ok(Some((request, taken))) => {
                waiting.drain(..taken);
                note(log, &noted(&request));
                let answer = answer(&request);
                if connection.write_all(&answer).is_err() || request.values("x-then").any(|then| then == "close") {
                    return;
                }
            }
            Ok(None) => match connection.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => waiting.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            },
            Err(why) => {
                let bytes = waiting.get(..400).unwrap_or(&waiting).escape_ascii().to_string();
                return note(log, &json!({ "violation": why, "bytes": bytes }));
            }
        }
    }
}

fn noted(request: &Message) -> Value {
    json!({
        "method": request.start[0],
        "target": request.start[1],
        "headers": request.headers,
        "body": String::from_utf8_lossy(&request.body),
        "trailers": request.trailers,
    })
}

/// Written out before the answer goes: whoever has the answer finds the request in the log.
fn note(log: &Log, line: &Value) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = log.write_all(format!("{line}\n").as_bytes()) {
        eprintln!("cannot note a request: {error}");
        std::process::exit(1);
    }
}

/// What `x-answer` says, in hexadecimal digits, with much more in place of each `@`; else the request's first line.
fn answer(request: &Message) -> Vec<u8> {
    if let Some(digits) = request.values("x-answer").next() {
        let pairs = digits.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
        let bytes = pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok());
        return bytes.flat_map(|byte| if byte == b'@' { vec![b'a'; FILLER] } else { vec![byte] }).collect();
    }
    let text = format!("{} {}", request.start[0], request.start[1]);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", text.len());
    if request.start[0] == "HEAD" { head.into_bytes() } else { (head + &text).into_bytes() }
}
