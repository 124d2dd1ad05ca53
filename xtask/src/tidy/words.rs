//! Words: notes to oneself do not stay, and no module has a name that says nothing.
//!
//! Never: judges prose.

use super::{Complaint, Project};

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];

/// Notes to oneself; put together here so that this file does not hold them.
const NOTES: &[&str] = &[concat!("FIX", "ME"), concat!("TO", "DO")];

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in &project.tree.files {
        for (index, line) in text.lines().enumerate() {
            let words = line.split(|character: char| !character.is_alphanumeric() && character != '_');
            for note in words.filter(|word| NOTES.contains(word)) {
                let message = format!("`{note}`: do it, or write an issue");
                complaints.push(Complaint::at(path, index + 1, message));
            }
        }
    }
    for (path, text) in project.tree.rust() {
        let named = path.trim_end_matches(".rs").split('/').find(|part| says_nothing(part));
        if let Some(name) = named {
            complaints.push(Complaint::at(path, 0, empty_name(name)));
        }
        for (index, line) in text.lines().enumerate() {
            let rest = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let name = rest.strip_prefix("mod ").map(|rest| rest.trim_end_matches([';', '{', ' ', '}']));
            if let Some(name) = name.filter(|name| says_nothing(name)) {
                complaints.push(Complaint::at(path, index + 1, empty_name(name)));
            }
        }
    }
    complaints
}

fn says_nothing(name: &str) -> bool {
    EMPTY_NAMES.contains(&name) || EMPTY_NAMES.iter().any(|empty| name.ends_with(&format!("_{empty}")))
}

fn empty_name(name: &str) -> String {
    format!("a module called `{name}` says nothing: name it after what it does")
}

#[cfg(test)]
mod tests {
    use super::super::judged;
    use super::{NOTES, check};

    #[test]
    fn notes_to_oneself_fail() {
        for note in NOTES {
            let text = format!("//! A file.\n// {note}: later\n");
            assert_eq!(judged(check, &[("a.rs", &text)], &[]).len(), 1, "{note}");
            assert_eq!(judged(check, &[("a.md", &text)], &[]).len(), 1, "{note}");
        }
        let text = format!("A {}LIST of todos is no note.", NOTES[1]);
        assert_eq!(judged(check, &[("a.md", &text)], &[]), [""; 0]);
    }

    #[test]
    fn modules_that_say_nothing_fail() {
        let files = [
            ("crates/a/src/utils.rs", "//! x"),
            ("crates/a/src/helper/b.rs", "//! x"),
            ("crates/a/src/text_util.rs", "//! x"),
            ("crates/a/src/lib.rs", "//! x\nmod common;\npub mod manager {\n}\nmod commonplace;\n"),
        ];
        assert_eq!(judged(check, &files, &[]).len(), 5);
    }
}
