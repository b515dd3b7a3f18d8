//! Where a process looks by itself. Variables of the environment and libraries of the process are the
//! whole process's, so each case is a process of its own: this test again, with `ROLE` set.

use std::path::Path;
use std::process::Command;

use eplb_ascend_sys::{AclRuntime, Hccl, Search};

use super::fake;

const ROLE: &str = "EPLB_ASCEND_SYS_TEST_ROLE";
const TEST: &str = "environment::a_process_looks_where_its_environment_says";

/// Loads a library as a program would, and says what came of it.
fn look(library: &str) -> String {
    let search = Search::new();
    let found = match library {
        "acl" => AclRuntime::open(&search).map(|acl| (acl.origin, acl.attempts)),
        _ => Hccl::open(&search).map(|hccl| (hccl.origin, hccl.attempts)),
    };
    match found {
        Ok((origin, attempts)) => format!("{origin} after {}", attempts.len()),
        Err(error) => error.to_string(),
    }
}

/// What a process with these variables says.
fn in_a_process(library: &str, variables: &[(&str, &Path)]) -> String {
    let mut process = Command::new(std::env::current_exe().unwrap());
    for variable in ["EPLB_ASCENDCL", "EPLB_HCCL", "ASCEND_HOME_PATH", "LD_LIBRARY_PATH"] {
        process.env_remove(variable);
    }
    process.args(["--exact", TEST, "--nocapture"]).env(ROLE, library);
    let output = process.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().find_map(|line| line.split_once("found: "));
    said.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[test]
fn a_process_looks_where_its_environment_says() {
    if let Ok(library) = std::env::var(ROLE) {
        println!("found: {}", look(&library));
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("lib64");
    let all = || AclRuntime::REQUIRED.iter().copied();
    let acl = fake::library(&folder, "libascendcl.so", all(), "");
    let hccl = fake::library(&folder, "libhccl.so", Hccl::REQUIRED.iter().copied(), "");
    let named = acl.display();

    let variable = in_a_process("acl", &[("EPLB_ASCENDCL", &acl)]);
    assert_eq!(variable, format!("EPLB_ASCENDCL={named} after 0"));
    let both = format!("{named}:{}", hccl.display());
    let two = in_a_process("hccl", &[("EPLB_HCCL", Path::new(&both))]);
    assert_eq!(two, format!("EPLB_HCCL={both} after 0"));
    let preloaded = in_a_process("acl", &[("LD_PRELOAD", &acl)]);
    assert_eq!(preloaded, "symbols of the process after 0");
    let by_name = in_a_process("acl", &[("LD_LIBRARY_PATH", &folder)]);
    assert_eq!(by_name, "libacl_rt.so and libascendcl.so after 1");

    // Whoever names a file does not want another.
    let nothing = Path::new("/nowhere/libascendcl.so");
    let variables: [(&str, &Path); 2] = [("EPLB_ASCENDCL", nothing), ("LD_LIBRARY_PATH", &folder)];
    let refused = in_a_process("acl", &variables);
    assert!(
        refused.starts_with("ACL runtime was not loaded: EPLB_ASCENDCL=/nowhere/"),
        "{refused}"
    );

    // The rest is looked at only where the loader finds nothing, which depends on the machine.
    let installed = in_a_process("hccl", &[("ASCEND_HOME_PATH", home.path())]);
    let by_loader = "libhccl.so and libhcomm.so after 1".to_owned();
    assert!(
        [format!("{} after 2", folder.display()), by_loader].contains(&installed),
        "{installed}"
    );
    let nowhere = in_a_process("acl", &[]);
    let places = ["symbols of the process: ", "libacl_rt.so and libascendcl.so: ", "cann/lib64: "];
    let is_found = nowhere.contains(" after ");
    assert!(is_found || places.iter().all(|place| nowhere.contains(place)), "{nowhere}");
}
