//! Each lie of a backend is caught by the cases that are there for it.
#![allow(unsafe_code, reason = "a backend is an unsafe trait, also one that lies")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod communicator;
mod liar;

use eplb::device::raw::CopyKind;
use eplb_conformance::{Expectations, Outcome, Report, Subject, Suite};

use liar::{Liar, Lie};

fn run(suite: &Suite, lie: Lie) -> Report {
    let subject =
        Subject { backend: Liar::new(lie), device: None, ranks: vec![1, 2], processes: None };
    suite.run(&subject, &Expectations::default(), &mut |_| {}).unwrap()
}

/// What a case says of a lie.
fn complaint(case: &str, lie: Lie) -> String {
    let suite = Suite::standard().only(case);
    assert_eq!(suite.names().next(), Some(case));
    let report = run(&suite, lie);
    let failed = report.entries.iter().find_map(|entry| match &entry.outcome {
        Outcome::Fail { text } => Some(text.clone()),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("{case} does not catch {lie:?}: {report:?}"))
}

#[test]
fn every_topic_catches_its_lies() {
    use Lie::{
        BoundToThread, CountGrows, EarlyEvents, EarlyStreams, FailingFrees, FirstRootOnly,
        FlipsByte, FreesTheEngines, IgnoresWaits, ManyLines, NeverFrees, NoAborts, NoBarriers,
        ShortFills, Synchronous, WrongImports, WrongKind, WrongOrdinal,
    };
    for (lie, case, says) in [
        (CountGrows, "devices-are-counted-alike", "devices, then"),
        (WrongOrdinal, "devices-describe-themselves", "ordinal is 7"),
        (FlipsByte(CopyKind::Upload), "memory-round-trip", "bytes are wrong, first byte 0"),
        (FlipsByte(CopyKind::Device), "memory-copies-within-an-allocation", "bytes are wrong"),
        (ShortFills, "memory-fills-every-value", "1 of 70001 bytes are wrong, first byte 70000"),
        (NeverFrees, "memory-freed-comes-back", "memory has not come back"),
        (Synchronous, "streams-calls-do-not-wait-for-work", "calls wait for their work"),
        (EarlyStreams, "streams-are-pending-while-work-is-left", "complete, though"),
        (EarlyEvents, "events-are-pending-until-their-work-ended", "complete, though"),
        (EarlyEvents, "events-complete-means-bytes-are-there", "wrong"),
        (IgnoresWaits, "ordering-by-an-event", "bytes are wrong"),
        (IgnoresWaits, "ordering-waits-on-the-device", "did not fail; timed out"),
        (WrongKind, "errors-name-call-place-and-kind", "out of memory was to be reported"),
        (ManyLines, "errors-name-call-place-and-kind", "is not one line"),
        (WrongKind, "memory-too-much-is-out-of-memory", "failed"),
        (FailingFrees, "leaks-everything-comes-back", "an error that the case did not see: free"),
        (BoundToThread, "threads-need-no-context", "no context is current"),
        (FreesTheEngines, "lent-memory-is-not-freed", "bytes are wrong"),
        (WrongImports, "peer-memory-in-one-process", "invalid use"),
        (FlipsByte(CopyKind::Peer), "peer-memory-in-batches", "bytes are wrong"),
        (FirstRootOnly, "communicators-broadcast-from-every-rank", "has failed: step 3"),
        // It is seen by the query, or by the wait after it: whichever comes after the stream's end.
        (
            NoBarriers,
            "communicators-hold-a-barrier",
            "(query s): complete, | (wait s): it did not fail",
        ),
        (EarlyStreams, "deadlines-end-waits-for-streams", "did not fail; timed out"),
        (NoAborts, "abort-ends-a-lonely-creation", "did not fail; aborted"),
        (NoAborts, "abort-twice-is-harmless", "did not fail; aborted"),
        (FlipsByte(CopyKind::Peer), "engine-robust-in-place", "other bytes"),
    ] {
        let text = complaint(case, lie);
        let is_said = says.split(" | ").any(|says| text.contains(says));
        assert!(is_said, "{case} says of {lie:?}: {text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn aborts_that_do_nothing_end_by_the_deadline() {
    let suite = small(
        "steps = [
        { stream = 's' },
        { abort = 's' },
        { wait = 's', fails = 'aborted' },
    ]",
    );
    assert!(matches!(run(&suite, Lie::Nothing).entries[0].outcome, Outcome::Pass));
    let report = run(&suite, Lie::NoStreamAborts);
    let Outcome::Fail { text } = &report.entries[0].outcome else { panic!("{report:?}") };
    assert_eq!(text, "step 3 (wait s): it did not fail; aborted was to be reported");
}

#[test]
fn a_call_that_does_not_come_back_ends_the_case_and_not_the_suite() {
    let suite = small(
        "steps = [
        { stream = 's' },
        { allocate = 'm', bytes = 1 },
        { fill = 'm', value = 1, on = 's' },
    ]",
    );
    let report = run(&suite, Lie::Sticks);
    let Outcome::Fail { text } = &report.entries[0].outcome else { panic!("{report:?}") };
    assert!(text.starts_with("no end within 1 s"), "{text}");
    assert_eq!(report.entries[1].outcome, Outcome::Pass, "the suite goes on");
}

#[test]
fn a_panic_is_a_failure_of_its_case() {
    let suite = small("steps = [{ allocate = 'm', bytes = 1 }]");
    let report = run(&suite, Lie::Panics);
    let Outcome::Fail { text } = &report.entries[0].outcome else { panic!("{report:?}") };
    assert_eq!(text, "it panicked: no memory today");
    assert_eq!(report.entries[1].outcome, Outcome::Pass);
}

/// A suite of one case with a deadline of a second, and one that asks nothing.
fn small(steps: &str) -> Suite {
    let text = format!(
        "topic = 'small'
         [[case]]
         name = 'first'
         checks = 'It ends.'
         rules = ['R1']
         deadline_s = 1
         {steps}
         [[case]]
         name = 'second'
         checks = 'It ends, too.'
         rules = ['R1']
         steps = [{{ collect = 'd' }}]"
    );
    Suite::parse(&[&text]).unwrap()
}
