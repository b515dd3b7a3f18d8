/**
 * The CUDA driver, as far as EPLB uses it: declarations of our own, checked by ci/abi-check against the
 * vendor's cuda.h of 12.9 and 13.5 (NVIDIA, "CUDA Driver API").
 *
 * Names that the vendor's header maps to a `_v2` form are declared under that form, which is the
 * library's symbol.
 */
#ifndef EPLB_CUDA_DRIVER_H
#define EPLB_CUDA_DRIVER_H

#include <stddef.h>

extern "C" {

/** A status of the driver. The numbers that it shares with `cudaError_t` mean the same there. */
enum CUresult : int {
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
};

/** A question about an address. */
enum CUpointer_attribute : int {
    /** The context that the memory belongs to: CUcontext. */
    CU_POINTER_ATTRIBUTE_CONTEXT = 1,
    /** Host, device, array or unified: unsigned int. */
    CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
    /** The device that holds it: int. */
    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9,
    /** Whether an inter-process memory handle can be made of it: int. */
    CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE = 10,
    /** Where the allocation begins: CUdeviceptr. */
    CU_POINTER_ATTRIBUTE_RANGE_START_ADDR = 11,
    /** How long the allocation is: size_t. */
    CU_POINTER_ATTRIBUTE_RANGE_SIZE = 12,
};

struct CUctx_st;
/** A context of a device; the runtime uses the device's primary one. */
typedef struct CUctx_st *CUcontext;

/** A device's ordinal. */
typedef int CUdevice;

/** An address in device memory. */
typedef unsigned long long CUdeviceptr;

/** Starts the driver, once per process; repeating it is harmless. Flags are 0. */
CUresult cuInit(unsigned int flags);

/** The version of CUDA that the driver serves: 1000 x major + 10 x minor. */
CUresult cuDriverGetVersion(int *version);

/** The name of a status, in `text`; null for an unknown one. */
CUresult cuGetErrorName(CUresult status, const char **text);

/** A sentence on a status, in `text`; null for an unknown one. */
CUresult cuGetErrorString(CUresult status, const char **text);

/** A device's name, as at most `length` bytes with the zero at its end. */
CUresult cuDeviceGetName(char *name, int length, CUdevice device);

/** The calling thread's context, null if it has none. */
CUresult cuCtxGetCurrent(CUcontext *context);

/** Makes a context the calling thread's, in place of the one it had; null leaves it without. */
CUresult cuCtxSetCurrent(CUcontext context);

/** The device of the calling thread's context. */
CUresult cuCtxGetDevice(CUdevice *device);

/** Whether a device's primary context is alive, without making it so. */
CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active);

/** Start and length of the allocation that holds an address; either may be null. */
CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr address);

/** Answers a question about an address; what `data` points to depends on the question. */
CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address);

} // extern "C"

#endif
