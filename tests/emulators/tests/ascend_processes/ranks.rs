//! Ranks in processes of their own.

use eplb_ascend_sys::{
    HcclComm, HcclDataType, HcclResult, HcclRootInfo, HcclSendRecvItem, HcclSendRecvType, aclError,
    aclrtStream,
};

use crate::child::{Child, Libraries, digits, from_digits, libraries, must, say, told};

const DONE: HcclResult = HcclResult::HCCL_SUCCESS;
const BYTE: HcclDataType = HcclDataType::HCCL_DATA_TYPE_UINT8;

/// Swaps 64 bytes with the other rank.
fn swap(libraries: &Libraries, end: HcclComm, rank: u32, stream: aclrtStream) {
    let [own, other] = [(); 2].map(|()| libraries.memory(64));
    libraries.put(own, &[u8::try_from(rank).unwrap(); 64]);
    let item = |direction, buf| HcclSendRecvItem {
        sendRecvType: direction,
        buf,
        count: 64,
        dataType: BYTE,
        remoteRank: 1 - rank,
    };
    let mut items =
        [item(HcclSendRecvType::HCCL_SEND, own), item(HcclSendRecvType::HCCL_RECV, other)];
    let batch = libraries.hccl.HcclBatchSendRecv;
    assert_eq!(unsafe { batch(items.as_mut_ptr(), 2, end, stream) }, DONE);
    must(libraries.wait(stream));
    assert_eq!(libraries.bytes(other, 64), [u8::try_from(1 - rank).unwrap(); 64]);
}

fn barrier(libraries: &Libraries, end: HcclComm, stream: aclrtStream) -> aclError {
    assert_eq!(unsafe { (libraries.hccl.HcclBarrier)(end, stream) }, DONE);
    libraries.wait(stream)
}

/// This process is rank 0, the child is rank 1.
fn start(libraries: &Libraries, role: &str) -> (Child, HcclComm) {
    let root_info = libraries.root_info();
    let mut child = Child::start(role, &[]);
    child.tell(&digits(&root_info.internal));
    (child, libraries.create(&root_info, 0, 2).unwrap())
}

fn join(libraries: &Libraries) -> HcclComm {
    let root_info = HcclRootInfo { internal: from_digits(&told()) };
    libraries.create(&root_info, 1, 2).unwrap()
}

pub(crate) fn ranks_in_processes_work_together() {
    let libraries = libraries(0);
    let (child, end) = start(&libraries, "ranks::work");
    let stream = libraries.stream();
    swap(&libraries, end, 0, stream);
    must(barrier(&libraries, end, stream));
    assert_eq!(unsafe { (libraries.hccl.HcclCommDestroy)(end) }, DONE);
    child.end();
    assert_eq!(libraries.rules(), [""; 0]);
}

pub(crate) fn work() {
    let libraries = libraries(1);
    let end = join(&libraries);
    let stream = libraries.stream();
    swap(&libraries, end, 1, stream);
    must(barrier(&libraries, end, stream));
    assert_eq!(unsafe { (libraries.hccl.HcclCommDestroy)(end) }, DONE);
    assert_eq!(libraries.rules(), [""; 0]);
}

pub(crate) fn a_killed_rank_is_lost() {
    let libraries = libraries(0);
    let (mut child, end) = start(&libraries, "ranks::silence");
    let stream = libraries.stream();
    must(barrier(&libraries, end, stream));
    assert_eq!(child.line(), "met");
    assert_eq!(unsafe { (libraries.hccl.HcclBarrier)(end, stream) }, DONE);
    child.kill();
    assert_eq!(libraries.wait(stream), aclError::ACL_ERROR_RT_SUSPECT_REMOTE_ERROR);
    assert_eq!(unsafe { (libraries.hccl.HcclCommDestroy)(end) }, DONE);
}

/// Meets the other once, or is it, and does nothing more.
pub(crate) fn silence() {
    let libraries = libraries(1);
    let end = join(&libraries);
    let stream = libraries.stream();
    must(barrier(&libraries, end, stream));
    say("met");
    if std::env::var_os("EPLB_EMULATOR_OPERATOR_MILLISECONDS").is_some() {
        let status = barrier(&libraries, end, stream);
        say(&status.0.to_string());
    }
    told();
}

pub(crate) fn operators_have_a_limit() {
    let libraries = libraries(0);
    let root_info = libraries.root_info();
    let limit = [("EPLB_EMULATOR_OPERATOR_MILLISECONDS", "300")];
    let mut child = Child::start("ranks::silence", &limit);
    child.tell(&digits(&root_info.internal));
    let end = libraries.create(&root_info, 0, 2).unwrap();
    must(barrier(&libraries, end, libraries.stream()));
    assert_eq!(child.line(), "met");
    // This rank stays silent, and the other one's operator comes to its limit.
    assert_eq!(child.line(), aclError::ACL_ERROR_RT_AICPU_TIMEOUT.0.to_string());
    child.end();
}
