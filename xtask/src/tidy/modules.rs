//! Modules: every Rust file of a package is reached from one that Cargo builds, so that no code and no test is forgotten.
//!
//! Never: asks whether what is reached is used; the compiler does.

use super::{Complaint, Project};
use std::collections::BTreeSet;
use syn::visit::{self, Visit};

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for package in project.packages {
        let folder = format!("{}/", package.folder(project.root));
        let paths = project.tree.rust().map(|(path, _)| path);
        let files: BTreeSet<&str> =
            paths.filter(|path| path.starts_with(&folder) && !in_other(project, path, &folder)).collect();
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut next: Vec<String> =
            files.iter().filter(|path| is_root(&path[folder.len()..])).map(|path| (*path).to_owned()).collect();
        while let Some(path) = next.pop() {
            if files.contains(path.as_str()) && reached.insert(path.clone()) {
                next.extend(modules(project, &path, &folder, &mut complaints));
            }
        }
        for path in files.into_iter().filter(|path| !reached.contains(*path)) {
            let message = "is never compiled: no `mod` leads to it from a file that Cargo builds";
            complaints.push(Complaint::at(path, 0, message));
        }
    }
    complaints
}

/// True for a file of a package that lies inside of this one.
fn in_other(project: &Project<'_>, path: &str, folder: &str) -> bool {
    let folders = project.packages.iter().map(|package| format!("{}/", package.folder(project.root)));
    folders.filter(|other| other.len() > folder.len()).any(|other| path.starts_with(&other))
}

/// Files that Cargo builds by themselves.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let alone = ["tests", "benches", "examples"];
    match parts.as_slice() {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] => true,
        ["src", "bin", _] | ["src", "bin", _, "main.rs"] => true,
        [folder, _] | [folder, _, "main.rs"] => alone.contains(folder),
        _ => false,
    }
}

/// The files that the modules of a file may be in; those that do not exist do no harm.
fn modules(project: &Project<'_>, path: &str, folder: &str, complaints: &mut Vec<Complaint>) -> Vec<String> {
    let Some(text) = project.tree.files.get(path) else { return Vec::new() };
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(error) => {
            complaints.push(Complaint::at(path, error.span().start().line, format!("is not Rust: {error}")));
            return Vec::new();
        }
    };
    let (beside, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.trim_end_matches(".rs");
    let owns_folder = is_root(&path[folder.len()..]) || stem == "mod";
    let base = if owns_folder { beside.to_owned() } else { format!("{beside}/{stem}") };
    let mut declared = Declared { beside, base: vec![base], files: Vec::new() };
    declared.visit_file(&file);
    declared.files
}

struct Declared<'a> {
    beside: &'a str,
    base: Vec<String>,
    files: Vec<String>,
}

impl Visit<'_> for Declared<'_> {
    fn visit_item_mod(&mut self, module: &syn::ItemMod) {
        let base = self.base.last().cloned().unwrap_or_default();
        let name = module.ident.to_string();
        if module.content.is_some() {
            self.base.push(format!("{base}/{name}"));
            visit::visit_item_mod(self, module);
            self.base.pop();
        } else if let Some(path) = path_attribute(module) {
            self.files.push(format!("{}/{path}", self.beside));
        } else {
            self.files.push(format!("{base}/{name}.rs"));
            self.files.push(format!("{base}/{name}/mod.rs"));
        }
    }
}

/// The file of `#[path = "…"]`.
fn path_attribute(module: &syn::ItemMod) -> Option<String> {
    module.attrs.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{judged, package};
    use super::check;

    #[test]
    fn files_that_no_module_leads_to_fail() {
        let files = [
            ("crates/a/src/lib.rs", "mod one; mod inline { mod deep; } #[cfg(test)] #[path = \"odd.rs\"] mod two;"),
            ("crates/a/src/one.rs", "mod below;"),
            ("crates/a/src/one/below.rs", ""),
            ("crates/a/src/inline/deep.rs", ""),
            ("crates/a/src/odd.rs", ""),
            ("crates/a/src/dead.rs", ""),
            ("crates/a/tests/all/main.rs", "mod cases;"),
            ("crates/a/tests/all/cases.rs", ""),
            ("crates/a/tests/all/forgotten.rs", ""),
            ("crates/a/tests/single.rs", ""),
            ("crates/a/build.rs", ""),
            ("crates/a/example/src/main.rs", "mod inside;"),
            ("crates/a/example/src/inside.rs", ""),
        ];
        let packages = [package("crates/a", "A.", &[]), package("crates/a/example", "B.", &[])];
        let said = judged(check, &files, &packages);
        let paths: Vec<&str> = said.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(paths, ["crates/a/src/dead.rs", "crates/a/tests/all/forgotten.rs"]);
    }

    #[test]
    fn a_file_that_is_not_rust_fails() {
        let said = judged(check, &[("crates/a/src/lib.rs", "fn {")], &[package("crates/a", "A.", &[])]);
        assert!(said[0].contains("is not Rust"), "{said:?}");
    }
}
