//! What is reported: outcomes, expectations, JUnit.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;

use eplb_conformance::{Counts, Expectations, Outcome, Report, Subject, Suite};
use eplb_host::HostBackend;
use quick_xml::Reader;
use quick_xml::events::Event;

/// One case of each kind.
const SUITE: &str = "
topic = 'of \"all\" <kinds>'
[[case]]
name = 'good'
checks = 'It passes.'
rules = ['R8']
steps = [{ put = 'm', bytes = 10, value = 1 }, { expect = 'm', value = 1 }]
[[case]]
name = 'bad'
checks = 'It fails.'
rules = ['R8', 'R10']
steps = [{ put = 'm', bytes = 10, value = 1 }, { expect = 'm', value = 2 }]
[[case]]
name = 'impossible'
checks = 'It is skipped.'
rules = ['R14']
requires = ['no_shared_ranks', 'communicators', 'no_stream_abort']
steps = [{ collect = 'd' }]
[[case]]
name = 'many'
checks = 'It runs with ranks.'
rules = ['R12']
ranks = [2, 3]
steps = [{ meet = 'here' }]
[[case]]
name = 'leaky'
checks = 'It fails by what it leaves.'
rules = ['R27']
steps = [{ put = 'm', bytes = 1, value = 1 }, { fault = 'free', kind = 'failed' }, { drop = 'm' }]
";

fn suite() -> Suite {
    Suite::parse(&[SUITE]).unwrap()
}

fn run(expectations: &str) -> Report {
    let subject = Subject {
        backend: HostBackend::new(1),
        device: Some(0),
        ranks: vec![1, 2],
        processes: None,
    };
    let expectations = Expectations::parse(expectations, &suite()).unwrap();
    let mut steps = Vec::new();
    let report = suite().run(&subject, &expectations, &mut |progress| {
        assert_eq!(progress.total, 6);
        steps.push(progress.done);
    });
    assert!(steps.is_sorted() && steps.last() == Some(&6), "{steps:?}");
    report.unwrap()
}

fn outcome<'a>(report: &'a Report, title: &str) -> &'a Outcome {
    &report.entries.iter().find(|entry| entry.title() == title).unwrap().outcome
}

#[test]
fn outcomes_are_told_apart() {
    let report = run("");
    assert_eq!(*outcome(&report, "good"), Outcome::Pass);
    let text = "step 2 (expect m): 10 of 10 bytes are wrong, first byte 0: 0x01 where 0x02 belongs";
    assert_eq!(*outcome(&report, "bad"), Outcome::Fail { text: text.to_owned() });
    let missing = vec!["no_shared_ranks".to_owned(), "no_stream_abort".to_owned()];
    assert_eq!(*outcome(&report, "impossible"), Outcome::Skip { missing });
    assert_eq!(*outcome(&report, "many [2 ranks, threads]"), Outcome::Pass);
    let missing = vec!["processes".to_owned()];
    assert_eq!(*outcome(&report, "many [2 ranks, processes]"), Outcome::Skip { missing });
    assert!(outcome(&report, "leaky").is_failure());
    let counts = Counts { passed: 2, failed: 2, skipped: 2, expected_failures: 0 };
    assert_eq!(report.counts, counts);
    assert!(!report.is_success());
    assert_eq!(report.topics(), [("of \"all\" <kinds>", counts)]);
}

#[test]
fn expected_failures_pass_and_unexpected_passes_fail() {
    let report = run("
        [[expect]]
        case = 'bad'
        device = 'host*'
        reason = 'it is wrong'
        [[expect]]
        case = 'leaky'
        software = 'eplb-host *'
        reason = 'it leaks'
    ");
    assert!(report.is_success(), "{report:?}");
    assert_eq!(report.counts.expected_failures, 2);
    let Outcome::ExpectedFailure { reason, text } = outcome(&report, "bad") else { panic!() };
    assert!(reason == "it is wrong" && text.contains("bytes are wrong"), "{reason} {text}");

    let report = run("
        [[expect]]
        case = 'good'
        reason = 'it was broken'
        [[expect]]
        case = 'impossible'
        reason = 'a skip stays one'
        [[expect]]
        case = 'many'
        variant = '2 ranks, processes'
        reason = 'not with threads'
        [[expect]]
        case = 'bad'
        device = 'another device'
        reason = 'elsewhere'
    ");
    assert_eq!(
        *outcome(&report, "good"),
        Outcome::UnexpectedPass { reason: "it was broken".to_owned() }
    );
    assert!(matches!(outcome(&report, "impossible"), Outcome::Skip { .. }));
    assert_eq!(*outcome(&report, "many [2 ranks, threads]"), Outcome::Pass);
    assert!(matches!(outcome(&report, "bad"), Outcome::Fail { .. }));
    assert_eq!((report.counts.passed, report.counts.failed), (1, 3));
}

#[test]
fn expectations_are_checked() {
    for (text, says) in [
        ("[[expect]]\ncase = 'god'\nreason = 'x'", "there is no case \"god\""),
        ("[[expect]]\ncase = 'impossible-case'\nreason = 'x'", "did you mean \"impossible\"?"),
        ("[[expect]]\ncase = 'good'\nreason = ' '", "no reason"),
        ("[[expect]]\ncase = 'good'", "line 1: missing field `reason`"),
        ("[[expect]]\ncase = 'good'\nreason = 'x'\nos = 'y'", "line 4: unknown field `os`"),
        ("expects = []", "unknown field `expects`"),
        ("[[expect", "line 1: "),
    ] {
        let error = Expectations::parse(text, &suite()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

/// Every element with its attributes, in order.
fn elements(xml: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut elements = Vec::new();
    let mut depth = 0;
    loop {
        let event = reader.read_event().unwrap();
        let (Event::Start(element) | Event::Empty(element)) = &event else {
            match event {
                Event::End(_) => depth -= 1,
                Event::Eof => break,
                _ => {}
            }
            continue;
        };
        depth += i32::from(matches!(event, Event::Start(_)));
        let text = |text: &str| text.to_owned();
        let attributes = element.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let value = text(&attribute.value);
            let value = quick_xml::escape::unescape(&value).unwrap().into_owned();
            (text(attribute.key.as_ref()), value)
        });
        elements.push((text(element.name().as_ref()), attributes.collect()));
    }
    assert_eq!(depth, 0, "{xml}");
    elements
}

#[test]
fn junit_parses_again_and_has_the_counts() {
    let report = run("[[expect]]\ncase = 'bad'\nreason = 'known'");
    let elements = elements(&report.junit());
    let of = |name: &str| -> Vec<&BTreeMap<String, String>> {
        let found = elements.iter().filter(|(element, _)| element == name);
        found.map(|(_, attributes)| attributes).collect()
    };
    for name in ["testsuites", "testsuite"] {
        let [suite] = of(name)[..] else { panic!("{elements:?}") };
        let counts = ["tests", "failures", "skipped"].map(|key| suite[key].as_str());
        assert_eq!(counts, ["6", "1", "3"], "{name}");
    }
    assert_eq!(of("testsuite")[0]["name"], "of \"all\" <kinds>");
    let names: Vec<_> = of("testcase").iter().map(|case| case["name"].clone()).collect();
    let titles: Vec<_> = report.entries.iter().map(|entry| entry.title()).collect();
    assert_eq!(names, titles);
    let [failure] = of("failure")[..] else { panic!("{elements:?}") };
    assert!(failure["message"].contains("an error that the case did not see"), "{failure:?}");
    let skipped: Vec<_> = of("skipped").iter().map(|skip| skip["message"].clone()).collect();
    assert!(skipped[0].starts_with("expected failure: known: step 2"), "{skipped:?}");
    assert_eq!(skipped[1], "missing: no_shared_ranks, no_stream_abort");
    let device = of("property").into_iter().find(|property| property["name"] == "device").unwrap();
    assert_eq!(device["value"], report.devices[0].name);
}

#[test]
fn without_ranks_or_devices_nothing_is_tested() {
    let subject =
        Subject { backend: HostBackend::new(0), device: None, ranks: vec![2], processes: None };
    let none = Expectations::default();
    let error = suite().run(&subject, &none, &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("the backend host shows no device"), "{error}");
    let ranks = Subject { ranks: vec![1, 9], backend: HostBackend::new(1), ..subject.clone() };
    let error = suite().run(&ranks, &none, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("from 1 to 8"), "{error}");
    let beyond = Subject { device: Some(3), backend: HostBackend::new(1), ..subject };
    let error = suite().run(&beyond, &none, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("device 3"), "{error}");
}
