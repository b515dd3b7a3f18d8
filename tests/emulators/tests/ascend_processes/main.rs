//! Checks of the emulated ACL and HCCL that need a process of their own, or several: a program that runs
//! itself again for each.

#![allow(unsafe_code, reason = "the checks call the libraries as an engine would, and wrongly so")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "what is unsound is what the emulated libraries have to see; they stay alive"
)]
#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]
#![allow(clippy::print_stdout, reason = "a test program reports on its output")]

mod alone;
mod child;
mod ranks;
mod sharing;

use std::panic::catch_unwind;
use std::process::ExitCode;

use child::Child;

/// Checks, each in a process of its own.
const CHECKS: &[(&str, fn())] = &[
    ("initialising_comes_first", alone::initialising_comes_first),
    ("there_may_be_no_device", alone::there_may_be_no_device),
    ("waiting_for_ranks_has_a_limit", alone::waiting_for_ranks_has_a_limit),
    ("memory_is_shared_with_listed_processes", sharing::memory_is_shared_with_listed_processes),
    ("importers_close_first", sharing::importers_close_first),
    ("imported_memory_is_for_devices", sharing::imported_memory_is_for_devices),
    ("a_killed_exporter_is_seen", sharing::a_killed_exporter_is_seen),
    ("ranks_in_processes_work_together", ranks::ranks_in_processes_work_together),
    ("a_killed_rank_is_lost", ranks::a_killed_rank_is_lost),
    ("operators_have_a_limit", ranks::operators_have_a_limit),
];

/// What further processes do.
const ROLES: &[(&str, fn())] = &[
    ("alone::without_init", alone::without_init),
    ("alone::no_device", alone::no_device),
    ("alone::lonely", alone::lonely),
    ("sharing::import", sharing::import),
    ("sharing::misuse", sharing::misuse),
    ("sharing::export_and_stay", sharing::export_and_stay),
    ("ranks::work", ranks::work),
    ("ranks::silence", ranks::silence),
];

fn main() -> ExitCode {
    if let Some(role) = Child::own_role() {
        let (_, work) = ROLES.iter().find(|(name, _)| *name == role).unwrap();
        work();
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, check) in CHECKS {
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let passed = catch_unwind(check).is_ok();
        failed += u32::from(!passed);
        println!("{name} ... {}", if passed { "ok" } else { "FAILED" });
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
