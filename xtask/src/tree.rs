//! The text files of the project, by their path from the root, so that rules are functions of data.
//!
//! Never: follows links, or looks into build output, version control or running applications.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Folders whose content nobody wrote.
const SKIPPED: &[&str] = &["target", ".git", ".shoal", "node_modules", "proptest-regressions"];
/// What text files are called.
const EXTENSIONS: &[&str] = &["rs", "md", "toml", "txt", "proto", "sql", "sh", "py", "js", "css"];

/// Text files by their path from the root, with `/`; and every other path there is.
#[derive(Debug, Default)]
pub struct Tree {
    /// Texts by path.
    pub files: BTreeMap<String, String>,
    /// All paths, folders included, also of files that are not text.
    pub paths: std::collections::BTreeSet<String>,
}

impl Tree {
    /// Reads the tree below `root`.
    pub fn read(root: &Path) -> Result<Self, String> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, path: &str) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{} could not be read: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                self.paths.insert(path.clone());
                self.read_folder(&entry.path(), &path)?;
            } else if kind.is_file() {
                let text = name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension));
                if text || path.starts_with(".ci/") {
                    let bytes = fs::read(entry.path()).map_err(failed)?;
                    self.files.insert(path.clone(), String::from_utf8_lossy(&bytes).into_owned());
                }
                self.paths.insert(path);
            }
        }
        Ok(())
    }

    /// The Rust files, with their texts.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.with_extension(".rs")
    }

    /// The documents, with their texts.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.with_extension(".md")
    }

    fn with_extension(&self, extension: &'static str) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(move |(path, _)| path.ends_with(extension))
    }

    /// A tree of these files, for the tests of the rules.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.files.insert((*path).to_owned(), (*text).to_owned());
            let mut path = *path;
            tree.paths.insert(path.to_owned());
            while let Some((folder, _)) = path.rsplit_once('/') {
                tree.paths.insert(folder.to_owned());
                path = folder;
            }
        }
        tree
    }
}
