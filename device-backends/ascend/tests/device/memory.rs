//! Memory and copies.

use std::ffi::c_void;
use std::time::Instant;

use eplb_ascend_sys::{
    aclError, aclrtLastErrLevel, aclrtMemLocation, aclrtMemLocationType, aclrtMemcpyBatchAttr,
    aclrtStream,
};
use eplb_device::{ErrorKind, MemoryCopy, VendorCode};

use crate::support::{bytes_of, engine, enter, must, patience, pattern, rig, with_bytes};

pub(crate) fn bytes_survive_the_way_there_and_back() {
    let rig = rig();
    for count in [1, 63, 4096, 1 << 20, (8 << 20) + 13] {
        let bytes = pattern(count as u64, count);
        let memory = with_bytes(&rig.device, &bytes);
        assert_eq!(memory.address().0 % rig.device.info().alignment, 0);
        assert_eq!(bytes_of(&memory), bytes);
    }
    rig.finish();
}

pub(crate) fn batches_move_all_of_their_copies() {
    let rig = rig();
    let bytes = pattern(5, 300 << 10);
    let source = with_bytes(&rig.device, &bytes);
    let target = rig.device.allocate(bytes.len()).unwrap();
    let stream = rig.stream();
    // Slices of the source, backwards.
    let step = 1 << 10;
    let copies: Vec<_> = (0..300)
        .map(|index| {
            let to = target.slice((299 - index) * step, step).unwrap();
            MemoryCopy::new(&to, &source.slice(index * step, step).unwrap())
        })
        .collect();
    stream.copy(&copies[..2]).unwrap();
    stream.wait(&mut patience()).unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        stream.copy(&copies).unwrap();
        let batch = start.elapsed();
        stream.wait(&mut patience()).unwrap();
        let start = Instant::now();
        for copy in &copies {
            stream.copy(std::slice::from_ref(copy)).unwrap();
        }
        let single = start.elapsed();
        stream.wait(&mut patience()).unwrap();
        println!(
            "  queued {} copies as a batch in {} us, one by one in {} us",
            copies.len(),
            batch.as_micros(),
            single.as_micros()
        );
    }
    let expected: Vec<u8> = bytes.chunks(step).rev().flatten().copied().collect();
    assert_eq!(bytes_of(&target), expected);
    drop((copies, source, target, stream));
    rig.finish();
}

pub(crate) fn fills_write_every_byte() {
    let rig = rig();
    let memory = with_bytes(&rig.device, &[1; 1000]);
    let stream = rig.stream();
    stream.fill(&memory.slice(1, 998).unwrap(), 0xab).unwrap();
    stream.wait(&mut patience()).unwrap();
    let mut expected = vec![0xab; 1000];
    (expected[0], expected[999]) = (1, 1);
    assert_eq!(bytes_of(&memory), expected);
    drop((memory, stream));
    rig.finish();
}

pub(crate) fn too_much_is_out_of_memory() {
    let rig = rig();
    let error = rig.device.allocate(1 << 50).unwrap_err();
    println!("  {error}");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert_eq!(error.code(), Some(VendorCode(207_001)));
    assert!(
        error.to_string().starts_with("allocate on ascend device 0: out of memory: "),
        "{error}"
    );
    // The engine, which asks for the thread's last error, does not find ours.
    let runtime = engine().runtime;
    // SAFETY: asks for a value of this thread.
    let text = unsafe { (runtime.aclGetRecentErrMsg)() };
    assert!(text.is_null(), "the text was taken");
    if let Some(peek) = runtime.aclrtPeekAtLastError {
        // SAFETY: as above.
        let status = unsafe { peek(aclrtLastErrLevel::ACL_RT_THREAD_LEVEL) };
        assert_eq!(status, aclError::ACL_SUCCESS);
    }
    rig.finish();
}

pub(crate) fn freed_memory_comes_back() {
    let rig = rig();
    let before = rig.device.memory_info().unwrap();
    let memory = rig.device.allocate(1 << 30).unwrap();
    let meanwhile = rig.device.memory_info().unwrap();
    assert!(meanwhile.free + (1 << 30) <= before.free + (64 << 20), "{before:?} {meanwhile:?}");
    drop(memory);
    rig.device.collect();
    let after = rig.device.memory_info().unwrap();
    assert!(after.free + (64 << 20) >= before.free, "{before:?} {after:?}");
    assert_eq!(after.total, before.total);
    rig.finish();
}

/// The form of the batch call that the backend uses where the library has it, on its own.
pub(crate) fn the_library_takes_batches() {
    let rig = rig();
    let runtime = engine().runtime;
    let Some(batch) = runtime.aclrtMemcpyBatchAsync else {
        println!("  the library has no batch call");
        return;
    };
    let source = with_bytes(&rig.device, &pattern(3, 4096));
    let target = rig.device.allocate_pinned(4096).unwrap();
    let stream = rig.stream();
    let at = |address: usize, offset: usize| (address + offset) as *mut c_void;
    let (to, from) = (target.address().0, source.address().0);
    let mut destinations = [at(to, 2048), at(to, 0)];
    let mut sources = [at(from, 0), at(from, 2048)];
    let (mut rooms, mut sizes) = ([2048; 2], [2048; 2]);
    let place = |kind| aclrtMemLocation { id: 0, eplb_type: kind };
    let mut attributes = aclrtMemcpyBatchAttr {
        dstLoc: place(aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_HOST),
        srcLoc: place(aclrtMemLocationType::ACL_MEM_LOCATION_TYPE_DEVICE),
        rsv: [0; 16],
    };
    let (mut first, mut failed) = (0, 0);
    enter();
    // SAFETY: ranges and stream are alive until the wait below; the lists outlive the call.
    must(unsafe {
        batch(
            destinations.as_mut_ptr(),
            rooms.as_mut_ptr(),
            sources.as_mut_ptr(),
            sizes.as_mut_ptr(),
            2,
            &raw mut attributes,
            &raw mut first,
            1,
            &raw mut failed,
            stream.handle().0 as aclrtStream,
        )
    });
    stream.wait(&mut patience()).unwrap();
    let mut expected = pattern(3, 4096);
    expected.rotate_left(2048);
    assert_eq!(target.to_vec().unwrap(), expected);
    drop((source, target, stream));
    rig.finish();
}
