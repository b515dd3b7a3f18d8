//! Communicators: creation and destruction.

use std::time::{Duration, Instant};

use eplb_ascend_sys::{HcclComm, HcclCommConfig, HcclResult, HcclRootInfo};

use crate::rig::{Rig, rig};

const DONE: HcclResult = HcclResult::HCCL_SUCCESS;

pub(crate) fn root_info(rig: &Rig) -> HcclRootInfo {
    let mut root_info = HcclRootInfo { internal: [0; 4108] };
    assert_eq!(unsafe { (rig.hccl.HcclGetRootInfo)(&raw mut root_info) }, DONE);
    root_info
}

/// Creates a rank's end on a device, with buffers of so many megabytes; its handle as a number.
pub(crate) fn create(
    rig: &Rig,
    root_info: &HcclRootInfo,
    [rank, size]: [u32; 2],
    device: i32,
    megabytes: u32,
) -> Result<usize, HcclResult> {
    rig.set_device(device);
    let config = HcclCommConfig { hcclBufferSize: megabytes, ..HcclCommConfig::version_6() };
    let mut end: HcclComm = std::ptr::null_mut();
    let create = rig.hccl.HcclCommInitRootInfoConfig;
    let status = unsafe { create(size, root_info, rank, &raw const config, &raw mut end) };
    if status == DONE { Ok(end as usize) } else { Err(status) }
}

pub(crate) fn destroy(rig: &Rig, end: usize) -> HcclResult {
    unsafe { (rig.hccl.HcclCommDestroy)(end as HcclComm) }
}

/// Creates two ranks, each on a thread and a device of its own.
fn create_two(rig: &Rig, devices: [i32; 2], megabytes: [u32; 2]) -> [Result<usize, HcclResult>; 2] {
    let root_info = root_info(rig);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| create(rig, &root_info, [1, 2], devices[1], megabytes[1]));
        let own = create(rig, &root_info, [0, 2], devices[0], megabytes[0]);
        [own, other.join().unwrap()]
    })
}

#[test]
fn creation_blocks_until_all_ranks_have_come() {
    let rig = rig();
    let root_info = root_info(&rig);
    let started = Instant::now();
    let ends = std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            create(&rig, &root_info, [1, 2], 1, 8)
        });
        let own = create(&rig, &root_info, [0, 2], 0, 8);
        [own, late.join().unwrap()]
    });
    assert!(started.elapsed() >= Duration::from_millis(100));
    for (rank, end) in (0..).zip(ends) {
        let end = end.unwrap();
        let (mut found, mut size) = (99, 99);
        let handle = end as HcclComm;
        assert_eq!(unsafe { (rig.hccl.HcclGetRankId)(handle, &raw mut found) }, DONE);
        assert_eq!(unsafe { (rig.hccl.HcclGetRankSize)(handle, &raw mut size) }, DONE);
        assert_eq!((found, size), (rank, 2));
        assert_eq!(destroy(&rig, end), DONE);
    }
    rig.finish();
}

#[test]
fn buffers_count_twice() {
    let rig = rig();
    let live = || {
        let (mut free, mut total) = (0, 0);
        let own = eplb_ascend_sys::aclrtMemAttr::ACL_HBM_MEM;
        unsafe { (rig.acl.aclrtGetMemInfo)(own, &raw mut free, &raw mut total) };
        total - free
    };
    let root_info = root_info(&rig);
    let before = live();
    let end = create(&rig, &root_info, [0, 1], 0, 8).unwrap();
    assert_eq!(live() - before, 16 << 20);
    assert_eq!(destroy(&rig, end), DONE);
    assert_eq!(live(), before);
    rig.order("limit memory 1000000");
    let root_info = crate::creation::root_info(&rig);
    assert_eq!(create(&rig, &root_info, [0, 1], 0, 8), Err(HcclResult::HCCL_E_OOM));
    rig.finish();
}

#[test]
fn two_ranks_on_one_device_are_refused() {
    let rig = rig();
    let ends = create_two(&rig, [1, 1], [8, 8]);
    assert_eq!(ends, [Err(HcclResult::HCCL_E_PARA); 2]);
    let broken = rig.broken();
    assert!(broken.contains(&"two_ranks_on_one_device".to_owned()), "{broken:?}");
    assert!(broken.contains(&"concurrent_creation".to_owned()), "{broken:?}");
}

#[test]
fn ranks_give_the_same_settings() {
    let rig = rig();
    let ends = create_two(&rig, [0, 1], [8, 16]);
    assert_eq!(ends, [Err(HcclResult::HCCL_E_PARA); 2]);
    assert!(rig.broken().iter().all(|rule| rule == "settings_differ"));
}

#[test]
fn ranks_names_and_settings_make_sense() {
    let rig = rig();
    let root_info = root_info(&rig);
    let refused = Err(HcclResult::HCCL_E_PARA);
    assert_eq!(create(&rig, &root_info, [2, 2], 0, 8), refused);
    assert_eq!(create(&rig, &HcclRootInfo { internal: [0; 4108] }, [0, 1], 0, 8), refused);
    assert_eq!(create(&rig, &root_info, [0, 1], 0, 0), refused);
    let mut end: HcclComm = std::ptr::null_mut();
    let config = HcclCommConfig { eplb_magic: 0, ..HcclCommConfig::version_6() };
    let create = rig.hccl.HcclCommInitRootInfoConfig;
    let status = unsafe { create(1, &root_info, 0, &raw const config, &raw mut end) };
    assert_eq!(status, HcclResult::HCCL_E_PARA);
    assert_eq!(rig.broken(), ["configuration_unsound"]);
}

#[test]
fn a_thread_without_a_device_makes_no_name() {
    let rig = rig();
    let status = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut root_info = HcclRootInfo { internal: [0; 4108] };
            unsafe { (rig.hccl.HcclGetRootInfo)(&raw mut root_info) }
        });
        thread.join().unwrap()
    });
    assert_eq!(status, HcclResult::HCCL_E_RUNTIME);
    rig.finish();
}

#[test]
fn a_communicator_is_destroyed_once() {
    let rig = rig();
    let end = create(&rig, &root_info(&rig), [0, 1], 0, 8).unwrap();
    assert_eq!(destroy(&rig, end), DONE);
    assert_eq!(destroy(&rig, end), HcclResult::HCCL_E_PARA);
    assert_eq!(rig.broken(), ["use_of_destroyed_communicator"]);
}

#[test]
fn a_rank_table_names_the_ranks() {
    let rig = rig();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ranks.json");
    let table = r#"{"version": "1.0", "status": "completed", "server_count": "1", "server_list": [
        {"server_id": "127.0.0.1", "device": [
            {"device_id": "0", "device_ip": "127.0.0.1", "rank_id": "0"},
            {"device_id": "1", "device_ip": "127.0.0.1", "rank_id": "1"}]}]}"#;
    std::fs::write(&path, table).unwrap();
    let c_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let create = |rank: u32, device: i32| {
        rig.set_device(device);
        let mut config = HcclCommConfig { hcclBufferSize: 8, ..HcclCommConfig::version_6() };
        let mut end: HcclComm = std::ptr::null_mut();
        let create = rig.hccl.HcclCommInitClusterInfoConfig.unwrap();
        let status = unsafe { create(c_path.as_ptr(), rank, &raw mut config, &raw mut end) };
        (status, end as usize)
    };
    assert_eq!(create(0, 1).0, HcclResult::HCCL_E_PARA, "the table has it on another device");
    assert_eq!(create(2, 2).0, HcclResult::HCCL_E_PARA, "the table has no such rank");
    let ends = std::thread::scope(|scope| {
        let other = scope.spawn(|| create(1, 1));
        [create(0, 0), other.join().unwrap()]
    });
    for (status, end) in ends {
        assert_eq!(status, DONE);
        assert_eq!(destroy(&rig, end), DONE);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the table alone is left");
    rig.finish();
}
