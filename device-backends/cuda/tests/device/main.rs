//! Checks on a device, or on emulated libraries where there is none: these show that the backend keeps
//! the vendor's rules, and nothing of a real device.
//!
//! `EPLB_DEVICE_TESTS=1` makes a missing device a failure; `EPLB_DEVICE_TESTS=emulated` takes the emulated
//! libraries even where there is a device.
//!
//! A program of its own, because some checks need a second process, and because a check that breaks the
//! device's context would break those after it in the same process: such a one runs in its own.

#![allow(unsafe_code, reason = "the checks play the engine, which calls the vendor's library")]
#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]
#![allow(clippy::print_stdout, reason = "a test program reports on its output")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "an engine lends several things on the same grounds"
)]

mod communicators;
mod emulated;
mod lent;
mod memory;
mod peers;
mod products;
mod streams;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use eplb_cuda::{CudaBackend, Libraries};
use eplb_device::{Backend, Device};

type Check = (&'static str, fn());

/// What only a real device shows, and why; not run on emulated libraries.
const ONLY_REAL: &[(&str, &str)] = &[
    ("memory::the_library_takes_batches", "it asks what form of the call the vendor's library has"),
    (
        "streams::busy_streams_hold_up_few_calls",
        "it asks which calls a device makes wait, and how long",
    ),
];

/// Run one after another in this process.
const CHECKS: &[Check] = &[
    ("memory::bytes_survive_the_way_there_and_back", memory::bytes_survive_the_way_there_and_back),
    ("memory::batches_move_all_of_their_copies", memory::batches_move_all_of_their_copies),
    ("memory::the_library_takes_batches", memory::the_library_takes_batches),
    ("memory::fills_write_every_byte", memory::fills_write_every_byte),
    ("memory::too_much_is_out_of_memory", memory::too_much_is_out_of_memory),
    ("memory::freed_memory_comes_back", memory::freed_memory_comes_back),
    ("streams::work_runs_in_order", streams::work_runs_in_order),
    ("streams::queued_work_is_pending_until_it_ran", streams::queued_work_is_pending_until_it_ran),
    ("streams::busy_streams_hold_up_few_calls", streams::busy_streams_hold_up_few_calls),
    ("streams::events_order_two_streams", streams::events_order_two_streams),
    ("streams::events_capture_anew", streams::events_capture_anew),
    ("streams::all_priorities_work", streams::all_priorities_work),
    ("streams::threads_keep_their_context", streams::threads_keep_their_context),
    ("streams::streams_are_not_aborted", streams::streams_are_not_aborted),
    ("peers::one_process_shares_plain_memory", peers::one_process_shares_plain_memory),
    ("peers::two_processes_share_memory", peers::two_processes_share_memory),
    (
        "peers::too_early_a_withdrawal_keeps_the_memory",
        peers::too_early_a_withdrawal_keeps_the_memory,
    ),
    ("lent::streams_stay_the_engines", lent::streams_stay_the_engines),
    ("lent::memory_is_checked_used_and_shared", lent::memory_is_checked_used_and_shared),
    ("lent::contexts_are_adopted", lent::contexts_are_adopted),
    ("lent::communicators_are_used_and_left_alone", lent::communicators_are_used_and_left_alone),
    (
        "communicators::one_rank_exchanges_with_itself",
        communicators::one_rank_exchanges_with_itself,
    ),
    ("communicators::collectives_of_one_rank", communicators::collectives_of_one_rank),
    ("communicators::a_lonely_creation_is_aborted", communicators::a_lonely_creation_is_aborted),
    ("communicators::two_ranks_on_one_device_fail", communicators::two_ranks_on_one_device_fail),
    ("communicators::aborted_twice_is_harmless", communicators::aborted_twice_is_harmless),
    (
        "communicators::pending_work_fails_by_an_abort",
        communicators::pending_work_fails_by_an_abort,
    ),
    ("products::products_are_queued_on_any_stream", products::products_are_queued_on_any_stream),
    (
        "products::products_that_cannot_be_are_refused",
        products::products_that_cannot_be_are_refused,
    ),
];

/// What a second process does.
const CHILDREN: &[Check] = &[("pull", peers::pull), ("abort", communicators::abort_pending_work)];

fn main() -> ExitCode {
    if let Ok(child) = std::env::var(support::CHILD) {
        let (_, work) = CHILDREN.iter().find(|(name, _)| *name == child).unwrap();
        work();
        if emulated::is_wanted() {
            emulated::expect_violations(&[]);
        }
        return ExitCode::SUCCESS;
    }
    if emulated::is_wanted() {
        emulated::load();
        println!(
            "EMULATED: the libraries are emulated; what follows shows nothing of a real device"
        );
    }
    if let Err(reason) = describe_device() {
        println!("NO DEVICE: {reason}");
        if std::env::var_os(emulated::TESTS).is_some() {
            println!("FAILED: {} is set, so a device has to be there", emulated::TESTS);
            return ExitCode::FAILURE;
        }
        return emulated::start_again();
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let (mut run, mut failed, mut left_out) = (0, 0, 0);
    for (name, check) in CHECKS {
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let only_real = ONLY_REAL.iter().find(|(only, _)| only == name);
        if let Some((_, reason)) = only_real.filter(|_| emulated::is_wanted()) {
            left_out += 1;
            println!("{name} ... NOT APPLICABLE to emulated libraries: {reason}");
            continue;
        }
        run += 1;
        let start = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(check)).is_ok();
        failed += u32::from(!passed);
        let verdict = if passed { "ok" } else { "FAILED" };
        println!("{name} ... {verdict} ({} ms)", start.elapsed().as_millis());
    }
    if emulated::is_wanted() {
        let ended_well = filter.is_some() || catch_unwind(emulated::expect_a_clean_end).is_ok();
        failed += u32::from(!ended_well);
        println!("{run} checks on EMULATED libraries, {failed} failed, {left_out} not applicable");
    } else {
        println!("{run} checks, {failed} failed");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says what device there is, or why there is none.
fn describe_device() -> Result<(), String> {
    let backend = CudaBackend::open(&Libraries::default()).map_err(|error| error.to_string())?;
    if let Some(error) = backend.missing_driver() {
        return Err(error.to_string());
    }
    match backend.devices() {
        Ok(0) => return Err("the driver shows none".to_owned()),
        Ok(count) => println!("{count} devices"),
        Err(error) => return Err(error.to_string()),
    }
    if let Some(error) = backend.missing_nccl() {
        println!("NO NCCL: {error}");
    }
    let backend: std::sync::Arc<dyn Backend> = std::sync::Arc::new(backend);
    let device = Device::open(&backend, 0).map_err(|error| error.to_string())?;
    println!("{:?}", device.info());
    println!("{:?}", device.memory_info());
    Ok(())
}
