//! The map: `ARCHITECTURE.md` names every package, and only what exists.
//!
//! Never: checks what it says about them; but a name that is gone is the first sign of a map that lies.

use super::{Complaint, Project};
use std::collections::BTreeSet;

const MAP: &str = "ARCHITECTURE.md";

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let Some(text) = project.tree.files.get(MAP) else {
        return vec![Complaint::at(MAP, 0, "is missing: draw the map of the project")];
    };
    let packages: BTreeSet<&str> = project.packages.iter().map(|package| package.name.as_str()).collect();
    let mut named = BTreeSet::new();
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            named.insert(quoted.trim_end_matches('/').rsplit('/').next().unwrap_or(quoted).to_owned());
            let prefixed =
                quoted.starts_with("shoal-") && quoted.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            if prefixed && !packages.contains(quoted) {
                complaints.push(Complaint::at(MAP, index + 1, format!("there is no package `{quoted}`")));
            } else if is_path(quoted) && !project.tree.paths.contains(quoted.trim_end_matches('/')) {
                complaints.push(Complaint::at(MAP, index + 1, format!("there is no `{quoted}`")));
            }
        }
    }
    for package in project.packages {
        let folder = package.folder(project.root);
        let folder_name = folder.rsplit('/').next().unwrap_or_default();
        if !named.contains(&package.name) && !named.contains(folder_name) {
            let message = format!("the package `{}` in `{folder}/` is not on the map", package.name);
            complaints.push(Complaint::at(MAP, 0, message));
        }
    }
    complaints
}

/// What in back quotes is a path of the project. What a running application makes, `.shoal/…`, is none.
fn is_path(quoted: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    let relative = !quoted.starts_with('/') && !quoted.starts_with(".shoal");
    let looks = quoted.contains('/') || quoted.ends_with(".rs") || quoted.ends_with(".md");
    relative && looks && quoted.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::super::{judged, package};
    use super::check;

    #[test]
    fn a_map_that_names_what_is_gone_or_lacks_a_package_fails() {
        let map = "`crates/shoal-model/` holds nouns, in `crates/shoal-model/src/lib.rs`.\n\
                   `shoal-gone` and `crates/gone.rs` are gone; `/etc/x`, `.shoal/data/` and `GET /x` are no paths.\n";
        let files = [("ARCHITECTURE.md", map), ("crates/shoal-model/src/lib.rs", "")];
        let packages = [package("crates/shoal-model", "Nouns.", &[]), package("e2e", "Tests.", &[])];
        let expected = [
            "ARCHITECTURE.md:2: there is no package `shoal-gone`",
            "ARCHITECTURE.md:2: there is no `crates/gone.rs`",
            "ARCHITECTURE.md: the package `e2e` in `e2e/` is not on the map",
        ];
        assert_eq!(judged(check, &files, &packages), expected);
        assert!(judged(check, &[], &packages)[0].contains("is missing"));
    }
}
