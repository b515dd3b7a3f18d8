//! Checks of one process that needs to be on its own.

use std::ptr::null;
use std::time::{Duration, Instant};

use eplb_ascend_sys::{HcclResult, aclError};

use crate::child::{Child, libraries, must, unused_libraries};

pub(crate) fn initialising_comes_first() {
    Child::start("alone::without_init", &[]).end();
}

pub(crate) fn without_init() {
    let libraries = unused_libraries();
    let acl = libraries.acl;
    let set = || unsafe { (acl.aclrtSetDevice)(0) };
    assert_eq!(set(), aclError::ACL_ERROR_UNINITIALIZE);
    assert_eq!(libraries.rules(), ["used_before_init"]);
    must(unsafe { (acl.aclInit)(null()) });
    must(set());
    must(unsafe { (acl.aclFinalize)() });
    assert_eq!(set(), aclError::ACL_ERROR_UNINITIALIZE);
    assert_eq!(libraries.rules(), ["used_before_init"]);
    assert_eq!(unsafe { (acl.aclFinalize)() }, aclError::ACL_ERROR_REPEAT_FINALIZE);
}

pub(crate) fn there_may_be_no_device() {
    Child::start("alone::no_device", &[("EPLB_EMULATOR_DEVICES", "0")]).end();
}

pub(crate) fn no_device() {
    let acl = unused_libraries().acl;
    must(unsafe { (acl.aclInit)(null()) });
    let mut devices = 77;
    let status = unsafe { (acl.aclrtGetDeviceCount)(&raw mut devices) };
    assert_eq!((status, devices), (aclError::ACL_ERROR_RT_NO_DEVICE, 77));
}

pub(crate) fn waiting_for_ranks_has_a_limit() {
    Child::start("alone::lonely", &[("EPLB_EMULATOR_CONNECT_MILLISECONDS", "300")]).end();
}

pub(crate) fn lonely() {
    let libraries = libraries(0);
    let started = Instant::now();
    let root_info = libraries.root_info();
    assert_eq!(libraries.create(&root_info, 0, 2), Err(HcclResult::HCCL_E_TIMEOUT));
    assert!(started.elapsed() >= Duration::from_millis(300));
    // Links have the same limit.
    let root_info = libraries.root_info();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            must(unsafe { (libraries.acl.aclrtSetDevice)(1) });
            libraries.create(&root_info, 1, 2).unwrap() as usize
        });
        let end = libraries.create(&root_info, 0, 2).unwrap();
        let other = other.join().unwrap();
        let status = unsafe { (libraries.hccl.HcclBarrier)(end, libraries.stream()) };
        assert_eq!(status, HcclResult::HCCL_E_TIMEOUT);
        for end in [end, other as _] {
            let status = unsafe { (libraries.hccl.HcclCommDestroy)(end) };
            assert_eq!(status, HcclResult::HCCL_SUCCESS);
        }
    });
    assert_eq!(libraries.rules(), [""; 0]);
}
