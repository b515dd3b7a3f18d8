//! Files that hold no loads are refused with a message that says what is wrong and where.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod files;

use std::fs::File;

use eplb_sim::LoadFile;
use files::{Folder, npy, npy_bytes, npy_with_header, without_path};

const ALLOWED: &str = "allowed are whole numbers from 0 to 72057594037927936";

const RECORDED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/traces/qwen3like_steady_w24.npz");

/// A bad file and the message for it, without the path.
struct Bad {
    name: &'static str,
    bytes: Vec<u8>,
    message: String,
}

fn bad(name: &'static str, bytes: impl AsRef<[u8]>, message: impl Into<String>) -> Bad {
    Bad { name, bytes: bytes.as_ref().to_vec(), message: message.into() }
}

fn check(cases: Vec<Bad>) {
    let folder = Folder::new();
    for Bad { name, bytes, message } in cases {
        let path = folder.write(name, bytes);
        let error = LoadFile::read(&path).unwrap_err();
        assert_eq!(error.path(), path);
        let found = without_path(error.to_string(), &path);
        assert_eq!(found, message, "{name}");
    }
}

fn shortened(mut bytes: Vec<u8>, by: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - by);
    bytes
}

fn doubles(values: [f64; 4]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy_bytes("<f8", false, "(1, 2, 2)", &data)
}

#[test]
fn arrays_with_values_that_are_no_counts() {
    let value = |index: &str, value: &str| format!("the array at {index} is {value}, {ALLOWED}");
    let over = (1 << 56) + 1;
    check(vec![
        bad("a.npy", npy("(2, 1, 2)", &[1, 2, 3, -4]), value("[1, 0, 1]", "-4")),
        bad("a.npy", npy("(2, 2)", &[1, 2, -3, 4]), value("[1, 0]", "-3")),
        bad("a.npy", npy_bytes("|i1", true, "(2, 2)", &[1, 2, 0xff, 4]), value("[0, 1]", "-1")),
        bad("a.npy", npy("(1, 2)", &[0, over]), value("[0, 1]", "72057594037927937")),
        bad("a.npy", doubles([1.0, 2.5, 3.0, 4.0]), value("[0, 0, 1]", "2.5")),
        bad("a.npy", doubles([1.0, 2.0, f64::NAN, 4.0]), value("[0, 1, 0]", "NaN")),
        bad("a.npy", doubles([f64::INFINITY, 2.0, 3.0, 4.0]), value("[0, 0, 0]", "inf")),
        bad("a.npy", doubles([1.0, 2.0, 3.0, -1e300]), value("[0, 1, 1]", "-1e300")),
        bad(
            "a.npy",
            npy("(2, 1, 2)", &[1, 1, 1 << 56, 1]),
            "the array: window 1: layer 0 has more than 72057594037927936 tokens in all; give \
             shorter windows",
        ),
        bad(
            "a.npy",
            npy_bytes("<f2", false, "(1, 2)", &[0; 4]),
            "the array has values of type \"<f2\", allowed are integers of 1, 2, 4 or 8 bytes, \
             float32 and float64",
        ),
        bad(
            "a.npy",
            npy_bytes("|b1", false, "(1, 2)", &[0; 2]),
            "the array has values of type \"|b1\", allowed are integers of 1, 2, 4 or 8 bytes, \
             float32 and float64",
        ),
        bad(
            "a.npy",
            npy_bytes("|O", false, "(1, 2)", b"\x80\x04pickle"),
            "the array holds pickled Python objects, which are not read; save it as an integer \
             array",
        ),
    ]);
}

#[test]
fn arrays_with_shapes_that_are_no_loads() {
    let allowed = "allowed are [layers, experts] and [windows, layers, experts]";
    let limit = "allowed are 1048576 windows and 67108864 counts in all; split the file";
    check(vec![
        bad("a.npy", npy("(3,)", &[1, 2, 3]), format!("the array has shape [3], {allowed}")),
        bad("a.npy", npy("()", &[1]), format!("the array has shape [], {allowed}")),
        bad(
            "a.npy",
            npy("(1, 1, 1, 2)", &[1, 2]),
            format!("the array has shape [1, 1, 1, 2], {allowed}"),
        ),
        bad(
            "a.npy",
            npy("(0, 2, 4)", &[]),
            "the array is empty (shape [0, 2, 4]), every dimension must be at least 1",
        ),
        // Promises 10^15 counts; nothing may be allocated for them.
        bad(
            "a.npy",
            npy("(100000, 100000, 100000)", &[1]),
            format!("the array has shape [100000, 100000, 100000], {limit}"),
        ),
        // The product of these does not fit 64 bits.
        bad(
            "a.npy",
            npy("(18446744073709551615, 18446744073709551615)", &[1]),
            format!("the array has shape [18446744073709551615, 18446744073709551615], {limit}"),
        ),
        bad(
            "a.npy",
            npy("(2000000, 1, 1)", &[1]),
            format!("the array has shape [2000000, 1, 1], {limit}"),
        ),
        bad(
            "a.npy",
            npy("(1, 70000)", &[0; 70_000]),
            "the array: experts is 70000, allowed is 1 to 65536",
        ),
        bad(
            "a.npy",
            npy("(60000000, 1)", &[1]),
            "the array ends after 1 of 60000000 values, the file is truncated",
        ),
        bad(
            "a.npy",
            shortened(npy("(2, 2)", &[1, 2, 3, 4]), 12),
            "the array ends after 2 of 4 values, the file is truncated",
        ),
        bad(
            "a.npy",
            npy("(1, 2)", &[1, 2, 3]),
            "the array has bytes after its last value; save one array to a file or use .npz",
        ),
    ]);
}

#[test]
fn arrays_with_broken_headers() {
    let broken = |bytes: &[u8], reason: &str| {
        bad("a.npy", bytes, format!("the array is not in the .npy format: {reason}"))
    };
    let header = |text: &str, reason: &str| broken(&npy_with_header(text, &[0; 16]), reason);
    let mut huge_header = b"\x93NUMPY\x02\x00".to_vec();
    huge_header.extend(u32::MAX.to_le_bytes());
    check(vec![
        broken(b"", "it ends within the header"),
        broken(b"\x93NUMPY\x01\x00\xff", "it ends within the header"),
        broken(b"not an array at all", "it does not start with \\x93NUMPY"),
        broken(b"\x93NUMPY\x04\x00....", "version 4.0, allowed are 1.0, 2.0 and 3.0"),
        broken(&huge_header, "a header of 4294967295 bytes, allowed are 16384 bytes"),
        header("{}", "the header lacks one of descr, fortran_order and shape"),
        header(
            "{'descr': '<i8', 'fortran_order': False, 'shape': (-1, 2)}",
            "byte 51 of the header's text is not a dimension (a whole number of 0 or more)",
        ),
        header(
            "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 99999999999999999999)}",
            "dimension 99999999999999999999 is larger than any array",
        ),
        header(
            "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 02)}",
            "dimension 02 starts with a zero",
        ),
        header("{'descr': '<i8', 'color': 1}", "unknown key \"color\" in the header"),
        header("{'descr': '<i8', 'descr': '<i8'}", "key \"descr\" is given twice in the header"),
        header(
            "{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (1, 2)}",
            "it is a structured array, allowed are plain arrays",
        ),
        header(
            "{'descr': '<i8', 'fortran_order': 0, 'shape': (1, 2)}",
            "byte 34 of the header's text is not True or False",
        ),
        // Deep nesting must end in an error, not in the end of the stack.
        header(
            &format!("{{'shape': {}", "(".repeat(10_000)),
            "byte 11 of the header's text is not a dimension (a whole number of 0 or more)",
        ),
        header(
            "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2)} + 1",
            "byte 58 of the header's text is not the end of the header",
        ),
    ]);
}

#[test]
fn json_that_holds_no_loads() {
    check(vec![
        bad("a.json", "[[1, -2]]", format!("the file at [0, 1] is -2, {ALLOWED}")),
        bad("a.json", "[[[1, 2], [0.5, 2]]]", format!("the file at [0, 1, 0] is 0.5, {ALLOWED}")),
        bad("a.json", "[[1, 1e99]]", format!("the file at [0, 1] is 1e+99, {ALLOWED}")),
        bad("a.json", "[[1, 2], [3]]", "the file at [1] has 1 entries, the lists before it have 2"),
        bad("a.json", "[[1, 2], [3, \"4\"]]", "the file at [1, 1] is a string, allowed is a count"),
        bad("a.json", "[[1, 2], [3, [4]]]", "the file at [1, 1] is a list, allowed is a count"),
        bad("a.json", "[[1, 2], null]", "the file at [1] is null, allowed is a list"),
        bad("a.json", "7", "the file is a number, allowed is a list of lists of counts"),
        bad("a.json", "[]", "the file is empty (shape [0]), every dimension must be at least 1"),
        bad(
            "a.json",
            "[1, 2]",
            "the file has shape [2], allowed are [layers, experts] and [windows, layers, experts]",
        ),
        bad(
            "a.json",
            r#"{"physical_to_logical_map": [[0, 1]], "epoch": 3}"#,
            "has no key \"logical_count\" (keys: epoch, physical_to_logical_map)",
        ),
        bad(
            "a.json",
            r#"{"logical_count": [[1, true]]}"#,
            "logical_count at [0, 1] is a bool, allowed is a count",
        ),
        bad("a.json", "[[1, 2", "is not JSON: EOF while parsing a list at line 1 column 6"),
        bad(
            "a.json",
            "[".repeat(100_000),
            "is not JSON: recursion limit exceeded at line 1 column 128",
        ),
    ]);
}

#[test]
fn files_that_are_no_load_files() {
    let ending = |ending: &str| {
        format!("the ending {ending:?} is not known, allowed are .npy, .npz and .json")
    };
    check(vec![
        bad("a.csv", "1,2", ending("csv")),
        bad("loads", "1,2", ending("")),
        bad("a.pt", "PK", ending("pt")),
    ]);
    let folder = Folder::new();
    let message = |name: &str| {
        let path = folder.path(name);
        without_path(LoadFile::read(&path).unwrap_err().to_string(), &path)
    };
    assert!(message("missing.npy").starts_with("cannot be read: "));
    std::fs::create_dir(folder.path("folder.npy")).unwrap();
    assert_eq!(message("folder.npy"), "is not a regular file");
    let long = File::create(folder.path("long.json")).unwrap();
    long.set_len(LoadFile::MOST_JSON_BYTES + 1).unwrap();
    assert_eq!(
        message("long.json"),
        "has more than 67108864 bytes, which is too much JSON to read; save it as .npy or .npz"
    );
}

#[test]
fn archives_that_hold_no_loads() {
    let folder = Folder::new();
    let message = |arrays: &[(&str, Vec<u8>)]| {
        let path = folder.write_npz("a.npz", arrays);
        without_path(LoadFile::read(&path).unwrap_err().to_string(), &path)
    };
    assert_eq!(
        message(&[("counts", npy("(1, 2)", &[1, -1]))]),
        format!("array \"counts\" at [0, 1] is -1, {ALLOWED}")
    );
    assert_eq!(
        message(&[("b", npy("(1, 2)", &[1, 1])), ("a", npy("(1, 1, 1)", &[1]))]),
        "more than one array can be the load (a, b); name the one that is meant \"counts\""
    );
    assert_eq!(
        message(&[("b", npy("(1,)", &[1])), ("a", npy_bytes("|O", false, "(1, 2)", b""))]),
        "has no array \"counts\" and no other array of numbers with two or three dimensions \
         (arrays: a |O [1, 2], b <i8 [1])"
    );
    assert_eq!(
        message(&[("counts", npy_bytes("|O", false, "(1, 2)", b"pickle"))]),
        "array \"counts\" holds pickled Python objects, which are not read; save it as an integer \
         array"
    );
    assert_eq!(
        message(&[("counts", npy("(3, 2)", &[1, 2, 3, 4, 5]))]),
        "array \"counts\" ends after 5 of 6 values, the file is truncated"
    );
}

#[test]
fn files_that_are_no_archives() {
    let folder = Folder::new();
    let recorded = std::fs::read(RECORDED).unwrap();
    for bytes in [b"", &b"PK"[..], &npy("(1, 2)", &[1, 2]), &recorded[..recorded.len() / 2]] {
        let path = folder.write("a.npz", bytes);
        let message = without_path(LoadFile::read(&path).unwrap_err().to_string(), &path);
        assert!(message.starts_with("is not a .npz (zip) archive: "), "{message}");
    }
}

#[test]
fn damaged_archives_give_an_error_or_the_same_loads() {
    let recorded = std::fs::read(RECORDED).unwrap();
    let intact = LoadFile::read(RECORDED).unwrap();
    let folder = Folder::new();
    let mut refused = 0;
    // Every part is hit: local headers, compressed values, the directory at the end.
    let places = (0..recorded.len()).step_by(1_009).chain(recorded.len() - 300..recorded.len());
    for place in places {
        let mut damaged = recorded.clone();
        damaged[place] ^= 0x11;
        match LoadFile::read(folder.write("a.npz", &damaged)) {
            Ok(file) => assert_eq!(file, intact, "byte {place}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 90, "{refused}");
    // A changed value that still decompresses is found by the checksum.
    let mut damaged = recorded;
    damaged[60_000] ^= 4;
    let path = folder.write("a.npz", &damaged);
    let message = without_path(LoadFile::read(&path).unwrap_err().to_string(), &path);
    assert!(message.contains("hecksum") || message.contains("array \"counts\""), "{message}");
}

#[test]
fn damaged_headers_give_an_error_or_loads_of_some_shape() {
    let folder = Folder::new();
    let intact = npy("(2, 2)", &[1, 2, 3, 4]);
    let (mut read, mut refused) = (0, 0);
    for place in 0..intact.len() - 32 {
        for byte in [0, b'0', b'9', b'(', b')', b'{', b',', b'\'', b'>', b'f', b'-', 0x93, 0xff] {
            let mut damaged = intact.clone();
            damaged[place] = byte;
            match LoadFile::read(folder.write("a.npy", &damaged)) {
                Ok(file) => read += u32::from(file.shape.experts() == 2),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 0 && refused > 500, "{read} read, {refused} refused");
}
