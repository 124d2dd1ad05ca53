//! Headers: every Rust file opens by saying what it is for.
//!
//! Never: judges how well it says so; a reviewer does.

use super::{Complaint, Project};

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let lacks = |text: &str| {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|header| header.trim().is_empty())
    };
    let bare = project.tree.rust().filter(|(_, text)| lacks(text));
    bare.map(|(path, _)| Complaint::at(path, 1, "does not open with a `//!` header: say what the file is for"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::judged;
    use super::check;

    #[test]
    fn a_file_without_a_header_fails() {
        let files = [
            ("a.rs", "//! What it is for.\n"),
            ("b.rs", "\n\n//! Also.\nfn b() {}\n"),
            ("c.rs", "fn c() {}\n"),
            ("d.rs", "// Not a header.\n"),
            ("e.rs", "//!\n"),
            ("f.rs", ""),
            ("g.md", "No Rust."),
        ];
        let said = judged(check, &files, &[]);
        let paths: Vec<&str> = said.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(paths, ["c.rs", "d.rs", "e.rs", "f.rs"]);
    }
}
