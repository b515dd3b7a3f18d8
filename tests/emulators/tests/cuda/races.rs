//! Work of two streams on the same bytes.

use crate::stage::{Hold, Stage, must, stage};

/// Two streams fill one memory; what orders them is between.
fn fill_twice(
    stage: &Stage,
    order: impl FnOnce(eplb_cuda_sys::cudaStream_t, eplb_cuda_sys::cudaStream_t),
) {
    let streams = [(); 2].map(|()| stage.stream());
    let memory = stage.memory(64);
    must(stage.fill(memory, 64, streams[0]));
    order(streams[0], streams[1]);
    must(stage.fill(memory.wrapping_byte_add(32), 32, streams[1]));
    for stream in streams {
        must(stage.wait(stream));
        stage.end_stream(stream);
    }
    must(stage.free(memory));
}

#[test]
fn nothing_orders_two_streams_by_itself() {
    let stage = stage();
    fill_twice(&stage, |_, _| {});
    stage.expect(&["race"]);
    // Even if the first is over by then: nobody has seen it.
    fill_twice(&stage, |_, _| std::thread::sleep(std::time::Duration::from_millis(20)));
    stage.expect(&["race"]);
}

#[test]
fn events_and_waits_order_them() {
    let stage = stage();
    fill_twice(&stage, |first, second| {
        let event = stage.event();
        must(unsafe { (stage.runtime.cudaEventRecord)(event, first) });
        must(unsafe { (stage.runtime.cudaStreamWaitEvent)(second, event, 0) });
        stage.end_event(event);
    });
    fill_twice(&stage, |first, _| must(stage.wait(first)));
    fill_twice(&stage, |_, _| must(unsafe { (stage.runtime.cudaDeviceSynchronize)() }));
    stage.expect(&[]);
}

#[test]
fn an_event_recorded_too_early_orders_nothing() {
    let stage = stage();
    let streams = [(); 2].map(|()| stage.stream());
    let memory = stage.memory(64);
    let event = stage.event();
    must(unsafe { (stage.runtime.cudaEventRecord)(event, streams[0]) });
    must(stage.fill(memory, 64, streams[0]));
    must(unsafe { (stage.runtime.cudaStreamWaitEvent)(streams[1], event, 0) });
    must(stage.fill(memory, 64, streams[1]));
    stage.expect(&["race"]);
    for stream in streams {
        must(stage.wait(stream));
        stage.end_stream(stream);
    }
    stage.end_event(event);
    must(stage.free(memory));
    stage.expect(&[]);
}

#[test]
fn readers_may_run_beside_each_other_and_parts_apart() {
    let stage = stage();
    let streams = [(); 2].map(|()| stage.stream());
    let (source, target) = (stage.memory(64), stage.memory(64));
    let kind = eplb_cuda_sys::cudaMemcpyKind::cudaMemcpyDeviceToDevice;
    for (offset, stream) in [0, 32].into_iter().zip(streams) {
        let to = target.wrapping_byte_add(offset);
        must(unsafe { (stage.runtime.cudaMemcpyAsync)(to, source, 32, kind, stream) });
    }
    stage.expect(&[]);
    for stream in streams {
        must(stage.wait(stream));
        stage.end_stream(stream);
    }
    must(stage.free(source));
    must(stage.free(target));
}

#[test]
fn the_null_stream_and_plain_streams_order_each_other() {
    let stage = stage();
    let mut plain = std::ptr::null_mut();
    must(unsafe { (stage.runtime.cudaStreamCreateWithFlags)(&raw mut plain, 0) });
    let apart = stage.stream();
    let memory = stage.memory(64);
    let null = std::ptr::null_mut();
    // One after another on the device, though nothing waits on the host.
    must(stage.fill(memory, 64, null));
    let hold = Hold::on(&stage, null);
    must(stage.fill(memory, 64, plain));
    must(stage.fill(memory, 64, null));
    stage.expect(&[]);
    let query = |stream| unsafe { (stage.runtime.cudaStreamQuery)(stream) };
    assert_eq!(query(plain), eplb_cuda_sys::cudaError_t::cudaErrorNotReady);
    must(query(apart));
    must(stage.fill(memory, 64, apart));
    stage.expect(&["race"]);
    drop(hold);
    must(unsafe { (stage.runtime.cudaDeviceSynchronize)() });
    stage.end_stream(plain);
    stage.end_stream(apart);
    must(stage.free(memory));
    stage.expect(&[]);
}
