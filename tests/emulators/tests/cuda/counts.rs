//! What is alive can be asked.

use std::ptr::null_mut;

use crate::stage::{must, stage};

#[test]
fn everything_that_is_left_is_counted() {
    let stage = stage();
    let before = stage.control.live();
    let (memory, pinned) = (stage.memory(1000), stage.pinned(10));
    let (stream, event) = (stage.stream(), stage.event());
    let mut plain = vec![0_u8; 64];
    let host = plain.as_mut_ptr().cast();
    must(unsafe { (stage.runtime.cudaHostRegister)(host, 64, 0) });
    let end = stage.alone();
    let live = stage.control.live();
    for (name, more) in [
        ("allocations", 1),
        ("bytes", 1000),
        ("pinned", 1),
        ("registered", 1),
        ("streams", 1),
        ("events", 1),
        ("communicators", 1),
        ("exports", 0),
        ("imports", 0),
    ] {
        assert_eq!(live[name], before[name] + more, "{name}");
    }
    must(stage.free(memory));
    must(unsafe { (stage.runtime.cudaFreeHost)(pinned) });
    must(unsafe { (stage.runtime.cudaHostUnregister)(host) });
    stage.end_stream(stream);
    stage.end_event(event);
    stage.end(end);
    assert_eq!(stage.control.live(), before);
    stage.expect(&[]);
}

#[test]
fn memory_is_counted_with_communicators() {
    let stage = stage();
    let free = || {
        let (mut free, mut total) = (0, 0);
        must(unsafe { (stage.runtime.cudaMemGetInfo)(&raw mut free, &raw mut total) });
        free
    };
    let before = free();
    let memory = stage.memory(1 << 20);
    assert_eq!(free(), before - (1 << 20));
    let end = stage.alone();
    assert!(free() < before - (1 << 20) - (4 << 20), "a communicator has buffers");
    stage.end(end);
    must(stage.free(memory));
    assert_eq!(free(), before);
    must(stage.free(null_mut()));
}
