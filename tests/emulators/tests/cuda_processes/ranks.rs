//! Communicators whose ranks are processes.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use eplb_cuda_sys::{
    NCCL_API_MAGIC, NCCL_CONFIG_UNDEF_INT, cudaError_t, ncclComm_t, ncclConfig_t, ncclDataType_t,
    ncclResult_t, ncclUniqueId,
};

use crate::child::{Child, Libraries, agreed, digits, from_digits, libraries, must, say, told};

const RANKS: usize = 4;
/// More than the sockets between processes take at once.
const BYTES: usize = 3 << 20;
const BYTE: ncclDataType_t = ncclDataType_t::ncclUint8;

fn unique_id(libraries: &Libraries) -> String {
    let mut id = ncclUniqueId { internal: [0; 128] };
    agreed(unsafe { (libraries.nccl.ncclGetUniqueId)(&raw mut id) });
    digits(&id.internal)
}

/// Rank and name of the communicator, as this process is told them; its end is ready.
fn join() -> (Libraries, ncclComm_t, usize) {
    let told = told();
    let (rank, id) = told.split_once(' ').unwrap();
    let rank: i32 = rank.parse().unwrap();
    let libraries = libraries(rank);
    let id = ncclUniqueId { internal: from_digits(id) };
    let mut end = null_mut();
    let ranks = i32::try_from(RANKS).unwrap();
    agreed(unsafe { (libraries.nccl.ncclCommInitRank)(&raw mut end, ranks, id, rank) });
    (libraries, end, usize::try_from(rank).unwrap())
}

/// The communicator's id is made here, where no rank is.
fn start(roles: [&str; RANKS]) -> [Child; RANKS] {
    let id = unique_id(&libraries(0));
    let mut rank = 0;
    roles.map(|role| {
        let mut child = Child::start(role, &[]);
        child.tell(&format!("{rank} {id}"));
        rank += 1;
        child
    })
}

pub(crate) fn four_ranks_work_together() {
    for child in start(["ranks::work"; RANKS]) {
        child.end();
    }
}

pub(crate) fn work() {
    let (libraries, end, rank) = join();
    let (nccl, runtime) = (libraries.nccl, libraries.runtime);
    let stream = libraries.stream();
    let memory = libraries.memory(BYTES * RANKS);
    let part = |rank: usize| memory.wrapping_byte_add(BYTES * rank);
    let seed = |rank: usize| u8::try_from(10 + rank).unwrap();
    libraries.put(part(rank), &vec![seed(rank); BYTES]);
    for _ in 0..3 {
        agreed(unsafe { (nccl.ncclAllGather)(part(rank), memory, BYTES, BYTE, end, stream) });
    }
    must(unsafe { (runtime.cudaStreamSynchronize)(stream) });
    for other in 0..RANKS {
        assert_eq!(libraries.bytes(part(other), BYTES), vec![seed(other); BYTES]);
    }
    // Around: to the next, from the one before.
    let out = libraries.memory(BYTES);
    let from: *mut c_void = libraries.memory(BYTES);
    libraries.put(out, &vec![seed(rank); BYTES]);
    let (next, before) = ((rank + 1) % RANKS, (rank + RANKS - 1) % RANKS);
    agreed(unsafe { (nccl.ncclGroupStart)() });
    agreed(unsafe { (nccl.ncclSend)(out, BYTES, BYTE, next as i32, end, stream) });
    agreed(unsafe { (nccl.ncclRecv)(from, BYTES, BYTE, before as i32, end, stream) });
    agreed(unsafe { (nccl.ncclGroupEnd)() });
    must(unsafe { (runtime.cudaStreamSynchronize)(stream) });
    assert_eq!(libraries.bytes(from, BYTES), vec![seed(before); BYTES]);
    agreed(unsafe { (nccl.ncclCommDestroy)(end) });
    for address in [memory, out, from] {
        must(unsafe { (runtime.cudaFree)(address) });
    }
    must(unsafe { (runtime.cudaStreamDestroy)(stream) });
    assert_eq!(libraries.rules(), [""; 0]);
    let left = libraries.control.live();
    assert!(left.values().all(|count| *count == 0), "{left:?}");
}

pub(crate) fn a_killed_rank_is_lost() {
    let [first, second, third, mut killed] = start([
        "ranks::wait_for_the_lost",
        "ranks::wait_for_the_lost",
        "ranks::wait_for_the_lost",
        "ranks::be_killed",
    ]);
    assert_eq!(killed.line(), "ready");
    let mut others = [first, second, third];
    for other in &mut others {
        assert_eq!(other.line(), "queued");
    }
    killed.kill();
    for other in others {
        other.end();
    }
}

pub(crate) fn be_killed() {
    let _joined = join();
    say("ready");
    std::thread::sleep(Duration::from_secs(60));
}

pub(crate) fn wait_for_the_lost() {
    let (libraries, end, _) = join();
    let stream = libraries.stream();
    let memory = libraries.memory(8 * RANKS);
    agreed(unsafe {
        (libraries.nccl.ncclAllGather)(libraries.memory(8), memory, 8, BYTE, end, stream)
    });
    say("queued");
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut found = ncclResult_t::ncclSuccess;
    while found == ncclResult_t::ncclSuccess {
        agreed(unsafe { (libraries.nccl.ncclCommGetAsyncError)(end, &raw mut found) });
        assert!(Instant::now() < deadline, "the loss was not seen");
    }
    assert_eq!(found, ncclResult_t::ncclRemoteError);
    let query = unsafe { (libraries.runtime.cudaStreamQuery)(stream) };
    assert_eq!(query, cudaError_t::cudaErrorNotReady);
    agreed(unsafe { (libraries.nccl.ncclCommAbort)(end) });
    must(unsafe { (libraries.runtime.cudaStreamSynchronize)(stream) });
}

pub(crate) fn a_rank_that_never_comes_is_aborted() {
    let libraries = libraries(0);
    let id = ncclUniqueId { internal: from_digits(&unique_id(&libraries)) };
    let unset = NCCL_CONFIG_UNDEF_INT;
    let mut config = ncclConfig_t {
        size: size_of::<ncclConfig_t>(),
        magic: NCCL_API_MAGIC,
        version: 22_703,
        blocking: 0,
        cgaClusterSize: unset,
        minCTAs: unset,
        maxCTAs: unset,
        netName: std::ptr::null(),
        splitShare: unset,
        trafficClass: unset,
        commName: std::ptr::null(),
        collnetEnable: unset,
        CTAPolicy: unset,
        shrinkShare: unset,
        nvlsCTAs: unset,
    };
    let mut end = null_mut();
    let begun =
        unsafe { (libraries.nccl.ncclCommInitRankConfig)(&raw mut end, 2, id, 0, &raw mut config) };
    assert_eq!(begun, ncclResult_t::ncclInProgress);
    std::thread::sleep(Duration::from_millis(50));
    let mut found = ncclResult_t::ncclSuccess;
    agreed(unsafe { (libraries.nccl.ncclCommGetAsyncError)(end, &raw mut found) });
    assert_eq!(found, ncclResult_t::ncclInProgress);
    let start = Instant::now();
    agreed(unsafe { (libraries.nccl.ncclCommAbort)(end) });
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(libraries.control.live()["communicators"], 0);
}
