//! Error codes: each has a page under `docs/errors/`, each page a code, and no number means two things.
//!
//! Never: knows what the codes mean; it finds them where `codes! { … }` declares them.

use super::{Complaint, Project};
use std::collections::BTreeMap;

const PAGES: &str = "docs/errors/";

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut declared: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for (path, text) in project.tree.rust().filter(|(path, _)| path.ends_with("/code.rs")) {
        for (index, line) in text.lines().enumerate() {
            let Some(code) = code(line) else { continue };
            if declared.insert(code.clone(), (path, index + 1)).is_some() {
                complaints.push(Complaint::at(path, index + 1, format!("{code} is declared twice")));
            }
        }
    }
    for (code, (path, line)) in &declared {
        if !project.tree.files.contains_key(&format!("{PAGES}{code}.md")) {
            complaints.push(Complaint::at(path, *line, format!("{code} has no page: write `{PAGES}{code}.md`")));
        }
    }
    for path in project.tree.paths.iter().filter(|path| path.starts_with(PAGES)) {
        let code = path.trim_start_matches(PAGES).trim_end_matches(".md");
        if !declared.contains_key(code) {
            complaints.push(Complaint::at(path, 0, "is a page of a code that nothing declares: remove it"));
        }
    }
    complaints
}

/// `UnknownKey = 5, "a title";` to `SH0005`.
fn code(line: &str) -> Option<String> {
    let (name, rest) = line.trim().split_once(" = ")?;
    let (number, title) = rest.split_once(", ")?;
    let declares = name.chars().all(char::is_alphanumeric) && title.starts_with('"') && title.ends_with("\";");
    let number: u16 = number.parse().ok().filter(|_| declares)?;
    Some(format!("SH{number:04}"))
}

#[cfg(test)]
mod tests {
    use super::super::judged;
    use super::check;

    #[test]
    fn codes_without_pages_and_pages_without_codes_fail() {
        let codes =
            "codes! {\n    One = 1, \"one\";\n    Two = 2, \"two\";\n    Again = 1, \"again\";\n}\nlet x = 3, y;\n";
        let files = [("crates/a/src/code.rs", codes), ("docs/errors/SH0001.md", ""), ("docs/errors/SH0009.md", "")];
        let expected = [
            "crates/a/src/code.rs:4: SH0001 is declared twice",
            "crates/a/src/code.rs:3: SH0002 has no page: write `docs/errors/SH0002.md`",
            "docs/errors/SH0009.md: is a page of a code that nothing declares: remove it",
        ];
        assert_eq!(judged(check, &files, &[]), expected);
    }
}
