//! The system calls of 10,000 steps in which no layer changes: the thread that steps makes none, so it
//! waits for no lock and no rank, and gets no memory from the system.
//!
//! A program of its own: it is the engine, and starts itself again under `strace`, which it needs.
//! `EPLB_NEEDS_STRACE=1` makes a missing one a failure; without it the program says that it has not run.

#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]
#![allow(clippy::print_stdout, reason = "a test program reports on its output")]

mod engine;
mod trace;

use std::process::{Command, ExitCode};

use trace::Trace;

/// Set for the process that is traced.
const TRACED: &str = "EPLB_TEST_TRACED";
/// Makes a machine without `strace` a failure.
const NEEDED: &str = "EPLB_NEEDS_STRACE";
const STEPS: u64 = 10_000;
/// Steps before, which fill what is kept for later ones.
const WARM_UP: u64 = 200;

fn main() -> ExitCode {
    if let Ok(case) = std::env::var(TRACED) {
        engine::run(&case, WARM_UP, STEPS);
        return ExitCode::SUCCESS;
    }
    if Command::new("strace").arg("--version").output().is_err() {
        println!("NOT RUN: there is no strace here");
        return if std::env::var_os(NEEDED).is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let folder = tempfile::tempdir().unwrap();
    for case in engine::CASES {
        let file = folder.path().join(case);
        let status = Command::new("strace")
            .args(["-f", "-qq", "--signal=none", "-o"])
            .arg(&file)
            .arg(std::env::current_exe().unwrap())
            .env(TRACED, case)
            .status()
            .unwrap();
        assert!(status.success(), "{case}: the traced process ended with {status}");
        let trace = Trace::read(&std::fs::read_to_string(&file).unwrap());
        check(case, &trace);
    }
    println!("test result: ok. {} passed; 0 failed", engine::CASES.len());
    ExitCode::SUCCESS
}

fn check(case: &str, trace: &Trace) {
    let Trace { stepping, beside } = trace;
    println!("{case}: {STEPS} steps: {stepping:?} of the stepping thread, {beside:?} of others");
    if case == engine::CONTROL {
        // Or nothing would be seen at all.
        let waits = stepping.get("futex").copied().unwrap_or(0);
        assert!(waits >= STEPS as usize / 2, "a lock that is waited for shows: {stepping:?}");
        return;
    }
    assert!(stepping.is_empty(), "{case}: {stepping:?}");
    // Threads that plan and move sleep until they are told something.
    let calls: usize = beside.values().sum();
    assert!(calls <= 20, "{case}: {beside:?}");
}
