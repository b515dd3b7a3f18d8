//! Operators, with ranks on threads of this process.

use std::ffi::c_void;
use std::time::{Duration, Instant};

use eplb_ascend_sys::{
    HcclComm, HcclDataType, HcclReduceOp, HcclResult, HcclSendRecvItem, HcclSendRecvType, aclError,
    aclrtStream,
};

use crate::creation::{create, destroy, root_info};
use crate::rig::{Rig, must, rig};

const DONE: HcclResult = HcclResult::HCCL_SUCCESS;
const REFUSED: HcclResult = HcclResult::HCCL_E_PARA;
const BYTE: HcclDataType = HcclDataType::HCCL_DATA_TYPE_INT8;

/// A rank's end with a stream, on the thread that made it.
struct Rank<'a> {
    rig: &'a Rig,
    end: HcclComm,
    stream: aclrtStream,
    rank: u32,
}

impl Rank<'_> {
    fn finish(self) {
        self.rig.destroy(self.stream);
        assert_eq!(destroy(self.rig, self.end as usize), DONE);
    }

    fn batch(&self, items: &mut [HcclSendRecvItem]) -> HcclResult {
        let count = u32::try_from(items.len()).unwrap();
        let batch = self.rig.hccl.HcclBatchSendRecv;
        unsafe { batch(items.as_mut_ptr(), count, self.end, self.stream) }
    }

    fn barrier(&self) -> HcclResult {
        unsafe { (self.rig.hccl.HcclBarrier)(self.end, self.stream) }
    }
}

/// Runs both ranks, each on a thread and a device of its own.
fn both(rig: &Rig, work: impl Fn(Rank<'_>) + Sync) {
    let root_info = root_info(rig);
    std::thread::scope(|scope| {
        for rank in 0..2 {
            let (work, root_info) = (&work, &root_info);
            scope.spawn(move || {
                let device = i32::try_from(rank).unwrap();
                let end = create(rig, root_info, [rank, 2], device, 8).unwrap() as HcclComm;
                work(Rank { rig, end, stream: rig.stream(), rank });
            });
        }
    });
}

fn alone(rig: &Rig) -> Rank<'_> {
    let end = create(rig, &root_info(rig), [0, 1], 0, 8).unwrap() as HcclComm;
    Rank { rig, end, stream: rig.stream(), rank: 0 }
}

fn item(sends: bool, buffer: *mut c_void, count: u64, peer: u32) -> HcclSendRecvItem {
    HcclSendRecvItem {
        sendRecvType: HcclSendRecvType(u32::from(!sends)),
        buf: buffer,
        count,
        dataType: BYTE,
        remoteRank: peer,
    }
}

#[test]
fn a_batch_moves_all_of_its_parts() {
    let rig = rig();
    both(&rig, |rank| {
        let (own, other) = (rank.rank, 1 - rank.rank);
        let [send, own_send, receive, own_receive] = [(); 4].map(|()| rank.rig.memory(64));
        rank.rig.fill(send, 10 + own.cast_signed(), 64, rank.stream);
        rank.rig.fill(own_send, 20 + own.cast_signed(), 64, rank.stream);
        let mut items = [
            item(false, receive, 64, other),
            item(true, own_send, 64, own),
            item(true, send, 64, other),
            item(false, own_receive, 64, own),
        ];
        assert_eq!(rank.batch(&mut items), DONE);
        rank.rig.wait(rank.stream);
        assert_eq!(rank.rig.bytes(receive, 64), [10 + u8::try_from(other).unwrap(); 64]);
        assert_eq!(rank.rig.bytes(own_receive, 64), [20 + u8::try_from(own).unwrap(); 64]);
        for memory in [send, own_send, receive, own_receive] {
            rank.rig.free(memory);
        }
        rank.finish();
    });
    rig.finish();
}

#[test]
fn a_batch_has_one_buffer_for_each_peer_and_direction() {
    let rig = rig();
    let rank = alone(&rig);
    let memory = rig.memory(256);
    let at = |offset: usize| memory.wrapping_byte_add(offset);
    let mut items = [item(true, at(0), 64, 0), item(true, at(64), 64, 0)];
    assert_eq!(rank.batch(&mut items), REFUSED);
    assert_eq!(rig.broken(), ["two_buffers_for_one_peer"]);
    let mut items = [item(true, at(0), 64, 0), item(false, at(64), 32, 0)];
    assert_eq!(rank.batch(&mut items), REFUSED);
    assert_eq!(rig.broken(), ["self_exchange_unmatched"]);
    assert_eq!(rank.batch(&mut [item(true, at(0), 64, 1)]), REFUSED, "no such rank");
    let mut items = [item(true, at(0), 0, 0), item(false, at(64), 0, 0)];
    assert_eq!(rank.batch(&mut items), DONE);
    assert_eq!(rig.broken(), ["empty_item", "empty_item"]);
    let mut items = [item(true, at(0), 64, 0), item(false, at(32), 64, 0)];
    assert_eq!(rank.batch(&mut items), DONE);
    assert_eq!(rig.broken(), ["overlapping_ranges"]);
    rig.wait(rank.stream);
    rank.finish();
    rig.free(memory);
    rig.finish();
}

#[test]
fn both_ends_of_a_pair_mean_the_same_bytes() {
    let rig = rig();
    both(&rig, |rank| {
        let memory = rank.rig.memory(64);
        let sends = rank.rank == 0;
        let count = if sends { 64 } else { 32 };
        assert_eq!(rank.batch(&mut [item(sends, memory, count, 1 - rank.rank)]), DONE);
        let status = rank.rig.wait_for(rank.stream, 5000);
        assert_eq!(status, aclError::ACL_ERROR_RT_AICPU_EXCEPTION);
        rank.rig.free(memory);
        rank.finish();
    });
    assert!(rig.broken().iter().all(|rule| rule == "operations_differ"));
}

#[test]
fn ranks_call_the_same_operators() {
    let rig = rig();
    both(&rig, |rank| {
        let memory = rank.rig.memory(64);
        let status = if rank.rank == 0 {
            rank.barrier()
        } else {
            unsafe { (rank.rig.hccl.HcclBroadcast)(memory, 64, BYTE, 0, rank.end, rank.stream) }
        };
        assert_eq!(status, DONE);
        assert_ne!(rank.rig.wait_for(rank.stream, 5000), aclError::ACL_SUCCESS);
        rank.rig.free(memory);
        rank.finish();
    });
    assert!(rig.broken().iter().any(|rule| rule == "operations_differ"));
}

#[test]
fn collectives_gather_copy_and_add() {
    let rig = rig();
    both(&rig, |rank| {
        let (rig, hccl) = (rank.rig, rank.rig.hccl);
        let (own, all) = (rig.memory(64), rig.memory(128));
        rig.fill(own, 3 + rank.rank.cast_signed(), 64, rank.stream);
        let gather = hccl.HcclAllGather;
        assert_eq!(unsafe { gather(own, all, 64, BYTE, rank.end, rank.stream) }, DONE);
        rig.wait(rank.stream);
        assert_eq!(rig.bytes(all, 128), [[3; 64], [4; 64]].concat());
        let reduce = |kind| unsafe {
            let sum = HcclReduceOp::HCCL_REDUCE_SUM;
            (hccl.HcclAllReduce)(own, own, 8, kind, sum, rank.end, rank.stream)
        };
        assert_eq!(reduce(HcclDataType::HCCL_DATA_TYPE_UINT64), HcclResult::HCCL_E_NOT_SUPPORT);
        assert_eq!(reduce(HcclDataType::HCCL_DATA_TYPE_INT64), DONE);
        rig.wait(rank.stream);
        assert_eq!(rig.bytes(own, 64), [7; 64]);
        rig.fill(own, 50 + rank.rank.cast_signed(), 64, rank.stream);
        let broadcast = hccl.HcclBroadcast;
        assert_eq!(unsafe { broadcast(own, 64, BYTE, 1, rank.end, rank.stream) }, DONE);
        assert_eq!(rank.barrier(), DONE);
        rig.wait(rank.stream);
        assert_eq!(rig.bytes(own, 64), [51; 64]);
        rig.free(own);
        rig.free(all);
        rank.finish();
    });
    rig.finish();
}

#[test]
fn nothing_is_nothing_and_too_much_is_refused() {
    let rig = rig();
    let rank = alone(&rig);
    let memory = rig.memory(64);
    let broadcast = |buffer, count| unsafe {
        (rig.hccl.HcclBroadcast)(buffer, count, BYTE, 0, rank.end, rank.stream)
    };
    assert_eq!(broadcast(std::ptr::null_mut(), 0), DONE);
    assert_eq!(broadcast(memory, 0x8_0000_0000), REFUSED);
    assert_eq!(broadcast(memory, 65), REFUSED);
    assert_eq!(rig.broken(), ["range_outside_allocation"]);
    let pinned = rig.pinned(64);
    assert_eq!(broadcast(pinned, 64), REFUSED);
    assert_eq!(rig.broken(), ["buffer_on_other_device"]);
    rig.free_pinned(pinned);
    rig.free(memory);
    rank.finish();
    rig.finish();
}

#[test]
fn links_are_set_up_in_the_first_call_which_waits_for_the_peer() {
    let rig = rig();
    both(&rig, |rank| {
        if rank.rank == 1 {
            std::thread::sleep(Duration::from_millis(100));
        }
        let started = Instant::now();
        assert_eq!(rank.barrier(), DONE);
        let waited = started.elapsed();
        assert_eq!(waited >= Duration::from_millis(60), rank.rank == 0, "{waited:?}");
        assert_eq!(rank.barrier(), DONE);
        rank.rig.wait(rank.stream);
        rank.finish();
    });
    rig.finish();
}

#[test]
fn destroying_a_communicator_ends_a_call_that_sets_up_links() {
    let rig = rig();
    both(&rig, |rank| {
        if rank.rank == 1 {
            std::thread::sleep(Duration::from_millis(200));
            return rank.finish();
        }
        let end = rank.end as usize;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                rig.set_device(0);
                assert_eq!(destroy(&rig, end), DONE);
            });
            assert_eq!(rank.barrier(), HcclResult::HCCL_E_INTERNAL);
        });
        assert!(rig.text().unwrap().contains("external request"));
        rig.destroy(rank.stream);
    });
    rig.finish();
}

#[test]
fn what_is_in_use_is_not_destroyed() {
    let rig = rig();
    let rank = alone(&rig);
    let hold = rig.hold(rank.stream);
    assert_eq!(rank.barrier(), DONE);
    assert_eq!(destroy(&rig, rank.end as usize), HcclResult::HCCL_E_AGAIN);
    drop(hold);
    rig.wait(rank.stream);
    rank.finish();
    rig.finish();
}

#[test]
fn nothing_gives_work_up_but_an_abort_of_its_stream() {
    let rig = rig();
    let over = std::sync::Barrier::new(2);
    both(&rig, |rank| {
        let memory = rank.rig.memory(64);
        assert_eq!(rank.barrier(), DONE);
        rank.rig.wait(rank.stream);
        if rank.rank == 0 {
            // The other rank never comes.
            assert_eq!(rank.batch(&mut [item(true, memory, 64, 1)]), DONE);
            let expired = aclError::ACL_ERROR_RT_STREAM_SYNC_TIMEOUT;
            assert_eq!(rank.rig.wait_for(rank.stream, 50), expired);
            assert_eq!(destroy(rank.rig, rank.end as usize), HcclResult::HCCL_E_AGAIN);
            must(unsafe { (rank.rig.acl.aclrtStreamAbort.unwrap())(rank.stream) });
            rank.rig.wait(rank.stream);
        }
        over.wait();
        rank.rig.free(memory);
        rank.finish();
    });
    rig.finish();
}

#[test]
fn operators_of_a_device_are_called_one_after_another() {
    let rig = rig();
    // Four ranks on two devices, in two communicators: the first calls wait inside for their peers.
    let names = [root_info(&rig), root_info(&rig)];
    let ends: Vec<[usize; 2]> = names
        .iter()
        .map(|name| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| create(&rig, name, [1, 2], 1, 8).unwrap());
                let own = create(&rig, name, [0, 2], 0, 8).unwrap();
                [own, other.join().unwrap()]
            })
        })
        .collect();
    std::thread::scope(|scope| {
        for (communicator, ends) in ends.iter().enumerate() {
            for (device, end) in (0..).zip(ends) {
                let rig = &rig;
                scope.spawn(move || {
                    rig.set_device(device);
                    let stream = rig.stream();
                    let rank = Rank { rig, end: *end as HcclComm, stream, rank: 0 };
                    // Device 1 keeps the rule, device 0 does not.
                    let late = if device == 1 { 100 + 100 * communicator as u64 } else { 0 };
                    std::thread::sleep(Duration::from_millis(late));
                    assert_eq!(rank.barrier(), DONE);
                    rig.wait(stream);
                    rank.finish();
                });
            }
        }
    });
    assert_eq!(rig.broken(), ["concurrent_operators"]);
}

#[test]
fn a_communicator_stays_in_the_context_that_it_was_created_in() {
    let rig = rig();
    let rank = alone(&rig);
    let default = rig.context();
    let mut own = std::ptr::null_mut();
    must(unsafe { (rig.acl.aclrtCreateContext)(&raw mut own, 0) });
    assert_eq!(rank.barrier(), REFUSED);
    assert_eq!(rig.broken(), ["communicator_of_another_context"]);
    must(unsafe { (rig.acl.aclrtDestroyContext)(own) });
    must(unsafe { (rig.acl.aclrtSetCurrentContext)(default) });
    let barrier = rig.hccl.HcclBarrier;
    let status = unsafe { barrier(rank.end, std::ptr::null_mut()) };
    assert_eq!(status, HcclResult::HCCL_E_PTR, "the default stream is none for it");
    assert_eq!(unsafe { (rig.hccl.HcclCommSuspend.unwrap())(rank.end) }, DONE);
    assert_eq!(rank.barrier(), HcclResult::HCCL_E_SUSPENDING);
    assert_eq!(unsafe { (rig.hccl.HcclCommResume.unwrap())(rank.end) }, DONE);
    assert_eq!(rank.barrier(), DONE);
    rig.wait(rank.stream);
    rank.finish();
    rig.finish();
}

#[test]
fn a_lost_rank_shows_on_streams_and_nowhere_else() {
    let rig = rig();
    let met = std::sync::Barrier::new(2);
    both(&rig, |rank| {
        assert_eq!(rank.barrier(), DONE);
        rank.rig.wait(rank.stream);
        met.wait();
        rank.rig.order("lose 1");
        assert_eq!(rank.barrier(), DONE);
        let status = rank.rig.wait_for(rank.stream, 5000);
        assert_eq!(status, aclError::ACL_ERROR_RT_SUSPECT_REMOTE_ERROR);
        let mut error = HcclResult(99);
        let ask = rank.rig.hccl.HcclGetCommAsyncError;
        assert_eq!(unsafe { ask(rank.end, &raw mut error) }, DONE);
        assert_eq!(error, DONE);
        rank.finish();
    });
    rig.finish();
}
