//! Memory of other processes.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use eplb_ascend_sys::{ACL_IPC_HANDLE_SIZE, aclError, aclrtMemcpyKind};

use crate::child::{Child, Libraries, digits, from_digits, libraries, must, say, told};

type Key = [c_char; ACL_IPC_HANDLE_SIZE];

const WITHIN: aclrtMemcpyKind = aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_DEVICE;
const REFUSED: aclError = aclError::ACL_ERROR_RT_NO_PERMISSION;

fn export(libraries: &Libraries, memory: *mut c_void, bytes: usize, flags: u64) -> Key {
    let mut key: Key = [0; ACL_IPC_HANDLE_SIZE];
    let export = libraries.acl.aclrtIpcMemGetExportKey.unwrap();
    must(unsafe { export(memory, bytes, key.as_mut_ptr(), ACL_IPC_HANDLE_SIZE, flags) });
    key
}

fn open(libraries: &Libraries, key: &Key, flags: u64) -> Result<*mut c_void, aclError> {
    let mut address = null_mut();
    let import = libraries.acl.aclrtIpcMemImportByKey.unwrap();
    match unsafe { import(&raw mut address, key.as_ptr(), flags) } {
        aclError::ACL_SUCCESS => Ok(address),
        other => Err(other),
    }
}

fn close(libraries: &Libraries, key: &Key) -> aclError {
    unsafe { (libraries.acl.aclrtIpcMemClose.unwrap())(key.as_ptr()) }
}

pub(crate) fn memory_is_shared_with_listed_processes() {
    let libraries = libraries(0);
    let memory = libraries.memory(4096);
    libraries.put(memory, &[7; 4096]);
    let key = export(&libraries, memory, 4096, 0);
    assert_eq!(open(&libraries, &key, 1), Err(REFUSED), "the exporter has it already");
    assert_eq!(libraries.rules(), ["import_in_exporting_process"]);
    let mut child = Child::start("sharing::import", &[]);
    child.tell(&digits(&key));
    assert_eq!(child.line(), "refused");
    let list = libraries.acl.aclrtIpcMemSetImportPid.unwrap();
    must(unsafe { list(key.as_ptr(), [child.number()].as_mut_ptr(), 1) });
    child.tell("again");
    assert_eq!(child.line(), "done");
    child.end();
    assert_eq!(libraries.bytes(memory, 4096), [8; 4096]);
    must(close(&libraries, &key));
    assert_eq!(close(&libraries, &key), aclError::ACL_ERROR_RT_IPC_ERROR);
    must(unsafe { (libraries.acl.aclrtFree)(memory) });
    assert_eq!(libraries.rules(), [""; 0]);
}

pub(crate) fn import() {
    let libraries = libraries(1);
    let key: Key = from_digits(&told());
    assert_eq!(open(&libraries, &key, 1), Err(REFUSED));
    say("refused");
    told();
    let mut own = -1;
    must(unsafe { (libraries.acl.aclrtDeviceGetBareTgid.unwrap())(&raw mut own) });
    assert_eq!(u32::try_from(own), Ok(std::process::id()));
    let shared = open(&libraries, &key, 1).unwrap();
    assert_eq!(open(&libraries, &key, 1), Ok(shared), "again is the same");
    must(close(&libraries, &key));
    let (memory, stream) = (libraries.memory(4096), libraries.stream());
    let copy = |to, from| unsafe {
        (libraries.acl.aclrtMemcpyAsync)(to, 4096, from, 4096, WITHIN, stream)
    };
    must(copy(memory, shared));
    must(libraries.wait(stream));
    assert_eq!(libraries.bytes(memory, 4096), [7; 4096]);
    libraries.put(memory, &[8; 4096]);
    must(copy(shared, memory));
    must(libraries.wait(stream));
    must(close(&libraries, &key));
    assert_eq!(libraries.rules(), [""; 0]);
    say("done");
}

pub(crate) fn importers_close_first() {
    for (frees, rule) in [(false, "closed_before_importers"), (true, "freed_while_imported")] {
        let libraries = libraries(0);
        let memory = libraries.memory(4096);
        let key = export(&libraries, memory, 4096, 1);
        let mut child = Child::start("sharing::misuse", &[]);
        child.tell(&digits(&key));
        assert_eq!(child.line(), "opened");
        if frees {
            must(unsafe { (libraries.acl.aclrtFree)(memory) });
        } else {
            must(close(&libraries, &key));
        }
        assert_eq!(libraries.rules(), [rule]);
        child.tell("go on");
        child.end();
    }
}

pub(crate) fn imported_memory_is_for_devices() {
    let libraries = libraries(0);
    let memory = libraries.memory(4096);
    let key = export(&libraries, memory, 4096, 1);
    let mut child = Child::start("sharing::misuse", &[]);
    child.tell(&digits(&key));
    assert_eq!(child.line(), "opened");
    child.tell("go on");
    child.end();
    must(close(&libraries, &key));
    assert_eq!(libraries.rules(), [""; 0]);
}

/// Opens what it is told, without access to the device, and does what is not allowed.
pub(crate) fn misuse() {
    let libraries = libraries(1);
    let key: Key = from_digits(&told());
    let shared = open(&libraries, &key, 0).unwrap();
    say("opened");
    told();
    let (memory, stream) = (libraries.memory(4096), libraries.stream());
    let mut plain = [0_u8; 4096];
    let host: *mut c_void = plain.as_mut_ptr().cast();
    let down = aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_HOST;
    let unsupported = aclError::ACL_ERROR_RT_FEATURE_NOT_SUPPORT;
    let status = unsafe { (libraries.acl.aclrtMemcpy)(host, 4096, shared, 4096, down) };
    assert_eq!(status, unsupported);
    assert_eq!(libraries.rules(), ["host_copy_of_imported_memory"]);
    let status = unsafe { (libraries.acl.aclrtMemcpy)(memory, 4096, shared, 4096, WITHIN) };
    assert_eq!(status, unsupported, "not without a stream either");
    assert_eq!(libraries.rules(), ["host_copy_of_imported_memory"]);
    let status =
        unsafe { (libraries.acl.aclrtMemcpyAsync)(memory, 4096, shared, 4096, WITHIN, stream) };
    assert_eq!(status, aclError::ACL_ERROR_RT_DRV_INTERNAL_ERROR);
    assert_eq!(libraries.rules(), ["peer_access_missing"]);
    must(close(&libraries, &key));
    assert_ne!(close(&libraries, &key), aclError::ACL_SUCCESS);
    assert_eq!(libraries.rules(), ["close_of_foreign_import"]);
}

pub(crate) fn a_killed_exporter_is_seen() {
    let libraries = libraries(1);
    let mut child = Child::start("sharing::export_and_stay", &[]);
    let key: Key = from_digits(&child.line());
    child.kill();
    assert_eq!(open(&libraries, &key, 1), Err(aclError::ACL_ERROR_RT_IPC_ERROR));
}

pub(crate) fn export_and_stay() {
    let libraries = libraries(0);
    let memory = libraries.memory(4096);
    say(&digits(&export(&libraries, memory, 4096, 1)));
    told();
}
