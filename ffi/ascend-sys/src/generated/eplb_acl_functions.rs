//! The table of functions. Made by ci/update-bindings from include/eplb_acl.h: change that.
//!
//! The functions of the ACL runtime: `libascendcl`, or `libacl_rt` since CANN 9. All act in the calling
//! thread's current context.

use core::ffi::{c_char, c_void};

use super::eplb_acl::*;

crate::table! {
    /// The functions of the ACL runtime: `libascendcl`, or `libacl_rt` since CANN 9. All act in the calling
    /// thread's current context.
    pub struct AclRuntime {
        required {
            /// Initialises the library; `config_path` may be null. "Repeated" (100002) is harmless.
            "aclInit" => aclInit: unsafe extern "C" fn(config_path: *const c_char) -> aclError,
            /// Ends the library for the whole process. Never from a destructor or at exit.
            "aclFinalize" => aclFinalize: unsafe extern "C" fn() -> aclError,
            /// The text of this thread's last error; may be null.
            "aclGetRecentErrMsg" => aclGetRecentErrMsg: unsafe extern "C" fn() -> *const c_char,
            /// How many devices the process sees. Stub libraries succeed and write nothing.
            "aclrtGetDeviceCount" => aclrtGetDeviceCount: unsafe extern "C" fn(
                count: *mut u32,
            ) -> aclError,
            /// Makes the device's default context current for the calling thread. Counted per device.
            "aclrtSetDevice" => aclrtSetDevice: unsafe extern "C" fn(device: i32) -> aclError,
            /// Takes back one `aclrtSetDevice`; the last one frees the default context with its streams.
            "aclrtResetDevice" => aclrtResetDevice: unsafe extern "C" fn(device: i32) -> aclError,
            /// The device of the calling thread's context.
            "aclrtGetDevice" => aclrtGetDevice: unsafe extern "C" fn(device: *mut i32) -> aclError,
            /// Waits for all work of the current device.
            "aclrtSynchronizeDevice" => aclrtSynchronizeDevice: unsafe extern "C" fn() -> aclError,
            /// Makes a context and makes it current for the calling thread.
            "aclrtCreateContext" => aclrtCreateContext: unsafe extern "C" fn(
                context: *mut aclrtContext,
                device: i32,
            ) -> aclError,
            "aclrtDestroyContext" => aclrtDestroyContext: unsafe extern "C" fn(
                context: aclrtContext,
            ) -> aclError,
            /// Makes a context current for the calling thread.
            "aclrtSetCurrentContext" => aclrtSetCurrentContext: unsafe extern "C" fn(
                context: aclrtContext,
            ) -> aclError,
            /// The calling thread's context; an error (107002) if it has none.
            "aclrtGetCurrentContext" => aclrtGetCurrentContext: unsafe extern "C" fn(
                context: *mut aclrtContext,
            ) -> aclError,
            /// Makes a stream; `priority` is reserved, `flags` are ACL_STREAM_...
            "aclrtCreateStreamWithConfig" => aclrtCreateStreamWithConfig: unsafe extern "C" fn(
                stream: *mut aclrtStream,
                priority: u32,
                flags: u32,
            ) -> aclError,
            /// Destroys a stream whose tasks are over.
            "aclrtDestroyStream" => aclrtDestroyStream: unsafe extern "C" fn(
                stream: aclrtStream,
            ) -> aclError,
            /// Where the stream stands, without waiting.
            "aclrtStreamQuery" => aclrtStreamQuery: unsafe extern "C" fn(
                stream: aclrtStream,
                status: *mut aclrtStreamStatus,
            ) -> aclError,
            /// Waits without an end.
            "aclrtSynchronizeStream" => aclrtSynchronizeStream: unsafe extern "C" fn(
                stream: aclrtStream,
            ) -> aclError,
            /// Waits for at most so long; 507046 after that.
            "aclrtSynchronizeStreamWithTimeout" => aclrtSynchronizeStreamWithTimeout: unsafe extern "C" fn(
                stream: aclrtStream,
                timeout: i32,
            ) -> aclError,
            /// ACL_STOP_ON_FAILURE, once per stream, before its first task.
            "aclrtSetStreamFailureMode" => aclrtSetStreamFailureMode: unsafe extern "C" fn(
                stream: aclrtStream,
                mode: u64,
            ) -> aclError,
            /// Makes an event that can be recorded again and again; `flags` are ACL_EVENT_...
            "aclrtCreateEventExWithFlag" => aclrtCreateEventExWithFlag: unsafe extern "C" fn(
                event: *mut aclrtEvent,
                flags: u32,
            ) -> aclError,
            /// Legal before what it recorded is over.
            "aclrtDestroyEvent" => aclrtDestroyEvent: unsafe extern "C" fn(
                event: aclrtEvent,
            ) -> aclError,
            /// May block the host while the device has no event resource left.
            "aclrtRecordEvent" => aclrtRecordEvent: unsafe extern "C" fn(
                event: aclrtEvent,
                stream: aclrtStream,
            ) -> aclError,
            /// Makes later tasks of the stream wait for what the event recorded.
            "aclrtStreamWaitEvent" => aclrtStreamWaitEvent: unsafe extern "C" fn(
                stream: aclrtStream,
                event: aclrtEvent,
            ) -> aclError,
            /// Complete, too, for an event that was never recorded.
            "aclrtQueryEventStatus" => aclrtQueryEventStatus: unsafe extern "C" fn(
                event: aclrtEvent,
                status: *mut aclrtEventRecordedStatus,
            ) -> aclError,
            /// Waits without an end.
            "aclrtSynchronizeEvent" => aclrtSynchronizeEvent: unsafe extern "C" fn(
                event: aclrtEvent,
            ) -> aclError,
            /// Device memory of `bytes`, which is not zero.
            "aclrtMalloc" => aclrtMalloc: unsafe extern "C" fn(
                address: *mut *mut c_void,
                bytes: usize,
                policy: aclrtMemMallocPolicy,
            ) -> aclError,
            /// Frees at once and waits for nobody.
            "aclrtFree" => aclrtFree: unsafe extern "C" fn(address: *mut c_void) -> aclError,
            /// Page-locked host memory.
            "aclrtMallocHost" => aclrtMallocHost: unsafe extern "C" fn(
                address: *mut *mut c_void,
                bytes: usize,
            ) -> aclError,
            "aclrtFreeHost" => aclrtFreeHost: unsafe extern "C" fn(
                address: *mut c_void,
            ) -> aclError,
            /// Free and total bytes of the current device.
            "aclrtGetMemInfo" => aclrtGetMemInfo: unsafe extern "C" fn(
                memory: aclrtMemAttr,
                free_bytes: *mut usize,
                total_bytes: *mut usize,
            ) -> aclError,
            /// Copies and waits; `room` is how many bytes may be written at the destination.
            "aclrtMemcpy" => aclrtMemcpy: unsafe extern "C" fn(
                destination: *mut c_void,
                room: usize,
                source: *const c_void,
                bytes: usize,
                kind: aclrtMemcpyKind,
            ) -> aclError,
            /// Queues a copy. Pageable host memory makes it wait; host to host is an error (207000).
            "aclrtMemcpyAsync" => aclrtMemcpyAsync: unsafe extern "C" fn(
                destination: *mut c_void,
                room: usize,
                source: *const c_void,
                bytes: usize,
                kind: aclrtMemcpyKind,
                stream: aclrtStream,
            ) -> aclError,
            /// Queues writing the low byte of `value` to `bytes` bytes.
            "aclrtMemsetAsync" => aclrtMemsetAsync: unsafe extern "C" fn(
                destination: *mut c_void,
                room: usize,
                value: i32,
                bytes: usize,
                stream: aclrtStream,
            ) -> aclError,
            "aclrtDeviceCanAccessPeer" => aclrtDeviceCanAccessPeer: unsafe extern "C" fn(
                can_access: *mut i32,
                device: i32,
                peer: i32,
            ) -> aclError,
            /// One way: the current device reads the peer. `flags` is 0.
            "aclrtDeviceEnablePeerAccess" => aclrtDeviceEnablePeerAccess: unsafe extern "C" fn(
                peer: i32,
                flags: u32,
            ) -> aclError,
            "aclrtDeviceDisablePeerAccess" => aclrtDeviceDisablePeerAccess: unsafe extern "C" fn(
                peer: i32,
            ) -> aclError,
        }
        optional {
            /// The name of the chip; may be null. Since 1.15.
            "aclrtGetSocName" => aclrtGetSocName: unsafe extern "C" fn() -> *const c_char,
            /// Host or device. Since 1.15.
            "aclrtGetRunMode" => aclrtGetRunMode: unsafe extern "C" fn(
                mode: *mut aclrtRunMode,
            ) -> aclError,
            /// The version of the runtime interface. Deprecated in 9.1. Since 1.15.
            "aclrtGetVersion" => aclrtGetVersion: unsafe extern "C" fn(
                major: *mut i32,
                minor: *mut i32,
                patch: *mut i32,
            ) -> aclError,
            /// The version of a package. Deprecated in 9.1. Since 1.15.
            "aclsysGetCANNVersion" => aclsysGetCANNVersion: unsafe extern "C" fn(
                package: aclCANNPackageName,
                version: *mut aclCANNPackageVersion,
            ) -> aclError,
            /// As `aclFinalize`, and tells the number of references. Since 1.15.
            "aclFinalizeReference" => aclFinalizeReference: unsafe extern "C" fn(
                references: *mut u64,
            ) -> aclError,
            /// Destroys a stream and drops its tasks. Since 1.15.
            "aclrtDestroyStreamForce" => aclrtDestroyStreamForce: unsafe extern "C" fn(
                stream: aclrtStream,
            ) -> aclError,
            /// Drops the stream's tasks; who waits for it gets 107023. Since 1.15.
            "aclrtStreamAbort" => aclrtStreamAbort: unsafe extern "C" fn(
                stream: aclrtStream,
            ) -> aclError,
            /// Drops the tasks of all streams of a device, in milliseconds. Experimental. Since 1.15.
            "aclrtDeviceTaskAbort" => aclrtDeviceTaskAbort: unsafe extern "C" fn(
                device: i32,
                timeout: u32,
            ) -> aclError,
            /// Milliseconds between two events with ACL_EVENT_TIME_LINE. Since 1.15.
            "aclrtEventElapsedTime" => aclrtEventElapsedTime: unsafe extern "C" fn(
                milliseconds: *mut f32,
                start: aclrtEvent,
                end: aclrtEvent,
            ) -> aclError,
            /// As `aclrtMalloc`, with less padding on A2 and A3. Since 1.15.
            "aclrtMallocAlign32" => aclrtMallocAlign32: unsafe extern "C" fn(
                address: *mut *mut c_void,
                bytes: usize,
                policy: aclrtMemMallocPolicy,
            ) -> aclError,
            /// Writes the low byte of `value` to `bytes` bytes, and waits. Since 1.15.
            "aclrtMemset" => aclrtMemset: unsafe extern "C" fn(
                destination: *mut c_void,
                room: usize,
                value: i32,
                bytes: usize,
            ) -> aclError,
            /// What the library knows of an address. Since 1.15.
            "aclrtPointerGetAttributes" => aclrtPointerGetAttributes: unsafe extern "C" fn(
                address: *const c_void,
                attributes: *mut aclrtPtrAttributes,
            ) -> aclError,
            /// Queues `count` copies in one call; `first_of_attribute[i]` is the first copy that
            /// `attributes[i]` describes. On an error `failed` is the copy that it is about. Since 1.15.
            "aclrtMemcpyBatchAsync" => aclrtMemcpyBatchAsync: unsafe extern "C" fn(
                destinations: *mut *mut c_void,
                rooms: *mut usize,
                sources: *mut *mut c_void,
                bytes: *mut usize,
                count: usize,
                attributes: *mut aclrtMemcpyBatchAttr,
                first_of_attribute: *mut usize,
                attribute_count: usize,
                failed: *mut usize,
                stream: aclrtStream,
            ) -> aclError,
            /// Seconds that a device-side wait may take, for the whole process. Since 1.15.
            "aclrtSetOpWaitTimeout" => aclrtSetOpWaitTimeout: unsafe extern "C" fn(
                seconds: u32,
            ) -> aclError,
            /// Seconds that a task may take, for the whole process. Since 1.15.
            "aclrtSetOpExecuteTimeOut" => aclrtSetOpExecuteTimeOut: unsafe extern "C" fn(
                seconds: u32,
            ) -> aclError,
            /// The last error of the thread, left in place. Since 1.15.
            "aclrtPeekAtLastError" => aclrtPeekAtLastError: unsafe extern "C" fn(
                level: aclrtLastErrLevel,
            ) -> aclError,
            /// The last error of the thread, which is cleared. Since 1.15.
            "aclrtGetLastError" => aclrtGetLastError: unsafe extern "C" fn(
                level: aclrtLastErrLevel,
            ) -> aclError,
            /// Queues a callback, which a thread inside `aclrtProcessReport` runs. Since 1.15.
            "aclrtLaunchCallback" => aclrtLaunchCallback: unsafe extern "C" fn(
                callback: aclrtCallback,
                user_data: *mut c_void,
                block_type: aclrtCallbackBlockType,
                stream: aclrtStream,
            ) -> aclError,
            /// Names the thread that runs the callbacks of a stream. Since 1.15.
            "aclrtSubscribeReport" => aclrtSubscribeReport: unsafe extern "C" fn(
                thread: u64,
                stream: aclrtStream,
            ) -> aclError,
            /// Waits for callbacks and runs them, on the subscribed thread. Since 1.15.
            "aclrtProcessReport" => aclrtProcessReport: unsafe extern "C" fn(
                timeout: i32,
            ) -> aclError,
            /// Since 1.15.
            "aclrtUnSubscribeReport" => aclrtUnSubscribeReport: unsafe extern "C" fn(
                thread: u64,
                stream: aclrtStream,
            ) -> aclError,
            /// The version of a package by its name, as text. How much room `version` needs is
            /// not passed. Since 1.17.
            "aclsysGetVersionStr" => aclsysGetVersionStr: unsafe extern "C" fn(
                package: *mut c_char,
                version: *mut c_char,
            ) -> aclError,
            /// The same as a number. Since 1.17.
            "aclsysGetVersionNum" => aclsysGetVersionNum: unsafe extern "C" fn(
                package: *mut c_char,
                version: *mut i32,
            ) -> aclError,
            /// Waits for at most so many milliseconds for all work of the current device. Since 1.17.
            "aclrtSynchronizeDeviceWithTimeout" => aclrtSynchronizeDeviceWithTimeout: unsafe extern "C" fn(
                timeout: i32,
            ) -> aclError,
            /// Waits for at most so long; 507047 after that. Since 1.17.
            "aclrtSynchronizeEventWithTimeout" => aclrtSynchronizeEventWithTimeout: unsafe extern "C" fn(
                event: aclrtEvent,
                timeout: i32,
            ) -> aclError,
            /// Since 1.17.
            "aclrtStreamWaitEventWithTimeout" => aclrtStreamWaitEventWithTimeout: unsafe extern "C" fn(
                stream: aclrtStream,
                event: aclrtEvent,
                timeout: i32,
            ) -> aclError,
            /// How many streams can still be made. Since 1.17.
            "aclrtGetStreamAvailableNum" => aclrtGetStreamAvailableNum: unsafe extern "C" fn(
                count: *mut u32,
            ) -> aclError,
            /// Queues a callback, which a thread of the library runs. Since 1.17.
            "aclrtLaunchHostFunc" => aclrtLaunchHostFunc: unsafe extern "C" fn(
                stream: aclrtStream,
                function: aclrtHostFunc,
                arguments: *mut c_void,
            ) -> aclError,
            /// Registers host memory; `flags` are ACL_HOST_REG_... Since 1.17.
            "aclrtHostRegisterV2" => aclrtHostRegisterV2: unsafe extern "C" fn(
                address: *mut c_void,
                bytes: u64,
                flags: u32,
            ) -> aclError,
            /// Since 1.17.
            "aclrtHostUnregister" => aclrtHostUnregister: unsafe extern "C" fn(
                address: *mut c_void,
            ) -> aclError,
            /// The start and size of the allocation that an address lies in. Since 1.17.
            "aclrtMemGetAddressRange" => aclrtMemGetAddressRange: unsafe extern "C" fn(
                address: *mut c_void,
                start: *mut *mut c_void,
                bytes: *mut usize,
            ) -> aclError,
            /// Exports a whole allocation; `key` has room for ACL_IPC_HANDLE_SIZE bytes, given as
            /// `room`. Since 1.17.
            "aclrtIpcMemGetExportKey" => aclrtIpcMemGetExportKey: unsafe extern "C" fn(
                address: *mut c_void,
                bytes: usize,
                key: *mut c_char,
                room: usize,
                flags: u64,
            ) -> aclError,
            /// Imports what another process of the host exported. Since 1.17.
            "aclrtIpcMemImportByKey" => aclrtIpcMemImportByKey: unsafe extern "C" fn(
                address: *mut *mut c_void,
                key: *const c_char,
                flags: u64,
            ) -> aclError,
            /// Lists the processes that may import, by the ids of `aclrtDeviceGetBareTgid`. Since 1.17.
            "aclrtIpcMemSetImportPid" => aclrtIpcMemSetImportPid: unsafe extern "C" fn(
                key: *const c_char,
                processes: *mut i32,
                count: usize,
            ) -> aclError,
            /// Ends an import, or the export; importers first. Since 1.17.
            "aclrtIpcMemClose" => aclrtIpcMemClose: unsafe extern "C" fn(
                key: *const c_char,
            ) -> aclError,
            /// This process's id as the device's driver knows it. Since 1.17.
            "aclrtDeviceGetBareTgid" => aclrtDeviceGetBareTgid: unsafe extern "C" fn(
                process: *mut i32,
            ) -> aclError,
        }
    }
}
