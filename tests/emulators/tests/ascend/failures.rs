//! Errors as the library tells them, and those that are ordered.

use eplb_ascend_sys::{HcclResult, HcclRootInfo, aclError, aclrtLastErrLevel};

use crate::rig::{PARAM, must, rig};

#[test]
fn the_text_of_a_failure_is_told_once_and_on_its_thread() {
    let rig = rig();
    rig.text();
    assert_eq!(unsafe { (rig.acl.aclrtFree)(std::ptr::null_mut()) }, PARAM);
    let elsewhere = std::thread::scope(|scope| scope.spawn(|| rig.text()).join().unwrap());
    assert_eq!(elsewhere, None);
    let text = rig.text().unwrap();
    assert!(text.contains("aclrtFree: the address is null"), "{text}");
    assert!(text.contains("emulated"), "{text}");
    assert_eq!(rig.text(), None);
    rig.finish();
}

#[test]
fn the_last_error_stays_until_it_is_taken() {
    let rig = rig();
    let level = aclrtLastErrLevel::ACL_RT_THREAD_LEVEL;
    let peek = || unsafe { (rig.acl.aclrtPeekAtLastError.unwrap())(level) };
    let take = || unsafe { (rig.acl.aclrtGetLastError.unwrap())(level) };
    take();
    assert_eq!(unsafe { (rig.acl.aclrtFree)(std::ptr::null_mut()) }, PARAM);
    assert_eq!((peek(), peek(), take(), take()), (PARAM, PARAM, PARAM, aclError::ACL_SUCCESS));
    rig.finish();
}

#[test]
fn any_function_fails_by_order_with_any_code() {
    let rig = rig();
    rig.order("fail aclrtSetDevice 507033 nth 2; fail HcclGetRootInfo 19");
    must(unsafe { (rig.acl.aclrtSetDevice)(0) });
    let status = unsafe { (rig.acl.aclrtSetDevice)(0) };
    assert_eq!(status, aclError::ACL_ERROR_RT_DEV_SETUP_ERROR);
    must(unsafe { (rig.acl.aclrtSetDevice)(0) });
    let mut root_info = HcclRootInfo { internal: [0; 4108] };
    let ask = |root_info: &mut HcclRootInfo| unsafe { (rig.hccl.HcclGetRootInfo)(root_info) };
    assert_eq!(ask(&mut root_info), HcclResult::HCCL_E_NETWORK);
    assert!(rig.text().unwrap().contains("HcclGetRootInfo"));
    assert_eq!(ask(&mut root_info), HcclResult::HCCL_SUCCESS);
    rig.finish();
}

#[test]
fn work_fails_later_or_puts_out_garbage_by_order() {
    let rig = rig();
    let (stream, memory) = (rig.stream(), rig.memory(64));
    rig.order("garble aclrtMemsetAsync");
    rig.fill(memory, 1, 64, stream);
    rig.wait(stream);
    assert_ne!(rig.bytes(memory, 64), [1; 64]);
    rig.order("delay aclrtMemsetAsync 30000 times 1");
    rig.fill(memory, 1, 64, stream);
    assert!(!rig.is_done(stream));
    rig.wait(stream);
    rig.free(memory);
    rig.destroy(stream);
    rig.finish();
}
