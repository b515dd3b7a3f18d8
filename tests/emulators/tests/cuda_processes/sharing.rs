//! Memory of one process in others.

use std::ffi::c_void;
use std::ptr::null_mut;

use eplb_cuda_sys::{
    cudaError_t, cudaIpcMemHandle_t, cudaIpcMemLazyEnablePeerAccess, cudaMemcpyKind,
};

use crate::child::{Child, Libraries, digits, from_digits, libraries, must, say, told};

fn export(libraries: &Libraries, memory: *mut c_void) -> String {
    let mut handle = cudaIpcMemHandle_t { reserved: [0; 64] };
    must(unsafe { (libraries.runtime.cudaIpcGetMemHandle)(&raw mut handle, memory) });
    digits(&handle.reserved)
}

fn open(libraries: &Libraries, handle: &str) -> Result<*mut c_void, cudaError_t> {
    let mut address = null_mut();
    let handle = cudaIpcMemHandle_t { reserved: from_digits(handle) };
    let flags = cudaIpcMemLazyEnablePeerAccess;
    let status =
        unsafe { (libraries.runtime.cudaIpcOpenMemHandle)(&raw mut address, handle, flags) };
    if status == cudaError_t::cudaSuccess { Ok(address) } else { Err(status) }
}

fn close(libraries: &Libraries, address: *mut c_void) -> cudaError_t {
    unsafe { (libraries.runtime.cudaIpcCloseMemHandle)(address) }
}

pub(crate) fn memory_is_shared() {
    let libraries = libraries(0);
    let memory = libraries.memory(5000);
    libraries.put(memory, &[3; 5000]);
    let handle = export(&libraries, memory);
    let importers = [(); 3].map(|()| {
        let mut child = Child::start("sharing::import", &[]);
        child.tell(&handle);
        child
    });
    for importer in importers {
        importer.end();
    }
    assert_eq!(libraries.bytes(memory, 2), [4, 3], "what an importer wrote is seen");
    must(unsafe { (libraries.runtime.cudaFree)(memory) });
    assert_eq!(libraries.rules(), [""; 0]);
}

pub(crate) fn import() {
    let libraries = libraries(1);
    let handle = told();
    let address = open(&libraries, &handle).unwrap();
    // Twice is the same memory, and has to be closed twice.
    assert_eq!(open(&libraries, &handle), Ok(address));
    assert_eq!(libraries.control.live()["imports"], 1);
    assert_eq!(libraries.bytes(address.wrapping_byte_add(1), 4999), [3; 4999]);
    libraries.put(address, &[4]);
    must(close(&libraries, address));
    libraries.put(address, &[4]);
    must(close(&libraries, address));
    assert_eq!(libraries.control.live()["imports"], 0);
    assert_eq!(libraries.rules(), [""; 0]);
    assert_eq!(close(&libraries, address), cudaError_t::cudaErrorInvalidValue);
    let status = unsafe { (libraries.runtime.cudaMemset)(address, 1, 1) };
    assert_eq!(status, cudaError_t::cudaErrorInvalidValue);
    assert_eq!(libraries.rules(), ["close_of_foreign_import", "use_after_free"]);
}

pub(crate) fn importers_close_first() {
    let libraries = libraries(0);
    let memory = libraries.memory(4096);
    let handle = export(&libraries, memory);
    let mut child = Child::start("sharing::import_and_stay", &[]);
    child.tell(&handle);
    assert_eq!(child.line(), "open");
    must(unsafe { (libraries.runtime.cudaFree)(memory) });
    assert_eq!(libraries.rules(), ["freed_while_imported"]);
    child.tell("close");
    child.end();
    // What was freed is exported no more.
    let mut late = Child::start("sharing::import_and_stay", &[]);
    late.tell(&handle);
    assert_eq!(late.line(), "refused 400");
    late.end();
}

pub(crate) fn import_and_stay() {
    let libraries = libraries(1);
    match open(&libraries, &told()) {
        Ok(address) => {
            say("open");
            told();
            must(close(&libraries, address));
        }
        Err(status) => say(&format!("refused {}", status.0)),
    }
}

pub(crate) fn a_killed_importer_holds_nothing() {
    let libraries = libraries(0);
    let memory = libraries.memory(4096);
    let mut child = Child::start("sharing::import_and_stay", &[]);
    child.tell(&export(&libraries, memory));
    assert_eq!(child.line(), "open");
    child.kill();
    must(unsafe { (libraries.runtime.cudaFree)(memory) });
    assert_eq!(libraries.rules(), [""; 0]);
}

pub(crate) fn a_killed_exporter_is_seen() {
    let libraries = libraries(1);
    let mut child = Child::start("sharing::export_and_stay", &[]);
    let handle = child.line();
    let address = open(&libraries, &handle).unwrap();
    child.kill();
    // The bytes stay until they are closed; a new import fails, and nothing hangs.
    assert_eq!(libraries.bytes(address, 64), [6; 64]);
    let own = libraries.memory(64);
    let stream = libraries.stream();
    let kind = cudaMemcpyKind::cudaMemcpyDefault;
    must(unsafe { (libraries.runtime.cudaMemcpyAsync)(own, address, 64, kind, stream) });
    must(unsafe { (libraries.runtime.cudaStreamSynchronize)(stream) });
    must(close(&libraries, address));
    assert_eq!(open(&libraries, &handle), Err(cudaError_t::cudaErrorInvalidResourceHandle));
    must(unsafe { (libraries.runtime.cudaFree)(own) });
    assert_eq!(libraries.rules(), [""; 0]);
}

pub(crate) fn export_and_stay() {
    let libraries = libraries(0);
    let memory = libraries.memory(64);
    libraries.put(memory, &[6; 64]);
    say(&export(&libraries, memory));
    told();
}
