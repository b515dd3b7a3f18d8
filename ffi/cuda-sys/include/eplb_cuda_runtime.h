/**
 * The CUDA runtime, as far as EPLB uses it: declarations of our own, checked by ci/abi-check against
 * the vendor's cuda_runtime_api.h and driver_types.h of 12.9 and 13.5 (NVIDIA, "CUDA Runtime API").
 *
 * "Since" and "Until" name the first version with and the first without what they stand at; the table of
 * functions holds such ones as optional. "Symbol" names a function in the library where two forms of it
 * have different names here. `cudaGetDeviceProperties` is left out on purpose: it fills
 * different structures in libcudart.so.12 and libcudart.so.13.
 */
#ifndef EPLB_CUDA_RUNTIME_H
#define EPLB_CUDA_RUNTIME_H

#include <stddef.h>

extern "C" {

/** A status of the runtime. */
enum cudaError_t : int {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    /** Device memory, or another resource, is used up. */
    cudaErrorMemoryAllocation = 2,
    cudaErrorInitializationError = 3,
    /** The process is at its end. */
    cudaErrorCudartUnloading = 4,
    cudaErrorInvalidDevicePointer = 17,
    /** A library for linking was loaded instead of the driver. */
    cudaErrorStubLibrary = 34,
    /** No driver, or one that is too old: there are no devices. */
    cudaErrorInsufficientDriver = 35,
    cudaErrorCallRequiresNewerDriver = 36,
    cudaErrorDevicesUnavailable = 46,
    cudaErrorIncompatibleDriverContext = 49,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    /** The context of the thread or of a handle is not usable. */
    cudaErrorDeviceUninitialized = 201,
    cudaErrorMapBufferObjectFailed = 205,
    cudaErrorAlreadyMapped = 208,
    cudaErrorECCUncorrectable = 214,
    cudaErrorPeerAccessUnsupported = 217,
    cudaErrorNvlinkUncorrectable = 220,
    cudaErrorOperatingSystem = 304,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorSymbolNotFound = 500,
    /** The answer of a query whose work goes on, no error. */
    cudaErrorNotReady = 600,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchTimeout = 702,
    /** Harmless: it was enabled before. */
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
    /** The stream is being captured into a graph, and the call cannot be part of one. */
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorTimeout = 909,
    cudaErrorUnknown = 999,
};

/** A property of a device; the numbers that are used. */
enum cudaDeviceAttr : int {
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
    /** Since 12.0. */
    cudaDevAttrIpcEventSupport = 125,
};

/** The direction of a copy. */
enum cudaMemcpyKind : int {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    /** Told from the addresses. */
    cudaMemcpyDefault = 4,
};

/** What kind of memory an address is in. */
enum cudaMemoryType : int {
    cudaMemoryTypeUnregistered = 0,
    cudaMemoryTypeHost = 1,
    cudaMemoryTypeDevice = 2,
    cudaMemoryTypeManaged = 3,
};

/** What kind of place a hint names. */
enum cudaMemLocationType : int {
    cudaMemLocationTypeInvalid = 0,
    cudaMemLocationTypeDevice = 1,
    cudaMemLocationTypeHost = 2,
};

/** When the sources of a batch of copies may be read. Since 12.8. */
enum cudaMemcpySrcAccessOrder : int {
    /** Since 12.8. */
    cudaMemcpySrcAccessOrderInvalid = 0,
    /** In the order of the stream. Since 12.8. */
    cudaMemcpySrcAccessOrderStream = 1,
    /** Before the call returns, whatever the stream does. Since 12.8. */
    cudaMemcpySrcAccessOrderDuringApiCall = 2,
    /** At any time. Since 12.8. */
    cudaMemcpySrcAccessOrderAny = 3,
};

/** Flags of a stream: also ordered against the null stream. */
constexpr unsigned int cudaStreamDefault = 0;
/** Flags of a stream: not ordered against the null stream. */
constexpr unsigned int cudaStreamNonBlocking = 1;

constexpr unsigned int cudaEventDefault = 0;
constexpr unsigned int cudaEventBlockingSync = 1;
constexpr unsigned int cudaEventDisableTiming = 2;
/** For other processes too; goes only together with the flag against timing. */
constexpr unsigned int cudaEventInterprocess = 4;

constexpr unsigned int cudaHostAllocDefault = 0;
constexpr unsigned int cudaHostAllocPortable = 1;
constexpr unsigned int cudaHostAllocMapped = 2;
constexpr unsigned int cudaHostAllocWriteCombined = 4;

constexpr unsigned int cudaHostRegisterDefault = 0;
constexpr unsigned int cudaHostRegisterPortable = 1;
constexpr unsigned int cudaHostRegisterMapped = 2;
constexpr unsigned int cudaHostRegisterIoMemory = 4;
constexpr unsigned int cudaHostRegisterReadOnly = 8;

constexpr unsigned int cudaIpcMemLazyEnablePeerAccess = 1;

/** Flag of a batch of copies. Since 12.8. */
constexpr unsigned int cudaMemcpyFlagDefault = 0;
/** Flag of a batch of copies: rather the copy engines than multiprocessors. Since 12.8. */
constexpr unsigned int cudaMemcpyFlagPreferOverlapWithCompute = 1;

struct CUstream_st;
/** A stream; null is the default one. */
typedef struct CUstream_st *cudaStream_t;

struct CUevent_st;
/** An event. */
typedef struct CUevent_st *cudaEvent_t;

/** A function that runs on a thread of the library when a stream gets to it; it calls no CUDA. */
typedef void (*cudaHostFn_t)(void *userData);

/** Names an allocation to other processes of the host. */
typedef struct cudaIpcMemHandle_t {
    char reserved[64];
} cudaIpcMemHandle_t;

/** Names an event to other processes of the host. */
typedef struct cudaIpcEventHandle_t {
    char reserved[64];
} cudaIpcEventHandle_t;

/** A place that memory is, or is to be. */
struct cudaMemLocation {
    cudaMemLocationType type;
    /** A device's ordinal, for a device. */
    int id;
};

/** How the copies of a batch are made; the hints matter for managed memory only. Since 12.8. */
struct cudaMemcpyAttributes {
    cudaMemcpySrcAccessOrder srcAccessOrder;
    cudaMemLocation srcLocHint;
    cudaMemLocation dstLocHint;
    unsigned int flags;
};

/**
 * What the library knows of an address. As long as the longest known, because the library writes it.
 * Shorter before 13.0.
 */
struct cudaPointerAttributes {
    cudaMemoryType type;
    int device;
    void *devicePointer;
    void *hostPointer;
    /** Room for the rest of what 13 writes, which means nothing here. */
    long eplb_reserved[8];
};

/** The version of the library: 1000 x major + 10 x minor. Needs no driver. */
cudaError_t cudaRuntimeGetVersion(int *runtimeVersion);
/** The version of CUDA that the driver serves, 0 without a driver. */
cudaError_t cudaDriverGetVersion(int *driverVersion);
/** How many devices the process sees; on failure `count` is left as it was. */
cudaError_t cudaGetDeviceCount(int *count);
/** Makes a device, with its primary context, the calling thread's. */
cudaError_t cudaSetDevice(int device);
/** The calling thread's device. */
cudaError_t cudaGetDevice(int *device);
/** Waits for all work of the thread's device. */
cudaError_t cudaDeviceSynchronize(void);
/** A property of a device. */
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attr, int device);
/** A device's place on the bus as text that ends in a zero; `len` of 13 is enough. */
cudaError_t cudaDeviceGetPCIBusId(char *pciBusId, int len, int device);
/** Free and total memory of the thread's device. */
cudaError_t cudaMemGetInfo(size_t *free, size_t *total);
/** A sentence on a status; static text. */
const char *cudaGetErrorString(cudaError_t error);
/** The name of a status; static text. */
const char *cudaGetErrorName(cudaError_t error);
/** The last error on the calling thread, which is cleared unless it is sticky. */
cudaError_t cudaGetLastError(void);
/** The last error on the calling thread, which stays. */
cudaError_t cudaPeekAtLastError(void);

/** Creates a stream on the thread's device. */
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags);
/** Creates a stream with a priority; lower numbers come first. */
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *pStream, unsigned int flags, int priority);
/** The numbers of the least and the greatest priority of the thread's device. */
cudaError_t cudaDeviceGetStreamPriorityRange(int *leastPriority, int *greatestPriority);
/** Destroys a stream; its queued work still runs. */
cudaError_t cudaStreamDestroy(cudaStream_t stream);
/** Waits for a stream's work. */
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
/** Whether a stream's work is done, `cudaErrorNotReady` if not. */
cudaError_t cudaStreamQuery(cudaStream_t stream);
/** Makes later work of a stream wait, on the device, for what the event captured last. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags);
/** Creates an event on the thread's device. */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags);
/** Destroys an event, also one that work still waits for. */
cudaError_t cudaEventDestroy(cudaEvent_t event);
/** Captures the work queued so far on a stream of the event's device. */
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
/** Whether the captured work is done, `cudaErrorNotReady` if not. */
cudaError_t cudaEventQuery(cudaEvent_t event);
/** Waits for the captured work. */
cudaError_t cudaEventSynchronize(cudaEvent_t event);
/** Milliseconds between two events with timing. */
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end);
/** Queues a call of a host function. */
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *userData);

/** Allocates device memory, aligned to 256 bytes at least. May wait for the device. */
cudaError_t cudaMalloc(void **devPtr, size_t size);
/** Frees device memory; waits for the device. */
cudaError_t cudaFree(void *devPtr);
/** Allocates page-locked host memory. */
cudaError_t cudaMallocHost(void **ptr, size_t size);
/** Allocates page-locked host memory with flags. */
cudaError_t cudaHostAlloc(void **pHost, size_t size, unsigned int flags);
/** Frees page-locked host memory. */
cudaError_t cudaFreeHost(void *ptr);
/** Locks pages of existing host memory. */
cudaError_t cudaHostRegister(void *ptr, size_t size, unsigned int flags);
/** Unlocks them. */
cudaError_t cudaHostUnregister(void *ptr);
/** Copies and waits. */
cudaError_t cudaMemcpy(void *dst, const void *src, size_t count, cudaMemcpyKind kind);
/** Queues a copy. */
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, cudaMemcpyKind kind,
                            cudaStream_t stream);
/** Queues a copy between the memories of two devices, with or without peer access. */
cudaError_t cudaMemcpyPeerAsync(void *dst, int dstDevice, const void *src, int srcDevice, size_t count,
                                cudaStream_t stream);
/**
 * Queues copies that have no order among themselves; the stream is not the null one. Attribute `i`
 * holds from copy `attrsIdxs[i]` on, and the first index is 0. `failIdx` gets the number of the copy
 * that was at fault. 13 exports the same symbol with other arguments.
 * Symbol cudaMemcpyBatchAsync. Since 12.8. Until 13.0.
 */
cudaError_t cudaMemcpyBatchAsync_v12(void **dsts, void **srcs, size_t *sizes, size_t count,
                                     struct cudaMemcpyAttributes *attrs, size_t *attrsIdxs,
                                     size_t numAttrs, size_t *failIdx, cudaStream_t stream);
/**
 * As the form before, without `failIdx`.
 * Symbol cudaMemcpyBatchAsync. Since 13.0.
 */
cudaError_t cudaMemcpyBatchAsync_v13(void *const *dsts, const void *const *srcs, const size_t *sizes,
                                     size_t count, struct cudaMemcpyAttributes *attrs, size_t *attrsIdxs,
                                     size_t numAttrs, cudaStream_t stream);
/** Writes a byte's value all over device memory and waits. */
cudaError_t cudaMemset(void *devPtr, int value, size_t count);
/** Queues writing a byte's value all over device memory. */
cudaError_t cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream);
/** What the library knows of an address. */
cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *ptr);

/** Whether a device can read and write a peer's memory. */
cudaError_t cudaDeviceCanAccessPeer(int *canAccessPeer, int device, int peerDevice);
/** Lets the thread's device use a peer's memory, one way. Flags are 0. */
cudaError_t cudaDeviceEnablePeerAccess(int peerDevice, unsigned int flags);
/** Ends that. */
cudaError_t cudaDeviceDisablePeerAccess(int peerDevice);
/** Names the allocation that holds an address; importers get its start, whatever the address. */
cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *devPtr);
/** Maps another process's allocation. */
cudaError_t cudaIpcOpenMemHandle(void **devPtr, cudaIpcMemHandle_t handle, unsigned int flags);
/** Unmaps it, before its owner frees it. */
cudaError_t cudaIpcCloseMemHandle(void *devPtr);
/** Names an event that was created for other processes. */
cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t *handle, cudaEvent_t event);
/** Opens another process's event. */
cudaError_t cudaIpcOpenEventHandle(cudaEvent_t *event, cudaIpcEventHandle_t handle);

} // extern "C"

#endif
