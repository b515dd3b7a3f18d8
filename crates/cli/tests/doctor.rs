//! `eplb doctor`, and backends whose libraries are not where they were said to be.
#![allow(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

mod program;

use program::{command, json, printed};

const VARIABLES: [&str; 5] =
    ["EPLB_CUDART", "EPLB_CUDA", "EPLB_NCCL", "EPLB_ASCENDCL", "EPLB_HCCL"];

/// The command on a machine where no vendor's library is, whatever machine this is.
fn without_libraries(arguments: &[&str]) -> std::process::Output {
    let mut command = command(arguments);
    for variable in VARIABLES {
        command.env(variable, format!("/no/such/folder/{variable}.so"));
    }
    command.output().unwrap()
}

#[test]
fn without_any_library_the_host_is_there_and_the_rest_is_told() {
    let report = json(&without_libraries(&["doctor", "--json"]));
    assert_eq!(report["default"], "host");
    assert_eq!(report["usable"], serde_json::json!(["host"]));
    let backends = report["backends"].as_array().unwrap();
    let names: Vec<_> = backends.iter().map(|found| found["backend"].as_str().unwrap()).collect();
    assert_eq!(names, ["host", "cuda", "ascend"]);
    assert_eq!(backends[0]["usable"], true);
    assert_eq!(backends[0]["devices"][0]["info"]["name"], "host memory");
    assert!(backends[0]["devices"][0]["memory"]["total"].as_u64().unwrap() > 0);
    for (backend, libraries) in [(&backends[1], 3), (&backends[2], 2)] {
        assert_eq!(backend["usable"], false);
        assert!(backend["reason"].as_str().unwrap().contains("was not found"), "{backend}");
        let found = backend["libraries"].as_array().unwrap();
        assert_eq!(found.len(), libraries);
        for library in found {
            let variable = library["variable"].as_str().unwrap();
            let problem = library["problem"].as_str().unwrap();
            assert!(problem.contains(&format!("/no/such/folder/{variable}.so")), "{problem}");
        }
    }
}

#[test]
fn people_read_the_same() {
    let text = printed(&without_libraries(&["doctor"]));
    for words in [
        "host: usable",
        "device 0: host memory",
        "cuda: not usable: the CUDA runtime was not found",
        "EPLB_NCCL may name it",
        "ascend: not usable: the ACL runtime was not found",
        "/no/such/folder/EPLB_HCCL.so",
        "host is used unless --backend names another",
        "no accelerator can be used here",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_backend_that_is_not_there_is_an_error_and_the_host_still_runs() {
    for (backend, library) in [("cuda", "CUDA runtime"), ("ascend", "ACL runtime")] {
        let output = without_libraries(&["run", "--backend", backend, "--windows", "1"]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(&format!("eplb: {library} was not loaded: ")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let report = json(&without_libraries(&["run", "--windows", "1", "--json"]));
    assert_eq!(report["backend"], "host");
}

#[test]
fn ranks_that_share_a_device_run_alike() {
    let run = |more: &[&str]| {
        let flags = ["run", "--windows", "12", "--ep_size", "4", "--json"];
        json(&command(&[&flags, more].concat()).output().unwrap())
    };
    let (each, shared) = (run(&[]), run(&["--device", "2"]));
    assert_eq!(each["digest"], shared["digest"]);
    assert_eq!(each["digest"].as_str().unwrap().len(), 32);
}

#[test]
fn a_configuration_says_where_libraries_are_and_comes_before_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[backend.libraries]\nnccl = \"/of/the/file/libnccl.so\"").unwrap();
    let config = config.to_str().unwrap();
    let report = json(&without_libraries(&["doctor", "--json", "--config", config]));
    let problem = |library: usize| report["backends"][1]["libraries"][library]["problem"].clone();
    assert!(problem(2).as_str().unwrap().contains("/of/the/file/libnccl.so"), "{}", problem(2));
    assert!(problem(0).as_str().unwrap().contains("/no/such/folder/EPLB_CUDART.so"));
    let output = without_libraries(&["doctor", "--config", "/no/such/file.toml"]);
    assert_eq!(output.status.code(), Some(2));
}
