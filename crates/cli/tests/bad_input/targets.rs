//! Results that can't be written: refused before the work, and what stands there is left alone.

use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use super::{assert_refused, program, words};

const PLAN: &str = "plan --load configs/traces/qwen3like_steady_w24.npz --ranks 16 --slots 144";

const PROFILE: &str = "profile configs/traces/qwen3like_steady_w24.npz";

/// A run, a plan and a profile that would write to `target`.
fn refuse(folder: &Path, target: &Path, expected: &str) {
    for line in ["run --windows 1 --html", &format!("{PLAN} --output"), &format!("{PROFILE} -o")] {
        let mut arguments = words(line);
        arguments.push(target.to_str().unwrap().to_owned());
        assert_refused(folder, &arguments, expected);
    }
}

#[test]
fn targets_that_are_no_files_are_refused_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    refuse(folder.path(), folder.path(), "{dir}: cannot be written: it is not a regular file");

    // A pipe stands for /dev/null: as root, a rename would put a file in its place.
    let pipe = path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refuse(folder.path(), &pipe, "{dir}/pipe: cannot be written: it is not a regular file");
    symlink("pipe", path("to_pipe")).unwrap();
    let expected = "{dir}/to_pipe: cannot be written: it is not a regular file";
    refuse(folder.path(), &path("to_pipe"), expected);
    assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());

    symlink("nowhere", path("astray")).unwrap();
    let expected = "{dir}/astray: cannot be written: it is a link that leads nowhere";
    refuse(folder.path(), &path("astray"), expected);
}

#[test]
fn a_link_to_a_file_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("plan.json"), folder.path().join("link.json"));
    std::fs::write(&file, "old").unwrap();
    symlink("plan.json", &link).unwrap();
    let mut arguments = words(PLAN);
    arguments.extend(["--output".to_owned(), link.to_str().unwrap().to_owned()]);
    program::printed(&program::eplb(&arguments));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("{\"physical_to_logical_map\""));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}
