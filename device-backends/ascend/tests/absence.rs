//! A process without the libraries learns so as a value.

use std::path::PathBuf;

use eplb_ascend::{AscendBackend, Libraries, rank_table};
use eplb_ascend_sys::{Failure, Origin, Search};
use eplb_device::{Backend, ErrorKind};

fn nowhere(name: &str) -> (PathBuf, Search) {
    let path = PathBuf::from("/no/such/folder").join(name);
    (path.clone(), Search::at(path))
}

#[test]
fn a_missing_runtime_is_an_error_that_says_what_was_tried() {
    let mut libraries = Libraries::default();
    let (path, search) = nowhere("libascendcl.so");
    libraries.runtime = search;
    let error = AscendBackend::open(&libraries).expect_err("there is no such file");
    assert_eq!(error.attempts.len(), 1);
    assert_eq!(error.attempts[0].origin, Origin::Paths(vec![path]));
    assert!(matches!(error.attempts[0].failure, Failure::NotOpened(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("ACL runtime"), "{text}");
    assert!(text.contains("/no/such/folder/libascendcl.so"), "{text}");
    assert!(text.contains("EPLB_ASCENDCL"), "{text}");
}

#[test]
fn another_library_is_not_taken_for_the_runtime() {
    // The test's own program is an ELF file, but no library that has the symbols.
    let mut libraries = Libraries::default();
    libraries.runtime = Search::at(std::env::current_exe().unwrap());
    let error = AscendBackend::open(&libraries).expect_err("it is not the runtime");
    assert_eq!(error.attempts.len(), 1);
}

#[test]
fn without_devices_there_is_no_failure() {
    let mut libraries = Libraries::default();
    libraries.hccl = nowhere("libhccl.so").1;
    let backend = match AscendBackend::open(&libraries) {
        Ok(backend) => backend,
        Err(error) => {
            // No runtime on this machine: then that is what has to be said.
            assert!(!error.attempts.is_empty());
            return;
        }
    };
    assert!(backend.missing_hccl().unwrap().to_string().contains("libhccl.so"));
    let devices = backend.devices().unwrap();
    let error = backend.open(devices).expect_err("there is no such device");
    assert_eq!(error.kind(), ErrorKind::InvalidUse);
}

#[test]
fn a_missing_runtime_is_diagnosed() {
    let mut libraries = Libraries::default();
    libraries.runtime = nowhere("libascendcl.so").1;
    libraries.hccl = nowhere("libhccl.so").1;
    let diagnosis = AscendBackend::diagnose(&libraries);
    assert!(!diagnosis.usable);
    assert!(diagnosis.reason.contains("ACL runtime"), "{}", diagnosis.reason);
    assert_eq!(diagnosis.libraries.len(), 2);
    assert!(diagnosis.libraries.iter().all(|library| library.problem.is_some()));
}

#[test]
fn a_rank_table_needs_no_library_and_no_file() {
    assert!(rank_table("/etc/hccl.json").is_ok());
    assert_eq!(rank_table("").unwrap_err().kind(), ErrorKind::InvalidUse);
}
