//! A thousand services of ten replicas, in the simulated runtime: the supervisor's own code, and everybody it tells. Never: in
//! this process; its memory is part of what is measured.

use crate::Failure;
use crate::process::neighbour;
use crate::report::{Row, millis};
use crate::rounds::Settings;
use std::process::Command;
use std::time::Duration;

const SERVICES: u32 = 1000;
/// Who has less time than this for a turn gets fewer services.
const LENGTH_MIN: Duration = Duration::from_secs(1);

/// One change to all holders, and the memory of all of it.
pub fn change(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let services = if settings.length < LENGTH_MIN { SERVICES / 50 } else { SERVICES };
    // Once: it takes minutes, and varies little.
    let output = Command::new(neighbour("shoal-sim")?).args(["scale", &services.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let after = |words: &str| said.split_once(words)?.1.split_whitespace().next()?.parse::<f64>().ok();
    let (Some(change), Some(memory), true) = (after("acknowledged: "), after("memory: "), output.status.success())
    else {
        return Err(format!("the simulation ended with {}: {said}", output.status).into());
    };
    Ok(vec![
        Row::new(format!("one change to the holders of {services} services"), millis(change)).at_most(
            change,
            " s",
            &[1.0],
        ),
        Row::new("memory, everybody in one process", format!("{memory:.0} MB")).at_most(memory, " MB", &[300.0]),
    ])
}
