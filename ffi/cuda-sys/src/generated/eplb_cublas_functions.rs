//! The table of functions. Made by ci/update-bindings from include/eplb_cublas.h: change that.
//!
//! The functions of cuBLAS, `libcublas`, that benchmarks make matrix products with.

use core::ffi::{c_char, c_int, c_void};

use super::eplb_cublas::*;
use super::eplb_cuda_runtime::*;

crate::table! {
    /// The functions of cuBLAS, `libcublas`, that benchmarks make matrix products with.
    pub struct Cublas {
        required {
            /// Makes a state for the thread's current device; allocates on it.
            "cublasCreate_v2" => cublasCreate_v2: unsafe extern "C" fn(
                handle: *mut cublasHandle_t,
            ) -> cublasStatus_t,
            /// Frees a state; waits for the device.
            "cublasDestroy_v2" => cublasDestroy_v2: unsafe extern "C" fn(
                handle: cublasHandle_t,
            ) -> cublasStatus_t,
            /// The stream that products are queued on from now on.
            "cublasSetStream_v2" => cublasSetStream_v2: unsafe extern "C" fn(
                handle: cublasHandle_t,
                streamId: cudaStream_t,
            ) -> cublasStatus_t,
            /// A sentence on a status; static text.
            "cublasGetStatusString" => cublasGetStatusString: unsafe extern "C" fn(
                status: cublasStatus_t,
            ) -> *const c_char,
            /// Queues C = alpha A B + beta C, with sums in 32 bits. Matrices stand column by column; the leading
            /// dimensions are the distances of two columns in elements. The two factors are read from the host when
            /// this is called.
            "cublasSgemmEx" => cublasSgemmEx: unsafe extern "C" fn(
                handle: cublasHandle_t,
                transa: cublasOperation_t,
                transb: cublasOperation_t,
                m: c_int,
                n: c_int,
                k: c_int,
                alpha: *const f32,
                A: *const c_void,
                Atype: cudaDataType_t,
                lda: c_int,
                B: *const c_void,
                Btype: cudaDataType_t,
                ldb: c_int,
                beta: *const f32,
                C: *mut c_void,
                Ctype: cudaDataType_t,
                ldc: c_int,
            ) -> cublasStatus_t,
        }
        optional {
        }
    }
}
