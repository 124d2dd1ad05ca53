//! Lengths: a function of more than 70 lines, or a file of more than 500, tires its reader. A ratchet holds those that are
//! longer already: their numbers may only go down.
//!
//! Never: raises a number of the ratchet by itself.

use super::{Complaint, Project};
use crate::tree::Tree;
use std::collections::BTreeMap;
use syn::visit::{self, Visit};

/// The allowed exceptions, one a line: `<lines> <path>` for a file, `<lines> <path> <function>` for a function.
pub const RATCHET: &str = "xtask/ratchet.txt";
const FUNCTION_MAX: usize = 70;
const FILE_MAX: usize = 500;

/// What is measured: a file, or a function (`Type::name`) of a file.
type Place = (String, Option<String>);

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let text = project.tree.files.get(RATCHET).map_or("", String::as_str);
    let mut complaints = Vec::new();
    let allowed = parse(text, &mut complaints);
    let measured = measure(project.tree);
    for ((path, function), (length, line)) in &measured {
        let place = (path.clone(), function.clone());
        let most = if function.is_some() { FUNCTION_MAX } else { FILE_MAX };
        let what = function.as_ref().map_or("the file".to_owned(), |function| format!("`{function}`"));
        match allowed.get(&place) {
            None if *length > most => {
                let message = format!("{what} has {length} lines, at most {most} are easy to read: split it");
                complaints.push(Complaint::at(path, *line, message));
            }
            Some((allowed, _)) if length > allowed => {
                let message = format!("{what} has grown to {length} lines, the ratchet allows {allowed}: split it");
                complaints.push(Complaint::at(path, *line, message));
            }
            _ => {}
        }
    }
    for (place, (allowed, line)) in &allowed {
        let length = measured.get(place).map_or(0, |(length, _)| *length);
        let most = if place.1.is_some() { FUNCTION_MAX } else { FILE_MAX };
        if length <= most {
            complaints.push(Complaint::at(
                RATCHET,
                *line,
                "is no longer needed: remove the line (`cargo xtask tidy --tighten`)",
            ));
        } else if length < *allowed {
            let message = format!("is {length} lines by now: lower it (`cargo xtask tidy --tighten`)");
            complaints.push(Complaint::at(RATCHET, *line, message));
        }
    }
    complaints
}

/// The ratchet with its numbers lowered to what they are now, and without lines that are no longer needed.
pub fn tightened(tree: &Tree) -> String {
    let measured = measure(tree);
    let text = tree.files.get(RATCHET).map_or("", String::as_str);
    let mut kept = String::new();
    for line in text.lines() {
        let line = match entry(line) {
            None => line.to_owned(),
            Some((allowed, place)) => {
                let length = measured.get(&place).map_or(0, |(length, _)| *length);
                if length <= if place.1.is_some() { FUNCTION_MAX } else { FILE_MAX } {
                    continue;
                }
                let (path, function) = place;
                let function = function.map(|function| format!(" {function}")).unwrap_or_default();
                format!("{} {path}{function}", length.min(allowed))
            }
        };
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}

fn entry(line: &str) -> Option<(usize, Place)> {
    let mut words = line.split_whitespace();
    let allowed = words.next()?.parse().ok()?;
    let path = words.next()?.to_owned();
    let function = words.next().map(str::to_owned);
    words.next().is_none().then_some((allowed, (path, function)))
}

fn parse(text: &str, complaints: &mut Vec<Complaint>) -> BTreeMap<Place, (usize, usize)> {
    let mut allowed = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match entry(line) {
            Some((length, place)) => {
                allowed.insert(place, (length, index + 1));
            }
            None => complaints.push(Complaint::at(RATCHET, index + 1, "is not `<lines> <path> [function]`")),
        }
    }
    allowed
}

/// The length and line of every Rust file and function. What is not Rust is reported by the modules rule.
fn measure(tree: &Tree) -> BTreeMap<Place, (usize, usize)> {
    let mut measured = BTreeMap::new();
    for (path, text) in tree.rust() {
        measured.insert((path.to_owned(), None), (text.lines().count(), 0));
        if let Ok(file) = syn::parse_file(text) {
            let mut functions = Functions { within: Vec::new(), found: Vec::new() };
            functions.visit_file(&file);
            for (name, length, line) in functions.found {
                let longest = measured.entry((path.to_owned(), Some(name))).or_insert((length, line));
                if length > longest.0 {
                    *longest = (length, line);
                }
            }
        }
    }
    measured
}

struct Functions {
    within: Vec<String>,
    found: Vec<(String, usize, usize)>,
}

impl Functions {
    fn found(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let start = signature.fn_token.span.start().line;
        let end = block.brace_token.span.close().end().line;
        let mut name = self.within.clone();
        name.push(signature.ident.to_string());
        self.found.push((name.join("::"), end - start + 1, start));
    }
}

impl Visit<'_> for Functions {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        self.found(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.found(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.found(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        let name = match item.self_ty.as_ref() {
            syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        self.within.push(name.unwrap_or_else(|| "impl".to_owned()));
        visit::visit_item_impl(self, item);
        self.within.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::judged;
    use super::{check, tightened};
    use crate::tree::Tree;

    fn function(lines: usize) -> String {
        format!("struct Desk;\nimpl Desk {{\n    fn sort() {{{}}}\n}}\n", "\n".repeat(lines - 1))
    }

    #[test]
    fn long_functions_and_files_fail() {
        assert_eq!(judged(check, &[("a.rs", &function(70))], &[]), [""; 0]);
        let said = judged(check, &[("a.rs", &function(71)), ("b.rs", &"\n".repeat(501))], &[]);
        let expected = [
            "a.rs:3: `Desk::sort` has 71 lines, at most 70 are easy to read: split it",
            "b.rs: the file has 501 lines, at most 500 are easy to read: split it",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn the_ratchet_only_goes_down() {
        let with = |lines: usize, ratchet: &str| {
            judged(check, &[("a.rs", &function(lines)), ("xtask/ratchet.txt", ratchet)], &[])
        };
        assert_eq!(with(90, "# reasons\n90 a.rs Desk::sort\n"), [""; 0]);
        assert!(with(91, "90 a.rs Desk::sort\n")[0].contains("has grown to 91 lines, the ratchet allows 90"));
        assert!(with(80, "90 a.rs Desk::sort\n")[0].contains("is 80 lines by now: lower it"));
        assert!(with(70, "90 a.rs Desk::sort\n")[0].contains("no longer needed"));
        assert!(with(70, "90 gone.rs\n")[0].contains("no longer needed"));
        assert!(with(70, "many a.rs\n")[0].contains("is not `<lines> <path> [function]`"));
    }

    #[test]
    fn tightening_lowers_and_removes_but_never_raises() {
        let tightened_to = |lines: usize, ratchet: &str| {
            tightened(&Tree::of(&[("a.rs", &function(lines)), ("xtask/ratchet.txt", ratchet)]))
        };
        assert_eq!(tightened_to(80, "# why\n90 a.rs Desk::sort\n700 gone.rs\n"), "# why\n80 a.rs Desk::sort\n");
        assert_eq!(tightened_to(99, "90 a.rs Desk::sort\n"), "90 a.rs Desk::sort\n");
    }
}
