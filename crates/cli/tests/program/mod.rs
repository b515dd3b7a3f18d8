//! Running the program `eplb` as a user does.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The folder that holds the workspace; the program runs in it.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn command<Argument: AsRef<OsStr>>(arguments: &[Argument]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eplb"));
    command.current_dir(root()).args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

pub(crate) fn eplb<Argument: AsRef<OsStr>>(arguments: &[Argument]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs the program on a command line without quotes.
pub(crate) fn line(text: &str) -> Output {
    eplb(&text.split_whitespace().collect::<Vec<_>>())
}

/// What a successful run printed; it says nothing on standard error where nobody looks.
pub(crate) fn printed(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    assert!(error.is_empty(), "on standard error: {error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one JSON object that a successful run printed.
pub(crate) fn json(output: &Output) -> serde_json::Value {
    let text = printed(output);
    assert_eq!(text.trim_end().lines().count(), 1, "one object, one line");
    serde_json::from_str(&text).unwrap()
}
