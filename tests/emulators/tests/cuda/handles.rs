//! Streams, events, contexts: handles that mean nothing, and calls in the wrong place.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};

use eplb_cuda_sys::{CUcontext, CUresult, CudaRuntime, cudaError_t};

use crate::stage::{must, stage};

const BAD_HANDLE: cudaError_t = cudaError_t::cudaErrorInvalidResourceHandle;

#[test]
fn handles_that_mean_nothing_are_seen() {
    let stage = stage();
    let (stream, event) = (stage.stream(), stage.event());
    // One kind is not another.
    assert_eq!(stage.wait(event.cast()), BAD_HANDLE);
    stage.expect(&["foreign_stream"]);
    let query = |event| unsafe { (stage.runtime.cudaEventQuery)(event) };
    assert_eq!(query(stream.cast()), BAD_HANDLE);
    assert_eq!(query(null_mut()), BAD_HANDLE);
    stage.expect(&["foreign_event", "foreign_event"]);
    stage.end_stream(stream);
    stage.end_event(event);
    assert_eq!(stage.wait(stream), BAD_HANDLE);
    stage.expect(&["use_of_destroyed_stream"]);
    assert_eq!(query(event), BAD_HANDLE);
    stage.expect(&["use_of_destroyed_event"]);
    // New ones never get an old handle.
    let (other, another) = (stage.stream(), stage.event());
    assert!(other != stream && another != event);
    stage.end_stream(other);
    stage.end_event(another);
    let context = unsafe { (stage.driver.cuCtxSetCurrent)(0x1234 as CUcontext) };
    assert_eq!(context, CUresult::CUDA_ERROR_INVALID_CONTEXT);
    stage.expect(&["foreign_context"]);
}

#[test]
fn an_event_is_of_its_device() {
    let stage = stage();
    let event = stage.event();
    stage.on_device(1);
    let stream = stage.stream();
    let record = || unsafe { (stage.runtime.cudaEventRecord)(event, stream) };
    assert_eq!(record(), BAD_HANDLE);
    stage.expect(&["event_of_other_device"]);
    stage.end_stream(stream);
    stage.end_event(event);
}

struct Question {
    runtime: CudaRuntime,
    answer: AtomicI32,
}

unsafe extern "C" fn ask(argument: *mut c_void) {
    let question = unsafe { &*argument.cast::<Question>() };
    let status = unsafe { (question.runtime.cudaSetDevice)(0) };
    question.answer.store(status.0, Ordering::SeqCst);
}

#[test]
fn callbacks_call_nothing() {
    let stage = stage();
    let stream = stage.stream();
    let question = Question { runtime: stage.runtime, answer: AtomicI32::new(-1) };
    let argument = (&raw const question).cast_mut().cast();
    must(unsafe { (stage.runtime.cudaLaunchHostFunc)(stream, Some(ask), argument) });
    must(stage.wait(stream));
    let answer = question.answer.load(Ordering::SeqCst);
    assert_eq!(answer, cudaError_t::cudaErrorNotPermitted.0);
    stage.expect(&["call_in_callback"]);
    stage.end_stream(stream);
}

#[test]
fn errors_stay_until_they_are_asked_for() {
    let stage = stage();
    let peek = || unsafe { (stage.runtime.cudaPeekAtLastError)() };
    let take = || unsafe { (stage.runtime.cudaGetLastError)() };
    take();
    assert_eq!(unsafe { (stage.runtime.cudaSetDevice)(99) }, cudaError_t::cudaErrorInvalidDevice);
    must(unsafe { (stage.runtime.cudaDeviceSynchronize)() });
    assert_eq!(peek(), cudaError_t::cudaErrorInvalidDevice);
    assert_eq!(take(), cudaError_t::cudaErrorInvalidDevice);
    must(peek());
    // Another thread has its own.
    assert_eq!(unsafe { (stage.runtime.cudaSetDevice)(99) }, cudaError_t::cudaErrorInvalidDevice);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| unsafe { (stage.runtime.cudaPeekAtLastError)() });
        must(other.join().unwrap());
    });
    take();
    let name =
        unsafe { std::ffi::CStr::from_ptr((stage.runtime.cudaGetErrorName)(cudaError_t(2))) };
    assert_eq!(name.to_str().unwrap(), "cudaErrorMemoryAllocation");
}

#[test]
fn devices_say_that_they_are_emulated() {
    let stage = stage();
    let mut name = [0_u8; 64];
    let status = unsafe { (stage.driver.cuDeviceGetName)(name.as_mut_ptr().cast(), 64, 0) };
    assert_eq!(status, CUresult::CUDA_SUCCESS);
    let name = std::ffi::CStr::from_bytes_until_nul(&name).unwrap();
    assert_eq!(name.to_str().unwrap(), "Emulated NVIDIA device");
}
