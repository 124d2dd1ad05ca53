//! Floors: every edge between packages of the workspace is listed in `xtask/floors.txt`, and leads downward.
//!
//! Never: looks at dependencies from outside; only the purity rule cares about some of those.

use super::{Complaint, Project};
use std::collections::{BTreeMap, BTreeSet};

/// The reviewed list. One package a line: its floor, its name, `=`, and what it may depend on. `dev:` and `build:` mark
/// edges of tests and build scripts; edges of tests need not lead downward.
const FLOORS: &str = "xtask/floors.txt";

struct Listed {
    line: usize,
    floor: u32,
    edges: BTreeSet<String>,
}

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let Some(text) = project.tree.files.get(FLOORS) else {
        return vec![Complaint::at(FLOORS, 0, "is missing: list every package with its floor and its edges")];
    };
    let mut complaints = Vec::new();
    let listed = parse(text, &mut complaints);
    let names: BTreeSet<&str> = project.packages.iter().map(|package| package.name.as_str()).collect();
    for (name, entry) in &listed {
        if !names.contains(name.as_str()) {
            complaints.push(Complaint::at(FLOORS, entry.line, format!("`{name}` is not a package: remove it")));
        }
        check_downward(name, entry, &listed, &mut complaints);
    }
    for package in project.packages {
        let Some(entry) = listed.get(&package.name) else {
            let message = format!("the package `{}` has no floor: add a line for it", package.name);
            complaints.push(Complaint::at(FLOORS, 0, message));
            continue;
        };
        let within = package.dependencies.iter().filter(|dependency| names.contains(dependency.name.as_str()));
        let edges: BTreeSet<String> = within
            .map(|dependency| match &dependency.kind {
                Some(kind) => format!("{kind}:{}", dependency.name),
                None => dependency.name.clone(),
            })
            .collect();
        for edge in edges.difference(&entry.edges) {
            let message = format!(
                "`{}` depends on `{edge}`, which is not listed: remove the edge, or have it reviewed here",
                package.name
            );
            complaints.push(Complaint::at(FLOORS, entry.line, message));
        }
        for edge in entry.edges.difference(&edges) {
            let message = format!("`{}` no longer depends on `{edge}`: remove it from the list", package.name);
            complaints.push(Complaint::at(FLOORS, entry.line, message));
        }
        if package.description.as_deref().is_none_or(|caption| caption.trim().is_empty()) {
            let path = format!("{}/Cargo.toml", package.folder(project.root));
            complaints.push(Complaint::at(&path, 0, "has no `description`: say in one sentence what the package is"));
        }
    }
    complaints
}

fn parse(text: &str, complaints: &mut Vec<Complaint>) -> BTreeMap<String, Listed> {
    let mut listed = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let entry = line.split_once('=').and_then(|(head, edges)| {
            let (floor, name) = head.trim().split_once(' ')?;
            let edges = edges.split_whitespace().map(str::to_owned).collect();
            Some((name.trim().to_owned(), Listed { line: index + 1, floor: floor.parse().ok()?, edges }))
        });
        match entry {
            Some((name, entry)) => {
                if listed.insert(name.clone(), entry).is_some() {
                    complaints.push(Complaint::at(FLOORS, index + 1, format!("`{name}` is listed twice")));
                }
            }
            None => complaints.push(Complaint::at(FLOORS, index + 1, "is not `floor name = edges`")),
        }
    }
    listed
}

fn check_downward(name: &str, entry: &Listed, listed: &BTreeMap<String, Listed>, complaints: &mut Vec<Complaint>) {
    for edge in entry.edges.iter().filter(|edge| !edge.starts_with("dev:")) {
        let target = edge.rsplit(':').next().unwrap_or(edge);
        if let Some(below) = listed.get(target)
            && below.floor >= entry.floor
        {
            let message = format!(
                "`{name}` is on floor {} and `{target}` on floor {}: edges lead to a lower floor only",
                entry.floor, below.floor
            );
            complaints.push(Complaint::at(FLOORS, entry.line, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{judged, package};
    use super::check;

    const FLOORS: &str = "# the model\n0 model =\n1 brain = model dev:hand\n2 hand = model build:brain\n";

    fn packages() -> Vec<crate::metadata::Package> {
        vec![
            package("crates/model", "Nouns.", &["serde"]),
            package("crates/brain", "Decides.", &["model", "dev:hand"]),
            package("crates/hand", "Does.", &["model", "build:brain", "tokio"]),
        ]
    }

    #[test]
    fn listed_edges_that_lead_down_pass() {
        assert_eq!(judged(check, &[("xtask/floors.txt", FLOORS)], &packages()), [""; 0]);
    }

    #[test]
    fn an_edge_that_is_not_listed_fails() {
        let mut packages = packages();
        packages[0] = package("crates/model", "Nouns.", &["brain"]);
        let said = judged(check, &[("xtask/floors.txt", FLOORS)], &packages);
        assert!(said[0].starts_with("xtask/floors.txt:2: `model` depends on `brain`, which is not listed"), "{said:?}");
    }

    #[test]
    fn an_edge_upward_or_on_one_floor_fails() {
        for floors in ["2 a = b\n2 b =\n", "1 a = b\n2 b =\n", "1 a = build:b\n1 b =\n"] {
            let edges: &[&str] = if floors.contains("build") { &["build:b"] } else { &["b"] };
            let packages = [package("a", "A.", edges), package("b", "B.", &[])];
            let said = judged(check, &[("xtask/floors.txt", floors)], &packages);
            assert!(said.len() == 1 && said[0].contains("lower floor only"), "{said:?}");
        }
    }

    #[test]
    fn lists_that_do_not_match_the_workspace_fail() {
        let floors = format!("{FLOORS}3 gone =\nnonsense\n2 hand =\n");
        let mut packages = packages();
        packages.push(package("crates/new", "", &[]));
        packages[1] = package("crates/brain", "", &["dev:hand"]);
        let said = judged(check, &[("xtask/floors.txt", &floors)], &packages).join("\n");
        for expected in [
            "`gone` is not a package",
            "is not `floor name = edges`",
            "`hand` is listed twice",
            "`new` has no floor",
            "`brain` no longer depends on `model`",
            "crates/brain/Cargo.toml: has no `description`",
        ] {
            assert!(said.contains(expected), "{expected} is not in\n{said}");
        }
        assert!(judged(check, &[], &packages)[0].contains("is missing"));
    }
}
