//! The table of functions. Made by ci/update-bindings from include/eplb_cuda_runtime.h: change that.
//!
//! The functions of the CUDA runtime, `libcudart`. All act on the calling thread's current device or on
//! the device of the handle given, and may return errors of earlier asynchronous work.

use core::ffi::{c_char, c_int, c_uint, c_void};

use super::eplb_cuda_runtime::*;

crate::table! {
    /// The functions of the CUDA runtime, `libcudart`. All act on the calling thread's current device or on
    /// the device of the handle given, and may return errors of earlier asynchronous work.
    pub struct CudaRuntime {
        required {
            /// The version of the library: 1000 x major + 10 x minor. Needs no driver.
            "cudaRuntimeGetVersion" => cudaRuntimeGetVersion: unsafe extern "C" fn(
                runtimeVersion: *mut c_int,
            ) -> cudaError_t,
            /// The version of CUDA that the driver serves, 0 without a driver.
            "cudaDriverGetVersion" => cudaDriverGetVersion: unsafe extern "C" fn(
                driverVersion: *mut c_int,
            ) -> cudaError_t,
            /// How many devices the process sees; on failure `count` is left as it was.
            "cudaGetDeviceCount" => cudaGetDeviceCount: unsafe extern "C" fn(
                count: *mut c_int,
            ) -> cudaError_t,
            /// Makes a device, with its primary context, the calling thread's.
            "cudaSetDevice" => cudaSetDevice: unsafe extern "C" fn(device: c_int) -> cudaError_t,
            /// The calling thread's device.
            "cudaGetDevice" => cudaGetDevice: unsafe extern "C" fn(
                device: *mut c_int,
            ) -> cudaError_t,
            /// Waits for all work of the thread's device.
            "cudaDeviceSynchronize" => cudaDeviceSynchronize: unsafe extern "C" fn() -> cudaError_t,
            /// A property of a device.
            "cudaDeviceGetAttribute" => cudaDeviceGetAttribute: unsafe extern "C" fn(
                value: *mut c_int,
                attr: cudaDeviceAttr,
                device: c_int,
            ) -> cudaError_t,
            /// A device's place on the bus as text that ends in a zero; `len` of 13 is enough.
            "cudaDeviceGetPCIBusId" => cudaDeviceGetPCIBusId: unsafe extern "C" fn(
                pciBusId: *mut c_char,
                len: c_int,
                device: c_int,
            ) -> cudaError_t,
            /// Free and total memory of the thread's device.
            "cudaMemGetInfo" => cudaMemGetInfo: unsafe extern "C" fn(
                free: *mut usize,
                total: *mut usize,
            ) -> cudaError_t,
            /// A sentence on a status; static text.
            "cudaGetErrorString" => cudaGetErrorString: unsafe extern "C" fn(
                error: cudaError_t,
            ) -> *const c_char,
            /// The name of a status; static text.
            "cudaGetErrorName" => cudaGetErrorName: unsafe extern "C" fn(
                error: cudaError_t,
            ) -> *const c_char,
            /// The last error on the calling thread, which is cleared unless it is sticky.
            "cudaGetLastError" => cudaGetLastError: unsafe extern "C" fn() -> cudaError_t,
            /// The last error on the calling thread, which stays.
            "cudaPeekAtLastError" => cudaPeekAtLastError: unsafe extern "C" fn() -> cudaError_t,
            /// Creates a stream on the thread's device.
            "cudaStreamCreateWithFlags" => cudaStreamCreateWithFlags: unsafe extern "C" fn(
                pStream: *mut cudaStream_t,
                flags: c_uint,
            ) -> cudaError_t,
            /// Creates a stream with a priority; lower numbers come first.
            "cudaStreamCreateWithPriority" => cudaStreamCreateWithPriority: unsafe extern "C" fn(
                pStream: *mut cudaStream_t,
                flags: c_uint,
                priority: c_int,
            ) -> cudaError_t,
            /// The numbers of the least and the greatest priority of the thread's device.
            "cudaDeviceGetStreamPriorityRange" => cudaDeviceGetStreamPriorityRange: unsafe extern "C" fn(
                leastPriority: *mut c_int,
                greatestPriority: *mut c_int,
            ) -> cudaError_t,
            /// Destroys a stream; its queued work still runs.
            "cudaStreamDestroy" => cudaStreamDestroy: unsafe extern "C" fn(
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// Waits for a stream's work.
            "cudaStreamSynchronize" => cudaStreamSynchronize: unsafe extern "C" fn(
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// Whether a stream's work is done, `cudaErrorNotReady` if not.
            "cudaStreamQuery" => cudaStreamQuery: unsafe extern "C" fn(
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// Makes later work of a stream wait, on the device, for what the event captured last.
            "cudaStreamWaitEvent" => cudaStreamWaitEvent: unsafe extern "C" fn(
                stream: cudaStream_t,
                event: cudaEvent_t,
                flags: c_uint,
            ) -> cudaError_t,
            /// Creates an event on the thread's device.
            "cudaEventCreateWithFlags" => cudaEventCreateWithFlags: unsafe extern "C" fn(
                event: *mut cudaEvent_t,
                flags: c_uint,
            ) -> cudaError_t,
            /// Destroys an event, also one that work still waits for.
            "cudaEventDestroy" => cudaEventDestroy: unsafe extern "C" fn(
                event: cudaEvent_t,
            ) -> cudaError_t,
            /// Captures the work queued so far on a stream of the event's device.
            "cudaEventRecord" => cudaEventRecord: unsafe extern "C" fn(
                event: cudaEvent_t,
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// Whether the captured work is done, `cudaErrorNotReady` if not.
            "cudaEventQuery" => cudaEventQuery: unsafe extern "C" fn(
                event: cudaEvent_t,
            ) -> cudaError_t,
            /// Waits for the captured work.
            "cudaEventSynchronize" => cudaEventSynchronize: unsafe extern "C" fn(
                event: cudaEvent_t,
            ) -> cudaError_t,
            /// Milliseconds between two events with timing.
            "cudaEventElapsedTime" => cudaEventElapsedTime: unsafe extern "C" fn(
                ms: *mut f32,
                start: cudaEvent_t,
                end: cudaEvent_t,
            ) -> cudaError_t,
            /// Queues a call of a host function.
            "cudaLaunchHostFunc" => cudaLaunchHostFunc: unsafe extern "C" fn(
                stream: cudaStream_t,
                fn_: cudaHostFn_t,
                userData: *mut c_void,
            ) -> cudaError_t,
            /// Allocates device memory, aligned to 256 bytes at least. May wait for the device.
            "cudaMalloc" => cudaMalloc: unsafe extern "C" fn(
                devPtr: *mut *mut c_void,
                size: usize,
            ) -> cudaError_t,
            /// Frees device memory; waits for the device.
            "cudaFree" => cudaFree: unsafe extern "C" fn(devPtr: *mut c_void) -> cudaError_t,
            /// Allocates page-locked host memory.
            "cudaMallocHost" => cudaMallocHost: unsafe extern "C" fn(
                ptr: *mut *mut c_void,
                size: usize,
            ) -> cudaError_t,
            /// Allocates page-locked host memory with flags.
            "cudaHostAlloc" => cudaHostAlloc: unsafe extern "C" fn(
                pHost: *mut *mut c_void,
                size: usize,
                flags: c_uint,
            ) -> cudaError_t,
            /// Frees page-locked host memory.
            "cudaFreeHost" => cudaFreeHost: unsafe extern "C" fn(ptr: *mut c_void) -> cudaError_t,
            /// Locks pages of existing host memory.
            "cudaHostRegister" => cudaHostRegister: unsafe extern "C" fn(
                ptr: *mut c_void,
                size: usize,
                flags: c_uint,
            ) -> cudaError_t,
            /// Unlocks them.
            "cudaHostUnregister" => cudaHostUnregister: unsafe extern "C" fn(
                ptr: *mut c_void,
            ) -> cudaError_t,
            /// Copies and waits.
            "cudaMemcpy" => cudaMemcpy: unsafe extern "C" fn(
                dst: *mut c_void,
                src: *const c_void,
                count: usize,
                kind: cudaMemcpyKind,
            ) -> cudaError_t,
            /// Queues a copy.
            "cudaMemcpyAsync" => cudaMemcpyAsync: unsafe extern "C" fn(
                dst: *mut c_void,
                src: *const c_void,
                count: usize,
                kind: cudaMemcpyKind,
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// Queues a copy between the memories of two devices, with or without peer access.
            "cudaMemcpyPeerAsync" => cudaMemcpyPeerAsync: unsafe extern "C" fn(
                dst: *mut c_void,
                dstDevice: c_int,
                src: *const c_void,
                srcDevice: c_int,
                count: usize,
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// Writes a byte's value all over device memory and waits.
            "cudaMemset" => cudaMemset: unsafe extern "C" fn(
                devPtr: *mut c_void,
                value: c_int,
                count: usize,
            ) -> cudaError_t,
            /// Queues writing a byte's value all over device memory.
            "cudaMemsetAsync" => cudaMemsetAsync: unsafe extern "C" fn(
                devPtr: *mut c_void,
                value: c_int,
                count: usize,
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// What the library knows of an address.
            "cudaPointerGetAttributes" => cudaPointerGetAttributes: unsafe extern "C" fn(
                attributes: *mut cudaPointerAttributes,
                ptr: *const c_void,
            ) -> cudaError_t,
            /// Whether a device can read and write a peer's memory.
            "cudaDeviceCanAccessPeer" => cudaDeviceCanAccessPeer: unsafe extern "C" fn(
                canAccessPeer: *mut c_int,
                device: c_int,
                peerDevice: c_int,
            ) -> cudaError_t,
            /// Lets the thread's device use a peer's memory, one way. Flags are 0.
            "cudaDeviceEnablePeerAccess" => cudaDeviceEnablePeerAccess: unsafe extern "C" fn(
                peerDevice: c_int,
                flags: c_uint,
            ) -> cudaError_t,
            /// Ends that.
            "cudaDeviceDisablePeerAccess" => cudaDeviceDisablePeerAccess: unsafe extern "C" fn(
                peerDevice: c_int,
            ) -> cudaError_t,
            /// Names the allocation that holds an address; importers get its start, whatever the address.
            "cudaIpcGetMemHandle" => cudaIpcGetMemHandle: unsafe extern "C" fn(
                handle: *mut cudaIpcMemHandle_t,
                devPtr: *mut c_void,
            ) -> cudaError_t,
            /// Maps another process's allocation.
            "cudaIpcOpenMemHandle" => cudaIpcOpenMemHandle: unsafe extern "C" fn(
                devPtr: *mut *mut c_void,
                handle: cudaIpcMemHandle_t,
                flags: c_uint,
            ) -> cudaError_t,
            /// Unmaps it, before its owner frees it.
            "cudaIpcCloseMemHandle" => cudaIpcCloseMemHandle: unsafe extern "C" fn(
                devPtr: *mut c_void,
            ) -> cudaError_t,
            /// Names an event that was created for other processes.
            "cudaIpcGetEventHandle" => cudaIpcGetEventHandle: unsafe extern "C" fn(
                handle: *mut cudaIpcEventHandle_t,
                event: cudaEvent_t,
            ) -> cudaError_t,
            /// Opens another process's event.
            "cudaIpcOpenEventHandle" => cudaIpcOpenEventHandle: unsafe extern "C" fn(
                event: *mut cudaEvent_t,
                handle: cudaIpcEventHandle_t,
            ) -> cudaError_t,
        }
        optional {
            /// Queues copies that have no order among themselves; the stream is not the null one. Attribute `i`
            /// holds from copy `attrsIdxs[i]` on, and the first index is 0. `failIdx` gets the number of the copy
            /// that was at fault. 13 exports the same symbol with other arguments.
            /// Symbol cudaMemcpyBatchAsync. Since 12.8. Until 13.0.
            "cudaMemcpyBatchAsync" => cudaMemcpyBatchAsync_v12: unsafe extern "C" fn(
                dsts: *mut *mut c_void,
                srcs: *mut *mut c_void,
                sizes: *mut usize,
                count: usize,
                attrs: *mut cudaMemcpyAttributes,
                attrsIdxs: *mut usize,
                numAttrs: usize,
                failIdx: *mut usize,
                stream: cudaStream_t,
            ) -> cudaError_t,
            /// As the form before, without `failIdx`.
            /// Symbol cudaMemcpyBatchAsync. Since 13.0.
            "cudaMemcpyBatchAsync" => cudaMemcpyBatchAsync_v13: unsafe extern "C" fn(
                dsts: *const *mut c_void,
                srcs: *const *const c_void,
                sizes: *const usize,
                count: usize,
                attrs: *mut cudaMemcpyAttributes,
                attrsIdxs: *mut usize,
                numAttrs: usize,
                stream: cudaStream_t,
            ) -> cudaError_t,
        }
    }
}
