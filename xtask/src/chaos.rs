//! `cargo xtask chaos`: the store in a temporary folder, and its checker, for as long as one likes.
//!
//! Never: judges the store; the checker does, and its status is this one's.

use crate::{install, metadata};
use std::path::Path;

/// Runs the store under faults. `arguments` are `--minutes N`, `--seed S`, `--database sqlite|postgres`, `--bank-delay-ms N`,
/// `--bank-lost-answers SHARE`, and whatever else `store-check` takes.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let (database, rest) = database(arguments)?;
    install::programs()?;
    // The command and the checker, which the one that is run only finds beside itself.
    let build = ["build", "--quiet", "--package", "shoal-cli", "--package", "store-check"];
    install::succeed(metadata::cargo().args(build).current_dir(root))?;
    let run = ["run", "--quiet", "--package", "shoal-e2e", "--bin", "store-chaos", "--", database];
    install::succeed(metadata::cargo().args(run).args(rest).current_dir(root))
}

/// Takes the database out of the arguments; SQLite when none is named.
fn database<'a>(arguments: &[&'a str]) -> Result<(&'a str, Vec<&'a str>), String> {
    let Some(place) = arguments.iter().position(|argument| *argument == "--database") else {
        return Ok(("sqlite", arguments.to_vec()));
    };
    match arguments.get(place + 1) {
        Some(database @ (&"sqlite" | &"postgres")) => {
            let rest = arguments.iter().enumerate().filter(|(other, _)| !(place..=place + 1).contains(other));
            Ok((database, rest.map(|(_, argument)| *argument).collect()))
        }
        other => Err(format!("`--database` is `sqlite` or `postgres`, not `{}`", other.unwrap_or(&""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_taken_out_of_the_arguments() {
        assert_eq!(database(&["--minutes", "5"]), Ok(("sqlite", vec!["--minutes", "5"])));
        let named = database(&["--seed", "7", "--database", "postgres", "--minutes", "5"]);
        assert_eq!(named, Ok(("postgres", vec!["--seed", "7", "--minutes", "5"])));
        assert!(database(&["--database"]).is_err() && database(&["--database", "mysql"]).is_err());
    }
}
