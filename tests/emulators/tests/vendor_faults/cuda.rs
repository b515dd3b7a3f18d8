//! CUDA and NCCL.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use eplb_cuda::{CudaBackend, Libraries};
use eplb_cuda_sys::{
    CUresult, CudaDriver, CudaRuntime, Nccl, Search, cudaError_t, cudaIpcMemHandle_t, cudaStream_t,
    cudaStreamNonBlocking, ncclComm_t, ncclResult_t, ncclUniqueId,
};
use eplb_device::{
    Address, Backend, CommunicatorHandle, CommunicatorId, ContextHandle, Diagnosis, StreamHandle,
};
use eplb_emulators::Emulated;

use crate::vendor::{LENT_BYTES, Lent, Rule, Vendor};

pub(crate) struct Cuda;

const RULES: &[(&[&str], Rule)] = &[
    (
        &["cuInit", "cudaDriverGetVersion", "cudaGetDevice", "cudaDeviceGetPCIBusId"],
        Rule::Uncalled("the runtime starts the driver, and what they tell is asked in other ways"),
    ),
    (
        &["cuGetErrorName", "cudaPeekAtLastError"],
        Rule::Uncalled("the bindings know the names; a failure is forgotten, not looked at"),
    ),
    (
        &["cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize"],
        Rule::Uncalled("they wait, and completion is polled; bound for whoever plays the engine"),
    ),
    (
        &["cudaEventElapsedTime", "cudaLaunchHostFunc", "cudaMemcpy", "cudaMemset"],
        Rule::Uncalled("bound for whoever plays the engine"),
    ),
    (
        &["cudaStreamCreateWithFlags", "cudaMallocHost", "cudaMemcpyPeerAsync"],
        Rule::Uncalled("a backend uses the form with more arguments, or one form for all"),
    ),
    (
        &["cudaHostRegister", "cudaHostUnregister", "cuPointerGetAttribute"],
        Rule::Uncalled("host memory is allocated, not registered, and the runtime is asked of it"),
    ),
    (
        &["cudaIpcGetEventHandle", "cudaIpcOpenEventHandle", "cudaDeviceDisablePeerAccess"],
        Rule::Uncalled(
            "events are not shared, and access that the engine may use is not taken back",
        ),
    ),
    (&["ncclCommInitRank"], Rule::Uncalled("it blocks; bound for whoever plays the engine")),
    (
        &[
            "ncclCommRevoke",
            "ncclCommRegister",
            "ncclCommDeregister",
            "ncclMemAlloc",
            "ncclMemFree",
        ],
        Rule::Uncalled("the contract has nothing that they would do"),
    ),
    (
        &["ncclCommWindowRegister", "ncclCommWindowDeregister"],
        Rule::Uncalled("the contract has nothing that they would do"),
    ),
    (&["cudaGetLastError"], Rule::After("fail cudaMemGetInfo 999")),
    (&["cudaGetErrorName", "cudaGetErrorString"], Rule::After("fail cudaMemGetInfo 999")),
    (&["cuGetErrorString"], Rule::After("fail cuCtxGetDevice 201")),
    (&["ncclGetErrorString", "ncclGetLastError"], Rule::After("fail ncclAllGather 2")),
    (
        &["cudaRuntimeGetVersion"],
        Rule::Tolerated("without it, copies are not put in batches, whose form depends on it"),
    ),
    (
        &["ncclGetVersion"],
        Rule::ToleratedIn(&["open", "adopt", "diagnose"], "a description without the version"),
    ),
    (&["cuDriverGetVersion"], Rule::Tolerated("a description without the version")),
    (&["cudaGetDeviceCount"], Rule::ToleratedCode(100, "no devices are no failure (R1)")),
    (
        &["cudaDeviceEnablePeerAccess"],
        Rule::ToleratedCode(704, "access that is there already is success (R12)"),
    ),
    (
        &["cudaMemcpyBatchAsync"],
        Rule::ToleratedCode(801, "a driver without batches is given one copy after another"),
    ),
    (
        &["cudaDeviceCanAccessPeer"],
        Rule::ToleratedIn(&["diagnose"], "a diagnosis then shows no access"),
    ),
    (
        &["cudaEventQuery", "cudaStreamQuery", "cuCtxGetCurrent", "cuCtxSetCurrent"],
        Rule::ToleratedLater("who frees memory asks again; what puts a context back has no caller"),
    ),
    (
        &["cudaEventDestroy"],
        Rule::ToleratedIn(
            &["close", "adopt", "diagnose"],
            "events kept for reuse end with the device, when nobody is left to tell",
        ),
    ),
    (&["cudaEventDestroy"], Rule::Leaves(&["events"])),
    (&["cudaStreamDestroy"], Rule::Leaves(&["streams"])),
    (&["cudaFree"], Rule::Leaves(&["allocations", "bytes", "exports"])),
    (&["cudaFreeHost"], Rule::Leaves(&["pinned"])),
    (&["cudaIpcCloseMemHandle"], Rule::Leaves(&["imports"])),
    (&["ncclCommDestroy", "ncclCommAbort"], Rule::Leaves(&["communicators"])),
    (
        &["cuCtxGetCurrent", "cuCtxSetCurrent"],
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
    (&["cudaStreamQuery", "cudaEventQuery"], Rule::Excuses(719, &["freed_while_used"])),
    (&["cuCtxGetCurrent", "cuCtxSetCurrent"], Rule::Excuses(709, &["freed_while_used"])),
];

impl Vendor for Cuda {
    fn emulated(&self) -> Emulated {
        eplb_emulators::cuda()
    }

    fn symbols(&self) -> Vec<&'static str> {
        [CudaRuntime::REQUIRED, CudaRuntime::OPTIONAL, CudaDriver::REQUIRED, CudaDriver::OPTIONAL]
            .into_iter()
            .chain([Nccl::REQUIRED, Nccl::OPTIONAL])
            .flatten()
            .copied()
            .collect()
    }

    fn codes(&self, function: &str) -> [i32; 3] {
        match function {
            // Out of memory, the one that has to do with it, and an unknown failure.
            "cudaGetDeviceCount" => [100, 3, 999],
            "cudaDeviceEnablePeerAccess" => [704, 2, 999],
            "cudaMemcpyBatchAsync" => [801, 2, 999],
            "cudaIpcOpenMemHandle" => [400, 2, 999],
            _ if function.starts_with("ncclComm") || function == "ncclGroupEnd" => [1, 2, 6],
            _ if function.starts_with("nccl") => [1, 2, 3],
            _ if function.starts_with("cu") && !function.starts_with("cuda") => [2, 201, 709],
            _ if ["Malloc", "Alloc", "Create"].iter().any(|word| function.contains(word)) => {
                [2, 46, 999]
            }
            _ => [1, 719, 999],
        }
    }

    fn code_name(&self, function: &str, code: i32) -> Option<&'static str> {
        if function.starts_with("nccl") {
            return ncclResult_t(code).name();
        }
        if function.starts_with("cuda") {
            return cudaError_t(code).name();
        }
        CUresult(code).name()
    }

    fn rules(&self) -> &'static [(&'static [&'static str], Rule)] {
        RULES
    }

    fn backend(&self) -> Result<Arc<dyn Backend>, String> {
        let opened = CudaBackend::open(&Libraries::default()).map_err(|error| error.to_string())?;
        Ok(Arc::new(opened))
    }

    fn diagnose(&self) -> Diagnosis {
        CudaBackend::diagnose(&Libraries::default())
    }

    fn second_way(&self, _folder: &Path) -> Option<CommunicatorId> {
        None
    }

    fn lend(&self) -> Lent {
        let (runtime, driver, nccl) = engine();
        let mut stream: cudaStream_t = std::ptr::null_mut();
        let mut memory: *mut c_void = std::ptr::null_mut();
        let mut pinned: *mut c_void = std::ptr::null_mut();
        let mut context = std::ptr::null_mut();
        let mut communicator: ncclComm_t = std::ptr::null_mut();
        let mut id = ncclUniqueId { internal: [0; 128] };
        // SAFETY: acts on this thread.
        must(unsafe { (runtime.cudaSetDevice)(0) });
        // SAFETY: writes one pointer, which lives, as do those below.
        must(unsafe {
            (runtime.cudaStreamCreateWithFlags)(&raw mut stream, cudaStreamNonBlocking)
        });
        // SAFETY: as above.
        must(unsafe { (runtime.cudaMalloc)(&raw mut memory, LENT_BYTES) });
        // SAFETY: as above.
        must(unsafe { (runtime.cudaMemset)(memory, 0, LENT_BYTES) });
        // The engine shares it, too: CUDA ends an export only with its memory.
        let mut handle = cudaIpcMemHandle_t { reserved: [0; 64] };
        // SAFETY: writes one structure, which lives; the address is the start of a live allocation.
        must(unsafe { (runtime.cudaIpcGetMemHandle)(&raw mut handle, memory) });
        // SAFETY: as above.
        must(unsafe { (runtime.cudaMallocHost)(&raw mut pinned, LENT_BYTES) });
        // SAFETY: page-locked memory of this process, just allocated.
        unsafe { pinned.cast::<u8>().write_bytes(0, LENT_BYTES) };
        // SAFETY: as above.
        assert_eq!(unsafe { (driver.cuCtxGetCurrent)(&raw mut context) }, CUresult::CUDA_SUCCESS);
        // SAFETY: writes one structure, which lives.
        agreed(unsafe { (nccl.ncclGetUniqueId)(&raw mut id) });
        // SAFETY: writes one pointer, which lives, and blocks until it is ready.
        agreed(unsafe { (nccl.ncclCommInitRank)(&raw mut communicator, 1, id, 0) });
        Lent {
            context: ContextHandle(context as usize),
            stream: StreamHandle(stream as usize),
            memory: Address(memory as usize),
            pinned: Address(pinned as usize),
            communicator: CommunicatorHandle(communicator as usize),
        }
    }

    fn take_back(&self, lent: &Lent) {
        let (runtime, _, nccl) = engine();
        // SAFETY: acts on this thread.
        must(unsafe { (runtime.cudaSetDevice)(0) });
        // SAFETY: still alive, as all of it, and used no more.
        agreed(unsafe { (nccl.ncclCommDestroy)(lent.communicator.0 as ncclComm_t) });
        // SAFETY: as above.
        must(unsafe { (runtime.cudaStreamDestroy)(lent.stream.0 as cudaStream_t) });
        // SAFETY: as above.
        must(unsafe { (runtime.cudaFree)(lent.memory.0 as *mut c_void) });
        // SAFETY: as above.
        must(unsafe { (runtime.cudaFreeHost)(lent.pinned.0 as *mut c_void) });
    }
}

fn engine() -> (CudaRuntime, CudaDriver, Nccl) {
    let search = Search::new();
    (
        CudaRuntime::open(&search).unwrap().table,
        CudaDriver::open(&search).unwrap().table,
        Nccl::open(&search).unwrap().table,
    )
}

fn must(status: cudaError_t) {
    assert_eq!(status, cudaError_t::cudaSuccess);
}

fn agreed(status: ncclResult_t) {
    assert_eq!(status, ncclResult_t::ncclSuccess);
}
