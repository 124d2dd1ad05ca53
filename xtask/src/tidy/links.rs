//! Links: every link of a document to a file or a heading leads there.
//!
//! Never: asks the network about links to elsewhere.

use super::{Complaint, Project};

pub fn check(project: &Project<'_>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in project.tree.documents() {
        for (line, target) in links(text) {
            if let Some(why) = broken(project, path, &target) {
                complaints.push(Complaint::at(path, line, why));
            }
        }
    }
    complaints
}

/// The targets of `[text](target)` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(targets.map(|target| (index + 1, target.trim().to_owned())));
        }
    }
    found
}

fn broken(project: &Project<'_>, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let target = target.split_whitespace().next().unwrap_or_default();
    let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() { from.to_owned() } else { join(from, file)? };
    if !project.tree.paths.contains(&path) && !path.is_empty() {
        return Some(format!("the link to `{target}` leads nowhere: there is no `{path}`"));
    }
    let document = project.tree.files.get(&path)?;
    let heading = heading.filter(|heading| !headings(document).any(|there| there == *heading))?;
    Some(format!("the link to `{target}` leads nowhere: `{path}` has no heading `{heading}`"))
}

/// The target's path from the root; a path that leaves the project is kept as it is, and so found missing.
fn join(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a document's headings, as GitHub makes them.
fn headings(document: &str) -> impl Iterator<Item = String> {
    document.lines().filter(|line| line.starts_with('#')).map(|line| {
        let kept = |character: &char| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_');
        line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    })
}

#[cfg(test)]
mod tests {
    use super::super::judged;
    use super::check;

    #[test]
    fn links_to_nowhere_fail() {
        let guide = "# The guide\n[home](../README.md#two-commands) [gone](gone.md) [out](../../x.md)\n\
                     [no](#nothing) [yes](#the-guide) [folder](../docs/) ![picture](../a.png) [web](https://x.org)\n\
                     `[code](no.md)`\n```\n[code](no.md)\n```\n[none](../README.md#none)\n";
        let files = [("README.md", "# Home\n## Two `commands`\n"), ("docs/guide.md", guide), ("a.png", "")];
        let expected = [
            "docs/guide.md:2: the link to `gone.md` leads nowhere: there is no `docs/gone.md`",
            "docs/guide.md:2: the link to `../../x.md` leads nowhere: there is no `../x.md`",
            "docs/guide.md:3: the link to `#nothing` leads nowhere: `docs/guide.md` has no heading `nothing`",
            "docs/guide.md:8: the link to `../README.md#none` leads nowhere: `README.md` has no heading `none`",
        ];
        assert_eq!(judged(check, &files, &[]), expected);
    }
}
