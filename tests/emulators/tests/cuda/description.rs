//! Every rule stands in the README, and every rule of CUDA is broken by a test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Broken by what no test of this program can do: the tests with several processes do.
const ELSEWHERE: [&str; 4] = [
    "environment_not_understood",
    "environment_unfit",
    "freed_while_imported",
    "order_not_understood",
];

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// What is in double quotes and looks like a rule, on lines that name one.
fn rules_of(text: &str) -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    for (line, next) in text.lines().zip(text.lines().skip(1)) {
        let words = ["report(", "violate(", "refuse(", " rule", "? \""];
        let Some(at) = words.iter().filter_map(|word| line.find(word)).min() else { continue };
        // A name may stand on the next line.
        for piece in format!("{}{next}", &line[at..]).split('"').skip(1).step_by(2) {
            let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
            if piece.contains('_') && piece.chars().all(is_name) {
                rules.insert(piece.to_owned());
            }
        }
    }
    rules
}

#[test]
fn rules_are_described_and_broken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rules = BTreeSet::new();
    for folder in ["core", "cuda", "nccl"] {
        for path in files(&root.join(folder), ".cpp") {
            rules.extend(rules_of(&std::fs::read_to_string(path).unwrap()));
        }
    }
    assert!(rules.len() > 40, "{rules:?}");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let tests: String = files(&root.join("tests/cuda"), ".rs")
        .iter()
        .filter(|path| !path.ends_with("description.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for rule in rules {
        assert!(readme.contains(&format!("`{rule}`")), "README.md does not name {rule}");
        let is_tested =
            tests.contains(&format!("\"{rule}\"")) || ELSEWHERE.contains(&rule.as_str());
        assert!(is_tested, "no test breaks {rule}");
    }
}
