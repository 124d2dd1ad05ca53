//! Each code has a page, and each page a code.

use shoal_manifest::Code;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut expected = BTreeSet::new();
    for code in Code::ALL {
        let page =
            fs::read_to_string(root.join(code.page())).unwrap_or_else(|error| panic!("{}: {error}", code.page()));
        let title = format!("# {code}: {}\n", code.title());
        assert!(page.starts_with(&title), "{} must start with {title:?}", code.page());
        assert!(page.contains("## What to do"), "{} must say what to do", code.page());
        expected.insert(format!("{code}.md"));
    }
    let there: BTreeSet<String> = fs::read_dir(root.join("docs/errors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, expected);
}
