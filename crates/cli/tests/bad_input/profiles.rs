//! Profiles that can't be used, by those who read them.

use super::{assert_refused, words};

const GOOD: &str = r#"{"format": "eplb-profile", "version": 1, "layers": 1, "experts": 4, "groups": 1,
  "windows": [{"recent": 1, "lasting": 1, "count": 1, "counts": [[1, 2, 3, 4]]}]}"#;

/// What is replaced in the text of a profile and by what, and what is said of it.
const CASES: &[(&str, &str, &str)] = &[
    (GOOD, "", "{dir}/p.json: not JSON: EOF while parsing a value at line 1 column 0"),
    (GOOD, "[[1, 2]]", "{dir}/p.json: the text is an array, it must be an object"),
    (GOOD, "{}", "{dir}/p.json: format is missing"),
    ("eplb-profile", "other", r#"{dir}/p.json: format is "other", it must be "eplb-profile""#),
    (
        r#""version": 1"#,
        r#""version": 2"#,
        "{dir}/p.json: version is 2, it must be 1, the version that is read here",
    ),
    (r#""layers": 1"#, r#""layers": 0"#, "{dir}/p.json: layers is 0, allowed is 1 to 4096"),
    (
        r#""experts": 4"#,
        r#""experts": 5"#,
        "{dir}/p.json: windows[0].counts[0] has 4 entries, expected are 5 (logical experts)",
    ),
    (
        r#""recent": 1"#,
        r#""recent": -1"#,
        "{dir}/p.json: windows[0]: recent is -1, allowed is 0 to 9007199254740992",
    ),
    (
        r#""count": 1,"#,
        r#""count": 0,"#,
        "{dir}/p.json: windows[0]: count is 0, allowed is 1 to 9007199254740992",
    ),
    (
        "3, 4]",
        "72057594037927936, 4]",
        "{dir}/p.json: windows[0]: layer 0 has more than 72057594037927936 tokens in all; give shorter windows",
    ),
    (
        r#"{"recent": 1, "lasting": 1, "count": 1, "counts": [[1, 2, 3, 4]]}"#,
        "",
        "{dir}/p.json: a profile needs at least one window, this has none",
    ),
];

#[test]
fn profiles_are_refused_by_plans_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let trace = folder.path().join("t.json");
    std::fs::write(&trace, "[[[1, 2, 3, 4]], [[1, 2, 3, 4]], [[1, 2, 3, 4]]]").unwrap();
    let (profile, trace) = (path.display(), trace.display());
    for (old, new, expected) in CASES {
        assert!(GOOD.contains(old), "{old}");
        std::fs::write(&path, GOOD.replacen(old, new, 1)).unwrap();
        for line in [
            format!("plan --profile {profile} --ranks 2 --slots 6"),
            format!("simulate {trace} --profile {profile} --ranks 2 --slots 6"),
        ] {
            assert_refused(folder.path(), &words(&line), expected);
        }
    }
}

#[test]
fn profiles_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    std::fs::write(&path, GOOD).unwrap();
    let profile = path.display();
    let refuse = |line: String, expected: &str| {
        assert_refused(folder.path(), &words(&line), expected);
    };
    refuse(
        format!("plan --profile {profile} --ranks 2 --slots 2"),
        "--slots 2 is not allowed; allowed: at least 4, the experts of {dir}/p.json",
    );
    refuse(
        format!("plan --profile {profile} --ranks 2 --slots 4 --groups 3"),
        "--groups 3: 4 experts do not divide into 3 groups; give a divisor of 4",
    );
    refuse(
        format!("plan --profile {} --ranks 2 --slots 4", folder.path().display()),
        "{dir}: cannot be read: it is not a regular file",
    );
    let trace = "configs/traces/qwen3like_steady_w24.npz";
    refuse(
        format!("simulate {trace} --profile {profile} --ranks 16 --slots 144"),
        "{dir}/p.json: it is of 1 layers of 4 experts, the model has 14 of 128",
    );
}
