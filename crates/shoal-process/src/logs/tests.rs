//! Reading across rotations, and from places that are gone.

use super::*;
use std::fmt::Write;

fn write_file(path: &Path, number: u64, lines: std::ops::Range<u64>) {
    let mut text = header(number);
    for line in lines {
        writeln!(text, "{} out line {line}", clock::text(Millis(line))).unwrap();
    }
    fs::write(path, text).unwrap();
}

fn numbers(page: &Page) -> Vec<u64> {
    page.lines.iter().map(|line| line.text.strip_prefix("line ").unwrap().parse().unwrap()).collect()
}

#[test]
fn the_last_lines_reach_into_the_older_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-1.log");
    assert_eq!(last(&path, 5).unwrap().lines, []);
    write_file(&older(&path), 1, 0..50);
    write_file(&path, 2, 50..53);
    assert_eq!(numbers(&last(&path, 2).unwrap()), [51, 52]);
    assert_eq!(numbers(&last(&path, 5).unwrap()), [48, 49, 50, 51, 52]);
    assert_eq!(numbers(&last(&path, 500).unwrap()).len(), 53);
    assert_eq!(numbers(&last(&path, 0).unwrap()).len(), 0);
}

#[test]
fn following_goes_on_across_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-1.log");
    write_file(&path, 1, 0..10);
    let page = after(&path, "", 4).unwrap();
    assert_eq!((numbers(&page), page.missed), (vec![0, 1, 2, 3], false));
    fs::rename(&path, older(&path)).unwrap();
    let between = after(&path, &page.cursor, 2).unwrap();
    assert_eq!(numbers(&between), [4, 5]);
    write_file(&path, 2, 10..12);
    let page = after(&path, &between.cursor, 100).unwrap();
    assert_eq!((numbers(&page), page.missed), ((6..12).collect(), false));
    assert!(numbers(&after(&path, &page.cursor, 100).unwrap()).is_empty());
}

#[test]
fn a_place_that_is_gone_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-1.log");
    write_file(&older(&path), 4, 40..42);
    write_file(&path, 5, 50..52);
    let page = after(&path, "2-100", 100).unwrap();
    assert_eq!((numbers(&page), page.missed), (vec![40, 41, 50, 51], true));
}

#[test]
fn half_a_line_waits_for_its_end_and_long_logs_are_read_from_the_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-1.log");
    write_file(&path, 1, 0..30_000);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"2026-11-22T03:10:05.123Z out half"].concat()).unwrap();
    let page = last(&path, 5000).unwrap();
    assert_eq!(numbers(&page), (25_000..30_000).collect::<Vec<_>>());
    fs::write(&path, [&whole[..], b"2026-11-22T03:10:05.123Z err half a line\n"].concat()).unwrap();
    let next = after(&path, &page.cursor, 10).unwrap();
    assert_eq!((next.lines[0].text.as_str(), next.lines[0].stream), ("half a line", Stream::Err));
}
