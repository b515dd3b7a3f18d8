//! Traces and load files that can't be used.

use super::{assert_refused, program};

/// The name and the text of a file, and what is said of it, as a load and as a trace.
const CASES: &[(&str, &str, &str)] = &[
    (
        "e.npz",
        "",
        "{dir}/e.npz: is not a .npz (zip) archive: invalid Zip archive: Could not find EOCD",
    ),
    ("e.npy", "", "{dir}/e.npy: the array is not in the .npy format: it ends within the header"),
    ("e.json", "", "{dir}/e.json: is not JSON: EOF while parsing a value at line 1 column 0"),
    (
        "x.txt",
        "1",
        r#"{dir}/x.txt: the ending "txt" is not known, allowed are .npy, .npz and .json"#,
    ),
    (
        "x.npz",
        "not an archive",
        "{dir}/x.npz: is not a .npz (zip) archive: invalid Zip archive: Could not find EOCD",
    ),
    (
        "x.npy",
        "not an array",
        "{dir}/x.npy: the array is not in the .npy format: it does not start with \\x93NUMPY",
    ),
    (
        "a.json",
        "[1, 2, 3]",
        "{dir}/a.json: the file has shape [3], allowed are [layers, experts] and [windows, layers, experts]",
    ),
    (
        "b.json",
        "[[1, 2], [3]]",
        "{dir}/b.json: the file at [1] has 1 entries, the lists before it have 2",
    ),
    (
        "c.json",
        "[[1, -2]]",
        "{dir}/c.json: the file at [0, 1] is -2, allowed are whole numbers from 0 to 72057594037927936",
    ),
    (
        "d.json",
        "[[1, 2.5]]",
        "{dir}/d.json: the file at [0, 1] is 2.5, allowed are whole numbers from 0 to 72057594037927936",
    ),
    (
        "f.json",
        "[[]]",
        "{dir}/f.json: the file is empty (shape [1, 0]), every dimension must be at least 1",
    ),
    ("g.json", r#"{"counts": 1}"#, r#"{dir}/g.json: has no key "logical_count" (keys: counts)"#),
    ("h.json", r#"[[1, "x"]]"#, "{dir}/h.json: the file at [0, 1] is a string, allowed is a count"),
    (
        "i.json",
        "[[1e30, 1]]",
        "{dir}/i.json: the file at [0, 0] is 1e+30, allowed are whole numbers from 0 to 72057594037927936",
    ),
    ("j.json", "[[1, 2", "{dir}/j.json: is not JSON: EOF while parsing a list at line 1 column 6"),
    ("k.json", "7", "{dir}/k.json: the file is a number, allowed is a list of lists of counts"),
    (
        "l.json",
        "[[[[1]]]]",
        "{dir}/l.json: the file has shape [1, 1, 1, 1], allowed are [layers, experts] and [windows, layers, experts]",
    ),
    ("m.json", "[[null, 1]]", "{dir}/m.json: the file at [0, 0] is null, allowed is a count"),
];

#[test]
fn files_are_refused_as_loads_and_as_traces() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, expected) in CASES {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let plan = ["plan", "--ranks", "2", "--slots", "4", "--load", path].map(str::to_owned);
        assert_refused(folder.path(), &plan, expected);
        let run = ["run", "--trace", path].map(str::to_owned);
        assert_refused(folder.path(), &run, expected);
    }
    assert!(CASES.len() >= 18);
}

fn plan(name: &str, bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap();
    let plan = ["plan", "--ranks", "2", "--slots", "4", "--load", path].map(str::to_owned);
    assert_refused(folder.path(), &plan, expected);
}

#[test]
fn a_truncated_archive_is_refused() {
    let whole =
        std::fs::read(program::root().join("configs/traces/qwen3like_steady_w24.npz")).unwrap();
    let expected =
        "{dir}/t.npz: is not a .npz (zip) archive: invalid Zip archive: Could not find EOCD";
    plan("t.npz", &whole[..whole.len() / 2], expected);
}

#[test]
fn too_many_tokens_are_refused() {
    let expected = "{dir}/big.json: the file: window 0: layer 0 has more than 72057594037927936 tokens in all; give shorter windows";
    plan("big.json", b"[[72057594037927936, 1]]", expected);
}

#[test]
fn a_trace_without_tokens_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("z.json");
    std::fs::write(&path, "[[0, 0, 0, 0], [0, 0, 0, 0]]").unwrap();
    let run = ["run", "--trace", path.to_str().unwrap()].map(str::to_owned);
    let expected = "{dir}/z.json: all counts are zero, a trace needs at least one token";
    assert_refused(folder.path(), &run, expected);
}

#[test]
fn missing_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.npy");
    let path = path.to_str().unwrap();
    let plan = ["plan", "--ranks", "2", "--slots", "4", "--load", path].map(str::to_owned);
    assert_refused(folder.path(), &plan, "{dir}/missing.npy: cannot be read: …");
    let run = ["run", "--trace", path].map(str::to_owned);
    assert_refused(folder.path(), &run, "{dir}/missing.npy: cannot be read: …");
}

/// A `.npy` file of shape [1, 4].
fn npy(descr: &str, data: &[u8]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 4), }}");
    let header = format!("{dictionary:<117}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

#[test]
fn arrays_of_other_types_are_refused() {
    let types = "allowed are integers of 1, 2, 4 or 8 bytes, float32 and float64";
    let expected = format!("{{dir}}/c.npy: the array has values of type \"<c8\", {types}");
    plan("c.npy", &npy("<c8", &[0; 32]), &expected);
    let expected = format!("{{dir}}/u.npy: the array has values of type \"<U1\", {types}");
    plan("u.npy", &npy("<U1", &[0; 16]), &expected);
    let expected = "{dir}/o.npy: the array holds pickled Python objects, which are not read; save it as an integer array";
    plan("o.npy", &npy("|O", &[0; 32]), expected);
    let negative = [1i32, 2, -3, 4].map(i32::to_le_bytes).concat();
    let expected = "{dir}/n.npy: the array at [0, 2] is -3, allowed are whole numbers from 0 to 72057594037927936";
    plan("n.npy", &npy("<i4", &negative), expected);
    let expected = "{dir}/s.npy: the array ends after 3 of 4 values, the file is truncated";
    plan("s.npy", &npy("<i4", &[1; 12]), expected);
}
