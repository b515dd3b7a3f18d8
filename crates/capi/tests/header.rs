//! Headers, generated declarations, numbers and the version script belong together.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod built;
mod headers;

/// Every number that was ever given to an error. A number is never changed, removed or reused.
const NUMBERS: [(&str, i32); 40] = [
    ("EPLB_OK", 0),
    ("EPLB_ERROR_NULL", 1),
    ("EPLB_ERROR_HANDLE", 2),
    ("EPLB_ERROR_FREED", 3),
    ("EPLB_ERROR_BUSY", 4),
    ("EPLB_ERROR_PANIC", 5),
    ("EPLB_ERROR_BROKEN", 6),
    ("EPLB_ERROR_STRUCT_SIZE", 7),
    ("EPLB_ERROR_ARGUMENT", 8),
    ("EPLB_ERROR_LENGTH", 9),
    ("EPLB_ERROR_TEXT", 10),
    ("EPLB_ERROR_STATE", 11),
    ("EPLB_ERROR_CALLBACK", 12),
    ("EPLB_ERROR_CONFIG", 20),
    ("EPLB_ERROR_MODEL", 21),
    ("EPLB_ERROR_TOPOLOGY", 22),
    ("EPLB_ERROR_PLACEMENT", 23),
    ("EPLB_ERROR_PROFILE", 24),
    ("EPLB_ERROR_POLICY", 25),
    ("EPLB_ERROR_MANAGER", 26),
    ("EPLB_ERROR_BACKEND", 27),
    ("EPLB_ERROR_REPORT", 40),
    ("EPLB_ERROR_HEADER", 41),
    ("EPLB_ERROR_STEP_REFUSED", 42),
    ("EPLB_ERROR_COMMIT_FAILED", 43),
    ("EPLB_ERROR_STEP_ORDER", 44),
    ("EPLB_ERROR_EXECUTOR", 45),
    ("EPLB_ERROR_LOAD", 46),
    ("EPLB_ERROR_NO_COUNTERS", 47),
    ("EPLB_ERROR_NOT_RUNNING", 48),
    ("EPLB_ERROR_THREAD", 49),
    ("EPLB_ERROR_UNSETTLED", 50),
    ("EPLB_ERROR_DEVICE_LOST", 60),
    ("EPLB_ERROR_OUT_OF_MEMORY", 61),
    ("EPLB_ERROR_UNSUPPORTED", 62),
    ("EPLB_ERROR_INVALID_USE", 63),
    ("EPLB_ERROR_ABORTED", 64),
    ("EPLB_ERROR_TIMED_OUT", 65),
    ("EPLB_ERROR_DEVICE_FAILED", 66),
    ("EPLB_ERROR_OTHER", 99),
];

#[test]
fn error_numbers_are_what_they_always_were() {
    let code = headers::code();
    let values = code.split_once("enum eplb_status_code {").unwrap().1.split_once('}').unwrap().0;
    let found: Vec<(&str, i32)> = values
        .split(',')
        .filter_map(|value| value.trim().split_once(" = "))
        .map(|(name, number)| (name, number.parse().unwrap()))
        .collect();
    assert_eq!(found, NUMBERS);
}

/// The full comparison is `ci/update-bindings --check`, which needs libclang; this needs nothing.
#[test]
fn generated_files_are_of_the_present_headers() {
    for header in headers::paths() {
        let bytes = std::fs::read(&header).unwrap();
        let checksum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let stem = header.file_stem().unwrap().to_str().unwrap();
        let generated = built::folder().join(format!("src/generated/{stem}_h.rs"));
        let text = std::fs::read_to_string(&generated).unwrap();
        assert!(
            text.contains(&format!("Header checksum: {checksum:016x}")),
            "{} is of an older {stem}.h: run ci/update-bindings",
            generated.display()
        );
    }
}

#[test]
fn every_function_has_a_version() {
    let map = std::fs::read_to_string(built::folder().join("eplb.map")).unwrap();
    let named: Vec<&str> = map
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter(|name| name.starts_with("eplb_"))
        .collect();
    assert_eq!(named, headers::functions());
}

#[test]
fn every_header_and_source_is_short() {
    for folder in ["include", "examples", "examples/engine"] {
        let folder = built::folder().join(folder);
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() {
                let lines = std::fs::read_to_string(&entry).unwrap().lines().count();
                assert!(lines <= 600, "{} has {lines} lines", entry.display());
            }
        }
    }
}
