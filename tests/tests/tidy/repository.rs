//! Finding the repository's files, and rules on the repository as a whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files below `folder` with the given ending, build outputs left out.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with("target") && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A file's path from the root, for messages and rules.
pub(crate) fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_top_level_is_what_the_architecture_names() {
    let entries = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !name.starts_with("target"))
        .collect();
    let architecture = read(&root().join("ARCHITECTURE.md"));
    for folder in &folders {
        assert!(
            architecture.contains(&format!("{folder}/")),
            "ARCHITECTURE.md does not say what {folder}/ is for"
        );
    }
    for folder in ["crates", "device-backends", "configs", "tests", "ci"] {
        assert!(folders.contains(folder), "{folder} is missing");
    }
}

#[test]
fn every_crate_is_in_the_architecture() {
    let architecture = read(&root().join("ARCHITECTURE.md"));
    for manifest in files(&root(), "Cargo.toml") {
        let table: toml::Table = read(&manifest).parse().unwrap();
        if let Some(package) = table.get("package") {
            let package = package["name"].as_str().unwrap();
            assert!(
                architecture.contains(&format!("`{package}`")),
                "ARCHITECTURE.md does not name {package}"
            );
        }
    }
}

#[test]
fn the_readme_has_the_two_commands_that_ci_runs() {
    let readme = read(&root().join("README.md"));
    let commands: Vec<_> = readme.lines().map(str::trim).collect();
    assert!(commands.contains(&"cargo run --release"), "README.md lacks the first command");
    assert!(commands.contains(&"ci/test"), "README.md lacks the second command");
    assert!(read(&root().join("ci/quickstart-check")).contains("cargo run --release"));
    assert!(read(&root().join(".ci/run")).contains("ci/test"));
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut links = 0;
    for document in files(&root(), ".md") {
        let text = read(&document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            let path = document.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {target}, which is not there", name(&document));
        }
    }
    assert!(links > 5, "the documents link to each other");
}
