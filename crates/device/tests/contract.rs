//! The contract's table answers every row of the behaviour of the vendors' libraries.

use std::collections::BTreeSet;

const TABLE: &str = include_str!("../src/raw/behaviour.md");
const CONTRACT: &str = include_str!("../src/raw/mod.rs");

/// Topics of the behaviour table, by section.
const TOPICS: [(&str, &[&str]); 5] = [
    ("9.1", &["initialisation", "thread rule", "streams", "callbacks", "error text", "visibility"]),
    ("9.2", &["malloc", "free", "asynchronous copy", "events", "peer access", "IPC memory"]),
    (
        "9.3",
        &[
            "communicator creation",
            "one device, two ranks",
            "ordering",
            "send/recv",
            "batch",
            "HcclGroup and ncclGroup",
            "count 0",
            "alignment",
            "barrier",
            "determinism",
            "memory cost",
            "timeouts",
            "asynchronous error",
            "abort",
        ],
    ),
    (
        "9.4",
        &[
            "context per thread",
            "fence before free",
            "one issuing thread or lock per device",
            "batched point-to-point",
            "deadlines",
            "count communicators",
            "reductions",
        ],
    ),
    ("lent", &["context", "stream", "communicator", "pointer"]),
];

/// The cells of each row below the head of the table.
fn rows() -> Vec<[&'static str; 4]> {
    TABLE
        .lines()
        .skip(2)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.try_into().expect("four cells in each row")
        })
        .collect()
}

/// The numbers of the rules that the contract defines.
fn rules() -> BTreeSet<String> {
    CONTRACT
        .lines()
        .filter_map(|line| line.strip_prefix("//! - **R"))
        .filter_map(|line| line.split(',').next())
        .map(|number| format!("R{number}"))
        .collect()
}

#[test]
fn every_topic_has_exactly_one_row() {
    let expected: Vec<(&str, &str)> = TOPICS
        .iter()
        .flat_map(|(section, topics)| topics.iter().map(move |topic| (*section, *topic)))
        .collect();
    let found: Vec<(&str, &str)> = rows().iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_row_names_rules_that_exist_and_says_how() {
    let rules = rules();
    for [section, topic, named, how] in rows() {
        assert!(!how.is_empty(), "{section} {topic} says nothing");
        for rule in named.split(", ") {
            assert!(rules.contains(rule), "{section} {topic}: no rule {rule:?}");
        }
    }
}

#[test]
fn rules_are_numbered_without_gaps_and_each_is_needed_by_a_row() {
    let rules = rules();
    let numbered: BTreeSet<String> = (1..=28).map(|number| format!("R{number}")).collect();
    assert_eq!(rules, numbered);
    let named: BTreeSet<String> =
        rows().iter().flat_map(|row| row[2].split(", ").map(str::to_owned)).collect();
    assert_eq!(named, rules);
}
