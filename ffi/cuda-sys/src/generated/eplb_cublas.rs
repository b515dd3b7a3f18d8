//! Types and constants. Made by ci/update-bindings from include/eplb_cublas.h: change that.
//!
//! Header checksum: 0a90ad0aee1a7905

use core::ffi::c_int;

crate::code! {
    /// A status of cuBLAS.
    pub struct cublasStatus_t(c_int) {
        CUBLAS_STATUS_SUCCESS = 0,
        CUBLAS_STATUS_NOT_INITIALIZED = 1,
        CUBLAS_STATUS_ALLOC_FAILED = 3,
        CUBLAS_STATUS_INVALID_VALUE = 7,
        CUBLAS_STATUS_ARCH_MISMATCH = 8,
        CUBLAS_STATUS_MAPPING_ERROR = 11,
        CUBLAS_STATUS_EXECUTION_FAILED = 13,
        CUBLAS_STATUS_INTERNAL_ERROR = 14,
        CUBLAS_STATUS_NOT_SUPPORTED = 15,
        CUBLAS_STATUS_LICENSE_ERROR = 16,
    }
}

crate::code! {
    /// Whether a matrix is taken as it is.
    pub struct cublasOperation_t(c_int) {
        CUBLAS_OP_N = 0,
        CUBLAS_OP_T = 1,
    }
}

crate::code! {
    /// The type of a matrix's elements.
    pub struct cudaDataType_t(c_int) {
        CUDA_R_32F = 0,
        CUDA_R_16BF = 14,
    }
}

#[repr(C)]
#[derive(Debug)]
pub struct cublasContext {
    _opaque: [u8; 0],
}

/// The library's state for one device; used by one thread at a time.
pub type cublasHandle_t = *mut cublasContext;
