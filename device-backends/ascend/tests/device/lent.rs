//! What the engine lends.

use std::ffi::c_void;

use eplb_ascend_sys::{
    ACL_STREAM_FAST_SYNC, HcclComm, HcclRootInfo, aclrtContext, aclrtMemMallocPolicy, aclrtStream,
    aclrtStreamStatus,
};
use eplb_device::{
    Address, CommunicatorHandle, ContextHandle, Device, ErrorKind, MemoryCopy, StreamHandle,
    Transfer,
};

use crate::support::{
    Hold, bytes_of, current, engine, engine_hccl, enter, kind, must, patience, pattern, rig,
    with_bytes,
};

fn engine_stream() -> aclrtStream {
    let mut stream: aclrtStream = std::ptr::null_mut();
    let runtime = engine().runtime;
    // SAFETY: writes one pointer, which lives.
    must(unsafe {
        (runtime.aclrtCreateStreamWithConfig)(&raw mut stream, 0, ACL_STREAM_FAST_SYNC)
    });
    stream
}

pub(crate) fn streams_stay_the_engines() {
    enter();
    let rig = rig();
    let runtime = engine().runtime;
    let raw = engine_stream();
    // SAFETY: alive until it is destroyed below, after the drain.
    let stream = unsafe { rig.device.borrow_stream(StreamHandle(raw as usize)).unwrap() };
    let memory = rig.device.allocate(64).unwrap();
    stream.fill(&memory, 5).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&memory), [5; 64]);
    assert_eq!(kind(stream.abort()), ErrorKind::InvalidUse);
    drop(stream);
    // The default stream is one, too.
    // SAFETY: the default stream is always there.
    let null = unsafe { rig.device.borrow_stream(StreamHandle(0)).unwrap() };
    let copy = rig.device.allocate(64).unwrap();
    let halves = [0, 32]
        .map(|at| MemoryCopy::new(&copy.slice(at, 32).unwrap(), &memory.slice(at, 32).unwrap()));
    null.copy(&halves).unwrap();
    null.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&copy), [5; 64]);
    drop((null, halves, copy, memory));
    rig.finish();
    // SAFETY: still alive, and the engine's to use and destroy.
    unsafe {
        let mut status = aclrtStreamStatus::ACL_STREAM_STATUS_RESERVED;
        must((runtime.aclrtStreamQuery)(raw, &raw mut status));
        assert_eq!(status, aclrtStreamStatus::ACL_STREAM_STATUS_COMPLETE);
        must((runtime.aclrtDestroyStream)(raw));
    }
}

pub(crate) fn memory_is_checked_used_and_shared() {
    enter();
    let rig = rig();
    let runtime = engine().runtime;
    let mut raw: *mut c_void = std::ptr::null_mut();
    let mut host: *mut c_void = std::ptr::null_mut();
    // SAFETY: write one pointer each, which live; freed below.
    unsafe {
        let policy = aclrtMemMallocPolicy::ACL_MEM_MALLOC_HUGE_FIRST;
        must((runtime.aclrtMalloc)(&raw mut raw, 1 << 20, policy));
        must((runtime.aclrtMallocHost)(&raw mut host, 4096));
        host.cast::<u8>().write_bytes(3, 4096);
    }
    // A piece of a larger allocation, at an odd offset.
    let piece = Address(raw as usize + 777);
    // SAFETY: both ranges live until they are freed below, after the drain.
    let (memory, pinned) = unsafe {
        (
            rig.device.borrow_memory(piece, 1000).unwrap(),
            rig.device.borrow_pinned(Address(host as usize), 1000).unwrap(),
        )
    };
    let stream = rig.stream();
    stream.upload(&memory, &pinned).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&memory), [3; 1000]);
    // What is something else is refused.
    let plain = vec![0_u8; 4096];
    // SAFETY: the ranges are alive; as what they are is what is checked.
    let refused = unsafe {
        [
            kind(rig.device.borrow_memory(Address(host as usize), 10)),
            kind(rig.device.borrow_pinned(piece, 10)),
            kind(rig.device.borrow_pinned(Address(plain.as_ptr() as usize), 10)),
            kind(rig.device.borrow_memory(Address(plain.as_ptr() as usize), 10)),
        ]
    };
    assert_eq!(refused, [ErrorKind::InvalidUse; 4]);
    // The piece is shared with its allocation, and the difference stands in the key.
    let key = rig.device.export(&memory).unwrap();
    let importer = Device::open(rig.faulty.backend(), 0).unwrap();
    let peer = importer.import(&key).unwrap();
    let target = importer.allocate(1000).unwrap();
    let pull = importer.stream(eplb_device::StreamPriority::Low).unwrap();
    pull.copy(&[MemoryCopy::new(&target, peer.memory())]).unwrap();
    pull.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), [3; 1000]);
    drop((peer, target, pull));
    importer.drain(&mut patience()).unwrap();
    drop(importer);
    drop((memory, pinned, stream));
    rig.finish();
    // SAFETY: still the engine's, unused by now.
    unsafe {
        must((runtime.aclrtFree)(raw));
        must((runtime.aclrtFreeHost)(host));
    }
}

pub(crate) fn contexts_are_adopted() {
    enter();
    let raw = current().unwrap();
    let rig = rig();
    // SAFETY: the default context, which stays until the process ends.
    let device = unsafe { Device::adopt(rig.faulty.backend(), 0, ContextHandle(raw)).unwrap() };
    assert_eq!(bytes_of(&with_bytes(&device, b"lent")), b"lent");
    assert!(device.info().communicators);
    // SAFETY: a null context is refused before it is used.
    let null = unsafe { Device::adopt(rig.faulty.backend(), 0, ContextHandle(0)) };
    assert_eq!(kind(null), ErrorKind::InvalidUse);
    // SAFETY: the context is alive; that it is of another device is what is checked.
    let beyond = unsafe { Device::adopt(rig.faulty.backend(), 99, ContextHandle(raw)) };
    assert_eq!(kind(beyond), ErrorKind::InvalidUse);
    device.drain(&mut patience()).unwrap();
    drop(device);
    rig.finish();
    assert_eq!(current(), Some(raw));
}

pub(crate) fn own_contexts_of_the_engine_are_adopted() {
    let rig = rig();
    enter();
    let runtime = engine().runtime;
    let mut raw: aclrtContext = std::ptr::null_mut();
    // SAFETY: writes one pointer, which lives.
    must(unsafe { (runtime.aclrtCreateContext)(&raw mut raw, 0) });
    enter();
    let default = current();
    let handle = ContextHandle(raw as usize);
    // SAFETY: alive until it is destroyed below, after the drain.
    let device = unsafe { Device::adopt(rig.faulty.backend(), 0, handle).unwrap() };
    assert_eq!(bytes_of(&with_bytes(&device, b"lent")), b"lent");
    assert_eq!(current(), default);
    device.drain(&mut patience()).unwrap();
    drop(device);
    rig.finish();
    // SAFETY: still alive, and the engine's to destroy.
    must(unsafe { (runtime.aclrtDestroyContext)(raw) });
}

pub(crate) fn communicators_are_used_and_left_alone() {
    enter();
    let hccl = engine_hccl();
    let mut id = HcclRootInfo { internal: [0; 4108] };
    let mut raw: HcclComm = std::ptr::null_mut();
    // SAFETY: write what lives; the call blocks until the communicator is ready.
    unsafe {
        assert_eq!((hccl.HcclGetRootInfo)(&raw mut id).0, 0);
        assert_eq!((hccl.HcclCommInitRootInfo)(1, &raw const id, 0, &raw mut raw).0, 0);
    }
    let rig = rig();
    let handle = CommunicatorHandle(raw as usize);
    // SAFETY: alive until it is destroyed below, after the drain.
    let (end, wrong) = unsafe {
        (
            rig.device.borrow_communicator(handle, 0, 1).unwrap(),
            rig.device.borrow_communicator(handle, 1, 2),
        )
    };
    assert_eq!(kind(wrong), ErrorKind::InvalidUse);
    assert_eq!(kind(end.abort()), ErrorKind::InvalidUse);
    let bytes = pattern(4, 1 << 16);
    let source = with_bytes(&rig.device, &bytes);
    let target = rig.device.allocate(bytes.len()).unwrap();
    let stream = rig.stream();
    // The first call sets up links, for which the library may wait for the device.
    end.exchange(&[Transfer::new(0, &source)], &[Transfer::new(0, &target)], &stream).unwrap();
    stream.fill(&target, 0).unwrap();
    stream.wait(&mut patience()).unwrap();
    rig.device.drain(&mut patience()).unwrap();
    let hold = Hold::on(stream.handle());
    end.exchange(&[Transfer::new(0, &source)], &[Transfer::new(0, &target)], &stream).unwrap();
    assert_eq!(stream.is_complete(), Ok(false));
    hold.release();
    stream.wait(&mut patience()).unwrap();
    end.barrier(&stream).unwrap();
    stream.wait(&mut patience()).unwrap();
    assert_eq!(bytes_of(&target), bytes);
    assert_eq!(end.check(), Ok(()));
    drop((end, source, target, stream));
    rig.finish();
    // SAFETY: still alive, and the engine's to use and destroy.
    unsafe {
        let mut count = 0;
        assert_eq!((hccl.HcclGetRankSize)(raw, &raw mut count).0, 0);
        assert_eq!(count, 1);
        assert_eq!((hccl.HcclCommDestroy)(raw).0, 0);
    }
}
