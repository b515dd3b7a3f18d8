//! Rules of memory and copies.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use eplb_cuda_sys::{
    cudaError_t, cudaIpcMemHandle_t, cudaIpcMemLazyEnablePeerAccess, cudaMemLocation,
    cudaMemLocationType, cudaMemcpyAttributes, cudaMemcpyKind, cudaMemcpySrcAccessOrder,
};

use crate::stage::{Hold, must, stage};

const DOWN: cudaMemcpyKind = cudaMemcpyKind::cudaMemcpyDeviceToHost;
const UP: cudaMemcpyKind = cudaMemcpyKind::cudaMemcpyHostToDevice;
const WITHIN: cudaMemcpyKind = cudaMemcpyKind::cudaMemcpyDeviceToDevice;

#[test]
fn use_after_free_is_seen() {
    let stage = stage();
    let stream = stage.stream();
    let memory = stage.memory(1000);
    must(stage.fill(memory, 1000, stream));
    must(stage.wait(stream));
    must(stage.free(memory));
    assert_eq!(stage.fill(memory, 10, stream), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["use_after_free"]);
    // Inside of it, too.
    let inside = memory.wrapping_byte_add(500);
    assert_eq!(stage.fill(inside, 10, stream), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["use_after_free"]);
    stage.end_stream(stream);
}

#[test]
fn ranges_that_leave_their_allocation_are_seen() {
    let stage = stage();
    let stream = stage.stream();
    let memory = stage.memory(1000);
    must(stage.fill(memory.wrapping_byte_add(999), 1, stream));
    stage.expect(&[]);
    for (offset, bytes) in [(0, 1001), (999, 2), (1000, 1), (5000, 1)] {
        let at = memory.wrapping_byte_add(offset);
        assert_eq!(stage.fill(at, bytes, stream), cudaError_t::cudaErrorInvalidValue);
        stage.expect(&["range_outside_allocation"]);
    }
    must(stage.wait(stream));
    must(stage.free(memory));
    stage.end_stream(stream);
}

#[test]
fn wrong_frees_are_seen() {
    let stage = stage();
    let memory = stage.memory(1000);
    let pinned = stage.pinned(1000);
    let mut plain = [0_u8; 8];
    assert_eq!(stage.free(memory.wrapping_byte_add(256)), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["free_inside_allocation"]);
    assert_eq!(stage.free(plain.as_mut_ptr().cast()), cudaError_t::cudaErrorInvalidValue);
    assert_eq!(stage.free(pinned), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["free_of_foreign_memory", "free_of_foreign_memory"]);
    must(stage.free(memory));
    assert_eq!(stage.free(memory), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["double_free"]);
    must(stage.free(null_mut()));
    must(unsafe { (stage.runtime.cudaFreeHost)(pinned) });
    stage.expect(&[]);
}

#[test]
fn frees_of_memory_in_use_are_seen() {
    let stage = stage();
    let stream = stage.stream();
    let (memory, pinned) = (stage.memory(64), stage.pinned(64));
    let hold = Hold::on(&stage, stream);
    must(unsafe { (stage.runtime.cudaMemcpyAsync)(memory, pinned, 64, UP, stream) });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            drop(hold);
        });
        // As with the vendor, both wait for the device, which nobody may rely on.
        must(stage.free(memory));
        stage.expect(&["freed_while_used"]);
    });
    must(stage.wait(stream));
    must(unsafe { (stage.runtime.cudaFreeHost)(pinned) });
    stage.expect(&[]);
    // What is over, but was never seen to be, counts as in use.
    let memory = stage.memory(64);
    must(stage.fill(memory, 64, stream));
    std::thread::sleep(std::time::Duration::from_millis(20));
    must(stage.free(memory));
    stage.expect(&["freed_while_used"]);
    stage.end_stream(stream);
}

#[test]
fn the_host_may_not_write_behind_pinned_memory() {
    let stage = stage();
    let pinned = stage.pinned(100);
    unsafe { pinned.cast::<u8>().write_bytes(1, 101) };
    must(unsafe { (stage.runtime.cudaFreeHost)(pinned) });
    stage.expect(&["overrun_of_pinned_memory"]);
}

#[test]
fn host_memory_is_registered_once() {
    let stage = stage();
    let mut plain = vec![0_u8; 4096];
    let start: *mut c_void = plain.as_mut_ptr().cast();
    let register = |at: *mut c_void| unsafe { (stage.runtime.cudaHostRegister)(at, 2048, 0) };
    must(register(start));
    let overlapping = start.wrapping_byte_add(2047);
    assert_eq!(register(overlapping), cudaError_t::cudaErrorHostMemoryAlreadyRegistered);
    stage.expect(&["registered_twice"]);
    // It is as good as pinned.
    let (stream, memory) = (stage.stream(), stage.memory(2048));
    must(unsafe { (stage.runtime.cudaMemcpyAsync)(memory, start, 2048, UP, stream) });
    must(stage.wait(stream));
    must(unsafe { (stage.runtime.cudaHostUnregister)(start) });
    stage.expect(&[]);
    let again = unsafe { (stage.runtime.cudaHostUnregister)(start) };
    assert_eq!(again, cudaError_t::cudaErrorHostMemoryNotRegistered);
    stage.expect(&["double_free"]);
    must(stage.free(memory));
    stage.end_stream(stream);
}

#[test]
fn copies_say_where_they_go() {
    let stage = stage();
    let stream = stage.stream();
    let (memory, pinned) = (stage.memory(64), stage.pinned(64));
    let copy = |to: *mut c_void, from: *mut c_void, kind| unsafe {
        (stage.runtime.cudaMemcpyAsync)(to, from, 64, kind, stream)
    };
    for (to, from, kind) in [(memory, pinned, DOWN), (pinned, memory, UP), (pinned, memory, WITHIN)]
    {
        assert_eq!(copy(to, from, kind), cudaError_t::cudaErrorInvalidValue);
        stage.expect(&["copy_kind_wrong"]);
    }
    must(copy(memory, pinned, cudaMemcpyKind::cudaMemcpyDefault));
    // Overlapping itself, which has no order.
    let inside = memory.wrapping_byte_add(16);
    must(unsafe { (stage.runtime.cudaMemcpyAsync)(inside, memory, 32, WITHIN, stream) });
    stage.expect(&["overlapping_ranges"]);
    must(stage.wait(stream));
    must(unsafe { (stage.runtime.cudaFreeHost)(pinned) });
    must(stage.free(memory));
    stage.end_stream(stream);
}

#[test]
fn copies_of_pageable_memory_wait_and_are_seen() {
    let stage = stage();
    let stream = stage.stream();
    let memory = stage.memory(4);
    stage.put(memory, &[1, 2, 3, 4]);
    stage.control.order("delay cudaMemcpyAsync 20000").unwrap();
    let mut plain = [0_u8; 4];
    let to = plain.as_mut_ptr().cast();
    must(unsafe { (stage.runtime.cudaMemcpyAsync)(to, memory, 4, DOWN, stream) });
    assert_eq!(plain, [1, 2, 3, 4], "the call has waited");
    stage.expect(&["pageable_copy"]);
    must(stage.free(memory));
    stage.expect(&[]);
    stage.end_stream(stream);
}

#[test]
fn only_device_memory_is_filled() {
    let stage = stage();
    let stream = stage.stream();
    let pinned = stage.pinned(64);
    assert_eq!(stage.fill(pinned, 64, stream), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["fill_of_host_memory"]);
    let mut plain = [0_u8; 8];
    let at = plain.as_mut_ptr().cast();
    assert_eq!(stage.fill(at, 8, stream), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["foreign_memory"]);
    must(unsafe { (stage.runtime.cudaFreeHost)(pinned) });
    stage.end_stream(stream);
}

#[test]
fn copies_between_devices_name_them() {
    let stage = stage();
    let stream = stage.stream();
    let here = stage.memory(16);
    stage.on_device(1);
    let there = stage.memory(16);
    stage.on_device(0);
    stage.put(here, &[5; 16]);
    let copy =
        |device| unsafe { (stage.runtime.cudaMemcpyPeerAsync)(there, device, here, 0, 16, stream) };
    assert_eq!(copy(0), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["memory_of_other_device"]);
    must(copy(1));
    must(stage.wait(stream));
    assert_eq!(stage.bytes(there, 16), [5; 16]);
    must(stage.free(here));
    must(stage.free(there));
    stage.expect(&[]);
    stage.end_stream(stream);
}

#[test]
fn batches_need_a_stream_of_their_own() {
    let stage = stage();
    let stream = stage.stream();
    let memory = stage.memory(64);
    let batch = stage.runtime.cudaMemcpyBatchAsync_v13.unwrap();
    let nowhere = cudaMemLocation { type_: cudaMemLocationType(0), id: 0 };
    let mut attributes = cudaMemcpyAttributes {
        srcAccessOrder: cudaMemcpySrcAccessOrder::cudaMemcpySrcAccessOrderStream,
        srcLocHint: nowhere,
        dstLocHint: nowhere,
        flags: 0,
    };
    let mut run = |to: [usize; 2], from: [usize; 2], stream| {
        let mut first = 0;
        let at = |offset: usize| memory.wrapping_byte_add(offset);
        let (to, from) = (to.map(at), from.map(at));
        let sizes = [8_usize; 2];
        let attributes = &raw mut attributes;
        let sources = from.as_ptr().cast();
        unsafe {
            batch(to.as_ptr(), sources, sizes.as_ptr(), 2, attributes, &raw mut first, 1, stream)
        }
    };
    assert_eq!(run([0, 8], [16, 24], null_mut()), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["batch_on_null_stream"]);
    must(run([0, 8], [16, 24], stream));
    stage.expect(&[]);
    // The second copy reads what the first writes; a batch has no order.
    must(run([0, 8], [16, 0], stream));
    stage.expect(&["overlapping_ranges"]);
    must(stage.wait(stream));
    must(stage.free(memory));
    stage.end_stream(stream);
}

#[test]
fn exports_are_of_whole_allocations_and_for_others() {
    let stage = stage();
    let memory = stage.memory(4096);
    let mut handle = cudaIpcMemHandle_t { reserved: [0; 64] };
    let mut export = |at| unsafe { (stage.runtime.cudaIpcGetMemHandle)(&raw mut handle, at) };
    must(export(memory.wrapping_byte_add(256)));
    stage.expect(&["export_inside_allocation"]);
    assert_eq!(export(null_mut()), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["export_of_foreign_memory"]);
    must(export(memory));
    let open = |handle: cudaIpcMemHandle_t| {
        let mut address = null_mut();
        let flags = cudaIpcMemLazyEnablePeerAccess;
        unsafe { (stage.runtime.cudaIpcOpenMemHandle)(&raw mut address, handle, flags) }
    };
    assert_eq!(open(handle), cudaError_t::cudaErrorDeviceUninitialized);
    stage.expect(&["import_in_exporting_process"]);
    let mut damaged = handle;
    damaged.reserved[5] ^= 1;
    assert_eq!(open(damaged), cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["foreign_handle"]);
    let closed = unsafe { (stage.runtime.cudaIpcCloseMemHandle)(memory) };
    assert_eq!(closed, cudaError_t::cudaErrorInvalidValue);
    stage.expect(&["close_of_foreign_import"]);
    assert_eq!(stage.control.live()["exports"], 1);
    must(stage.free(memory));
    assert_eq!(stage.control.live()["exports"], 0);
    stage.expect(&[]);
}

#[test]
fn fresh_memory_is_not_zero_and_too_much_is_refused() {
    let stage = stage();
    let memory = stage.memory(64);
    assert!(stage.bytes(memory, 64).iter().all(|byte| *byte != 0));
    assert_eq!(memory as usize % 256, 0);
    assert_ne!(memory as usize % 512, 0, "aligned as promised, and no more");
    let mut much = null_mut();
    let status = unsafe { (stage.runtime.cudaMalloc)(&raw mut much, 1 << 50) };
    assert_eq!(status, cudaError_t::cudaErrorMemoryAllocation);
    assert_eq!(much.cast_const(), null());
    must(stage.free(memory));
    stage.expect(&[]);
}
