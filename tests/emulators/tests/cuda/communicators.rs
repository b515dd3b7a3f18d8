//! Rules of communicators, with ranks as threads or in groups of one thread.

use std::ffi::c_void;
use std::ptr::null_mut;

use eplb_cuda_sys::{
    NCCL_API_MAGIC, NCCL_CONFIG_UNDEF_INT, cudaStream_t, ncclComm_t, ncclConfig_t, ncclDataType_t,
    ncclRedOp_t, ncclResult_t,
};

use crate::stage::{Hold, Stage, agreed, must, stage, until};

const BYTE: ncclDataType_t = ncclDataType_t::ncclUint8;
const BAD: ncclResult_t = ncclResult_t::ncclInvalidArgument;

fn config() -> ncclConfig_t {
    ncclConfig_t {
        size: size_of::<ncclConfig_t>(),
        magic: NCCL_API_MAGIC,
        version: 22_703,
        blocking: 0,
        cgaClusterSize: NCCL_CONFIG_UNDEF_INT,
        minCTAs: NCCL_CONFIG_UNDEF_INT,
        maxCTAs: 1,
        netName: std::ptr::null(),
        splitShare: NCCL_CONFIG_UNDEF_INT,
        trafficClass: NCCL_CONFIG_UNDEF_INT,
        commName: std::ptr::null(),
        collnetEnable: NCCL_CONFIG_UNDEF_INT,
        CTAPolicy: NCCL_CONFIG_UNDEF_INT,
        shrinkShare: NCCL_CONFIG_UNDEF_INT,
        nvlsCTAs: NCCL_CONFIG_UNDEF_INT,
    }
}

fn standing(stage: &Stage, end: ncclComm_t) -> ncclResult_t {
    let mut found = ncclResult_t::ncclSuccess;
    agreed(unsafe { (stage.nccl.ncclCommGetAsyncError)(end, &raw mut found) });
    found
}

fn settled(stage: &Stage, end: ncclComm_t) -> ncclResult_t {
    until(|| standing(stage, end) != ncclResult_t::ncclInProgress);
    standing(stage, end)
}

/// Begins creation of two ranks, with what they give.
fn begin(stage: &Stage, ranks: [(i32, i32, ncclConfig_t); 2]) -> [ncclComm_t; 2] {
    let id = stage.unique_id();
    let mut number = 0;
    let ends = ranks.map(|(device, size, mut config)| {
        stage.on_device(device);
        let mut end = null_mut();
        let begun = unsafe {
            let config = &raw mut config;
            (stage.nccl.ncclCommInitRankConfig)(&raw mut end, size, id, number, config)
        };
        assert_eq!(begun, ncclResult_t::ncclInProgress);
        number += 1;
        end
    });
    stage.on_device(0);
    ends
}

fn abort(stage: &Stage, ends: [ncclComm_t; 2]) {
    for end in ends {
        agreed(unsafe { (stage.nccl.ncclCommAbort)(end) });
    }
}

/// A stream and a memory of 64 bytes on each of the two devices.
fn places(stage: &Stage) -> [(cudaStream_t, *mut c_void); 2] {
    let places = [0, 1].map(|device| {
        stage.on_device(device);
        (stage.stream(), stage.memory(64))
    });
    stage.on_device(0);
    places
}

fn leave(stage: &Stage, places: [(cudaStream_t, *mut c_void); 2]) {
    for (stream, memory) in places {
        must(stage.wait(stream));
        stage.end_stream(stream);
        must(stage.free(memory));
    }
}

#[test]
fn bytes_go_to_their_ranks() {
    let stage = stage();
    let (ends, places) = (stage.pair(), places(&stage));
    for (rank, (_, memory)) in (1..).zip(&places) {
        stage.put(*memory, &[rank; 64]);
    }
    let [(first, left), (second, right)] = places;
    let nccl = stage.nccl;
    unsafe {
        agreed((nccl.ncclGroupStart)());
        // Both send to each other, and the first to itself.
        agreed((nccl.ncclSend)(left, 8, BYTE, 1, ends[0], first));
        agreed((nccl.ncclRecv)(left.wrapping_byte_add(8), 8, BYTE, 1, ends[0], first));
        agreed((nccl.ncclSend)(left.wrapping_byte_add(16), 4, BYTE, 0, ends[0], first));
        agreed((nccl.ncclRecv)(left.wrapping_byte_add(60), 4, BYTE, 0, ends[0], first));
        agreed((nccl.ncclSend)(right, 8, BYTE, 0, ends[1], second));
        agreed((nccl.ncclRecv)(right.wrapping_byte_add(8), 8, BYTE, 0, ends[1], second));
        agreed((nccl.ncclGroupEnd)());
    }
    must(stage.wait(first));
    must(stage.wait(second));
    assert_eq!(stage.bytes(left, 24), [[1; 8], [2; 8], [1; 8]].concat());
    assert_eq!(stage.bytes(right, 16), [[2; 8], [1; 8]].concat());
    // A sum of both, and a gathering, in place.
    let at = |memory: *mut c_void, rank: usize| memory.wrapping_byte_add(32 + 4 * rank);
    stage.put(left, &5_i32.to_le_bytes());
    stage.put(right, &(-7_i32).to_le_bytes());
    unsafe {
        agreed((nccl.ncclGroupStart)());
        for ((end, (stream, memory)), rank) in ends.iter().zip(places).zip(0..) {
            let (int, sum) = (ncclDataType_t::ncclInt32, ncclRedOp_t::ncclSum);
            let to = at(memory, rank);
            agreed((nccl.ncclAllReduce)(memory, to, 1, int, sum, *end, stream));
            agreed((nccl.ncclAllGather)(to, at(memory, 0), 4, BYTE, *end, stream));
            agreed((nccl.ncclBroadcast)(memory, memory, 4, BYTE, 1, *end, stream));
        }
        agreed((nccl.ncclGroupEnd)());
    }
    must(stage.wait(first));
    must(stage.wait(second));
    for (_, memory) in places {
        assert_eq!(stage.bytes(at(memory, 0), 8), [(-2_i32).to_le_bytes(); 2].concat());
        assert_eq!(stage.bytes(memory, 4), (-7_i32).to_le_bytes());
    }
    stage.expect(&[]);
    for end in ends {
        stage.end(end);
    }
    leave(&stage, places);
    stage.expect(&[]);
}

#[test]
fn two_ranks_on_one_device_are_refused() {
    let stage = stage();
    let ends = begin(&stage, [(0, 2, config()), (0, 2, config())]);
    for end in ends {
        assert_eq!(settled(&stage, end), ncclResult_t::ncclInvalidUsage);
    }
    stage.expect(&["two_ranks_on_one_device"; 2]);
    abort(&stage, ends);
}

#[test]
fn ranks_give_the_same_settings() {
    let stage = stage();
    let other = ncclConfig_t { maxCTAs: 3, ..config() };
    let mut ends = begin(&stage, [(0, 2, config()), (1, 2, other)]);
    for end in ends {
        assert_eq!(settled(&stage, end), ncclResult_t::ncclInvalidUsage);
    }
    stage.expect(&["settings_differ"; 2]);
    abort(&stage, ends);
    ends = begin(&stage, [(0, 2, config()), (1, 3, config())]);
    assert_eq!(ends.map(|end| settled(&stage, end)), [ncclResult_t::ncclInvalidUsage; 2]);
    stage.expect(&["settings_differ"; 2]);
    abort(&stage, ends);
    // And a library reads the settings that it knows.
    let id = stage.unique_id();
    for unsound in [
        ncclConfig_t { magic: 7, ..config() },
        ncclConfig_t { size: 71, ..config() },
        ncclConfig_t { blocking: 2, ..config() },
    ] {
        let (mut unsound, mut end) = (unsound, null_mut());
        let begun = unsafe {
            (stage.nccl.ncclCommInitRankConfig)(&raw mut end, 1, id, 0, &raw mut unsound)
        };
        assert_eq!(begun, BAD);
        stage.expect(&["configuration_unsound"]);
    }
}

/// Queues what both ranks do, in one group, and gives where their ends stand then.
fn both(
    stage: &Stage,
    ends: [ncclComm_t; 2],
    queue: impl FnOnce() -> [ncclResult_t; 2],
) -> [ncclResult_t; 2] {
    agreed(unsafe { (stage.nccl.ncclGroupStart)() });
    for status in queue() {
        agreed(status);
    }
    agreed(unsafe { (stage.nccl.ncclGroupEnd)() });
    ends.map(|end| {
        until(|| standing(stage, end) != ncclResult_t::ncclSuccess);
        standing(stage, end)
    })
}

/// What both ranks do, with their ends and places.
type Both<'a> = dyn Fn([ncclComm_t; 2], [(cudaStream_t, *mut c_void); 2]) -> [ncclResult_t; 2] + 'a;

#[test]
fn ranks_do_the_same() {
    let stage = stage();
    let nccl = stage.nccl;
    let run = |queue: &Both<'_>| {
        let (ends, places) = (stage.pair(), places(&stage));
        let found = both(&stage, ends, || queue(ends, places));
        assert_eq!(found, [ncclResult_t::ncclInvalidUsage; 2]);
        // As with the vendor, the work stays where it is until the communicator is aborted.
        for (stream, _) in places {
            let query = unsafe { (stage.runtime.cudaStreamQuery)(stream) };
            assert_eq!(query, eplb_cuda_sys::cudaError_t::cudaErrorNotReady);
        }
        abort(&stage, ends);
        leave(&stage, places);
        stage.expect(&["operations_differ"; 2]);
    };
    run(&|ends, [(first, left), (second, right)]| unsafe {
        [
            (nccl.ncclSend)(left, 8, BYTE, 1, ends[0], first),
            (nccl.ncclRecv)(right, 9, BYTE, 0, ends[1], second),
        ]
    });
    run(&|ends, [(first, left), (second, right)]| unsafe {
        [
            (nccl.ncclBroadcast)(left, left, 8, BYTE, 0, ends[0], first),
            (nccl.ncclBroadcast)(right, right, 8, BYTE, 1, ends[1], second),
        ]
    });
    run(&|ends, [(first, left), (second, right)]| unsafe {
        [
            (nccl.ncclAllGather)(left, left, 8, BYTE, ends[0], first),
            (nccl.ncclBroadcast)(right, right, 8, BYTE, 0, ends[1], second),
        ]
    });
}

#[test]
fn what_a_rank_sends_to_itself_it_receives() {
    let stage = stage();
    let (end, stream, memory) = (stage.alone(), stage.stream(), stage.memory(64));
    let send = unsafe { (stage.nccl.ncclSend)(memory, 8, BYTE, 0, end, stream) };
    assert_eq!(send, BAD);
    stage.expect(&["self_exchange_unmatched"]);
    stage.end(end);
    stage.end_stream(stream);
    must(stage.free(memory));
}

#[test]
fn buffers_streams_and_peers_are_the_communicators() {
    let stage = stage();
    let (end, places) = (stage.alone(), places(&stage));
    let [(stream, memory), (other_stream, other_memory)] = places;
    let gather = |memory: *mut c_void, stream, type_| unsafe {
        (stage.nccl.ncclAllGather)(memory, memory, 8, type_, end, stream)
    };
    assert_eq!(gather(other_memory, stream, BYTE), BAD);
    stage.expect(&["buffer_on_other_device"]);
    assert_eq!(gather(memory, other_stream, BYTE), BAD);
    stage.expect(&["stream_of_other_device"]);
    assert_eq!(gather(memory, stream, ncclDataType_t(77)), BAD);
    stage.expect(&["type_unknown"]);
    let mut plain = [0_u8; 8];
    assert_eq!(gather(plain.as_mut_ptr().cast(), stream, BYTE), BAD);
    stage.expect(&["foreign_memory"]);
    let beyond = unsafe { (stage.nccl.ncclRecv)(memory, 1, BYTE, 1, end, stream) };
    assert_eq!(beyond, BAD);
    stage.expect(&["peer_out_of_range"]);
    let reduce = |operation| unsafe {
        (stage.nccl.ncclAllReduce)(memory, memory, 8, BYTE, ncclRedOp_t(operation), end, stream)
    };
    assert_eq!(reduce(9), BAD);
    stage.expect(&["reduction_unknown"]);
    // A group with a bad call queues nothing.
    agreed(unsafe { (stage.nccl.ncclGroupStart)() });
    agreed(gather(memory, stream, BYTE));
    assert_eq!(gather(other_memory, stream, BYTE), BAD);
    assert_eq!(unsafe { (stage.nccl.ncclGroupEnd)() }, BAD);
    stage.expect(&["buffer_on_other_device"]);
    let mut registration = null_mut();
    let nccl = stage.nccl;
    let register = nccl.ncclCommRegister.unwrap();
    agreed(unsafe { register(end, memory, 64, &raw mut registration) });
    let deregister = |handle| unsafe { nccl.ncclCommDeregister.unwrap()(end, handle) };
    agreed(deregister(registration));
    assert_eq!(deregister(registration), BAD);
    stage.expect(&["foreign_registration"]);
    stage.end(end);
    leave(&stage, places);
    stage.expect(&[]);
}

#[test]
fn calls_that_do_not_block_are_waited_for() {
    let stage = stage();
    let nccl = stage.nccl;
    let ends = begin(&stage, [(0, 2, config()), (1, 2, config())]);
    assert_eq!(ends.map(|end| settled(&stage, end)), [ncclResult_t::ncclSuccess; 2]);
    let places = places(&stage);
    let [(stream, memory), _] = places;
    let send = || unsafe { (nccl.ncclSend)(memory, 8, BYTE, 1, ends[0], stream) };
    assert_eq!(send(), ncclResult_t::ncclInProgress);
    // Too early: the call before may not be on the stream yet.
    assert_eq!(send(), BAD);
    stage.expect(&["call_while_in_progress"]);
    assert_eq!(settled(&stage, ends[0]), ncclResult_t::ncclSuccess);
    let [_, (other, target)] = places;
    let receive = unsafe { (nccl.ncclRecv)(target, 8, BYTE, 0, ends[1], other) };
    assert_eq!(receive, ncclResult_t::ncclInProgress);
    assert_eq!(settled(&stage, ends[1]), ncclResult_t::ncclSuccess);
    must(stage.wait(stream));
    must(stage.wait(other));
    for end in ends {
        let finalized = unsafe { (nccl.ncclCommFinalize)(end) };
        assert_eq!(finalized, ncclResult_t::ncclInProgress);
        assert_eq!(settled(&stage, end), ncclResult_t::ncclSuccess);
    }
    assert_eq!(send(), BAD);
    stage.expect(&["call_after_finalize"]);
    for end in ends {
        stage.end(end);
    }
    leave(&stage, places);
    stage.expect(&[]);
}

#[test]
fn handles_of_communicators_end() {
    let stage = stage();
    let end = stage.alone();
    let mut count = 0;
    agreed(unsafe { (stage.nccl.ncclCommCount)(end, &raw mut count) });
    stage.end(end);
    let again = unsafe { (stage.nccl.ncclCommDestroy)(end) };
    assert_eq!(again, BAD);
    stage.expect(&["use_of_destroyed_communicator"]);
    let foreign = unsafe { (stage.nccl.ncclCommCount)(null_mut(), &raw mut count) };
    assert_eq!(foreign, BAD);
    stage.expect(&["foreign_communicator"]);
    let ended = unsafe { (stage.nccl.ncclGroupEnd)() };
    assert_eq!(ended, ncclResult_t::ncclInvalidUsage);
    stage.expect(&["group_not_open"]);
}

#[test]
fn one_thread_at_a_time_calls_for_a_device() {
    let stage = stage();
    let ends = [stage.alone(), stage.alone()];
    let (stream, memory) = (stage.stream(), stage.memory(64));
    let gather = |end: ncclComm_t| unsafe {
        (stage.nccl.ncclAllGather)(memory, memory, 8, BYTE, end, stream)
    };
    let [mine, others] = ends.map(|end| end as usize);
    // While this thread has an open group with a call of the device.
    agreed(unsafe { (stage.nccl.ncclGroupStart)() });
    agreed(gather(mine as ncclComm_t));
    let runtime = stage.runtime;
    let nccl = stage.nccl;
    let (to, at) = (stream as usize, memory as usize);
    let other = std::thread::spawn(move || unsafe {
        must((runtime.cudaSetDevice)(0));
        let memory = at as *mut c_void;
        let end = others as ncclComm_t;
        agreed((nccl.ncclAllGather)(memory, memory, 8, BYTE, end, to as cudaStream_t));
    });
    other.join().unwrap();
    stage.expect(&["concurrent_calls"]);
    agreed(unsafe { (stage.nccl.ncclGroupEnd)() });
    must(stage.wait(stream));
    for end in ends {
        stage.end(end);
    }
    stage.end_stream(stream);
    must(stage.free(memory));
    stage.expect(&[]);
}

#[test]
fn an_abort_ends_work_as_if_it_had_succeeded() {
    let stage = stage();
    let (ends, places) = (stage.pair(), places(&stage));
    let [(stream, memory), _] = places;
    stage.put(memory, &[1; 64]);
    // The other rank never comes.
    agreed(unsafe { (stage.nccl.ncclSend)(memory, 8, BYTE, 1, ends[0], stream) });
    must(stage.fill(memory, 64, stream));
    std::thread::sleep(std::time::Duration::from_millis(20));
    let query = unsafe { (stage.runtime.cudaStreamQuery)(stream) };
    assert_eq!(query, eplb_cuda_sys::cudaError_t::cudaErrorNotReady);
    agreed(unsafe { (stage.nccl.ncclCommAbort)(ends[0]) });
    // What was queued behind runs all the same.
    must(stage.wait(stream));
    assert_eq!(stage.bytes(memory, 64), [7; 64]);
    // The other rank sees that it is alone.
    until(|| standing(&stage, ends[1]) == ncclResult_t::ncclRemoteError);
    agreed(unsafe { (stage.nccl.ncclCommAbort)(ends[1]) });
    leave(&stage, places);
    stage.expect(&[]);
}

#[test]
fn an_abort_waits_for_the_stream_to_come_to_its_work() {
    let stage = stage();
    let (end, stream, memory) = (stage.alone(), stage.stream(), stage.memory(8));
    let hold = Hold::on(&stage, stream);
    agreed(unsafe { (stage.nccl.ncclAllGather)(memory, memory, 8, BYTE, end, stream) });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(hold);
        });
        let start = std::time::Instant::now();
        agreed(unsafe { (stage.nccl.ncclCommAbort)(end) });
        assert!(start.elapsed() >= std::time::Duration::from_millis(40));
    });
    must(stage.wait(stream));
    stage.end_stream(stream);
    must(stage.free(memory));
    stage.expect(&[]);
}
