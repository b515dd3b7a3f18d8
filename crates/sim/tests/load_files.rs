//! Every format of load files is read for what it is.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod files;

use std::path::Path;

use eplb_core::LayerId;
use eplb_sim::LoadFile;
use files::{Folder, npy, npy_bytes, npy_text, npy_with_header};

/// Windows, layers and experts of a file.
fn counts(path: &Path) -> Vec<Vec<Vec<u64>>> {
    let file = LoadFile::read(path).unwrap();
    file.windows.iter().map(|load| load.rows().map(<[u64]>::to_vec).collect()).collect()
}

/// Two windows, two layers, three experts: 1 to 12 in order.
fn expected() -> Vec<Vec<Vec<u64>>> {
    vec![vec![vec![1, 2, 3], vec![4, 5, 6]], vec![vec![7, 8, 9], vec![10, 11, 12]]]
}

/// 1 to 12 in the order in which Fortran stores them.
const FORTRAN: [u8; 12] = [1, 7, 4, 10, 2, 8, 5, 11, 3, 9, 6, 12];

#[test]
fn all_value_types_in_both_byte_orders() {
    let folder = Folder::new();
    let mut read = 0;
    let mut check = |descr: &str, little: Vec<u8>, big: Vec<u8>| {
        for (order, data) in [('<', little), ('>', big)] {
            let bytes = npy_bytes(&format!("{order}{descr}"), false, "(2, 2, 3)", &data);
            assert_eq!(counts(&folder.write("loads.npy", bytes)), expected(), "{order}{descr}");
            read += 1;
        }
    };
    macro_rules! check {
        ($($type:ty: $descr:literal),*) => {$(
            let values = (1..=12u8).map(|value| value as $type);
            check(
                $descr,
                values.clone().flat_map(<$type>::to_le_bytes).collect(),
                values.flat_map(<$type>::to_be_bytes).collect(),
            );
        )*};
    }
    check!(i16: "i2", i32: "i4", i64: "i8", u16: "u2", u32: "u4", u64: "u8", f32: "f4", f64: "f8");
    assert_eq!(read, 16);
    for descr in ["|i1", "|u1"] {
        let data: Vec<u8> = (1..=12).collect();
        let bytes = npy_bytes(descr, false, "(2, 2, 3)", &data);
        assert_eq!(counts(&folder.write("loads.npy", bytes)), expected(), "{descr}");
    }
}

#[test]
fn fortran_order_with_two_and_three_dimensions() {
    let folder = Folder::new();
    let bytes = npy_bytes("|u1", true, "(2, 2, 3)", &FORTRAN);
    assert_eq!(counts(&folder.write("loads.npy", bytes)), expected());
    let bytes = npy_bytes("|u1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6]);
    assert_eq!(counts(&folder.write("loads.npy", bytes)), [[[1, 2, 3], [4, 5, 6]]]);
}

#[test]
fn two_dimensions_are_one_window() {
    let folder = Folder::new();
    let path = folder.write("LOADS.NPY", npy("(2, 3)", &[1, 2, 3, 4, 5, 6]));
    let file = LoadFile::read(&path).unwrap();
    assert_eq!((file.shape.layers(), file.shape.experts(), file.shape.groups()), (2, 3, 1));
    assert_eq!(file.windows.len(), 1);
    assert_eq!(file.windows[0].layer(LayerId(1)), [4, 5, 6]);
    assert_eq!(LoadFile::read_with_groups(&path, 3).unwrap().shape.groups(), 3);
}

#[test]
fn headers_of_all_versions_and_spellings() {
    let folder = Folder::new();
    let spelled = [
        "{'descr': '<i2', 'fortran_order': False, 'shape': (1, 2), }            \n",
        r#"{"shape":(1,2),"fortran_order":False,"descr":"<i2"}"#,
        "{ 'shape' : ( 1 , 2 , ) , 'descr' : '<i2' , 'fortran_order' : False }",
    ];
    for header in spelled {
        let path = folder.write("loads.npy", npy_with_header(header, &[5, 0, 6, 1]));
        assert_eq!(counts(&path), [[[5, 262]]], "{header}");
    }
    for version in [2, 3] {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        bytes.extend((spelled[0].len() as u32).to_le_bytes());
        bytes.extend(spelled[0].as_bytes());
        bytes.extend([5, 0, 6, 1]);
        assert_eq!(counts(&folder.write("loads.npy", bytes)), [[[5, 262]]]);
    }
}

#[test]
fn archives_take_counts_or_the_only_array_that_fits() {
    let folder = Folder::new();
    let path = folder.write_npz(
        "loads.npz",
        &[("other", npy("(1, 2)", &[9, 9])), ("counts", npy("(1, 2)", &[3, 4]))],
    );
    assert_eq!(counts(&path), [[[3, 4]]]);
    let path = folder.write_npz(
        "loads.npz",
        &[
            ("seed", npy("()", &[1])),
            ("names", npy_bytes("<U1", false, "(1, 1)", b"a\0\0\0")),
            ("objects", npy_bytes("|O", false, "(1, 1)", b"pickle")),
            ("experts", npy("(1, 1, 2)", &[5, 6])),
            ("model", npy_text("small")),
        ],
    );
    assert_eq!(counts(&path), [[[5, 6]]]);
}

#[test]
fn json_lists_and_logical_counts() {
    let folder = Folder::new();
    for text in [
        "[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]",
        r#"{"rank": 0, "logical_count": [[[1, 2, 3], [4, 5, 6.0]], [[7, 8, 9], [1e1, 11, 12]]]}"#,
    ] {
        assert_eq!(counts(&folder.write("loads.json", text)), expected());
    }
    for text in ["[[0, 72057594037927936]]", r#"{"logical_count": [[0, 72057594037927936]]}"#] {
        assert_eq!(counts(&folder.write("loads.json", text)), [[[0, 1 << 56]]]);
    }
}
