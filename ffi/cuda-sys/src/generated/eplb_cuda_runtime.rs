//! Types and constants. Made by ci/update-bindings from include/eplb_cuda_runtime.h: change that.
//!
//! Header checksum: 759eb4cd4f4761c8

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};

crate::code! {
    /// A status of the runtime.
    pub struct cudaError_t(c_int) {
        cudaSuccess = 0,
        cudaErrorInvalidValue = 1,
        /// Device memory, or another resource, is used up.
        cudaErrorMemoryAllocation = 2,
        cudaErrorInitializationError = 3,
        /// The process is at its end.
        cudaErrorCudartUnloading = 4,
        cudaErrorInvalidDevicePointer = 17,
        /// A library for linking was loaded instead of the driver.
        cudaErrorStubLibrary = 34,
        /// No driver, or one that is too old: there are no devices.
        cudaErrorInsufficientDriver = 35,
        cudaErrorCallRequiresNewerDriver = 36,
        cudaErrorDevicesUnavailable = 46,
        cudaErrorIncompatibleDriverContext = 49,
        cudaErrorNoDevice = 100,
        cudaErrorInvalidDevice = 101,
        /// The context of the thread or of a handle is not usable.
        cudaErrorDeviceUninitialized = 201,
        cudaErrorMapBufferObjectFailed = 205,
        cudaErrorAlreadyMapped = 208,
        cudaErrorECCUncorrectable = 214,
        cudaErrorPeerAccessUnsupported = 217,
        cudaErrorNvlinkUncorrectable = 220,
        cudaErrorOperatingSystem = 304,
        cudaErrorInvalidResourceHandle = 400,
        cudaErrorSymbolNotFound = 500,
        /// The answer of a query whose work goes on, no error.
        cudaErrorNotReady = 600,
        cudaErrorIllegalAddress = 700,
        cudaErrorLaunchTimeout = 702,
        /// Harmless: it was enabled before.
        cudaErrorPeerAccessAlreadyEnabled = 704,
        cudaErrorPeerAccessNotEnabled = 705,
        cudaErrorContextIsDestroyed = 709,
        cudaErrorAssert = 710,
        cudaErrorTooManyPeers = 711,
        cudaErrorHostMemoryAlreadyRegistered = 712,
        cudaErrorHostMemoryNotRegistered = 713,
        cudaErrorHardwareStackError = 714,
        cudaErrorIllegalInstruction = 715,
        cudaErrorMisalignedAddress = 716,
        cudaErrorInvalidAddressSpace = 717,
        cudaErrorInvalidPc = 718,
        cudaErrorLaunchFailure = 719,
        cudaErrorNotPermitted = 800,
        cudaErrorNotSupported = 801,
        cudaErrorSystemNotReady = 802,
        cudaErrorSystemDriverMismatch = 803,
        cudaErrorMpsConnectionFailed = 805,
        /// The stream is being captured into a graph, and the call cannot be part of one.
        cudaErrorStreamCaptureUnsupported = 900,
        cudaErrorStreamCaptureInvalidated = 901,
        cudaErrorTimeout = 909,
        cudaErrorUnknown = 999,
    }
}

crate::code! {
    /// A property of a device; the numbers that are used.
    pub struct cudaDeviceAttr(c_int) {
        cudaDevAttrMultiProcessorCount = 16,
        cudaDevAttrIntegrated = 18,
        cudaDevAttrComputeMode = 20,
        cudaDevAttrPciBusId = 33,
        cudaDevAttrPciDeviceId = 34,
        cudaDevAttrAsyncEngineCount = 40,
        cudaDevAttrUnifiedAddressing = 41,
        cudaDevAttrPciDomainId = 50,
        cudaDevAttrComputeCapabilityMajor = 75,
        cudaDevAttrComputeCapabilityMinor = 76,
        cudaDevAttrMemoryPoolsSupported = 115,
        /// Since 12.0.
        cudaDevAttrIpcEventSupport = 125,
    }
}

crate::code! {
    /// The direction of a copy.
    pub struct cudaMemcpyKind(c_int) {
        cudaMemcpyHostToHost = 0,
        cudaMemcpyHostToDevice = 1,
        cudaMemcpyDeviceToHost = 2,
        cudaMemcpyDeviceToDevice = 3,
        /// Told from the addresses.
        cudaMemcpyDefault = 4,
    }
}

crate::code! {
    /// What kind of memory an address is in.
    pub struct cudaMemoryType(c_int) {
        cudaMemoryTypeUnregistered = 0,
        cudaMemoryTypeHost = 1,
        cudaMemoryTypeDevice = 2,
        cudaMemoryTypeManaged = 3,
    }
}

crate::code! {
    /// What kind of place a hint names.
    pub struct cudaMemLocationType(c_int) {
        cudaMemLocationTypeInvalid = 0,
        cudaMemLocationTypeDevice = 1,
        cudaMemLocationTypeHost = 2,
    }
}

crate::code! {
    /// When the sources of a batch of copies may be read. Since 12.8.
    pub struct cudaMemcpySrcAccessOrder(c_int) {
        /// Since 12.8.
        cudaMemcpySrcAccessOrderInvalid = 0,
        /// In the order of the stream. Since 12.8.
        cudaMemcpySrcAccessOrderStream = 1,
        /// Before the call returns, whatever the stream does. Since 12.8.
        cudaMemcpySrcAccessOrderDuringApiCall = 2,
        /// At any time. Since 12.8.
        cudaMemcpySrcAccessOrderAny = 3,
    }
}

/// Flags of a stream: also ordered against the null stream.
pub const cudaStreamDefault: c_uint = 0;

/// Flags of a stream: not ordered against the null stream.
pub const cudaStreamNonBlocking: c_uint = 1;

pub const cudaEventDefault: c_uint = 0;

pub const cudaEventBlockingSync: c_uint = 1;

pub const cudaEventDisableTiming: c_uint = 2;

/// For other processes too; goes only together with the flag against timing.
pub const cudaEventInterprocess: c_uint = 4;

pub const cudaHostAllocDefault: c_uint = 0;

pub const cudaHostAllocPortable: c_uint = 1;

pub const cudaHostAllocMapped: c_uint = 2;

pub const cudaHostAllocWriteCombined: c_uint = 4;

pub const cudaHostRegisterDefault: c_uint = 0;

pub const cudaHostRegisterPortable: c_uint = 1;

pub const cudaHostRegisterMapped: c_uint = 2;

pub const cudaHostRegisterIoMemory: c_uint = 4;

pub const cudaHostRegisterReadOnly: c_uint = 8;

pub const cudaIpcMemLazyEnablePeerAccess: c_uint = 1;

/// Flag of a batch of copies. Since 12.8.
pub const cudaMemcpyFlagDefault: c_uint = 0;

/// Flag of a batch of copies: rather the copy engines than multiprocessors. Since 12.8.
pub const cudaMemcpyFlagPreferOverlapWithCompute: c_uint = 1;

#[repr(C)]
#[derive(Debug)]
pub struct CUstream_st {
    _opaque: [u8; 0],
}

#[repr(C)]
#[derive(Debug)]
pub struct CUevent_st {
    _opaque: [u8; 0],
}

/// Names an allocation to other processes of the host.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cudaIpcMemHandle_t {
    pub reserved: [c_char; 64],
}

const _: () = {
    assert!(size_of::<cudaIpcMemHandle_t>() == 64);
    assert!(align_of::<cudaIpcMemHandle_t>() == 1);
    assert!(core::mem::offset_of!(cudaIpcMemHandle_t, reserved) == 0);
};

/// Names an event to other processes of the host.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cudaIpcEventHandle_t {
    pub reserved: [c_char; 64],
}

const _: () = {
    assert!(size_of::<cudaIpcEventHandle_t>() == 64);
    assert!(align_of::<cudaIpcEventHandle_t>() == 1);
    assert!(core::mem::offset_of!(cudaIpcEventHandle_t, reserved) == 0);
};

/// A place that memory is, or is to be.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cudaMemLocation {
    pub type_: cudaMemLocationType,
    /// A device's ordinal, for a device.
    pub id: c_int,
}

const _: () = {
    assert!(size_of::<cudaMemLocation>() == 8);
    assert!(align_of::<cudaMemLocation>() == 4);
    assert!(core::mem::offset_of!(cudaMemLocation, type_) == 0);
    assert!(core::mem::offset_of!(cudaMemLocation, id) == 4);
};

/// How the copies of a batch are made; the hints matter for managed memory only. Since 12.8.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cudaMemcpyAttributes {
    pub srcAccessOrder: cudaMemcpySrcAccessOrder,
    pub srcLocHint: cudaMemLocation,
    pub dstLocHint: cudaMemLocation,
    pub flags: c_uint,
}

const _: () = {
    assert!(size_of::<cudaMemcpyAttributes>() == 24);
    assert!(align_of::<cudaMemcpyAttributes>() == 4);
    assert!(core::mem::offset_of!(cudaMemcpyAttributes, srcAccessOrder) == 0);
    assert!(core::mem::offset_of!(cudaMemcpyAttributes, srcLocHint) == 4);
    assert!(core::mem::offset_of!(cudaMemcpyAttributes, dstLocHint) == 12);
    assert!(core::mem::offset_of!(cudaMemcpyAttributes, flags) == 20);
};

/// What the library knows of an address. As long as the longest known, because the library writes it.
/// Shorter before 13.0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cudaPointerAttributes {
    pub type_: cudaMemoryType,
    pub device: c_int,
    pub devicePointer: *mut c_void,
    pub hostPointer: *mut c_void,
    /// Room for the rest of what 13 writes, which means nothing here.
    pub eplb_reserved: [c_long; 8],
}

const _: () = {
    assert!(size_of::<cudaPointerAttributes>() == 88);
    assert!(align_of::<cudaPointerAttributes>() == 8);
    assert!(core::mem::offset_of!(cudaPointerAttributes, type_) == 0);
    assert!(core::mem::offset_of!(cudaPointerAttributes, device) == 4);
    assert!(core::mem::offset_of!(cudaPointerAttributes, devicePointer) == 8);
    assert!(core::mem::offset_of!(cudaPointerAttributes, hostPointer) == 16);
    assert!(core::mem::offset_of!(cudaPointerAttributes, eplb_reserved) == 24);
};

/// A stream; null is the default one.
pub type cudaStream_t = *mut CUstream_st;

/// An event.
pub type cudaEvent_t = *mut CUevent_st;

/// A function that runs on a thread of the library when a stream gets to it; it calls no CUDA.
pub type cudaHostFn_t = Option<unsafe extern "C" fn(userData: *mut c_void)>;
