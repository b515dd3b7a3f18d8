//! `eplb run`, as xLLM's documentation and README.md start it.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use std::io::Read;
use std::process::Stdio;

use program::{command, json, line, printed};

/// Enough windows for a rebalance and a shift of traffic.
const SHORT: &str = "--windows 48";

#[test]
fn the_command_line_of_xllm_balances_and_verifies() {
    let report = json(&line(&format!(
        "run --enable_eplb=true --expert_parallel_degree=2 --ep_size=16 \
         --eplb_update_interval=2000 --eplb_update_threshold=0.9 --json {SHORT}"
    )));
    let number = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key}: {report}"));
    assert_eq!(report["policy"], "robust");
    assert_eq!(report["backend"], "host");
    assert_eq!((number("layers"), number("experts")), (11, 256));
    assert_eq!((number("ranks"), number("slots_per_rank")), (16, 18));
    assert_eq!(number("windows"), 48);
    assert!(number("rebalances") >= 1);
    assert!(number("layers_updated") >= 11, "the first rebalance updates every layer");
    assert!(number("slots_moved") > 0);
    // Three tensors of 32 × 32 values move with each slot: 64 × 32 + 32 × 32 + 32.
    assert_eq!(number("bytes_moved"), number("slots_moved") * (64 * 32 + 32 * 32 + 32) * 4);
    let balancedness = &report["balancedness"];
    let (before, after) = (balancedness["before"].as_f64(), balancedness["after"].as_f64());
    assert!(after.unwrap() > before.unwrap(), "{balancedness}");
    assert!(after.unwrap() <= 1.0);
    let verified = &report["verified"];
    assert_eq!(verified["mismatches"], 0);
    assert_eq!(verified["outputs_equal"], true);
    // Both runs verify all slots at the start, and the layers that were switched again.
    let slots = 16 * 18 * (2 * 11 + number("layers_updated"));
    assert_eq!(verified["slots"].as_u64(), Some(slots));
}

#[test]
fn flags_may_be_written_with_spaces_and_runs_repeat() {
    let spaced = "run --enable_eplb true --expert_parallel_degree 2 --ep_size 16 \
                  --eplb_update_interval 1000 --eplb_update_threshold 0.9 --json --windows 20";
    let equal = spaced.replace(" true", "=true").replace("size 16", "size=16");
    assert_eq!(printed(&line(spaced)), printed(&line(&equal)));
}

#[test]
fn switched_off_nothing_moves() {
    let report = json(&line("run --enable_eplb=false --json --windows 14"));
    for key in ["rebalances", "layers_updated", "slots_moved", "bytes_moved"] {
        assert_eq!(report[key], 0, "{key}");
    }
    assert_eq!(report["balancedness"]["before"], report["balancedness"]["after"]);
    assert_eq!(report["verified"]["outputs_equal"], true);
    let text = printed(&line("run --enable_eplb=false --windows 3"));
    assert!(text.contains("EPLB is off: nothing moved"), "{text}");
}

#[test]
fn a_policy_that_never_moves_says_so() {
    let text = printed(&line("run --policy static --windows 14"));
    assert!(text.contains("no layer was updated: nothing moved"), "{text}");
}

#[test]
fn both_ways_to_commit_balance_alike() {
    let run = |commit: &str| json(&line(&format!("run --json --windows 16 --commit {commit}")));
    let (in_place, indirect) = (run("in_place"), run("indirect"));
    assert!(in_place["layers_updated"].as_u64() > Some(0));
    for key in ["balancedness", "layers_updated", "slots_moved", "verified", "series"] {
        assert_eq!(in_place[key], indirect[key], "{key}");
    }
}

#[test]
fn all_transports_serve_alike_and_say_what_they_sent() {
    let run = |flags: &str| json(&line(&format!("run --json --windows 14 --ep_size 4 {flags}")));
    let peer = run("--transport peer");
    let moved = |report: &serde_json::Value, by: &str| report["moved_by"][by]["slots"].clone();
    assert!(peer["slots_moved"].as_u64() > Some(0));
    assert_eq!(
        (moved(&peer, "peer"), moved(&peer, "collective")),
        (peer["slots_moved"].clone(), 0.into())
    );
    for (flags, reason, sender) in [
        ("--transport auto", "imported", "peer"),
        ("--transport collective", "configured", "collective"),
        ("--transport collective --commit indirect", "configured", "collective"),
    ] {
        let report = run(flags);
        for key in ["digest", "slots_moved", "bytes_moved", "verified", "series"] {
            assert_eq!(report[key], peer[key], "{flags}: {key}");
        }
        assert_eq!(moved(&report, sender), peer["slots_moved"], "{flags}");
        let other = if sender == "peer" { "collective" } else { "peer" };
        assert_eq!(moved(&report, other), 0, "{flags}");
        let pairs = report["transports"].as_array().unwrap();
        assert_eq!(pairs.len(), 1, "{flags}: {pairs:?}");
        assert_eq!((&pairs[0]["transport"], &pairs[0]["reason"]), (&sender.into(), &reason.into()));
        assert_eq!(pairs[0]["pairs"], 12, "{flags}");
        let rounds = report["collective"]["rounds"].as_u64();
        assert_eq!(rounds > Some(0), sender == "collective", "{flags}");
        assert_eq!(report["collective"]["losses"], 0);
    }
    let text = printed(&line("run --windows 14 --ep_size 4 --transport collective"));
    assert!(text.contains("peer 0 slots, collective "), "{text}");
    assert!(text.contains("12 collective: executor.transport asks for it"), "{text}");
}

#[test]
fn without_a_command_the_quickstart_runs() {
    let text = printed(&line("--windows 20"));
    assert!(text.contains("balancedness rose from"), "{text}");
    assert!(text.contains("slots verified, outputs equal bit for bit"), "{text}");
    assert!(text.contains("v3like_abrupt_w120"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_load_that_only_repeats_is_updated_once() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("steady.json");
    let row: Vec<u64> = (0..32).map(|expert| 100 + 40 * (expert % 7)).collect();
    // Scaled by 1, 2, 3, …: the pattern stays.
    let windows: Vec<_> = (1..=30u64)
        .map(|scale| vec![row.iter().map(|count| count * scale).collect::<Vec<_>>(); 2])
        .collect();
    std::fs::write(&trace, serde_json::to_string(&windows).unwrap()).unwrap();
    let config = folder.path().join("config.toml");
    let text = "enable_eplb = true\nep_size = 4\neplb_update_threshold = 0.9\n\
                eplb_update_interval = 300\n[manager]\nwindow_samples = 1\n\
                prepare_timeout = 1000\ncommit_timeout = 1000\n[policy]\nname = \"xllm\"";
    std::fs::write(&config, text).unwrap();
    let arguments = ["run", "--json", "--config"].map(std::ffi::OsString::from);
    let mut arguments = arguments.to_vec();
    arguments.extend([config.into_os_string(), "--trace".into(), trace.into_os_string()]);
    let report = json(&program::eplb(&arguments));
    assert_eq!(report["layers_updated"], 2, "each layer once, and then no more: {report}");
    assert_eq!(report["verified"]["mismatches"], 0);
}

#[test]
fn the_page_shows_both_curves() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let output =
        program::eplb(&["--windows", "20", "--html", page.to_str().unwrap()].map(str::to_owned));
    printed(&output);
    let text = std::fs::read_to_string(&page).unwrap();
    for part in ["<path class=\"before\"", "<path class=\"after\"", "class=\"switched\"", "</html>"]
    {
        assert!(text.contains(part), "{part} is missing");
    }
    // A point for each window on both curves.
    for class in ["before", "after"] {
        let path = text.split(&format!("<path class=\"{class}\" d=\"")).nth(1).unwrap();
        assert_eq!(path.split('"').next().unwrap().matches(['M', 'L']).count(), 20, "{class}");
    }
    for tag in [
        "html", "head", "title", "body", "main", "h1", "h2", "p", "div", "b", "span", "svg",
        "text", "rect", "table", "tr", "td", "section", "style",
    ] {
        let open = [">", " "].map(|end| text.matches(&format!("<{tag}{end}")).count());
        let open: usize = open.iter().sum();
        assert_eq!(open, text.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
    assert!(!text.contains("http://") && !text.contains("https://"), "it needs no network");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    leave_early("run --windows 2");
    leave_early("run --windows 2 --json");
    let load = "configs/traces/v3like_abrupt_w120.npz";
    leave_early(&format!("plan --load {load} --ranks 32 --slots 288 --json"));
}

/// Starts the program and closes its standard output before it has a result.
fn leave_early(line: &str) {
    let mut child = command(&line.split_whitespace().collect::<Vec<_>>())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(child.wait().unwrap().success(), "{line}: {error}");
    assert_eq!(error, "", "{line}");
}
