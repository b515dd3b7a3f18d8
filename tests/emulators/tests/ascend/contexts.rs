//! The process, devices, and contexts of threads.

use eplb_ascend_sys::{aclError, aclrtContext};

use crate::rig::{HANDLE, must, rig};

#[test]
fn initialising_again_is_repeated() {
    let rig = rig();
    let status = unsafe { (rig.acl.aclInit)(std::ptr::null()) };
    assert_eq!(status, aclError::ACL_ERROR_REPEAT_INITIALIZE);
    rig.finish();
}

#[test]
fn a_thread_without_a_context_is_refused() {
    let rig = rig();
    let acl = rig.acl;
    let statuses = std::thread::spawn(move || {
        let mut context: aclrtContext = std::ptr::null_mut();
        let mut device = -1;
        unsafe {
            [
                (acl.aclrtGetCurrentContext)(&raw mut context),
                (acl.aclrtGetDevice)(&raw mut device),
                (acl.aclrtSynchronizeStream)(std::ptr::null_mut()),
            ]
        }
    });
    assert_eq!(statuses.join().unwrap(), [aclError::ACL_ERROR_RT_CONTEXT_NULL; 3]);
    rig.finish();
}

#[test]
fn threads_that_set_a_device_share_its_default_context() {
    let rig = rig();
    let own = rig.context() as usize;
    let other = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            rig.set_device(0);
            rig.context() as usize
        });
        thread.join().unwrap()
    });
    assert_eq!(own, other);
    rig.set_device(1);
    assert_ne!(rig.context() as usize, own);
    let status = unsafe { (rig.acl.aclrtSetDevice)(4) };
    assert_eq!(status, aclError::ACL_ERROR_RT_INVALID_DEVICEID);
    rig.finish();
}

#[test]
fn devices_are_reset_as_often_as_they_were_set() {
    let rig = rig();
    rig.set_device(3);
    rig.set_device(3);
    let reset = || unsafe { (rig.acl.aclrtResetDevice)(3) };
    must(reset());
    rig.context();
    must(reset());
    let mut context: aclrtContext = std::ptr::null_mut();
    let status = unsafe { (rig.acl.aclrtGetCurrentContext)(&raw mut context) };
    assert_eq!(status, aclError::ACL_ERROR_RT_CONTEXT_NULL, "the default context is gone");
    assert_eq!(reset(), aclError::ACL_ERROR_RT_INVALID_DEVICEID);
    assert_eq!(rig.broken(), ["reset_without_set"]);
}

#[test]
fn a_context_ends_with_its_streams_and_their_work() {
    let rig = rig();
    let mut context: aclrtContext = std::ptr::null_mut();
    must(unsafe { (rig.acl.aclrtCreateContext)(&raw mut context, 0) });
    assert_eq!(rig.context(), context, "a new one is current");
    let stream = rig.stream();
    let hold = rig.hold(stream);
    must(unsafe { (rig.acl.aclrtDestroyContext)(context) });
    assert_eq!(rig.broken(), ["context_destroyed_with_streams", "context_ended_with_work"]);
    drop(hold);
    rig.set_device(0);
    assert_eq!(rig.wait_for(stream, 1), HANDLE);
    assert_eq!(rig.broken(), ["use_of_destroyed_stream"]);
}

#[test]
fn contexts_that_are_gone_or_foreign_or_null_are_refused() {
    let rig = rig();
    let mut context: aclrtContext = std::ptr::null_mut();
    must(unsafe { (rig.acl.aclrtCreateContext)(&raw mut context, 0) });
    rig.set_device(0);
    must(unsafe { (rig.acl.aclrtDestroyContext)(context) });
    let set = |context| unsafe { (rig.acl.aclrtSetCurrentContext)(context) };
    assert_eq!(set(context), HANDLE);
    assert_eq!(rig.broken(), ["use_of_destroyed_context"]);
    assert_eq!(set(std::ptr::dangling_mut()), HANDLE);
    assert_eq!(rig.broken(), ["use_of_destroyed_context"]);
    assert_eq!(set(std::ptr::null_mut()), aclError::ACL_ERROR_INVALID_PARAM);
    rig.finish();
}

#[test]
fn a_thread_whose_context_another_one_destroyed_is_seen() {
    let rig = rig();
    let acl = rig.acl;
    let mut context: aclrtContext = std::ptr::null_mut();
    must(unsafe { (acl.aclrtCreateContext)(&raw mut context, 0) });
    let context = context as usize;
    std::thread::spawn(move || {
        must(unsafe { (acl.aclrtDestroyContext)(context as aclrtContext) });
    })
    .join()
    .unwrap();
    let mut device = -1;
    let status = unsafe { (acl.aclrtGetDevice)(&raw mut device) };
    assert_eq!(status, aclError::ACL_ERROR_RT_CONTEXT_NULL);
    assert_eq!(rig.broken(), ["use_of_destroyed_context"]);
}

#[test]
fn default_contexts_are_not_destroyed() {
    let rig = rig();
    let status = unsafe { (rig.acl.aclrtDestroyContext)(rig.context()) };
    assert_eq!(status, aclError::ACL_ERROR_RT_PARAM_INVALID);
    assert_eq!(rig.broken(), ["default_context_destroyed"]);
}

#[test]
fn streams_of_another_context_are_refused() {
    let rig = rig();
    let stream = rig.stream();
    let default = rig.context();
    let mut context: aclrtContext = std::ptr::null_mut();
    must(unsafe { (rig.acl.aclrtCreateContext)(&raw mut context, 0) });
    let wrong = aclError::ACL_ERROR_RT_STREAM_CONTEXT;
    assert_eq!(rig.wait_for(stream, 1), wrong);
    assert_eq!(unsafe { (rig.acl.aclrtDestroyStream)(stream) }, wrong);
    must(unsafe { (rig.acl.aclrtDestroyContext)(context) });
    must(unsafe { (rig.acl.aclrtSetCurrentContext)(default) });
    rig.destroy(stream);
    rig.finish();
}

#[test]
fn the_chip_says_that_it_is_emulated() {
    let rig = rig();
    let name = unsafe { std::ffi::CStr::from_ptr((rig.acl.aclrtGetSocName.unwrap())()) };
    assert!(name.to_str().unwrap().contains("emulated"));
    rig.finish();
}
