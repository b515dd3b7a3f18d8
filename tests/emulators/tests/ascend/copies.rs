//! Copies and fills.

use std::ffi::c_void;

use eplb_ascend_sys::{
    aclError, aclrtMemLocation, aclrtMemLocationType, aclrtMemcpyBatchAttr, aclrtMemcpyKind,
    aclrtStream,
};

use crate::rig::{PARAM, Rig, UNSUPPORTED, must, rig};

const UP: aclrtMemcpyKind = aclrtMemcpyKind::ACL_MEMCPY_HOST_TO_DEVICE;
const DOWN: aclrtMemcpyKind = aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_HOST;
const WITHIN: aclrtMemcpyKind = aclrtMemcpyKind::ACL_MEMCPY_DEVICE_TO_DEVICE;

fn copy(
    rig: &Rig,
    to: *mut c_void,
    from: *const c_void,
    bytes: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    unsafe { (rig.acl.aclrtMemcpyAsync)(to, bytes, from, bytes, kind, stream) }
}

#[test]
fn rooms_sizes_and_directions_are_checked() {
    let rig = rig();
    let (stream, memory, pinned) = (rig.stream(), rig.memory(64), rig.pinned(64));
    let small_room = unsafe { (rig.acl.aclrtMemcpyAsync)(memory, 32, pinned, 64, UP, stream) };
    assert_eq!(small_room, PARAM);
    assert_eq!(rig.broken(), ["copy_beyond_room"]);
    assert_eq!(copy(&rig, memory, pinned, 0, UP, stream), PARAM);
    assert_eq!(rig.broken(), ["zero_bytes"]);
    assert_eq!(copy(&rig, memory, pinned, 64, DOWN, stream), PARAM);
    assert_eq!(rig.broken(), ["copy_kind_wrong"]);
    assert_eq!(copy(&rig, memory, pinned, 65, UP, stream), PARAM);
    assert_eq!(rig.broken(), ["range_outside_allocation"]);
    let between_hosts = aclrtMemcpyKind::ACL_MEMCPY_HOST_TO_HOST;
    assert_eq!(copy(&rig, pinned, pinned, 64, between_hosts, stream), UNSUPPORTED);
    rig.free(memory);
    rig.free_pinned(pinned);
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn pinned_copies_are_queued_and_pageable_ones_wait() {
    let rig = rig();
    let (stream, memory, pinned) = (rig.stream(), rig.memory(64), rig.pinned(64));
    let hold = rig.hold(stream);
    must(copy(&rig, memory, pinned, 64, UP, stream));
    assert!(!rig.is_done(stream));
    drop(hold);
    rig.wait(stream);
    let mut plain = [9_u8; 64];
    must(copy(&rig, memory, plain.as_ptr().cast(), 64, UP, stream));
    assert!(rig.is_done(stream), "the copy was over when the call returned");
    must(copy(&rig, plain.as_mut_ptr().cast(), memory, 64, DOWN, stream));
    assert_eq!(rig.broken(), ["pageable_copy"; 2]);
    assert_eq!(plain, [9; 64]);
    rig.free(memory);
    rig.free_pinned(pinned);
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn unordered_uses_of_one_range_are_a_race() {
    let rig = rig();
    let (first, second, memory) = (rig.stream(), rig.stream(), rig.memory(64));
    let event = rig.event();
    rig.fill(memory, 1, 64, first);
    rig.fill(memory, 2, 64, second);
    assert_eq!(rig.broken(), ["race"]);
    must(unsafe { (rig.acl.aclrtRecordEvent)(event, second) });
    must(unsafe { (rig.acl.aclrtStreamWaitEvent)(first, event) });
    rig.wait(first);
    rig.fill(memory, 3, 64, first);
    rig.wait(first);
    assert_eq!(rig.bytes(memory, 64), [3; 64]);
    rig.destroy_event(event);
    rig.free(memory);
    rig.destroy(first);
    rig.destroy(second);
    rig.finish();
}

#[test]
fn copies_that_do_not_wait_for_the_stream_race_with_it() {
    let rig = rig();
    let (stream, memory) = (rig.stream(), rig.memory(64));
    let hold = rig.hold(stream);
    rig.fill(memory, 1, 64, stream);
    rig.bytes(memory, 64);
    assert_eq!(rig.broken(), ["race"]);
    drop(hold);
    rig.wait(stream);
    rig.free(memory);
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn only_memory_of_the_library_is_filled() {
    let rig = rig();
    let stream = rig.stream();
    let mut plain = [0_u8; 64];
    let address: *mut c_void = plain.as_mut_ptr().cast();
    let status = unsafe { (rig.acl.aclrtMemsetAsync)(address, 64, 1, 64, stream) };
    assert_eq!(status, PARAM);
    assert_eq!(rig.broken(), ["foreign_memory"]);
    assert_eq!(unsafe { (rig.acl.aclrtMemset.unwrap())(address, 64, 1, 64) }, PARAM);
    assert_eq!(rig.broken(), ["foreign_memory"]);
    rig.destroy(stream);
}

/// Two copies of 32 bytes from the host, with these places for both.
fn batch(
    rig: &Rig,
    to: *mut c_void,
    from: *mut c_void,
    first: usize,
    to_host: bool,
) -> (aclError, usize) {
    let place = |is_host: bool| aclrtMemLocation {
        id: 0,
        eplb_type: aclrtMemLocationType(u32::from(!is_host)),
    };
    let half = |address: *mut c_void| [address, address.wrapping_byte_add(32)];
    let (mut to, mut from) = (half(to), half(from));
    let (mut rooms, mut sizes) = ([32; 2], [32; 2]);
    let mut attributes =
        aclrtMemcpyBatchAttr { dstLoc: place(to_host), srcLoc: place(!to_host), rsv: [0; 16] };
    let (mut first, mut failed) = (first, 0);
    let status = unsafe {
        (rig.acl.aclrtMemcpyBatchAsync.unwrap())(
            to.as_mut_ptr(),
            rooms.as_mut_ptr(),
            from.as_mut_ptr(),
            sizes.as_mut_ptr(),
            2,
            &raw mut attributes,
            &raw mut first,
            1,
            &raw mut failed,
            std::ptr::null_mut(),
        )
    };
    (status, failed)
}

#[test]
fn batches_say_where_their_sides_are() {
    let rig = rig();
    let (memory, pinned) = (rig.memory(64), rig.pinned(64));
    unsafe { pinned.cast::<u8>().write_bytes(5, 64) };
    assert_eq!(batch(&rig, memory, pinned, 0, false), (aclError::ACL_SUCCESS, usize::MAX));
    rig.wait(std::ptr::null_mut());
    assert_eq!(rig.bytes(memory, 64), [5; 64]);
    assert_eq!(batch(&rig, memory, pinned, 0, true), (PARAM, 0));
    assert_eq!(rig.broken(), ["batch_attributes_wrong"]);
    assert_eq!(batch(&rig, memory, pinned, 1, false).0, PARAM);
    assert_eq!(rig.broken(), ["batch_attributes_wrong"]);
    rig.order("refuse batch_copy");
    assert_eq!(batch(&rig, memory, pinned, 0, false).0, UNSUPPORTED);
    rig.free(memory);
    rig.free_pinned(pinned);
    rig.finish();
}

#[test]
fn ranges_of_one_call_do_not_overlap() {
    let rig = rig();
    let (stream, memory) = (rig.stream(), rig.memory(128));
    let there = memory.wrapping_byte_add(32);
    must(copy(&rig, there, memory, 64, WITHIN, stream));
    assert_eq!(rig.broken(), ["overlapping_ranges"]);
    rig.wait(stream);
    rig.free(memory);
    rig.destroy(stream);
}
