//! Profiles: ensembles written as text and read back, and texts that are none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use eplb_core::formats::{FormatError, profile};
use eplb_core::{
    Ensemble, EnsembleError, EnsembleSettings, Estimator, ExpertLoad, ModelShape, WindowWeight,
};
use proptest::prelude::*;

const PROFILE: &str = r#"{"format": "eplb-profile", "version": 1,
  "layers": 2, "experts": 3, "groups": 1, "windows": [
  {"recent": 0.25, "lasting": 5.5, "count": 6, "counts": [[7, 8, 9], [4, 5, 6]]},
  {"recent": 1, "lasting": 1, "count": 1, "counts": [[1, 2, 3], [0, 0, 0]]}]}"#;

/// An ensemble that has seen these windows.
fn ensemble(settings: EnsembleSettings, windows: &[[u64; 6]]) -> Ensemble {
    let shape = ModelShape::new(2, 3, 3).unwrap();
    let mut ensemble = Ensemble::new(shape, settings).unwrap();
    for window in windows {
        let rows: Vec<_> = window.chunks(3).collect();
        ensemble.push(ExpertLoad::from_rows(shape, &rows).unwrap()).unwrap();
    }
    ensemble
}

fn settings() -> EnsembleSettings {
    EnsembleSettings { recent: 3, representatives: 4 }
}

/// The example with `old` replaced, which must be there.
fn with(old: &str, new: &str) -> String {
    assert!(PROFILE.contains(old), "{old}");
    PROFILE.replacen(old, new, 1)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back_exactly(
        windows in prop::collection::vec(prop::array::uniform6(0..1u64 << 53), 1..40),
    ) {
        let seen = ensemble(settings(), &windows);
        let text = profile::write(&seen).unwrap();
        let read = profile::parse(&text).unwrap();
        prop_assert_eq!(read.shape(), seen.shape());
        prop_assert!(read.windows().eq(seen.windows()));
        prop_assert_eq!(profile::write(&read).unwrap(), text);
        // It goes on as if it had never stopped: the same representatives are united.
        let windows = read.windows().cloned().collect();
        let mut again = Ensemble::from_windows(seen.shape(), settings(), windows).unwrap();
        prop_assert!(again.windows().eq(seen.windows()));
        prop_assert!(again.recent().eq(seen.recent()));
        let mut seen = seen;
        for next in 0..3 {
            let rows = [[next, 1, 2], [5, 6, 7]];
            let next = ExpertLoad::from_rows(read.shape(), &rows).unwrap();
            seen.push(next.clone()).unwrap();
            again.push(next).unwrap();
        }
        let loads = |ensemble: &Ensemble| -> Vec<_> {
            ensemble.windows().map(|window| window.load.clone()).collect()
        };
        prop_assert_eq!(loads(&again), loads(&seen));
    }
}

#[test]
fn as_many_windows_as_an_ensemble_has_are_read_back() {
    let most = EnsembleSettings { recent: Ensemble::MOST_WINDOWS, representatives: 0 };
    let windows: Vec<_> = (0..Ensemble::MOST_WINDOWS as u64).map(|n| [n, 1, 2, 3, 4, 5]).collect();
    let seen = ensemble(most, &windows);
    let text = profile::write(&seen).unwrap();
    assert!(profile::parse(&text).unwrap().windows().eq(seen.windows()));
    let (start, windows) = text.split_once("\"windows\":[").unwrap();
    let (one, _) = windows.split_once("},").unwrap();
    let error = profile::parse(&format!("{start}\"windows\":[{one}}},{windows}")).unwrap_err();
    assert_eq!(error.to_string(), "windows has 1025 entries, allowed are at most 1024");
}

#[test]
fn the_form_is_as_documented() {
    let read = profile::parse(PROFILE).unwrap();
    assert_eq!(read.shape(), ModelShape::new(2, 3, 1).unwrap());
    let windows: Vec<_> = read.windows().collect();
    assert_eq!(windows[0].weight, WindowWeight::from_parts(0.25, 5.5, 6.0).unwrap());
    assert_eq!(windows[1].weight, WindowWeight::NEW);
    assert_eq!(windows[0].load.rows().collect::<Vec<_>>(), [[7, 8, 9], [4, 5, 6]]);
    assert_eq!(windows[1].load.rows().collect::<Vec<_>>(), [[1, 2, 3], [0, 0, 0]]);
    let compact: String = PROFILE.split_whitespace().collect();
    let compact = compact.replace("\"count\":6", "\"count\":6.0");
    let compact =
        compact.replace(":1,\"lasting\":1,\"count\":1", ":1.0,\"lasting\":1.0,\"count\":1.0");
    assert_eq!(profile::write(&read).unwrap(), compact);
    let more = with("\"version\"", "\"made_by\": \"a program\", \"version\"");
    assert_eq!(profile::parse(&more).unwrap(), read, "unknown fields are ignored");
}

#[test]
fn an_ensemble_without_windows_makes_no_profile() {
    assert_eq!(profile::write(&ensemble(settings(), &[])), Err(FormatError::NoWindows));
}

#[test]
fn the_windows_are_planned_for_as_before() {
    let windows: Vec<_> = (0..20).map(|n| [n, 20 - n, n * n, 1, 2, 3]).collect();
    let seen = ensemble(settings(), &windows);
    let read = profile::parse(&profile::write(&seen).unwrap()).unwrap();
    assert_eq!(Estimator::Ensemble.estimate(&read), Estimator::Ensemble.estimate(&seen));
    // Taken in by another ensemble they are representatives, and none of them is recent.
    let room = EnsembleSettings { recent: 1, representatives: 7 };
    let mut fresh = Ensemble::new(seen.shape(), room).unwrap();
    fresh.merge(&read).unwrap();
    assert_eq!(fresh.recent().len(), 0);
    assert!(fresh.windows().eq(seen.windows()));
}

#[test]
fn more_windows_than_there_is_room_for_are_united() {
    let windows: Vec<_> = (0..9).map(|n| [100, n, 0, 1, 1, 1]).collect();
    let seen = ensemble(EnsembleSettings { recent: 9, representatives: 0 }, &windows);
    let room = EnsembleSettings { recent: 2, representatives: 3 };
    let windows = seen.windows().cloned().collect();
    let few = Ensemble::from_windows(seen.shape(), room, windows).unwrap();
    let counts: Vec<_> = few.windows().map(|window| window.weight.count()).collect();
    assert_eq!(counts.len(), 5);
    assert_eq!(counts.iter().sum::<f64>(), 9.0);
    assert_eq!(counts[3..], [1.0, 1.0], "the newest are recent");
    let other = ModelShape::new(2, 4, 1).unwrap();
    let windows = seen.windows().cloned().collect();
    let error = Ensemble::from_windows(other, room, windows).unwrap_err();
    assert!(matches!(error, EnsembleError::Shape { found_experts: 3, experts: 4, .. }), "{error}");
}

#[test]
fn texts_that_are_no_profiles_are_refused() {
    let most = "72057594037927936";
    let cases = [
        (String::new(), "not JSON: EOF while parsing a value at line 1 column 0"),
        (with("]}]}", ""), "not JSON: EOF while parsing a list at line 4 column 73"),
        ("7".to_owned(), "the text is 7, it must be an object"),
        (with("\"format\": \"eplb-profile\", ", ""), "format is missing"),
        (with("\"eplb-profile\"", "1"), "format is 1, it must be a text"),
        (with("eplb-profile", "x\ny"), r#"format is "x\ny", it must be "eplb-profile""#),
        (with("1,\n", "2,\n"), "version is 2, it must be 1, the version that is read here"),
        (with("1,\n", "-1,\n"), "version is -1, allowed is 0 to 9223372036854775807"),
        (with("\"layers\": 2", "\"layers\": 0"), "layers is 0, allowed is 1 to 4096"),
        (with("\"experts\": 3", "\"experts\": 99999"), "experts is 99999, allowed is 1 to 65536"),
        (
            with("\"experts\": 3", "\"experts\": 99999999999"),
            "experts is 4294967295, allowed is 1 to 65536",
        ),
        (
            with("\"groups\": 1", "\"groups\": 2"),
            "3 experts do not divide into 2 groups; give a divisor of 3",
        ),
        (with("\"layers\": 2, ", ""), "layers is missing"),
        (
            with("\"layers\": 2", "\"layers\": 3"),
            "windows[0].counts has 2 entries, expected are 3 (MoE layers)",
        ),
        (
            with("[0, 0, 0]", "[0, 0]"),
            "windows[1].counts[1] has 2 entries, expected are 3 (logical experts)",
        ),
        (with("[0, 0, 0]", "[0, 0.5, 0]"), "windows[1].counts[1][1] is 0.5, it must be an integer"),
        (
            with("[0, 0, 0]", "[0, -1, 0]"),
            "windows[1].counts[1][1] is -1, allowed is 0 to 9223372036854775807",
        ),
        (with("[0, 0, 0]", "null"), "windows[1].counts[1] is null, it must be an array"),
        (
            with("[0, 0, 0]", &format!("[{most}, 0, 1]")),
            "windows[1]: layer 1 has more than 72057594037927936 tokens in all; give shorter windows",
        ),
        (with("0.25", "-0.25"), "windows[0]: recent is -0.25, allowed is 0 to 9007199254740992"),
        (
            with("5.5", "1e17"),
            "windows[0]: lasting is 100000000000000000, allowed is 0 to 9007199254740992",
        ),
        (with("6,", "0.5,"), "windows[0]: count is 0.5, allowed is 1 to 9007199254740992"),
        (with("0.25", "\"0.25\""), "windows[0].recent is a string, it must be a number"),
        (with("0.25", "NaN"), "not JSON: expected value at line 3 column 14"),
        (with("0.25", "1e999"), "not JSON: number out of range at line 3 column 18"),
        (with("\"count\": 6, ", ""), "windows[0].count is missing"),
    ];
    for (text, expected) in cases {
        // JSON texts hold no line ends; the case above means the two characters.
        let text = text.replace("x\ny", "x\\ny");
        assert_eq!(profile::parse(&text).unwrap_err().to_string(), expected, "{text}");
    }
    let empty =
        r#"{"format":"eplb-profile","version":1,"layers":1,"experts":1,"groups":1,"windows":[]}"#;
    assert_eq!(profile::parse(empty), Err(FormatError::NoWindows));
    assert!(WindowWeight::from_parts(f64::NAN, 1.0, 1.0).is_err());
    assert!(WindowWeight::from_parts(0.0, f64::INFINITY, 1.0).is_err());
}

#[test]
fn estimators_have_texts() {
    for text in ["last", "sum", "ensemble", "sliding:1", "sliding:1024", "exponential:0.1"] {
        assert_eq!(text.parse::<Estimator>().unwrap().to_string(), text);
    }
    assert_eq!("sliding:8".parse(), Ok(Estimator::Sliding { windows: 8 }));
    assert_eq!("exponential:1".parse(), Ok(Estimator::Exponential { newest: 1.0 }));
    for text in [
        "",
        "Last",
        "last:1",
        "sliding",
        "sliding:",
        "sliding:0",
        "sliding:1025",
        "sliding:-1",
        "exponential:0",
        "exponential:1.5",
        "exponential:NaN",
        "exponential:x",
        "median:3",
    ] {
        let error = text.parse::<Estimator>().unwrap_err().to_string();
        let start = format!("no estimator is called {text:?}, allowed are last, sum, ensemble, ");
        assert!(error.starts_with(&start), "{error}");
    }
}
