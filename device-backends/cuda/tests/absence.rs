//! A process without the libraries learns so as a value.

use std::path::PathBuf;

use eplb_cuda::{CudaBackend, Libraries};
use eplb_cuda_sys::{Failure, Origin, Search};
use eplb_device::{Backend, ErrorKind};

fn nowhere(name: &str) -> (PathBuf, Search) {
    let path = PathBuf::from("/no/such/folder").join(name);
    (path.clone(), Search::at(path))
}

#[test]
fn a_missing_runtime_is_an_error_that_says_what_was_tried() {
    let mut libraries = Libraries::default();
    let (path, search) = nowhere("libcudart.so");
    libraries.runtime = search;
    let error = CudaBackend::open(&libraries).expect_err("there is no such file");
    assert_eq!(error.attempts.len(), 1);
    assert_eq!(error.attempts[0].origin, Origin::Path(path));
    assert!(matches!(error.attempts[0].failure, Failure::NotOpened(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("CUDA runtime"), "{text}");
    assert!(text.contains("/no/such/folder/libcudart.so"), "{text}");
    assert!(text.contains("EPLB_CUDART"), "{text}");
}

#[test]
fn another_library_is_not_taken_for_the_runtime() {
    // The test's own program is an ELF file, but no library that has the symbols.
    let mut libraries = Libraries::default();
    libraries.runtime = Search::at(std::env::current_exe().unwrap());
    let error = CudaBackend::open(&libraries).expect_err("it is not the runtime");
    assert_eq!(error.attempts.len(), 1);
}

#[test]
fn without_a_driver_there_are_no_devices_and_no_failure() {
    let mut libraries = Libraries::default();
    libraries.driver = nowhere("libcuda.so.1").1;
    libraries.nccl = nowhere("libnccl.so.2").1;
    let backend = match CudaBackend::open(&libraries) {
        Ok(backend) => backend,
        Err(error) => {
            // No runtime on this machine either: then that is what has to be said.
            assert!(!error.attempts.is_empty());
            return;
        }
    };
    assert_eq!(backend.devices(), Ok(0));
    assert!(backend.missing_driver().unwrap().to_string().contains("libcuda.so.1"));
    assert!(backend.missing_nccl().unwrap().to_string().contains("libnccl.so.2"));
    let error = backend.open(0).expect_err("there is no device");
    assert_eq!(error.kind(), ErrorKind::InvalidUse);
    assert!(error.text().contains("libcuda.so.1"), "{error}");
}
