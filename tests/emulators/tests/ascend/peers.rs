//! Memory of other devices; processes have a program of their own.

use std::ffi::c_char;

use eplb_ascend_sys::{ACL_IPC_HANDLE_SIZE, aclError, aclrtMemcpyKind};

use crate::rig::{PARAM, Rig, UNSUPPORTED, must, rig};

#[test]
fn a_device_needs_access_to_another_ones_memory() {
    let rig = rig();
    let far = {
        rig.set_device(2);
        rig.memory(64)
    };
    rig.set_device(0);
    let (near, stream) = (rig.memory(64), rig.stream());
    let pull = || unsafe {
        let within = aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_DEVICE;
        (rig.acl.aclrtMemcpyAsync)(near, 64, far, 64, within, stream)
    };
    assert_eq!(pull(), aclError::ACL_ERROR_RT_DRV_INTERNAL_ERROR);
    assert_eq!(rig.broken(), ["peer_access_missing"]);
    let mut can = -1;
    must(unsafe { (rig.acl.aclrtDeviceCanAccessPeer)(&raw mut can, 0, 2) });
    assert_eq!(can, 1);
    let enable = |peer, flags| unsafe { (rig.acl.aclrtDeviceEnablePeerAccess)(peer, flags) };
    assert_eq!(enable(2, 1), PARAM);
    assert_eq!(enable(0, 0), aclError::ACL_ERROR_RT_INVALID_DEVICEID);
    must(enable(2, 0));
    must(enable(2, 0));
    must(pull());
    rig.wait(stream);
    // One way: the other device has none to this one.
    rig.set_device(2);
    let other = rig.stream();
    let push = unsafe {
        let within = aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_DEVICE;
        (rig.acl.aclrtMemcpyAsync)(near, 64, far, 64, within, other)
    };
    assert_eq!(push, aclError::ACL_ERROR_RT_DRV_INTERNAL_ERROR);
    assert_eq!(rig.broken(), ["peer_access_missing"]);
    rig.destroy(other);
    rig.free(far);
    rig.set_device(0);
    must(unsafe { (rig.acl.aclrtDeviceDisablePeerAccess)(2) });
    rig.free(near);
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn peer_access_can_be_refused() {
    let rig = rig();
    rig.order("refuse peer_access");
    let mut can = -1;
    must(unsafe { (rig.acl.aclrtDeviceCanAccessPeer)(&raw mut can, 0, 1) });
    assert_eq!(can, 0);
    assert_eq!(unsafe { (rig.acl.aclrtDeviceEnablePeerAccess)(1, 0) }, UNSUPPORTED);
    rig.finish();
}

fn export(rig: &Rig, address: *mut std::ffi::c_void, bytes: usize, room: usize) -> aclError {
    let mut key = [0 as c_char; ACL_IPC_HANDLE_SIZE];
    let export = rig.acl.aclrtIpcMemGetExportKey.unwrap();
    unsafe { export(address, bytes, key.as_mut_ptr(), room, 1) }
}

#[test]
fn whole_allocations_are_exported_with_room_for_the_key() {
    let rig = rig();
    let memory = rig.memory(4096);
    let piece = memory.wrapping_byte_add(64);
    let room = ACL_IPC_HANDLE_SIZE;
    for (address, bytes) in [(piece, 64), (memory, 64)] {
        assert_eq!(export(&rig, address, bytes, room), aclError::ACL_ERROR_RT_ADDR_UNALIGNED);
        assert_eq!(rig.broken(), ["export_inside_allocation"]);
    }
    assert_eq!(export(&rig, memory, 4096, 64), aclError::ACL_ERROR_INVALID_PARAM);
    must(export(&rig, memory, 4096, room));
    rig.order("refuse ipc");
    assert_eq!(export(&rig, memory, 4096, room), UNSUPPORTED);
    rig.free(memory);
    rig.finish();
}

#[test]
fn keys_that_name_nothing_are_refused() {
    let rig = rig();
    let mut address = std::ptr::null_mut();
    let key = c"no key".as_ptr();
    let status = unsafe { (rig.acl.aclrtIpcMemImportByKey.unwrap())(&raw mut address, key, 1) };
    assert_eq!(status, aclError::ACL_ERROR_RT_IPC_ERROR);
    let status = unsafe { (rig.acl.aclrtIpcMemClose.unwrap())(key) };
    assert_eq!(status, aclError::ACL_ERROR_RT_IPC_ERROR);
    rig.finish();
}
