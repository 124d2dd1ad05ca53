//! The rules of the project, as tests: what a reviewer would otherwise have to remember.
//!
//! Each rule is a function from the tree (and what Cargo knows) to complaints, and has a test that shows it failing.
//!
//! Never: changes a file, except the ratchet's numbers, downwards, when asked to.

mod errors;
mod floors;
mod headers;
mod lengths;
mod links;
mod map;
mod modules;
mod purity;
mod words;

use crate::metadata::{self, Package};
use crate::tree::Tree;
use std::fmt;
use std::path::Path;

/// A broken rule, at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    path: String,
    line: usize,
    message: String,
}

impl Complaint {
    /// A complaint about a line of a file; line 0 is the file as a whole.
    fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// What rules judge.
pub struct Project<'a> {
    /// Where it is.
    root: &'a Path,
    /// Its files.
    tree: &'a Tree,
    /// Its packages.
    packages: &'a [Package],
}

/// Checks every rule. `tighten` first lowers the ratchet to what the lengths are now.
pub fn run(root: &Path, tighten: bool) -> Result<(), String> {
    let mut tree = Tree::read(root)?;
    let metadata = metadata::read(root)?;
    if tighten {
        let ratchet = lengths::tightened(&tree);
        let path = root.join(lengths::RATCHET);
        std::fs::write(&path, &ratchet).map_err(|error| format!("{} could not be written: {error}", path.display()))?;
        tree.files.insert(lengths::RATCHET.to_owned(), ratchet);
    }
    let project = Project { root, tree: &tree, packages: &metadata.packages };
    let complaints = check(&project);
    if complaints.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    Err(format!("{}\ntidy: {} complaints", list.join("\n"), list.len()))
}

fn check(project: &Project<'_>) -> Vec<Complaint> {
    let rules = [
        errors::check,
        floors::check,
        headers::check,
        lengths::check,
        links::check,
        map::check,
        modules::check,
        purity::check,
        words::check,
    ];
    let mut complaints: Vec<_> = rules.iter().flat_map(|rule| rule(project)).collect();
    complaints.sort();
    complaints
}

/// For the tests of rules: what a rule says of some files, as text.
#[cfg(test)]
fn judged(rule: fn(&Project<'_>) -> Vec<Complaint>, files: &[(&str, &str)], packages: &[Package]) -> Vec<String> {
    let tree = Tree::of(files);
    let project = Project { root: Path::new("/project"), tree: &tree, packages };
    rule(&project).iter().map(ToString::to_string).collect()
}

/// For the tests of rules: a package of the workspace with these dependencies, written as in `floors.txt`.
#[cfg(test)]
fn package(folder: &str, description: &str, dependencies: &[&str]) -> Package {
    let name = folder.rsplit('/').next().unwrap_or(folder).to_owned();
    let dependency = |text: &&str| {
        let (kind, name) = text.split_once(':').map_or((None, *text), |(kind, name)| (Some(kind.to_owned()), name));
        metadata::Dependency { name: name.to_owned(), kind }
    };
    Package {
        name,
        description: Some(description.to_owned()).filter(|text| !text.is_empty()),
        manifest_path: Path::new("/project").join(folder).join("Cargo.toml"),
        dependencies: dependencies.iter().map(dependency).collect(),
    }
}
