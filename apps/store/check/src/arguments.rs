//! The command line. Does nothing itself.

use crate::round::Settings;
use crate::schedule::{self, Kind};
use crate::shoal::Shoal;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Shops in a running store while things fail on purpose, and judges whether its invariants hold.
#[derive(Debug, Parser)]
#[command(name = "store-check", max_term_width = 100)]
pub struct Arguments {
    /// The running store's folder
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The `shoal` command
    #[arg(long, value_name = "PROGRAM", default_value = "shoal")]
    shoal: PathBuf,
    /// Cargo's profile that the store was started with
    #[arg(long, default_value = "release")]
    profile: String,
    /// The seed of the first run; each further run takes the next one
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many runs, one after another
    #[arg(long, default_value_t = 1, conflicts_with = "minutes")]
    pub rounds: u64,
    /// Instead of so many runs: as many as are begun within so many minutes; the last one goes on to its end
    #[arg(long)]
    pub minutes: Option<u64>,
    /// For how many seconds of each run faults are made
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How many people buy at a time
    #[arg(long, default_value_t = 6)]
    buyers: usize,
    /// Kinds of faults, such as `kill,pause`, or `all`, or `none`
    #[arg(long, default_value = "all")]
    faults: String,
    /// Services that are killed, paused and replaced, such as `payment,orders`; any when none is named
    #[arg(long, default_value = "")]
    services: String,
    /// How many seconds everything may take to come to rest after the last fault
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Go on with further runs after one that failed
    #[arg(long)]
    pub keep_going: bool,
}

impl Arguments {
    /// The command and the store it is run in.
    pub fn shoal(&self) -> Shoal {
        Shoal { program: self.shoal.clone(), folder: self.folder.clone(), profile: self.profile.clone() }
    }

    /// How a run is made.
    ///
    /// # Errors
    /// When a kind of fault or a service is none.
    pub fn settings(&self) -> Result<Settings, String> {
        Ok(Settings {
            seed: self.seed,
            buyers: self.buyers,
            length: Duration::from_secs(self.seconds),
            menu: Kind::menu(&self.faults)?,
            services: schedule::services(&self.services)?,
            patience: Duration::from_secs(self.patience),
        })
    }
}
