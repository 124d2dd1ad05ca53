//! Finds the application that a verb is about, and its supervisor.

use crate::args::Where;
use crate::failure::Failure;
use shoal_sdk::Call;
use shoal_server::api::ControlClient as Control;
use shoal_server::{Folders, find_application};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// An application on this machine, whether it runs or not.
pub struct Application {
    /// Where its files and sockets are.
    pub folders: Folders,
}

impl Application {
    /// The application in `folder`, or the nearest one upward from the current folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(folder: Option<&Path>) -> Result<Self, Failure> {
        let folder = match folder {
            Some(folder) => folder.to_path_buf(),
            None => nearest()?,
        };
        // One that ran can be stopped and looked at even when its manifest is gone.
        if !folder.join("shoal.toml").is_file() && !folder.join(".shoal/lock").is_file() {
            return Err(Failure::new(format!(
                "{} holds no shoal.toml; name the folder of an application, or make one with `shoal new`",
                folder.display()
            )));
        }
        let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|base| base.is_absolute());
        let folders = Folders::of(&folder, base.as_deref())
            .map_err(|error| Failure::because("the application cannot be used", error))?;
        Ok(Self { folders })
    }

    /// What a verb takes to find this application from anywhere.
    pub fn in_folder(&self) -> String {
        format!("--in {}", self.folders.application.display())
    }

    /// As [`find`](Self::find), from a verb's arguments.
    ///
    /// # Errors
    /// When there is none.
    pub fn at(at: &Where) -> Result<Self, Failure> {
        Self::find(at.folder.as_deref())
    }

    /// The control API of its supervisor.
    ///
    /// # Errors
    /// When no supervisor answers.
    pub async fn control(&self) -> Result<Arc<dyn Control>, Failure> {
        self.try_control().await?.ok_or_else(|| {
            Failure::new(format!(
                "{} is not running; `shoal up {}` starts it, or finds what still runs of it",
                self.folders.application.display(),
                self.folders.application.display()
            ))
        })
    }

    /// The control API of its supervisor, if one runs.
    ///
    /// # Errors
    /// When a supervisor is there but cannot be spoken to.
    pub async fn try_control(&self) -> Result<Option<Arc<dyn Control>>, Failure> {
        shoal_server::connect(&self.folders)
            .await
            .map_err(|error| Failure::because("the supervisor's socket cannot be used", error))
    }
}

/// A call that may wait for news longer than other calls may take.
pub fn patient() -> Call {
    Call::new().with_timeout(Duration::from_secs(60))
}

fn nearest() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::because("the current folder cannot be read", error))?;
    find_application(&here).ok_or_else(|| {
        Failure::new(format!(
            "neither {} nor any folder above it holds a shoal.toml; name an application's folder, or make one with `shoal new`",
            here.display()
        ))
    })
}
