/**
 * cuBLAS, as far as EPLB uses it, which is for benchmarks alone: declarations of our own, checked by
 * ci/abi-check against the vendor's cublas_v2.h of 13 (NVIDIA, "cuBLAS", API reference).
 *
 * Names that the vendor's header maps to a `_v2` form are declared under that form, which is the
 * library's symbol.
 */
#ifndef EPLB_CUBLAS_H
#define EPLB_CUBLAS_H

#include "eplb_cuda_runtime.h"

extern "C" {

/** A status of cuBLAS. */
enum cublasStatus_t : int {
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
};

/** Whether a matrix is taken as it is. */
enum cublasOperation_t : int {
    CUBLAS_OP_N = 0,
    CUBLAS_OP_T = 1,
};

/** The type of a matrix's elements. */
enum cudaDataType_t : int {
    CUDA_R_32F = 0,
    CUDA_R_16BF = 14,
};

struct cublasContext;
/** The library's state for one device; used by one thread at a time. */
typedef struct cublasContext *cublasHandle_t;

/** Makes a state for the thread's current device; allocates on it. */
cublasStatus_t cublasCreate_v2(cublasHandle_t *handle);
/** Frees a state; waits for the device. */
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle);
/** The stream that products are queued on from now on. */
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t streamId);
/** A sentence on a status; static text. */
const char *cublasGetStatusString(cublasStatus_t status);
/**
 * Queues C = alpha A B + beta C, with sums in 32 bits. Matrices stand column by column; the leading
 * dimensions are the distances of two columns in elements. The two factors are read from the host when
 * this is called.
 */
cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                             int n, int k, const float *alpha, const void *A, cudaDataType_t Atype, int lda,
                             const void *B, cudaDataType_t Btype, int ldb, const float *beta, void *C,
                             cudaDataType_t Ctype, int ldc);

} // extern "C"

#endif
