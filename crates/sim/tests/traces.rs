//! Traces carry what their file says, and files that contradict themselves are refused.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod files;

use std::path::Path;

use eplb_sim::{Trace, TraceError};
use files::{Folder, npy, npy_text, without_path};

fn recorded(name: &str) -> Trace {
    Trace::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/traces").join(name))
        .unwrap()
}

fn assert_sums(trace: &Trace) {
    for (window, load) in trace.windows.iter().enumerate() {
        for (layer, row) in load.rows().enumerate() {
            assert_eq!(row.iter().sum::<u64>(), 65_536 * 8, "window {window} layer {layer}");
        }
    }
}

#[test]
fn the_recorded_v3like_trace() {
    let trace = recorded("v3like_abrupt_w120.npz");
    assert_eq!(trace.name, "v3like_abrupt_w120");
    let shape = trace.shape;
    assert_eq!((shape.layers(), shape.experts(), shape.groups()), (11, 256, 8));
    assert_eq!((trace.windows.len(), trace.top_k, trace.tokens_per_window), (120, 8, 65_536));
    assert_eq!(trace.model.as_deref(), Some("v3like"));
    assert_eq!(trace.schedule.as_deref(), Some("abrupt"));
    assert_sums(&trace);
    // The corners, as NumPy prints them.
    let first = trace.windows[0].rows().next().unwrap();
    assert_eq!(first[..3], [1436, 1531, 1680]);
    let last = trace.windows[119].rows().last().unwrap();
    assert_eq!(last[253..], [1633, 1366, 1981]);
}

#[test]
fn the_recorded_qwen3like_trace() {
    let trace = recorded("qwen3like_steady_w24.npz");
    let shape = trace.shape;
    assert_eq!((shape.layers(), shape.experts(), shape.groups()), (14, 128, 1));
    assert_eq!((trace.windows.len(), trace.top_k, trace.tokens_per_window), (24, 8, 65_536));
    assert_eq!(trace.model.as_deref(), Some("qwen3like"));
    assert_eq!(trace.schedule.as_deref(), Some("steady"));
    assert_sums(&trace);
    assert_eq!(trace.windows[0].rows().next().unwrap()[..3], [2293, 3544, 6341]);
}

#[test]
fn what_a_file_does_not_say_has_defaults() {
    let folder = Folder::new();
    let sixteen: Vec<i64> = vec![3; 16];
    let trace = Trace::read(folder.write("plain.npy", npy("(1, 16)", &sixteen))).unwrap();
    assert_eq!((trace.name.as_str(), trace.top_k, trace.tokens_per_window), ("plain", 8, 6));
    assert_eq!((trace.model, trace.schedule), (None, None));
    // Fewer experts than the default; uneven layers: the larger one counts, rounded up.
    let trace = Trace::read(folder.write("few.json", "[[4, 5, 1], [1, 1, 1]]")).unwrap();
    assert_eq!((trace.top_k, trace.tokens_per_window), (3, 4));
    let arrays = [("top_k", npy("()", &[2])), ("counts", npy("(1, 4)", &[3, 3, 1, 1]))];
    let trace = Trace::read(folder.write_npz("some.npz", &arrays)).unwrap();
    assert_eq!((trace.top_k, trace.tokens_per_window, trace.shape.groups()), (2, 4, 1));
}

#[test]
fn contradictions_are_refused() {
    let folder = Folder::new();
    let message = |extra: &[(&str, Vec<u8>)]| {
        let mut arrays = vec![("counts", npy("(2, 1, 4)", &[1, 2, 3, 2, 2, 2, 2, 2]))];
        arrays.extend_from_slice(extra);
        let path = folder.write_npz("a.npz", &arrays);
        without_path(Trace::read(&path).unwrap_err().to_string(), &path)
    };
    let number = |value: i64| npy("()", &[value]);
    let two = ("top_k", number(2));
    assert_eq!(
        message(&[("top_k", number(5))]),
        "top_k is 5, allowed is 1 to 4 (the experts of a layer)"
    );
    assert_eq!(
        message(&[("top_k", number(0))]),
        "top_k is 0, allowed is 1 to 4 (the experts of a layer)"
    );
    assert_eq!(
        message(&[two.clone(), ("tokens_per_window", number(5))]),
        "window 0, layer 0: the counts sum to 8, tokens_per_window 5 with top_k 2 needs 10"
    );
    assert_eq!(
        message(&[two.clone(), ("n_experts", number(8))]),
        "n_experts is 8, the counts have 4"
    );
    assert_eq!(message(&[("n_layers", number(2))]), "n_layers is 2, the counts have 1");
    assert_eq!(
        message(&[("n_group", number(3))]),
        "array \"counts\": 4 experts do not divide into 3 groups; give a divisor of 4"
    );
    assert_eq!(
        message(&[("top_k", npy("(2,)", &[1, 2]))]),
        "array \"top_k\" has type \"<i8\" and shape [2], allowed is a single whole number"
    );
    assert_eq!(
        message(&[("top_k", npy_text("two"))]),
        "array \"top_k\" has type \"<U3\" and shape [], allowed is a single whole number"
    );
    assert_eq!(
        message(&[("model", number(3))]),
        "array \"model\" has type \"<i8\" and shape [], allowed is a single text"
    );
    assert_eq!(
        message(&[("top_k", number(-1))]),
        "array \"top_k\" is -1, allowed are whole numbers from 0 to 72057594037927936"
    );
}

#[test]
fn a_trace_needs_tokens() {
    let folder = Folder::new();
    let path = folder.write("zeros.json", "[[0, 0], [0, 0]]");
    let error = Trace::read(&path).unwrap_err();
    assert!(matches!(error, TraceError::NoTokens { .. }));
    assert_eq!(
        without_path(error.to_string(), &path),
        "all counts are zero, a trace needs at least one token"
    );
    // With tokens stated, zero counts contradict them.
    let arrays = [("tokens_per_window", npy("()", &[1])), ("counts", npy("(1, 1)", &[0]))];
    let error = Trace::read(folder.write_npz("zeros.npz", &arrays)).unwrap_err();
    assert!(matches!(error, TraceError::Sum { sum: 0, tokens: 1, .. }));
    let missing = Trace::read(folder.path("missing.npz")).unwrap_err();
    assert!(matches!(missing, TraceError::Load(_)));
}
