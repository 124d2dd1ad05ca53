//! Asks the supervisor whether a process may die at the crash point that it has reached. Blocks, since the process does
//! nothing else until it knows.
//!
//! Never: kills; and without an answer it may not.

use crate::messages::{FromHolder, FromPublisher, HolderName, LINE_MAX, VERSION};
use shoal_model::FaultId;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the supervisor may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Whether this process, which is `holder`, may die by `fault`. When it may, that was counted.
///
/// # Errors
/// When the supervisor at this discovery socket did not answer within 2 s.
pub fn may_crash(discovery: &Path, holder: &HolderName, fault: FaultId) -> io::Result<bool> {
    let mut stream = UnixStream::connect(discovery)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let mut line = serde_json::to_vec(&FromHolder::CrashAt { version: VERSION, holder: holder.clone(), fault })?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_MAX as u64)).read_line(&mut answer)?;
    Ok(serde_json::from_str::<FromPublisher>(&answer)? == FromPublisher::Granted)
}
