//! Memory and copies.

use std::ffi::c_void;
use std::time::Instant;

use eplb_cuda_sys::{
    cudaMemLocation, cudaMemLocationType, cudaMemcpyAttributes, cudaMemcpySrcAccessOrder,
    cudaStream_t,
};
use eplb_device::{ErrorKind, Memory, MemoryCopy, VendorCode};

use crate::support::{bytes_of, engine, must, patience, pattern, rig, with_bytes};

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
    assert_eq!(error.code(), Some(VendorCode(2)));
    assert!(error.to_string().starts_with("allocate on cuda device 0: out of memory: "), "{error}");
    // The engine, which asks for the thread's last error, does not find ours.
    // SAFETY: asks for a value of this thread.
    must(unsafe { (engine().runtime.cudaPeekAtLastError)() });
    // Nothing is broken by it.
    assert_eq!(bytes_of(&with_bytes(&rig.device, b"still there")), b"still there");
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
    let Some(batch) = runtime.cudaMemcpyBatchAsync_v13 else {
        println!("  the library has no batch call of version 13");
        return;
    };
    let source = with_bytes(&rig.device, &pattern(3, 4096));
    let target = with_bytes(&rig.device, &[0; 4096]);
    let stream = rig.stream();
    let at = |memory: &Memory, offset: usize| (memory.address().0 + offset) as *mut c_void;
    let destinations = [at(&target, 2048), at(&target, 0)];
    let sources = [at(&source, 0), at(&source, 2048)];
    let nowhere = cudaMemLocation { type_: cudaMemLocationType(0), id: 0 };
    let mut attributes = cudaMemcpyAttributes {
        srcAccessOrder: cudaMemcpySrcAccessOrder::cudaMemcpySrcAccessOrderStream,
        srcLocHint: nowhere,
        dstLocHint: nowhere,
        flags: 0,
    };
    let mut first = 0;
    // SAFETY: acts on this thread.
    must(unsafe { (runtime.cudaSetDevice)(0) });
    // SAFETY: ranges and stream are alive until the wait below; the lists outlive the call.
    must(unsafe {
        batch(
            destinations.as_ptr(),
            sources.as_ptr().cast(),
            [2048_usize; 2].as_ptr(),
            2,
            &raw mut attributes,
            &raw mut first,
            1,
            stream.handle().0 as cudaStream_t,
        )
    });
    stream.wait(&mut patience()).unwrap();
    let mut expected = pattern(3, 4096);
    expected.rotate_left(2048);
    assert_eq!(bytes_of(&target), expected);
    drop((source, target, stream));
    rig.finish();
}
