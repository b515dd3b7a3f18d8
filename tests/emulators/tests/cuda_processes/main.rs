//! Checks of the emulated CUDA libraries that need a process of their own, or several: a program that
//! runs itself again for each.

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
mod loading;
mod ranks;
mod sharing;

use std::panic::catch_unwind;
use std::process::ExitCode;

use child::Child;

/// Checks, each in a process of its own.
const CHECKS: &[(&str, fn())] = &[
    ("failed_work_breaks_the_context", alone::failed_work_breaks_the_context),
    ("orders_come_from_the_environment", alone::orders_come_from_the_environment),
    ("orders_come_from_a_file_that_changes", alone::orders_come_from_a_file_that_changes),
    ("reports_are_appended_to_a_file", alone::reports_are_appended_to_a_file),
    ("there_may_be_no_device", alone::there_may_be_no_device),
    ("a_host_may_be_too_small", alone::a_host_may_be_too_small),
    ("version_12_takes_batches_in_its_form", alone::version_12_takes_batches_in_its_form),
    ("the_program_sets_the_environment", loading::the_program_sets_the_environment),
    ("two_vendors_do_not_mix", loading::two_vendors_do_not_mix),
    ("memory_is_shared", sharing::memory_is_shared),
    ("importers_close_first", sharing::importers_close_first),
    ("a_killed_importer_holds_nothing", sharing::a_killed_importer_holds_nothing),
    ("a_killed_exporter_is_seen", sharing::a_killed_exporter_is_seen),
    ("four_ranks_work_together", ranks::four_ranks_work_together),
    ("a_killed_rank_is_lost", ranks::a_killed_rank_is_lost),
    ("a_rank_that_never_comes_is_aborted", ranks::a_rank_that_never_comes_is_aborted),
];

/// What further processes do.
const ROLES: &[(&str, fn())] = &[
    ("alone::failed_work", alone::failed_work),
    ("alone::environment_orders", alone::environment_orders),
    ("alone::control_file", alone::control_file),
    ("alone::break_a_rule", alone::break_a_rule),
    ("alone::no_device", alone::no_device),
    ("alone::too_much_memory", alone::too_much_memory),
    ("alone::batch_of_12", alone::batch_of_12),
    ("loading::with_environment", loading::with_environment),
    ("loading::both_vendors", loading::both_vendors),
    ("sharing::import", sharing::import),
    ("sharing::import_and_stay", sharing::import_and_stay),
    ("sharing::export_and_stay", sharing::export_and_stay),
    ("ranks::work", ranks::work),
    ("ranks::wait_for_the_lost", ranks::wait_for_the_lost),
    ("ranks::be_killed", ranks::be_killed),
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
