//! The emulated libraries in place of the vendor's.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use eplb_emulators::Control;

/// Says which libraries the checks are to run on.
pub(crate) const TESTS: &str = "EPLB_DEVICE_TESTS";
const EMULATED: &str = "emulated";
/// What `too_early_a_withdrawal_keeps_the_memory` leaves, as its name says.
const KEPT: [(&str, u64); 2] = [("allocations", 1), ("bytes", 4096)];

pub(crate) fn is_wanted() -> bool {
    std::env::var_os(TESTS).as_deref() == Some(OsStr::new(EMULATED))
}

/// Makes this process one with the emulated libraries, if it is none yet.
pub(crate) fn load() {
    let environment = eplb_emulators::ascend().environment();
    let is_set = |(name, path): (&&str, &std::path::PathBuf)| {
        std::env::var_os(name).as_deref() == Some(path.as_os_str())
    };
    if !environment.iter().all(is_set) {
        start_again();
        panic!("the program could not be started again");
    }
}

/// Starts the program again with the emulated libraries; comes back only if that fails.
pub(crate) fn start_again() -> ExitCode {
    let error = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(TESTS, EMULATED)
        .envs(eplb_emulators::ascend().environment())
        .exec();
    println!("FAILED: the program was not started again: {error}");
    ExitCode::FAILURE
}

pub(crate) fn expect_violations(rules: &[&str]) {
    let control = Control::of(&eplb_emulators::ascend()).unwrap();
    let found = control.violations();
    let names: Vec<&str> = found.iter().map(|violation| violation.rule.as_str()).collect();
    assert_eq!(names, rules, "{found:#?}");
}

/// No rule was broken unknowingly, and nothing is left behind.
pub(crate) fn expect_a_clean_end() {
    expect_violations(&[]);
    let mut live = Control::of(&eplb_emulators::ascend()).unwrap().live();
    live.retain(|_, count| *count > 0);
    assert_eq!(live, KEPT.map(|(name, count)| (name.to_owned(), count)).into(), "left");
}
