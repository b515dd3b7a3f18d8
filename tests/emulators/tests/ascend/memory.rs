//! Allocating, freeing, registering, and questions about addresses.

use std::ffi::c_void;

use eplb_ascend_sys::{
    ACL_HOST_REG_MAPPED, aclError, aclrtMemAttr, aclrtMemLocation, aclrtMemLocationType,
    aclrtMemMallocPolicy, aclrtPtrAttributes,
};

use crate::rig::{PARAM, Rig, UNSUPPORTED, must, rig};

fn allocate(rig: &Rig, bytes: usize, policy: aclrtMemMallocPolicy) -> aclError {
    let mut address: *mut c_void = std::ptr::null_mut();
    unsafe { (rig.acl.aclrtMalloc)(&raw mut address, bytes, policy) }
}

#[test]
fn sizes_policies_and_room_are_checked() {
    let rig = rig();
    let first = aclrtMemMallocPolicy::ACL_MEM_MALLOC_HUGE_FIRST;
    assert_eq!(allocate(&rig, 0, first), PARAM);
    let status = allocate(&rig, 64, aclrtMemMallocPolicy(99));
    assert_eq!(status, aclError::ACL_ERROR_RT_INVALID_MALLOC_TYPE);
    assert_eq!(allocate(&rig, 1 << 50, first), aclError::ACL_ERROR_RT_MEMORY_ALLOCATION);
    rig.order("limit memory 1000");
    assert_eq!(allocate(&rig, 2000, first), aclError::ACL_ERROR_RT_MEMORY_ALLOCATION);
    let mut address: *mut c_void = std::ptr::null_mut();
    assert_eq!(unsafe { (rig.acl.aclrtMallocHost)(&raw mut address, 0) }, PARAM);
    assert_eq!(unsafe { (rig.acl.aclrtFree)(std::ptr::null_mut()) }, PARAM);
    assert_eq!(unsafe { (rig.acl.aclrtFreeHost)(std::ptr::null_mut()) }, PARAM);
    rig.finish();
}

#[test]
fn starts_are_aligned_to_64_and_padding_counts() {
    let rig = rig();
    let free = || {
        let (mut free, mut total) = (0, 0);
        let own = aclrtMemAttr::ACL_HBM_MEM;
        must(unsafe { (rig.acl.aclrtGetMemInfo)(own, &raw mut free, &raw mut total) });
        free
    };
    let before = free();
    let memory = rig.memory(64);
    assert_eq!(memory as usize % 128, 64, "no more than that is promised");
    assert_eq!(before - free(), 128, "64 bytes and the padding, in steps of 64");
    rig.free(memory);
    assert_eq!(free(), before);
    rig.finish();
}

#[test]
fn memory_is_freed_once_whole_and_as_what_it_is() {
    let rig = rig();
    let (memory, pinned) = (rig.memory(4096), rig.pinned(4096));
    let free = |address| unsafe { (rig.acl.aclrtFree)(address) };
    assert_ne!(free(memory.wrapping_byte_add(64)), aclError::ACL_SUCCESS);
    assert_eq!(rig.broken(), ["free_inside_allocation"]);
    assert_ne!(free(pinned), aclError::ACL_SUCCESS);
    assert_eq!(rig.broken(), ["free_of_foreign_memory"]);
    rig.free(memory);
    assert_ne!(free(memory), aclError::ACL_SUCCESS);
    assert_eq!(rig.broken(), ["double_free"]);
    rig.free_pinned(pinned);
    rig.finish();
}

#[test]
fn freeing_waits_for_nobody_so_that_early_frees_are_seen() {
    let rig = rig();
    let (stream, memory) = (rig.stream(), rig.memory(64));
    let hold = rig.hold(stream);
    rig.fill(memory, 1, 64, stream);
    rig.free(memory);
    assert_eq!(rig.broken(), ["freed_while_used"]);
    drop(hold);
    rig.wait(stream);
    let status = unsafe { (rig.acl.aclrtMemsetAsync)(memory, 64, 1, 64, stream) };
    assert_eq!(status, PARAM);
    assert_eq!(rig.broken(), ["use_after_free"]);
    rig.destroy(stream);
}

#[test]
fn host_memory_is_registered_once() {
    let rig = rig();
    let mut host = vec![0_u8; 8192];
    let address: *mut c_void = host.as_mut_ptr().cast();
    let register = |flags| unsafe { (rig.acl.aclrtHostRegisterV2.unwrap())(address, 8192, flags) };
    assert_eq!(register(0), PARAM);
    must(register(ACL_HOST_REG_MAPPED));
    assert_eq!(register(ACL_HOST_REG_MAPPED), PARAM);
    assert_eq!(rig.broken(), ["registered_twice"]);
    must(unsafe { (rig.acl.aclrtHostUnregister.unwrap())(address) });
    rig.order("refuse host_registration");
    assert_eq!(register(ACL_HOST_REG_MAPPED), UNSUPPORTED);
    rig.finish();
}

#[test]
fn addresses_say_what_they_are() {
    let rig = rig();
    let (memory, pinned) = (rig.memory(4096), rig.pinned(4096));
    let plain = [0_u8; 64];
    let kind = |address: *const c_void| {
        let mut found = aclrtPtrAttributes {
            location: aclrtMemLocation { id: 99, eplb_type: aclrtMemLocationType(99) },
            pageSize: 0,
            rsv: [0; 4],
        };
        let ask = rig.acl.aclrtPointerGetAttributes.unwrap();
        must(unsafe { ask(address, &raw mut found) });
        found.location.eplb_type
    };
    assert_eq!(kind(memory), aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_DEVICE);
    assert_eq!(kind(pinned), aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_HOST);
    let unknown = aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_UNREGISTERED;
    assert_eq!(kind(plain.as_ptr().cast()), unknown);
    let ask = rig.acl.aclrtMemGetAddressRange.unwrap();
    let (mut start, mut bytes): (*mut c_void, usize) = (std::ptr::null_mut(), 0);
    let inside = memory.wrapping_byte_add(100);
    must(unsafe { ask(inside, &raw mut start, &raw mut bytes) });
    assert_eq!((start, bytes), (memory, 4096));
    assert_eq!(unsafe { ask(pinned, &raw mut start, &raw mut bytes) }, PARAM);
    rig.free(memory);
    rig.free_pinned(pinned);
    rig.finish();
}
