//! Bad input: each case with its whole message, exit status 2, one line on standard error, nothing on
//! standard output, and no file left.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod configs;
mod files;
mod flags;
mod placements;
mod processes;
mod profiles;
#[path = "../program/mod.rs"]
mod program;
mod targets;

use std::path::Path;

/// Runs the program with bad input in `folder` and compares what it says. The folder is written
/// `{dir}` in the expected message; `…` at its end stands for words of the operating system.
fn assert_refused(folder: &Path, arguments: &[String], expected: &str) {
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    let (files, root_files) = (entries(folder), entries(&program::root()));
    let output = program::eplb(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.replace(&folder.display().to_string(), "{dir}");
    let case = format!("eplb {}", arguments.join(" "));
    assert_eq!(output.status.code(), Some(2), "{case}: {said}");
    assert!(
        output.stdout.is_empty(),
        "{case} printed {:?}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(said.lines().count(), 1, "{case} said {said:?}");
    let said = said.trim_end().strip_prefix("eplb: ").expect("the program's name first");
    match expected.strip_suffix('…') {
        Some(start) => assert!(said.starts_with(start), "{case}\n said {said}\n  not {expected}"),
        None => assert_eq!(said, expected, "{case}"),
    }
    assert_eq!(entries(folder), files, "{case} left a file");
    assert_eq!(entries(&program::root()), root_files, "{case} left a file in the repository");
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
