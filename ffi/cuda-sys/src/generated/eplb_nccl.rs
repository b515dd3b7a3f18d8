//! Types and constants. Made by ci/update-bindings from include/eplb_nccl.h: change that.
//!
//! Header checksum: 61238ac506464851

use core::ffi::{c_char, c_int, c_uint};

crate::code! {
    /// A status of NCCL.
    pub struct ncclResult_t(c_int) {
        ncclSuccess = 0,
        ncclUnhandledCudaError = 1,
        ncclSystemError = 2,
        ncclInternalError = 3,
        ncclInvalidArgument = 4,
        ncclInvalidUsage = 5,
        /// Another rank, or the way to it, has failed.
        ncclRemoteError = 6,
        /// The answer of a communicator that does not block: it goes on, no error.
        ncclInProgress = 7,
        /// Since 2.30.3.
        ncclTimeout = 8,
    }
}

crate::code! {
    /// The type of an element. There is no 16-bit integer.
    pub struct ncclDataType_t(c_int) {
        ncclInt8 = 0,
        ncclUint8 = 1,
        ncclInt32 = 2,
        ncclUint32 = 3,
        ncclInt64 = 4,
        ncclUint64 = 5,
        ncclFloat16 = 6,
        ncclFloat32 = 7,
        ncclFloat64 = 8,
        ncclBfloat16 = 9,
        /// Since 2.24.3.
        ncclFloat8e4m3 = 10,
        ncclFloat8e5m2 = 11,
    }
}

crate::code! {
    /// How a reduction joins two elements.
    pub struct ncclRedOp_t(c_int) {
        ncclSum = 0,
        ncclProd = 1,
        ncclMax = 2,
        ncclMin = 3,
        ncclAvg = 4,
    }
}

pub const NCCL_UNIQUE_ID_BYTES: c_int = 128;

/// What stands in a configuration's numbers that are left to the library.
pub const NCCL_CONFIG_UNDEF_INT: c_int = -2147483648;

/// The second number of each configuration; older headers have the number without the name. Since 2.32.
pub const NCCL_API_MAGIC: c_uint = 3405692655;

pub const NCCL_WIN_DEFAULT: c_int = 0;

pub const NCCL_WIN_COLL_SYMMETRIC: c_int = 1;

#[repr(C)]
#[derive(Debug)]
pub struct ncclComm {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Debug)]
pub struct ncclWindow {
    _opaque: [u8; 0],
}

/// Names a communicator to be created, to all its ranks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ncclUniqueId {
    pub internal: [c_char; 128],
}

const _: () = {
    assert!(size_of::<ncclUniqueId>() == 128);
    assert!(align_of::<ncclUniqueId>() == 1);
    assert!(core::mem::offset_of!(ncclUniqueId, internal) == 0);
};

/// Settings of a communicator, in the layout of 2.27.3. The library reads `size` bytes: for an older
/// one `size` ends before the first field that it has not, and `version` is that layout's.
/// Longer since 2.28.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ncclConfig_t {
    pub size: usize,
    /// `NCCL_API_MAGIC`.
    pub magic: c_uint,
    /// The version whose layout this is: 10000 x major + 100 x minor + patch.
    pub version: c_uint,
    /// 0: calls return `ncclInProgress` and are polled.
    pub blocking: c_int,
    pub cgaClusterSize: c_int,
    pub minCTAs: c_int,
    pub maxCTAs: c_int,
    pub netName: *const c_char,
    pub splitShare: c_int,
    pub trafficClass: c_int,
    pub commName: *const c_char,
    pub collnetEnable: c_int,
    pub CTAPolicy: c_int,
    pub shrinkShare: c_int,
    pub nvlsCTAs: c_int,
}

const _: () = {
    assert!(size_of::<ncclConfig_t>() == 72);
    assert!(align_of::<ncclConfig_t>() == 8);
    assert!(core::mem::offset_of!(ncclConfig_t, size) == 0);
    assert!(core::mem::offset_of!(ncclConfig_t, magic) == 8);
    assert!(core::mem::offset_of!(ncclConfig_t, version) == 12);
    assert!(core::mem::offset_of!(ncclConfig_t, blocking) == 16);
    assert!(core::mem::offset_of!(ncclConfig_t, cgaClusterSize) == 20);
    assert!(core::mem::offset_of!(ncclConfig_t, minCTAs) == 24);
    assert!(core::mem::offset_of!(ncclConfig_t, maxCTAs) == 28);
    assert!(core::mem::offset_of!(ncclConfig_t, netName) == 32);
    assert!(core::mem::offset_of!(ncclConfig_t, splitShare) == 40);
    assert!(core::mem::offset_of!(ncclConfig_t, trafficClass) == 44);
    assert!(core::mem::offset_of!(ncclConfig_t, commName) == 48);
    assert!(core::mem::offset_of!(ncclConfig_t, collnetEnable) == 56);
    assert!(core::mem::offset_of!(ncclConfig_t, CTAPolicy) == 60);
    assert!(core::mem::offset_of!(ncclConfig_t, shrinkShare) == 64);
    assert!(core::mem::offset_of!(ncclConfig_t, nvlsCTAs) == 68);
};

/// One rank's end of a communicator.
pub type ncclComm_t = *mut ncclComm;

/// Memory that all ranks of a communicator registered together.
pub type ncclWindow_t = *mut ncclWindow;
