//! Imports run one way.

use std::collections::{BTreeMap, BTreeSet};

use super::repository::{files, name, read, root};

/// For each crate the crates of this workspace that it may use. A crate that is not here may not
/// exist; an import that is not here is a change of the architecture, to be made in ARCHITECTURE.md
/// first.
const ALLOWED: [(&str, &[&str]); 22] = [
    ("eplb-core", &[]),
    ("eplb-policy", &["eplb-core"]),
    ("eplb-manager", &["eplb-core"]),
    ("eplb-device", &[]),
    ("eplb-executor", &["eplb-core", "eplb-device"]),
    ("eplb-host", &["eplb-device"]),
    ("eplb", &["eplb-core", "eplb-device", "eplb-executor", "eplb-manager", "eplb-policy"]),
    ("eplb-launch", &[]),
    ("eplb-sim", &["eplb", "eplb-core", "eplb-launch"]),
    ("eplb-conformance", &["eplb", "eplb-sim"]),
    ("eplb-capi", &["eplb", "eplb-backends"]),
    (
        "eplb-cli",
        &["eplb", "eplb-backends", "eplb-conformance", "eplb-executor", "eplb-launch", "eplb-sim"],
    ),
    ("eplb-python", &["eplb", "eplb-backends", "eplb-sim"]),
    ("eplb-ascend", &["eplb-ascend-sys", "eplb-device"]),
    ("eplb-ascend-sys", &["eplb-loading"]),
    ("eplb-backends", &["eplb-ascend", "eplb-cuda", "eplb-device", "eplb-host"]),
    ("eplb-bindings", &[]),
    ("eplb-cuda", &["eplb-cuda-sys", "eplb-device"]),
    ("eplb-cuda-sys", &["eplb-loading"]),
    ("eplb-loading", &[]),
    ("eplb-emulators", &[]),
    ("eplb-tests", &[]),
];

fn manifests() -> Vec<(String, toml::Table)> {
    files(&root(), "Cargo.toml")
        .iter()
        .map(|path| (name(path), read(path).parse().unwrap()))
        .filter(|(_, table): &(_, toml::Table)| table.contains_key("package"))
        .collect()
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let manifests = manifests();
    assert!(manifests.len() >= 10);
    let members: BTreeSet<String> = manifests
        .iter()
        .map(|(_, table)| table["package"]["name"].as_str().unwrap().to_owned())
        .collect();
    for (file, table) in &manifests {
        let package = table["package"]["name"].as_str().unwrap();
        let may = allowed.get(package).unwrap_or_else(|| panic!("{file}: {package} has no rule"));
        for section in ["dependencies", "build-dependencies"] {
            let used = table.get(section).and_then(|section| section.as_table());
            for used in used.into_iter().flatten().map(|(used, _)| used) {
                assert!(
                    !members.contains(used) || may.contains(&used.as_str()),
                    "{file}: {package} must not use {used}"
                );
            }
        }
    }
}

#[test]
fn every_crate_takes_the_shared_settings() {
    for (file, table) in manifests() {
        let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints.and_then(toml::Value::as_bool), Some(true), "{file}: [lints]");
        for key in ["version", "edition", "license", "rust-version"] {
            let shared = table["package"][key].get("workspace").and_then(toml::Value::as_bool);
            assert_eq!(shared, Some(true), "{file}: package.{key} is not the workspace's");
        }
        let description = table["package"]["description"].as_str().unwrap();
        assert!(description.len() > 20, "{file}: {description:?} describes nothing");
        for section in ["dependencies", "dev-dependencies"] {
            let used = table.get(section).and_then(|section| section.as_table());
            for (used, value) in used.into_iter().flatten() {
                let shared = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(shared, Some(true), "{file}: {used} has a version of its own");
            }
        }
    }
}
