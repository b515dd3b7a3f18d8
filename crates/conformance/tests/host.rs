//! The suite on the host backend, which keeps the whole contract, with ranks as threads and as processes.
//!
//! A program of its own: it runs the suite, and is each of the ranks that are processes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a test program reports on its output")]

use std::collections::BTreeSet;
use std::io::{BufReader, stdin, stdout};
use std::process::{Command, ExitCode};

use eplb_conformance::{Expectations, Outcome, Processes, Report, Subject, Suite, serve_rank};
use eplb_host::HostBackend;

/// The argument of a process that is a rank.
const RANK: &str = "be-a-rank";

const DEVICES: u32 = 4;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(RANK) {
        let input = BufReader::new(stdin());
        let passed = serve_rank(HostBackend::new(DEVICES), input, &mut stdout()).unwrap();
        return if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let subject = Subject {
        backend: HostBackend::new(DEVICES),
        device: None,
        ranks: vec![1, 2, 3, 4],
        processes: Some(Processes::new(|_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.arg(RANK);
            command
        })),
    };
    let report = Suite::standard().run(&subject, &Expectations::default(), &mut |_| {}).unwrap();
    it_passes_and_skips_only_the_opposite_of_what_it_can(&report);
    println!("{} cases passed on the host backend", report.counts.passed);
    ExitCode::SUCCESS
}

fn it_passes_and_skips_only_the_opposite_of_what_it_can(report: &Report) {
    assert_eq!(failures(report), Vec::<String>::new());
    let expected = [
        ("communicators-refuse-two-ranks-on-a-device", "no_shared_ranks"),
        ("errors-of-streams-without-abort", "no_stream_abort"),
    ];
    let expected = expected.map(|(case, missing)| (case.to_owned(), missing.to_owned()));
    assert_eq!(skipped(report), BTreeSet::from(expected));
    let as_processes = report.entries.iter().filter(|entry| entry.title().ends_with("processes]"));
    assert!(as_processes.count() >= 60, "few cases ran with ranks as processes");
    assert!(report.counts.passed >= 250, "{:?}", report.counts);
    assert_eq!(report.entries.len(), report.counts.passed + report.counts.skipped);
}

/// What went wrong, one line each.
fn failures(report: &Report) -> Vec<String> {
    let failed = report.entries.iter().filter(|entry| entry.outcome.is_failure());
    failed.map(|entry| format!("{}: {:?}", entry.title(), entry.outcome)).collect()
}

/// The names of skipped cases and all that they missed.
fn skipped(report: &Report) -> BTreeSet<(String, String)> {
    let skipped = report.entries.iter().filter_map(|entry| match &entry.outcome {
        Outcome::Skip { missing } => Some((entry.title(), missing.join(", "))),
        _ => None,
    });
    skipped.collect()
}
