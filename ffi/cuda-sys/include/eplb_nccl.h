/**
 * NCCL, as far as EPLB uses it: declarations of our own, checked by ci/abi-check against the vendor's
 * nccl.h of 2.27.5 and of the newest version (NVIDIA, "NCCL User Guide", API). "Since" names the first
 * release with what it stands at; the table of functions holds such ones as optional. What stands
 * without is in 2.14.3 and later.
 */
#ifndef EPLB_NCCL_H
#define EPLB_NCCL_H

#include <limits.h>
#include <stddef.h>

#include "eplb_cuda_runtime.h"

extern "C" {

/** A status of NCCL. */
enum ncclResult_t : int {
    ncclSuccess = 0,
    ncclUnhandledCudaError = 1,
    ncclSystemError = 2,
    ncclInternalError = 3,
    ncclInvalidArgument = 4,
    ncclInvalidUsage = 5,
    /** Another rank, or the way to it, has failed. */
    ncclRemoteError = 6,
    /** The answer of a communicator that does not block: it goes on, no error. */
    ncclInProgress = 7,
    /** Since 2.30.3. */
    ncclTimeout = 8,
};

/** The type of an element. There is no 16-bit integer. */
enum ncclDataType_t : int {
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
    /** Since 2.24.3. */
    ncclFloat8e4m3 = 10,
    /** Since 2.24.3. */
    ncclFloat8e5m2 = 11,
};

/** How a reduction joins two elements. */
enum ncclRedOp_t : int {
    ncclSum = 0,
    ncclProd = 1,
    ncclMax = 2,
    ncclMin = 3,
    ncclAvg = 4,
};

constexpr int NCCL_UNIQUE_ID_BYTES = 128;
/** What stands in a configuration's numbers that are left to the library. */
constexpr int NCCL_CONFIG_UNDEF_INT = INT_MIN;
/** The second number of each configuration; older headers have the number without the name. Since 2.32. */
constexpr unsigned int NCCL_API_MAGIC = 0xcafebeef;

constexpr int NCCL_WIN_DEFAULT = 0;
constexpr int NCCL_WIN_COLL_SYMMETRIC = 1;

struct ncclComm;
/** One rank's end of a communicator. */
typedef struct ncclComm *ncclComm_t;

struct ncclWindow;
/** Memory that all ranks of a communicator registered together. */
typedef struct ncclWindow *ncclWindow_t;

/** Names a communicator to be created, to all its ranks. */
typedef struct ncclUniqueId {
    char internal[128];
} ncclUniqueId;

/**
 * Settings of a communicator, in the layout of 2.27.3. The library reads `size` bytes: for an older
 * one `size` ends before the first field that it has not, and `version` is that layout's.
 * Longer since 2.28.
 */
typedef struct ncclConfig_t {
    size_t size;
    /** `NCCL_API_MAGIC`. */
    unsigned int magic;
    /** The version whose layout this is: 10000 x major + 100 x minor + patch. */
    unsigned int version;
    /** 0: calls return `ncclInProgress` and are polled. */
    int blocking;
    int cgaClusterSize;
    int minCTAs;
    int maxCTAs;
    const char *netName;
    int splitShare;
    int trafficClass;
    const char *commName;
    int collnetEnable;
    int CTAPolicy;
    int shrinkShare;
    int nvlsCTAs;
} ncclConfig_t;

/** The version of the library: 10000 x major + 100 x minor + patch. Needs no device. */
ncclResult_t ncclGetVersion(int *version);
/** Makes a name for a communicator; opens a socket that the ranks meet at. */
ncclResult_t ncclGetUniqueId(ncclUniqueId *uniqueId);
/** Joins a communicator on the thread's device; waits for all ranks. */
ncclResult_t ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank);
/** As above, with settings; with `blocking` 0 it returns at once. */
ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank,
                                    ncclConfig_t *config);
/** Ends a communicator's work and its links; all ranks call it. */
ncclResult_t ncclCommFinalize(ncclComm_t comm);
/** Frees a communicator. */
ncclResult_t ncclCommDestroy(ncclComm_t comm);
/** Gives up a communicator's work and frees it; all ranks call it, each when it wants. */
ncclResult_t ncclCommAbort(ncclComm_t comm);
/**
 * Gives up a communicator's work without freeing it; flags are 0.
 * Since 2.28.7.
 */
ncclResult_t ncclCommRevoke(ncclComm_t comm, int revokeFlags);
/** Where a communicator stands: a failure, `ncclInProgress`, or `ncclSuccess`. */
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *asyncError);
/** How many ranks a communicator has. */
ncclResult_t ncclCommCount(const ncclComm_t comm, int *count);
/** The device of this end. */
ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device);
/** The rank of this end. */
ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank);
/** A sentence on a status; static text. */
const char *ncclGetErrorString(ncclResult_t result);
/** The library's last complaint in words; the communicator may be null. */
const char *ncclGetLastError(ncclComm_t comm);

/** Begins a group of the calling thread: calls up to its end progress together. Groups nest. */
ncclResult_t ncclGroupStart(void);
/** Ends a group and queues it; errors of its calls show here. */
ncclResult_t ncclGroupEnd(void);
/** Queues sending to a peer. */
ncclResult_t ncclSend(const void *sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream);
/** Queues receiving from a peer. */
ncclResult_t ncclRecv(void *recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                      cudaStream_t stream);
/** Queues gathering `sendcount` elements of every rank, by rank. */
ncclResult_t ncclAllGather(const void *sendbuff, void *recvbuff, size_t sendcount, ncclDataType_t datatype,
                           ncclComm_t comm, cudaStream_t stream);
/** Queues copying the root's elements to every rank. */
ncclResult_t ncclBroadcast(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype,
                           int root, ncclComm_t comm, cudaStream_t stream);
/** Queues a reduction whose result every rank gets. */
ncclResult_t ncclAllReduce(const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);

/**
 * Allocates device memory that the library can use without copies of its own.
 * Since 2.19.1.
 */
ncclResult_t ncclMemAlloc(void **ptr, size_t size);
/**
 * Frees such memory.
 * Since 2.19.1.
 */
ncclResult_t ncclMemFree(void *ptr);
/**
 * Registers a buffer with this end of a communicator, so that transfers need no copies.
 * Since 2.19.1.
 */
ncclResult_t ncclCommRegister(const ncclComm_t comm, void *buff, size_t size, void **handle);
/**
 * Ends that.
 * Since 2.19.1.
 */
ncclResult_t ncclCommDeregister(const ncclComm_t comm, void *handle);
/**
 * Registers buffers of all ranks together; all call it.
 * Since 2.27.3.
 */
ncclResult_t ncclCommWindowRegister(ncclComm_t comm, void *buff, size_t size, ncclWindow_t *win,
                                    int winFlags);
/**
 * Ends that.
 * Since 2.27.3.
 */
ncclResult_t ncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t win);

} // extern "C"

#endif
