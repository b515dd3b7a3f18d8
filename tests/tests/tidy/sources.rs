//! Rules on single source files.

use super::repository::{files, name, read, root};

/// Longest source file, in lines.
const MOST_LINES: usize = 600;

/// Where `unsafe` may stand: at the edge to devices and foreign languages.
const UNSAFE_FOLDERS: [&str; 7] = [
    "crates/device/src/raw/",
    "crates/conformance/src/lent.rs",
    "device-backends/",
    "ffi/",
    "crates/capi/",
    "crates/python/src/lent.rs",
    "tests/emulators/",
];

/// Crates with a folder or file of these below them, whose root cannot forbid unsafe code.
const EDGE_CRATES: [&str; 3] = ["crates/device/", "crates/conformance/", "crates/python/"];

/// Where threads and clocks may be: in the runtime, where ranks wait for each other, in the engine that plays an engine, in the suite that
/// plays ranks and ends cases by a deadline, in backends (a stream is a thread) and what stands for
/// vendors, and where the command line measures or follows processes.
const THREAD_FOLDERS: [&str; 10] = [
    "crates/runtime/",
    "crates/launch/",
    "crates/conformance/",
    "tests/emulators/",
    "crates/sim/src/engine/",
    "device-backends/",
    "crates/cli/src/bench",
    "crates/cli/src/run/processes.rs",
    "crates/cli/src/plan.rs",
    "crates/cli/src/simulate.rs",
];

fn sources() -> Vec<(String, String)> {
    let sources: Vec<_> =
        files(&root(), ".rs").iter().map(|path| (name(path), read(path))).collect();
    assert!(sources.len() > 100, "only {} source files were found", sources.len());
    sources
}

/// The crates' own sources: no tests, no examples.
fn library_sources() -> impl Iterator<Item = (String, String)> {
    sources().into_iter().filter(|(file, _)| file.contains("/src/"))
}

/// A file's code before its unit tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

fn is_below(file: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| file.starts_with(folder))
}

#[test]
fn files_are_short() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{file} has {lines} lines, at most {MOST_LINES} are allowed");
    }
}

#[test]
fn files_say_what_they_are() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{file} does not begin with a line of documentation");
    }
}

/// What is built with an engine's sources, and not by cargo.
#[test]
fn integrations_are_short_files_that_say_what_they_are() {
    let folder = root().join("integrations");
    let sources: Vec<_> = [".h", ".cpp"].iter().flat_map(|ending| files(&folder, ending)).collect();
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    for (file, text) in sources.iter().map(|path| (name(path), read(path))) {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{file} has {lines} lines, at most {MOST_LINES} are allowed");
        assert!(text.starts_with("// "), "{file} does not begin with a line that says what it is");
    }
}

#[test]
fn python_files_are_short_and_say_what_they_are() {
    let mut files_seen = 0;
    for ending in [".py", ".pyi"] {
        for path in files(&root(), ending) {
            let (file, text) = (name(&path), read(&path));
            let lines = text.lines().count();
            assert!(lines <= MOST_LINES, "{file} has {lines} lines, allowed are {MOST_LINES}");
            assert!(text.starts_with("\"\"\""), "{file} does not begin with what it is");
            files_seen += 1;
        }
    }
    assert!(files_seen > 20, "only {files_seen} Python files were found");
}

#[test]
fn unsafe_code_stays_at_the_edge() {
    let mut forbidding = 0;
    for (file, text) in library_sources() {
        if file.ends_with("src/lib.rs") {
            let edge = is_below(&file, &EDGE_CRATES) || is_below(&file, &UNSAFE_FOLDERS);
            let forbids = text.contains("#![forbid(unsafe_code)]");
            assert!(edge || forbids, "{file} does not forbid unsafe code");
            forbidding += usize::from(forbids);
        }
        if is_below(&file, &UNSAFE_FOLDERS) {
            continue;
        }
        for (line, code) in code(&text) {
            let used = code.contains("unsafe {") || code.contains("unsafe impl");
            assert!(!used, "{file}:{line}: unsafe code outside of the edge crates");
        }
    }
    assert!(forbidding >= 8, "only {forbidding} crates forbid unsafe code");
}

#[test]
fn threads_and_clocks_stay_in_the_runtime() {
    let words = ["thread::spawn", "thread::Builder", "Instant::now", "SystemTime::now", "sleep("];
    for (file, text) in library_sources() {
        // The barrier of the engine's threads is the engine's; progress bars are indicatif's.
        if is_below(&file, &THREAD_FOLDERS) {
            continue;
        }
        for (line, code) in code(&text) {
            for word in words {
                assert!(!code.contains(word), "{file}:{line}: {word} outside of the runtime");
            }
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    for (file, text) in library_sources() {
        for (line, code) in code(&text) {
            for word in ["println!", "print!(", "eprint!", "dbg!"] {
                assert!(!code.contains(word), "{file}:{line}: {word} in a library");
            }
            let streams = code.contains("stdout()") || code.contains("stderr()");
            assert!(!streams || file.starts_with("crates/cli/"), "{file}:{line}: prints");
        }
    }
}

#[test]
fn no_vendor_is_named_above_the_backends() {
    for (file, text) in library_sources() {
        // File formats bear the names of the engines that they come from.
        if !file.starts_with("crates/") || file.contains("/formats/") || file.contains("/cli/") {
            continue;
        }
        for (line, code) in code(&text) {
            let code = code.to_lowercase();
            for vendor in ["cuda", "nccl", "hccl", "aclrt", "ascend", "nvidia", "huawei"] {
                let named = code.contains(vendor) && !code.contains("vllm_ascend");
                let named = named && !code.contains("descend") && !code.contains("ascending");
                assert!(!named, "{file}:{line}: {vendor} above the device backends");
            }
        }
    }
}

#[test]
fn no_test_is_left_out_and_nothing_is_unfinished() {
    for (file, text) in sources() {
        if file.ends_with("tidy/sources.rs") {
            continue;
        }
        for word in ["#[ignore", "todo!(", "unimplemented!(", "TODO", "FIXME"] {
            assert!(!text.contains(word), "{file}: {word}");
        }
    }
}
