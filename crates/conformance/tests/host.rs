//! The suite on the host backend, which keeps the whole contract.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use eplb_conformance::{Expectations, Outcome, Report, Subject, Suite};
use eplb_host::HostBackend;

fn subject(devices: u32) -> Subject {
    Subject {
        backend: HostBackend::new(devices),
        device: None,
        ranks: vec![1, 2, 3, 4],
        processes: None,
    }
}

fn run(suite: &Suite, subject: &Subject) -> Report {
    suite.run(subject, &Expectations::default(), &mut |_| {}).unwrap()
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

#[test]
fn the_host_backend_passes_and_skips_only_what_it_cannot_do() {
    let report = run(&Suite::standard(), &subject(4));
    assert_eq!(failures(&report), Vec::<String>::new());
    for (title, missing) in skipped(&report) {
        let expected = match title.as_str() {
            "errors-of-streams-without-abort" => "no_stream_abort",
            "communicators-refuse-two-ranks-on-a-device" => "no_shared_ranks",
            processes if processes.ends_with("processes]") => "processes",
            other => panic!("{other} is skipped for want of {missing}"),
        };
        assert_eq!(missing, expected, "{title}");
    }
    assert!(report.counts.passed >= 80, "{:?}", report.counts);
    assert_eq!(report.entries.len(), report.counts.passed + report.counts.skipped);
}
