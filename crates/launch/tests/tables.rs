//! Rank tables: those that are good, and each way in which one is not.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use eplb_launch::{RankTable, TableError};

fn entry(rank: &str, rest: &str) -> String {
    format!("[[ranks]]\nrank = {rank}\n{rest}\n")
}

const FIRST: &str = "host = \"a\"\naddress = \"10.0.0.1:7000\"";
const OTHER: &str = "host = \"b\"\naddress = \"10.0.0.2\"";

#[test]
fn toml_and_json_say_the_same() {
    let toml = entry("1", &format!("{OTHER}\ndevice = 3")) + &entry("0", FIRST);
    let json = r#"{"ranks": [
        {"rank": 0, "host": "a", "address": "10.0.0.1:7000"},
        {"rank": 1, "host": "b", "address": "10.0.0.2", "device": 3}
    ]}"#;
    let table = RankTable::parse(&toml).unwrap();
    assert_eq!(table, RankTable::parse(json).unwrap());
    assert_eq!(table.size(), 2);
    assert_eq!(table.hosts(), ["a", "b"]);
    assert_eq!(table.entry(1).unwrap().device, Some(3));
    assert!(table.entry(2).is_err());
}

#[test]
fn tables_that_are_none_are_refused_in_one_line() {
    let two = |second: &str, rest: &str| entry("0", FIRST) + &entry(second, rest);
    for (text, expected) in [
        (String::new(), "line 1: missing field `ranks`"),
        ("ranks = []".to_owned(), "0 ranks are not allowed; allowed: 1 to 16384"),
        ("{\"ranks\": [}".to_owned(), "expected value at line 1 column 12"),
        (two("0", OTHER), "rank 0 comes twice; allowed: each once"),
        (two("2", OTHER), "rank 1 is missing; allowed: 0 to 1, each once"),
        (two("-1", OTHER), "line 6: invalid value: integer `-1`, expected u32"),
        (two("1", "host = \" \"\naddress = \"x\""), "rank 1 has no host; give its host a name"),
        (two("1", "host = \"b\""), "line 5: missing field `address`"),
        (
            two("1", "host = \"b\"\naddress = \"x:0\""),
            "rank 1 has address \"x:0\"; allowed: host:port with a port from 1 to 65535",
        ),
        (
            two("1", "host = \"b\"\naddress = \"a b\""),
            "rank 1 has address \"a b\"; allowed: host:port, or host",
        ),
        (
            entry("0", OTHER),
            "rank 0 has address \"10.0.0.2\"; allowed: host:port, since rank 0 listens there",
        ),
        (
            two("1", &format!("{OTHER}\nip = 3")),
            "line 9: unknown field `ip`, expected one of `rank`, `host`, `address`, `device`",
        ),
        (
            entry("0", &format!("{FIRST}\ndevice = 1"))
                + &entry("1", "host = \"a\"\naddress = \"10.0.0.1\"\ndevice = 1")
                + &entry("2", "host = \"a\"\naddress = \"10.0.0.1\"\ndevice = 2"),
            "device 1 of a has two ranks; allowed: one each, or all",
        ),
    ] {
        assert_eq!(RankTable::parse(&text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn all_ranks_of_a_host_may_share_its_one_device() {
    let text = entry("0", &format!("{FIRST}\ndevice = 0"))
        + &entry("1", "host = \"a\"\naddress = \"10.0.0.1\"\ndevice = 0");
    assert!(RankTable::parse(&text).is_ok());
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.toml");
    let error = RankTable::read(&path).unwrap_err();
    assert!(matches!(error, TableError::Unreadable { .. }), "{error}");
    std::fs::write(&path, "ranks = 3").unwrap();
    let error = RankTable::read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: line 1: ", path.display())), "{error}");
    let error = RankTable::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no regular file"), "{error}");
}
