//! The program that runs commands with the emulated libraries.

use std::process::Command;

use eplb_cuda_sys::{CudaDriver, CudaRuntime, Nccl, Search};
use eplb_emulators::Control;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use crate::child::{Child, libraries, must, say};

pub(crate) fn the_program_sets_the_environment() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emulated"));
    command.arg("cuda").arg(std::env::current_exe().unwrap());
    Child::as_role(&mut command, "loading::with_environment");
    let mut child = Child::run(command);
    assert_eq!(child.line(), "loaded");
    child.end();
    for arguments in [&[][..], &["cuda"], &["vax", "true"], &["cuda", "/no/such/program"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_emulated")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

pub(crate) fn with_environment() {
    let search = Search::new();
    let runtime = CudaRuntime::open(&search).unwrap();
    CudaDriver::open(&search).unwrap();
    Nccl::open(&search).unwrap();
    assert_eq!(runtime.files, [eplb_emulators::cuda().file("EPLB_CUDART").unwrap()]);
    say("loaded");
}

pub(crate) fn two_vendors_do_not_mix() {
    Child::start("loading::both_vendors", &[]).end();
}

/// The other vendor's symbols are there for all to see, and first.
pub(crate) fn both_vendors() {
    let ascend = eplb_emulators::ascend();
    for path in ascend.environment().values() {
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.unwrap();
        std::mem::forget(library);
    }
    let cuda = libraries(0);
    let memory = cuda.memory(64);
    must(unsafe { (cuda.runtime.cudaFree)(memory) });
    unsafe { (cuda.runtime.cudaFree)(memory) };
    assert_eq!(cuda.rules(), ["double_free"]);
    let kept = cuda.memory(64);
    let other = Control::of(&ascend).unwrap();
    assert_eq!(other.violations(), []);
    assert_eq!(other.live()["allocations"], 0);
    assert_eq!(cuda.control.live()["allocations"], 1);
    must(unsafe { (cuda.runtime.cudaFree)(kept) });
}
