//! The misuse suite of `tests/embedding`: wrong calls give the number of an error.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod built;

use std::path::PathBuf;

/// Fewest cases that the suite has.
const LEAST: usize = 60;

#[test]
fn every_misuse_is_an_error_with_a_number() {
    let folder = built::folder().join("../../tests/embedding/misuse");
    let mut sources: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "cpp"))
        .collect();
    sources.sort();
    let printed = built::run(&built::program(&sources, "misuse"), &[]);
    let last = printed.lines().last().unwrap();
    let cases: usize = last.split(' ').next().unwrap().parse().unwrap();
    assert!(cases >= LEAST, "{printed}");
    assert_eq!(last, format!("{cases} cases, 0 failed"));
}
