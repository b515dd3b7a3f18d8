//! Types and constants. Made by ci/update-bindings from include/eplb_acl.h: change that.
//!
//! Header checksum: 0179b26f2a15a364

use core::ffi::{c_char, c_int, c_void};

crate::code! {
    /// What every ACL function returns: 0, or a code of six digits, whose first digit says where the
    /// fault lies: 1 with the caller, 2 in a resource, 5 in the library or the hardware. The vendor
    /// declares an `int`. Numbers of rare codes have moved between versions.
    pub struct aclError(c_int) {
        ACL_SUCCESS = 0,
        ACL_ERROR_INVALID_PARAM = 100000,
        ACL_ERROR_UNINITIALIZE = 100001,
        ACL_ERROR_REPEAT_INITIALIZE = 100002,
        ACL_ERROR_REPEAT_FINALIZE = 100037,
        ACL_ERROR_COMPILING_STUB_MODE = 100039,
        ACL_ERROR_RT_PARAM_INVALID = 107000,
        ACL_ERROR_RT_INVALID_DEVICEID = 107001,
        ACL_ERROR_RT_CONTEXT_NULL = 107002,
        ACL_ERROR_RT_STREAM_CONTEXT = 107003,
        ACL_ERROR_RT_ADDR_UNALIGNED = 107008,
        ACL_ERROR_RT_INVALID_HANDLE = 107017,
        ACL_ERROR_RT_INVALID_MALLOC_TYPE = 107018,
        ACL_ERROR_RT_WAIT_TIMEOUT = 107019,
        ACL_ERROR_RT_TASK_TIMEOUT = 107020,
        ACL_ERROR_RT_DEVICE_TASK_ABORT = 107022,
        ACL_ERROR_RT_STREAM_ABORT = 107023,
        ACL_ERROR_RT_TASK_ABORT_STOP = 107035,
        ACL_ERROR_BAD_ALLOC = 200000,
        ACL_ERROR_RT_FEATURE_NOT_SUPPORT = 207000,
        ACL_ERROR_RT_MEMORY_ALLOCATION = 207001,
        ACL_ERROR_RT_NO_DEVICE = 207004,
        ACL_ERROR_RT_RESOURCE_ALLOC_FAIL = 207005,
        ACL_ERROR_RT_NO_PERMISSION = 207006,
        ACL_ERROR_RT_NO_EVENT_RESOURCE = 207007,
        ACL_ERROR_RT_NO_STREAM_RESOURCE = 207008,
        ACL_ERROR_RT_DEVICE_OOM = 207018,
        ACL_ERROR_INTERNAL_ERROR = 500000,
        ACL_ERROR_RT_INTERNAL_ERROR = 507000,
        ACL_ERROR_RT_LOST_HEARTBEAT = 507010,
        ACL_ERROR_RT_AICORE_TIMEOUT = 507014,
        ACL_ERROR_RT_AICORE_EXCEPTION = 507015,
        ACL_ERROR_RT_AICPU_TIMEOUT = 507017,
        ACL_ERROR_RT_AICPU_EXCEPTION = 507018,
        ACL_ERROR_RT_IPC_ERROR = 507022,
        ACL_ERROR_RT_DEV_SETUP_ERROR = 507033,
        ACL_ERROR_RT_STREAM_SYNC_TIMEOUT = 507046,
        ACL_ERROR_RT_EVENT_SYNC_TIMEOUT = 507047,
        ACL_ERROR_RT_DEVICE_MEM_ERROR = 507053,
        ACL_ERROR_RT_HBM_MULTI_BIT_ECC_ERROR = 507054,
        ACL_ERROR_RT_LINK_ERROR = 507056,
        ACL_ERROR_RT_SUSPECT_REMOTE_ERROR = 507057,
        ACL_ERROR_RT_DRV_INTERNAL_ERROR = 507899,
        ACL_ERROR_RT_COMM_OP_RETRY_FAIL = 507904,
    }
}

crate::code! {
    /// Where a stream stands: 0 is complete, the opposite of recorded events.
    pub struct aclrtStreamStatus(u32) {
        ACL_STREAM_STATUS_COMPLETE = 0,
        ACL_STREAM_STATUS_NOT_READY = 1,
        ACL_STREAM_STATUS_RESERVED = 65535,
    }
}

crate::code! {
    /// Whether what an event recorded is over: 1 is complete, the opposite of streams.
    pub struct aclrtEventRecordedStatus(u32) {
        ACL_EVENT_RECORDED_STATUS_NOT_READY = 0,
        ACL_EVENT_RECORDED_STATUS_COMPLETE = 1,
    }
}

crate::code! {
    /// Which pages device memory is made of; `P2P` for memory that other devices read.
    pub struct aclrtMemMallocPolicy(u32) {
        ACL_MEM_MALLOC_HUGE_FIRST = 0,
        ACL_MEM_MALLOC_HUGE_ONLY = 1,
        ACL_MEM_MALLOC_NORMAL_ONLY = 2,
        ACL_MEM_MALLOC_HUGE_FIRST_P2P = 3,
        ACL_MEM_MALLOC_HUGE_ONLY_P2P = 4,
        ACL_MEM_MALLOC_NORMAL_ONLY_P2P = 5,
    }
}

crate::code! {
    /// Which memory is asked about.
    pub struct aclrtMemAttr(u32) {
        ACL_DDR_MEM = 0,
        ACL_HBM_MEM = 1,
        ACL_HBM_MEM_HUGE = 4,
        ACL_HBM_MEM_NORMAL = 5,
    }
}

crate::code! {
    /// The direction of a copy.
    pub struct aclrtMemcpyKind(u32) {
        ACL_MEMCPY_HOST_TO_HOST = 0,
        ACL_MEMCPY_HOST_TO_DEVICE = 1,
        ACL_MEMCPY_DEVICE_TO_HOST = 2,
        ACL_MEMCPY_DEVICE_TO_DEVICE = 3,
        ACL_MEMCPY_DEFAULT = 4,
    }
}

crate::code! {
    /// The kind of place where memory lies.
    pub struct aclrtMemLocationType(u32) {
        ACL_MEM_LOCATION_TYPE_HOST = 0,
        ACL_MEM_LOCATION_TYPE_DEVICE = 1,
        ACL_MEM_LOCATION_TYPE_UNREGISTERED = 2,
    }
}

crate::code! {
    /// Where this process runs: on the device's own processor, or on a host.
    pub struct aclrtRunMode(u32) {
        ACL_DEVICE = 0,
        ACL_HOST = 1,
    }
}

crate::code! {
    /// A package of the software stack, to ask for its version.
    pub struct aclCANNPackageName(u32) {
        ACL_PKG_NAME_CANN = 0,
        ACL_PKG_NAME_RUNTIME = 1,
        ACL_PKG_NAME_COMPILER = 2,
        ACL_PKG_NAME_HCCL = 3,
        ACL_PKG_NAME_TOOLKIT = 4,
        ACL_PKG_NAME_OPP = 5,
        ACL_PKG_NAME_OPP_KERNEL = 6,
        ACL_PKG_NAME_DRIVER = 7,
    }
}

crate::code! {
    /// Whether the stream waits for the callback to return.
    pub struct aclrtCallbackBlockType(u32) {
        ACL_CALLBACK_NO_BLOCK = 0,
        ACL_CALLBACK_BLOCK = 1,
    }
}

crate::code! {
    /// Whose last error is asked for.
    pub struct aclrtLastErrLevel(u32) {
        ACL_RT_THREAD_LEVEL = 0,
    }
}

/// Stream flags: tasks are launched through a faster path, which costs resources.
pub const ACL_STREAM_FAST_LAUNCH: u32 = 1;

/// Stream flags: the host polls while it synchronises.
pub const ACL_STREAM_FAST_SYNC: u32 = 2;

/// Failure modes of a stream: later tasks run on (the default), or are dropped.
pub const ACL_CONTINUE_ON_FAILURE: u64 = 0;

pub const ACL_STOP_ON_FAILURE: u64 = 1;

/// Event flags: streams may wait for it; without the flag they may not.
pub const ACL_EVENT_SYNC: u32 = 1;

/// Event flags: it takes the time.
pub const ACL_EVENT_TIME_LINE: u32 = 8;

/// Bytes of the key of exported memory, the closing zero included. Later headers have no name for
/// the number, which has stayed. Until 1.17.
pub const ACL_IPC_HANDLE_SIZE: usize = 65;

/// Flag of an export: every process may import, also one that is not listed. Since 1.17.
pub const ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION: u64 = 1;

/// Flag of an import: peer access to the exporter's device is enabled, too. Since 1.17.
pub const ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS: u64 = 1;

/// Flag of registering host memory: the device sees it. Since 1.17.
pub const ACL_HOST_REG_MAPPED: u32 = 2;

/// Flag of registering host memory: its pages are locked. Since 1.17.
pub const ACL_HOST_REG_PINNED: u32 = 268435456;

/// Where memory lies.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct aclrtMemLocation {
    /// The device's number; of no meaning for host memory.
    pub id: u32,
    /// The vendor calls it `type`, which is no name in Rust.
    pub eplb_type: aclrtMemLocationType,
}

const _: () = {
    assert!(size_of::<aclrtMemLocation>() == 8);
    assert!(align_of::<aclrtMemLocation>() == 4);
    assert!(core::mem::offset_of!(aclrtMemLocation, id) == 0);
    assert!(core::mem::offset_of!(aclrtMemLocation, eplb_type) == 4);
};

/// What the library knows of an address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct aclrtPtrAttributes {
    pub location: aclrtMemLocation,
    /// In bytes.
    pub pageSize: u32,
    pub rsv: [u32; 4],
}

const _: () = {
    assert!(size_of::<aclrtPtrAttributes>() == 28);
    assert!(align_of::<aclrtPtrAttributes>() == 4);
    assert!(core::mem::offset_of!(aclrtPtrAttributes, location) == 0);
    assert!(core::mem::offset_of!(aclrtPtrAttributes, pageSize) == 8);
    assert!(core::mem::offset_of!(aclrtPtrAttributes, rsv) == 12);
};

/// Where both sides of the copies of a batch lie; `rsv` is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct aclrtMemcpyBatchAttr {
    pub dstLoc: aclrtMemLocation,
    pub srcLoc: aclrtMemLocation,
    pub rsv: [u8; 16],
}

const _: () = {
    assert!(size_of::<aclrtMemcpyBatchAttr>() == 32);
    assert!(align_of::<aclrtMemcpyBatchAttr>() == 4);
    assert!(core::mem::offset_of!(aclrtMemcpyBatchAttr, dstLoc) == 0);
    assert!(core::mem::offset_of!(aclrtMemcpyBatchAttr, srcLoc) == 8);
    assert!(core::mem::offset_of!(aclrtMemcpyBatchAttr, rsv) == 16);
};

/// The version of a package, as texts that end with a zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct aclCANNPackageVersion {
    pub version: [c_char; 128],
    pub majorVersion: [c_char; 64],
    pub minorVersion: [c_char; 64],
    pub releaseVersion: [c_char; 64],
    pub patchVersion: [c_char; 64],
    pub reserved: [c_char; 128],
}

const _: () = {
    assert!(size_of::<aclCANNPackageVersion>() == 512);
    assert!(align_of::<aclCANNPackageVersion>() == 1);
    assert!(core::mem::offset_of!(aclCANNPackageVersion, version) == 0);
    assert!(core::mem::offset_of!(aclCANNPackageVersion, majorVersion) == 128);
    assert!(core::mem::offset_of!(aclCANNPackageVersion, minorVersion) == 192);
    assert!(core::mem::offset_of!(aclCANNPackageVersion, releaseVersion) == 256);
    assert!(core::mem::offset_of!(aclCANNPackageVersion, patchVersion) == 320);
    assert!(core::mem::offset_of!(aclCANNPackageVersion, reserved) == 384);
};

/// A context: a device, with the streams and memory that were made in it. Current per thread.
pub type aclrtContext = *mut c_void;

/// A stream: a queue of tasks that run in order.
pub type aclrtStream = *mut c_void;

/// An event: a point in a stream.
pub type aclrtEvent = *mut c_void;

/// What the runtime calls on its own thread when the stream gets there; it may call no ACL.
pub type aclrtCallback = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// As `aclrtCallback`, without a thread of the caller's to run it. Since 1.17.
pub type aclrtHostFunc = Option<unsafe extern "C" fn(arguments: *mut c_void)>;
