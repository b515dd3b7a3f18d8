//! Types and constants. Made by ci/update-bindings from include/eplb_cuda_driver.h: change that.
//!
//! Header checksum: c7474f58505b4d3c

use core::ffi::{c_int, c_ulonglong};

crate::code! {
    /// A status of the driver. The numbers that it shares with `cudaError_t` mean the same there.
    pub struct CUresult(c_int) {
        CUDA_SUCCESS = 0,
        CUDA_ERROR_INVALID_VALUE = 1,
        CUDA_ERROR_OUT_OF_MEMORY = 2,
        CUDA_ERROR_NOT_INITIALIZED = 3,
        CUDA_ERROR_DEINITIALIZED = 4,
        CUDA_ERROR_STUB_LIBRARY = 34,
        CUDA_ERROR_NO_DEVICE = 100,
        CUDA_ERROR_INVALID_DEVICE = 101,
        CUDA_ERROR_INVALID_CONTEXT = 201,
        CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
    }
}

crate::code! {
    /// A question about an address.
    pub struct CUpointer_attribute(c_int) {
        /// The context that the memory belongs to: CUcontext.
        CU_POINTER_ATTRIBUTE_CONTEXT = 1,
        /// Host, device, array or unified: unsigned int.
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
        /// The device that holds it: int.
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9,
        /// Whether an inter-process memory handle can be made of it: int.
        CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE = 10,
        /// Where the allocation begins: CUdeviceptr.
        CU_POINTER_ATTRIBUTE_RANGE_START_ADDR = 11,
        /// How long the allocation is: size_t.
        CU_POINTER_ATTRIBUTE_RANGE_SIZE = 12,
    }
}

#[repr(C)]
#[derive(Debug)]
pub struct CUctx_st {
    _opaque: [u8; 0],
}

/// A context of a device; the runtime uses the device's primary one.
pub type CUcontext = *mut CUctx_st;

/// A device's ordinal.
pub type CUdevice = c_int;

/// An address in device memory.
pub type CUdeviceptr = c_ulonglong;
