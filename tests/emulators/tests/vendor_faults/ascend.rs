//! ACL and HCCL.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use eplb_ascend::{AscendBackend, Libraries, rank_table};
use eplb_ascend_sys::{
    ACL_STREAM_FAST_SYNC, AclRuntime, Hccl, HcclComm, HcclResult, HcclRootInfo, Search, aclError,
    aclrtContext, aclrtMemMallocPolicy, aclrtStream,
};
use eplb_device::{
    Address, Backend, CommunicatorHandle, CommunicatorId, ContextHandle, Diagnosis, StreamHandle,
};
use eplb_emulators::Emulated;

use crate::vendor::{LENT_BYTES, Lent, Rule, Vendor};

pub(crate) struct Ascend;

const RULES: &[(&[&str], Rule)] = &[
    (
        &["aclFinalize", "aclFinalizeReference", "aclrtResetDevice"],
        Rule::Uncalled("nothing of the process is ended: the engine may use it, too (R1)"),
    ),
    (
        &["aclrtSynchronizeDevice", "aclrtSynchronizeStream", "aclrtSynchronizeEvent"],
        Rule::Uncalled("they wait, and completion is polled"),
    ),
    (
        &["aclrtSynchronizeDeviceWithTimeout", "aclrtSynchronizeEventWithTimeout"],
        Rule::Uncalled("they wait, and completion is polled"),
    ),
    (
        &["aclrtCreateContext", "aclrtDestroyContext", "aclrtMemcpy", "aclrtMemset"],
        Rule::Uncalled("bound for whoever plays the engine"),
    ),
    (
        &[
            "aclrtLaunchHostFunc",
            "aclrtEventElapsedTime",
            "aclrtGetRunMode",
            "aclrtPeekAtLastError",
        ],
        Rule::Uncalled("bound for whoever plays the engine"),
    ),
    (
        &["aclrtLaunchCallback", "aclrtSubscribeReport", "aclrtProcessReport"],
        Rule::Uncalled("no callbacks are used (R6)"),
    ),
    (&["aclrtUnSubscribeReport"], Rule::Uncalled("no callbacks are used (R6)")),
    (
        &["aclrtDeviceDisablePeerAccess", "aclrtDeviceTaskAbort", "aclrtSetOpWaitTimeout"],
        Rule::Uncalled("they change what is the engine's, too (R3)"),
    ),
    (&["aclrtSetOpExecuteTimeOut"], Rule::Uncalled("it changes what is the engine's, too (R3)")),
    (
        &["aclrtMallocAlign32", "aclrtHostRegisterV2", "aclrtHostUnregister"],
        Rule::Uncalled("memory is allocated in the one way that all versions have"),
    ),
    (
        &["aclsysGetVersionStr", "aclsysGetVersionNum", "aclrtGetStreamAvailableNum"],
        Rule::Uncalled("what they tell is asked in other ways, or not needed"),
    ),
    (
        &["aclrtStreamWaitEventWithTimeout", "aclrtIpcMemSetImportPid", "aclrtDeviceGetBareTgid"],
        Rule::Uncalled("the form without a limit, or without a list of processes, is used"),
    ),
    (
        &["HcclCommInitRootInfo", "HcclCommInitClusterInfo", "HcclGetCommName"],
        Rule::Uncalled("the form with a configuration is used (R22)"),
    ),
    (
        &["HcclSend", "HcclRecv", "HcclAllReduce", "HcclCommSuspend", "HcclCommResume"],
        Rule::Uncalled("rounds are batches (R16), there are no reductions, and nothing goes on"),
    ),
    (&["aclGetRecentErrMsg", "aclrtGetLastError"], Rule::After("fail aclrtGetMemInfo 507899")),
    (&["HcclGetErrorString"], Rule::After("fail HcclAllGather 4")),
    (
        &["aclrtGetSocName", "aclrtGetVersion", "aclsysGetCANNVersion"],
        Rule::Tolerated("a description without the name or the version"),
    ),
    (
        &["HcclGetCommConfigCapability"],
        Rule::Tolerated(
            "gives a number; without it, the memory that is told is the library's default",
        ),
    ),
    (&["aclrtGetDeviceCount"], Rule::ToleratedCode(207_004, "no devices are no failure (R1)")),
    (
        &["aclrtMemcpyBatchAsync"],
        Rule::ToleratedCode(
            107_002,
            "what is refused as a batch is given as one copy after another",
        ),
    ),
    (
        &["aclrtSetCurrentContext"],
        Rule::ToleratedIn(&["open"], "a call is made for a description of the device"),
    ),
    (
        &["aclrtDeviceCanAccessPeer"],
        Rule::ToleratedIn(&["diagnose"], "a diagnosis then shows no access"),
    ),
    (
        &["aclrtQueryEventStatus", "aclrtStreamQuery", "aclrtSynchronizeStreamWithTimeout"],
        Rule::ToleratedLater("who frees memory asks again"),
    ),
    (
        &["aclrtGetCurrentContext", "aclrtSetCurrentContext"],
        Rule::ToleratedLater("who frees memory asks again; what puts a context back has no caller"),
    ),
    (
        &["aclrtDestroyEvent"],
        Rule::ToleratedIn(
            &["close", "adopt", "diagnose"],
            "events kept for reuse end with the device, when nobody is left to tell",
        ),
    ),
    (&["aclrtDestroyEvent"], Rule::Leaves(&["events"])),
    (&["aclrtDestroyStream", "aclrtDestroyStreamForce"], Rule::Leaves(&["streams"])),
    (&["aclrtFree"], Rule::Leaves(&["allocations", "bytes"])),
    (&["aclrtFreeHost"], Rule::Leaves(&["pinned"])),
    (&["aclrtIpcMemClose"], Rule::Leaves(&["imports", "exports"])),
    (&["HcclCommDestroy"], Rule::Leaves(&["communicators"])),
    (
        &["aclrtGetCurrentContext", "aclrtSetCurrentContext"],
        Rule::Leaves(&[
            "allocations",
            "bytes",
            "exports",
            "pinned",
            "streams",
            "events",
            "communicators",
        ]),
    ),
];

impl Vendor for Ascend {
    fn emulated(&self) -> Emulated {
        eplb_emulators::ascend()
    }

    fn symbols(&self) -> Vec<&'static str> {
        [AclRuntime::REQUIRED, AclRuntime::OPTIONAL, Hccl::REQUIRED, Hccl::OPTIONAL]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    fn codes(&self, function: &str) -> [i32; 3] {
        match function {
            "aclrtGetDeviceCount" => [207_004, 207_001, 507_899],
            _ if function.starts_with("Hccl") => [1, 4, 9],
            // No context, no memory, and a failure inside.
            _ => [107_002, 207_001, 507_899],
        }
    }

    fn code_name(&self, function: &str, code: i32) -> Option<&'static str> {
        if function.starts_with("Hccl") {
            return HcclResult(code.cast_unsigned()).name();
        }
        aclError(code).name()
    }

    fn rules(&self) -> &'static [(&'static [&'static str], Rule)] {
        RULES
    }

    fn backend(&self) -> Result<Arc<dyn Backend>, String> {
        let opened =
            AscendBackend::open(&Libraries::default()).map_err(|error| error.to_string())?;
        Ok(Arc::new(opened))
    }

    fn diagnose(&self) -> Diagnosis {
        AscendBackend::diagnose(&Libraries::default())
    }

    /// By a rank table.
    fn second_way(&self, folder: &Path) -> Option<CommunicatorId> {
        let path = folder.join("ranks.json");
        let device = |rank| {
            format!(r#"{{"device_id": "{rank}", "device_ip": "127.0.0.1", "rank_id": "{rank}"}}"#)
        };
        let text = format!(
            r#"{{"version": "1.0", "status": "completed", "server_count": "1", "server_list":
                [{{"server_id": "127.0.0.1", "device": [{}, {}]}}]}}"#,
            device(0),
            device(1)
        );
        std::fs::write(&path, text).unwrap();
        Some(rank_table(path).unwrap())
    }

    fn lend(&self) -> Lent {
        let (runtime, hccl) = engine();
        let mut stream: aclrtStream = std::ptr::null_mut();
        let mut memory: *mut c_void = std::ptr::null_mut();
        let mut pinned: *mut c_void = std::ptr::null_mut();
        let mut context: aclrtContext = std::ptr::null_mut();
        let mut communicator: HcclComm = std::ptr::null_mut();
        let mut id = HcclRootInfo { internal: [0; 4108] };
        let policy = aclrtMemMallocPolicy::ACL_MEM_MALLOC_HUGE_FIRST;
        // SAFETY: a null path means the library's own settings.
        must(unsafe { (runtime.aclInit)(std::ptr::null()) });
        // SAFETY: writes one pointer, which lives, as do those below.
        must(unsafe { (runtime.aclrtCreateContext)(&raw mut context, 0) });
        // SAFETY: acts on this thread; what follows is in the device's default context.
        must(unsafe { (runtime.aclrtSetDevice)(0) });
        // SAFETY: as above.
        must(unsafe {
            (runtime.aclrtCreateStreamWithConfig)(&raw mut stream, 0, ACL_STREAM_FAST_SYNC)
        });
        // SAFETY: as above.
        must(unsafe { (runtime.aclrtMalloc)(&raw mut memory, LENT_BYTES, policy) });
        // SAFETY: as above.
        must(unsafe { (runtime.aclrtMallocHost)(&raw mut pinned, LENT_BYTES) });
        // SAFETY: page-locked memory of this process, just allocated.
        unsafe { pinned.cast::<u8>().write_bytes(0, LENT_BYTES) };
        // SAFETY: writes one structure, which lives.
        agreed(unsafe { (hccl.HcclGetRootInfo)(&raw mut id) });
        // SAFETY: writes one pointer, which lives, and blocks until it is ready.
        agreed(unsafe { (hccl.HcclCommInitRootInfo)(1, &raw const id, 0, &raw mut communicator) });
        Lent {
            context: ContextHandle(context as usize),
            stream: StreamHandle(stream as usize),
            memory: Address(memory as usize),
            pinned: Address(pinned as usize),
            communicator: CommunicatorHandle(communicator as usize),
        }
    }

    fn take_back(&self, lent: &Lent) {
        let (runtime, hccl) = engine();
        // SAFETY: acts on this thread.
        must(unsafe { (runtime.aclrtSetDevice)(0) });
        // SAFETY: still alive, as all of it, and used no more.
        agreed(unsafe { (hccl.HcclCommDestroy)(lent.communicator.0 as HcclComm) });
        // SAFETY: as above.
        must(unsafe { (runtime.aclrtDestroyStream)(lent.stream.0 as aclrtStream) });
        // SAFETY: as above.
        must(unsafe { (runtime.aclrtFree)(lent.memory.0 as *mut c_void) });
        // SAFETY: as above.
        must(unsafe { (runtime.aclrtFreeHost)(lent.pinned.0 as *mut c_void) });
        // SAFETY: as above.
        must(unsafe { (runtime.aclrtDestroyContext)(lent.context.0 as aclrtContext) });
    }
}

fn engine() -> (AclRuntime, Hccl) {
    let search = Search::new();
    (AclRuntime::open(&search).unwrap().table, Hccl::open(&search).unwrap().table)
}

fn must(status: aclError) {
    assert_eq!(status, aclError::ACL_SUCCESS);
}

fn agreed(status: HcclResult) {
    assert_eq!(status, HcclResult::HCCL_SUCCESS);
}
