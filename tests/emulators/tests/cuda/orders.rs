//! Each kind of order.

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use eplb_cuda_sys::{cudaError_t, ncclDataType_t, ncclResult_t};
use eplb_emulators::ControlError;

use crate::stage::{agreed, must, stage, until};

#[test]
fn calls_fail_when_they_are_told_to() {
    let stage = stage();
    stage.control.order("fail cudaMalloc 2 nth 2; fail cudaFree 719 device 1").unwrap();
    let allocate = || {
        let mut address = null_mut();
        let status = unsafe { (stage.runtime.cudaMalloc)(&raw mut address, 64) };
        (status, address)
    };
    let (first, memory) = allocate();
    must(first);
    assert_eq!(allocate().0, cudaError_t::cudaErrorMemoryAllocation);
    let (third, other) = allocate();
    must(third);
    must(stage.free(other));
    stage.on_device(1);
    assert_eq!(stage.free(memory), cudaError_t::cudaErrorLaunchFailure);
    stage.on_device(0);
    must(stage.free(memory));
    // More than once, and for ever.
    stage.control.clear_orders();
    stage.control.order("fail cudaMalloc 2 times 2\nfail cudaMemset 1 times 0").unwrap();
    assert_eq!([(); 3].map(|()| allocate().0.0)[..2], [2, 2]);
    for _ in 0..3 {
        let status = unsafe { (stage.runtime.cudaMemset)(memory, 0, 1) };
        assert_eq!(status, cudaError_t::cudaErrorInvalidValue);
    }
    stage.expect(&[]);
}

#[test]
fn queued_work_takes_longer() {
    let stage = stage();
    let (stream, memory) = (stage.stream(), stage.memory(64));
    stage.control.order("delay cudaMemsetAsync 30000").unwrap();
    let start = Instant::now();
    must(stage.fill(memory, 64, stream));
    assert!(start.elapsed() < Duration::from_millis(20), "the call does not wait");
    must(stage.wait(stream));
    assert!(start.elapsed() >= Duration::from_millis(30));
    stage.end_stream(stream);
    must(stage.free(memory));
}

#[test]
fn outputs_are_garbled() {
    let stage = stage();
    let (stream, memory) = (stage.stream(), stage.memory(4));
    stage.control.order("garble cudaMemsetAsync; garble cudaGetDeviceCount").unwrap();
    must(stage.fill(memory, 4, stream));
    must(stage.wait(stream));
    assert_ne!(stage.bytes(memory, 4), [7; 4]);
    must(stage.fill(memory, 4, stream));
    must(stage.wait(stream));
    assert_eq!(stage.bytes(memory, 4), [7; 4], "only once");
    let mut count = 0;
    must(unsafe { (stage.runtime.cudaGetDeviceCount)(&raw mut count) });
    assert!(count < 0);
    stage.end_stream(stream);
    must(stage.free(memory));
}

#[test]
fn capabilities_are_refused() {
    let stage = stage();
    stage.control.order("refuse peer_access; refuse ipc; refuse communicators").unwrap();
    let mut can = 7;
    must(unsafe { (stage.runtime.cudaDeviceCanAccessPeer)(&raw mut can, 0, 1) });
    assert_eq!(can, 0);
    let enabled = unsafe { (stage.runtime.cudaDeviceEnablePeerAccess)(1, 0) };
    assert_eq!(enabled, cudaError_t::cudaErrorPeerAccessUnsupported);
    let memory = stage.memory(64);
    let mut handle = eplb_cuda_sys::cudaIpcMemHandle_t { reserved: [0; 64] };
    let exported = unsafe { (stage.runtime.cudaIpcGetMemHandle)(&raw mut handle, memory) };
    assert_eq!(exported, cudaError_t::cudaErrorNotSupported);
    let mut end = null_mut();
    let id = stage.unique_id();
    let created = unsafe { (stage.nccl.ncclCommInitRank)(&raw mut end, 1, id, 0) };
    assert_eq!(created, ncclResult_t::ncclInvalidUsage);
    must(stage.free(memory));
    stage.expect(&[]);
}

#[test]
fn resources_are_limited() {
    let stage = stage();
    let live = stage.control.live();
    let (streams, events) = (live["streams"], live["events"]);
    stage
        .control
        .order(&format!("limit streams {}; limit events {}", streams + 1, events + 1))
        .unwrap();
    let (stream, event) = (stage.stream(), stage.event());
    let mut more = null_mut();
    let status = unsafe { (stage.runtime.cudaStreamCreateWithFlags)(&raw mut more, 1) };
    assert_eq!(status, cudaError_t::cudaErrorMemoryAllocation);
    let mut other = null_mut();
    let status = unsafe { (stage.runtime.cudaEventCreateWithFlags)(&raw mut other, 2) };
    assert_eq!(status, cudaError_t::cudaErrorMemoryAllocation);
    stage.end_stream(stream);
    stage.end_event(event);
    stage.end_stream(stage.stream());
    stage.control.order("limit memory 1000").unwrap();
    let mut address = null_mut();
    let status = unsafe { (stage.runtime.cudaMalloc)(&raw mut address, 4096) };
    assert_eq!(status, cudaError_t::cudaErrorMemoryAllocation);
    let (mut free, mut total) = (0, 0);
    must(unsafe { (stage.runtime.cudaMemGetInfo)(&raw mut free, &raw mut total) });
    assert_eq!(total, 1000);
}

#[test]
fn ranks_are_lost() {
    let stage = stage();
    let ends = stage.pair();
    let (stream, memory) = (stage.stream(), stage.memory(8));
    let byte = ncclDataType_t::ncclUint8;
    agreed(unsafe { (stage.nccl.ncclRecv)(memory, 8, byte, 1, ends[0], stream) });
    stage.control.order("lose 1").unwrap();
    let mut found = ncclResult_t::ncclSuccess;
    for end in ends {
        until(|| {
            agreed(unsafe { (stage.nccl.ncclCommGetAsyncError)(end, &raw mut found) });
            found == ncclResult_t::ncclRemoteError
        });
    }
    // The work stays until the communicator is aborted.
    let query = unsafe { (stage.runtime.cudaStreamQuery)(stream) };
    assert_eq!(query, cudaError_t::cudaErrorNotReady);
    for end in ends {
        agreed(unsafe { (stage.nccl.ncclCommAbort)(end) });
    }
    must(stage.wait(stream));
    stage.end_stream(stream);
    must(stage.free(memory));
    stage.expect(&[]);
}

#[test]
fn bad_orders_are_named_and_none_is_taken() {
    let stage = stage();
    for (bad, why) in [
        ("hinder cudaMalloc", "hinder"),
        ("fail cudaMalloc", "a number is missing"),
        ("fail cudaMalloc two", "\"two\" is no number"),
        ("fail cudaMalloc 2 nth 0", "nth"),
        ("fail cudaMalloc 2 often 3", "often"),
        ("delay cudaMalloc -1", "negative"),
        ("refuse happiness", "happiness"),
        ("limit patience 3", "patience"),
        ("lose 1 nth 2", "nth"),
    ] {
        let error = stage.control.order(&format!("fail cudaFree 1; {bad}")).unwrap_err();
        let ControlError::NotUnderstood(text) = error else { panic!("{error}") };
        assert!(text.contains(bad) && text.contains(why), "{text}");
    }
    must(stage.free(null_mut()));
    // Comments and blank orders are none.
    stage.control.order(" ; # nothing\n\n").unwrap();
}
