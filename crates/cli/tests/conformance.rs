//! `eplb conformance`.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use std::process::Command;

use eplb_conformance::{Expectations, Outcome, Processes, Subject, Suite};
use eplb_host::HostBackend;
use program::{eplb, json, line, printed};

const HOST: &str = "conformance --backend host";

/// The one line of a failed command, which printed nothing else.
fn refused(arguments: &str) -> String {
    let output = line(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    assert!(output.stdout.is_empty(), "{arguments}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

#[test]
fn the_host_passes_and_the_last_line_counts() {
    let text = printed(&line(&format!("{HOST} --only memory")));
    let last = text.lines().last().unwrap();
    let counts: Vec<usize> =
        last.split(|char: char| !char.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let [passed, 0, 0] = counts[..] else { panic!("{last}") };
    assert_eq!(last, format!("{passed} passed, 0 failed, 0 skipped"));
    assert!(passed >= 60, "{last}");
    assert!(text.contains("device 3: host memory"), "{text}");
    assert!(text.contains("\n0 failed as expected\n"), "{text}");
}

#[test]
fn one_device_and_chosen_ranks() {
    let report =
        json(&line(&format!("{HOST} --device 2 --ranks 1,3 --only communicators-gather --json")));
    assert_eq!(report["devices"].as_array().unwrap().len(), 1);
    assert_eq!(report["devices"][0]["ordinal"], 2);
    let variants: Vec<_> = report["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["outcome"]["result"] == "pass")
        .map(|entry| entry["variant"].as_str().unwrap())
        .collect();
    assert_eq!(
        variants,
        ["1 rank, threads", "3 ranks, threads", "1 rank, processes", "3 ranks, processes"]
    );
    assert_eq!(report["counts"]["failed"], 0);
}

#[test]
fn expectations_and_junit_are_files() {
    let folder = tempfile::tempdir().unwrap();
    let expectations = folder.path().join("known.toml");
    let junit = folder.path().join("report.xml");
    let text = "[[expect]]\ncase = \"devices-open-twice\"\nreason = \"it was broken\"\n";
    std::fs::write(&expectations, text).unwrap();
    let mut arguments: Vec<_> =
        HOST.split(' ').chain(["--only", "devices-open-twice"]).map(String::from).collect();
    arguments.extend(["--expectations".to_owned(), expectations.display().to_string()]);
    arguments.extend(["--junit".to_owned(), junit.display().to_string()]);
    let output = eplb(&arguments);
    assert_eq!(output.status.code(), Some(1), "an unexpected pass is a failure");
    let text = String::from_utf8(output.stdout).unwrap();
    let told = "FAIL  devices-open-twice: it passed, and a failure was expected: it was broken";
    assert!(text.contains(told), "{text}");
    assert_eq!(text.lines().last(), Some("0 passed, 1 failed, 0 skipped"));
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.starts_with("<?xml version=\"1.0\""), "{xml}");
    assert!(xml.contains("<testcase classname=\"host.devices\" name=\"devices-open-twice\""));
    assert!(xml.contains("failures=\"1\""), "{xml}");

    std::fs::write(&expectations, "[[expect]]\ncase = \"devices-open\"\nreason = \"x\"\n").unwrap();
    let output = eplb(&arguments);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("known.toml: there is no case \"devices-open\"; did you"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn bad_arguments_are_one_line() {
    for (arguments, says) in [
        ("conformance", "--backend"),
        ("conformance --backend tpu", "allowed: host, cuda, ascend"),
        (&format!("{HOST} --ranks 0"), "--ranks: allowed: whole numbers from 1 to 8"),
        (&format!("{HOST} --ranks 2,9"), "from 1 to 8"),
        (&format!("{HOST} --ranks two"), "allowed: a whole number"),
        (&format!("{HOST} --device 4 --only memory-round"), "device 4"),
        (&format!("{HOST} --only nothing-like-it"), "--only nothing-like-it chooses no case"),
        (&format!("{HOST} --junit /nowhere/report.xml"), "there is no folder /nowhere"),
        (&format!("{HOST} --expectations /nowhere.toml"), "/nowhere.toml: cannot be read"),
    ] {
        let error = refused(arguments);
        assert!(error.starts_with("eplb: ") && error.contains(says), "{error}");
    }
}

#[test]
fn ranks_are_not_for_people() {
    let help = printed(&line("--help"));
    assert!(help.contains("conformance ") && !help.contains("conformance-rank"), "{help}");
    let error = refused("conformance-rank --backend host");
    assert!(error.contains("no order to be a rank"), "{error}");
}

/// Runs a case of the suite on a device, with this program as its two ranks.
fn with_processes(case: &str, device: u32) -> Outcome {
    let subject = Subject {
        backend: HostBackend::new(8),
        device: Some(device),
        ranks: vec![2],
        processes: Some(Processes::new(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_eplb"));
            command.args(["conformance-rank", "--backend", "host"]);
            command
        })),
    };
    let suite = Suite::standard().only(case);
    let report = suite.run(&subject, &Expectations::default(), &mut |_| {}).unwrap();
    let variant = report.entries.iter().find(|entry| entry.title().ends_with("processes]"));
    variant.unwrap().outcome.clone()
}

#[test]
fn processes_are_ranks() {
    assert_eq!(with_processes("communicators-exchange-with-all", 3), Outcome::Pass);
    assert_eq!(with_processes("peer-memory-round-a-ring", 3), Outcome::Pass);
}

#[test]
fn what_a_rank_in_a_process_finds_is_told() {
    // A process of the program has four devices, not eight.
    let outcome = with_processes("peer-memory-round-a-ring", 7);
    let Outcome::Fail { text } = outcome else { panic!("{outcome:?}") };
    assert!(text.starts_with("rank ") && text.contains("device 7 of 4"), "{text}");
}
