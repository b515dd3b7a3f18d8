/*
 * The ACL runtime of Ascend devices, as far as a backend needs it.
 *
 * Written for this project from facts about the binary interface (names, types, sizes, values); no
 * header of the vendor is copied, needed or shipped. `ci/abi-check` holds each line against the
 * headers of ACL 1.15 (torch_npu 2.9.0) and 1.17 (torch_npu 2.14.0). Manual: the ACL interface
 * reference of CANN 9.1, docs/zh/api_ref of the repository hicann/runtime.
 *
 * "Since 1.17." means that older headers lack it, and "Since 1.15." that all headers have it but a
 * backend can do without. Functions so marked may be missing from a library; all others must be
 * there. This is C++17, since only there an enumeration has a given width. Timeouts are in
 * milliseconds where nothing else is said.
 */
#ifndef EPLB_ACL_H
#define EPLB_ACL_H

#include <stddef.h>
#include <stdint.h>

extern "C" {

/* Handles. Each is a pointer that only the library looks behind. */

/** A context: a device, with the streams and memory that were made in it. Current per thread. */
typedef void *aclrtContext;
/** A stream: a queue of tasks that run in order. */
typedef void *aclrtStream;
/** An event: a point in a stream. */
typedef void *aclrtEvent;

/**
 * What every ACL function returns: 0, or a code of six digits, whose first digit says where the
 * fault lies: 1 with the caller, 2 in a resource, 5 in the library or the hardware. The vendor
 * declares an `int`. Numbers of rare codes have moved between versions.
 */
enum aclError : int {
    ACL_SUCCESS = 0,
    ACL_ERROR_INVALID_PARAM = 100000,
    ACL_ERROR_UNINITIALIZE = 100001,
    ACL_ERROR_REPEAT_INITIALIZE = 100002,
    ACL_ERROR_REPEAT_FINALIZE = 100037,
    /* The library is a stub for linking, not a runtime. */
    ACL_ERROR_COMPILING_STUB_MODE = 100039,
    ACL_ERROR_RT_PARAM_INVALID = 107000,
    ACL_ERROR_RT_INVALID_DEVICEID = 107001,
    /* The calling thread has no current context. */
    ACL_ERROR_RT_CONTEXT_NULL = 107002,
    /* The stream belongs to another context. */
    ACL_ERROR_RT_STREAM_CONTEXT = 107003,
    ACL_ERROR_RT_ADDR_UNALIGNED = 107008,
    ACL_ERROR_RT_INVALID_HANDLE = 107017,
    ACL_ERROR_RT_INVALID_MALLOC_TYPE = 107018,
    ACL_ERROR_RT_WAIT_TIMEOUT = 107019,
    ACL_ERROR_RT_TASK_TIMEOUT = 107020,
    ACL_ERROR_RT_DEVICE_TASK_ABORT = 107022,
    /* The stream waited for was aborted. */
    ACL_ERROR_RT_STREAM_ABORT = 107023,
    ACL_ERROR_RT_TASK_ABORT_STOP = 107035,
    ACL_ERROR_BAD_ALLOC = 200000,
    ACL_ERROR_RT_FEATURE_NOT_SUPPORT = 207000,
    /* Out of memory. */
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
    ACL_ERROR_RT_COMM_OP_RETRY_FAIL = 507904
};

/* Streams and events */

/** Stream flags: tasks are launched through a faster path, which costs resources. */
constexpr uint32_t ACL_STREAM_FAST_LAUNCH = 0x1;
/** Stream flags: the host polls while it synchronises. */
constexpr uint32_t ACL_STREAM_FAST_SYNC = 0x2;

/** Failure modes of a stream: later tasks run on (the default), or are dropped. */
constexpr uint64_t ACL_CONTINUE_ON_FAILURE = 0;
constexpr uint64_t ACL_STOP_ON_FAILURE = 1;

/** Where a stream stands: 0 is complete, the opposite of recorded events. */
enum aclrtStreamStatus : uint32_t {
    ACL_STREAM_STATUS_COMPLETE = 0,
    ACL_STREAM_STATUS_NOT_READY = 1,
    ACL_STREAM_STATUS_RESERVED = 0xFFFF
};

/** Event flags: streams may wait for it; without the flag they may not. */
constexpr uint32_t ACL_EVENT_SYNC = 0x1;
/** Event flags: it takes the time. */
constexpr uint32_t ACL_EVENT_TIME_LINE = 0x8;

/** Whether what an event recorded is over: 1 is complete, the opposite of streams. */
enum aclrtEventRecordedStatus : uint32_t {
    ACL_EVENT_RECORDED_STATUS_NOT_READY = 0,
    ACL_EVENT_RECORDED_STATUS_COMPLETE = 1
};

/* Memory */

/** Which pages device memory is made of; `P2P` for memory that other devices read. */
enum aclrtMemMallocPolicy : uint32_t {
    ACL_MEM_MALLOC_HUGE_FIRST = 0,
    ACL_MEM_MALLOC_HUGE_ONLY = 1,
    ACL_MEM_MALLOC_NORMAL_ONLY = 2,
    ACL_MEM_MALLOC_HUGE_FIRST_P2P = 3,
    ACL_MEM_MALLOC_HUGE_ONLY_P2P = 4,
    ACL_MEM_MALLOC_NORMAL_ONLY_P2P = 5
};

/** Which memory is asked about. */
enum aclrtMemAttr : uint32_t {
    ACL_DDR_MEM = 0,
    /* The device's own memory. */
    ACL_HBM_MEM = 1,
    ACL_HBM_MEM_HUGE = 4,
    ACL_HBM_MEM_NORMAL = 5
};

/** The direction of a copy. */
enum aclrtMemcpyKind : uint32_t {
    ACL_MEMCPY_HOST_TO_HOST = 0,
    ACL_MEMCPY_HOST_TO_DEVICE = 1,
    ACL_MEMCPY_DEVICE_TO_HOST = 2,
    ACL_MEMCPY_DEVICE_TO_DEVICE = 3,
    ACL_MEMCPY_DEFAULT = 4
};

/** The kind of place where memory lies. */
enum aclrtMemLocationType : uint32_t {
    ACL_MEM_LOCATION_TYPE_HOST = 0,
    ACL_MEM_LOCATION_TYPE_DEVICE = 1,
    /* The library does not know the memory. */
    ACL_MEM_LOCATION_TYPE_UNREGISTERED = 2
};

/** Where memory lies. */
struct aclrtMemLocation {
    /** The device's number; of no meaning for host memory. */
    uint32_t id;
    /** The vendor calls it `type`, which is no name in Rust. */
    aclrtMemLocationType eplb_type;
};

/** What the library knows of an address. */
struct aclrtPtrAttributes {
    aclrtMemLocation location;
    /** In bytes. */
    uint32_t pageSize;
    uint32_t rsv[4];
};

/** Where both sides of the copies of a batch lie; `rsv` is zero. */
struct aclrtMemcpyBatchAttr {
    aclrtMemLocation dstLoc;
    aclrtMemLocation srcLoc;
    uint8_t rsv[16];
};

/** Bytes of the key of exported memory, the closing zero included. Later headers have no name for
 *  the number, which has stayed. Until 1.17. */
constexpr size_t ACL_IPC_HANDLE_SIZE = 65;

/** Flag of an export: every process may import, also one that is not listed. Since 1.17. */
constexpr uint64_t ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION = 0x1;
/** Flag of an import: peer access to the exporter's device is enabled, too. Since 1.17. */
constexpr uint64_t ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS = 0x1;
/** Flag of registering host memory: the device sees it. Since 1.17. */
constexpr uint32_t ACL_HOST_REG_MAPPED = 0x2;
/** Flag of registering host memory: its pages are locked. Since 1.17. */
constexpr uint32_t ACL_HOST_REG_PINNED = 0x10000000;

/* Process */

/** Where this process runs: on the device's own processor, or on a host. */
enum aclrtRunMode : uint32_t {
    ACL_DEVICE = 0,
    ACL_HOST = 1
};

/** A package of the software stack, to ask for its version. */
enum aclCANNPackageName : uint32_t {
    ACL_PKG_NAME_CANN = 0,
    ACL_PKG_NAME_RUNTIME = 1,
    ACL_PKG_NAME_COMPILER = 2,
    ACL_PKG_NAME_HCCL = 3,
    ACL_PKG_NAME_TOOLKIT = 4,
    ACL_PKG_NAME_OPP = 5,
    ACL_PKG_NAME_OPP_KERNEL = 6,
    ACL_PKG_NAME_DRIVER = 7
};

/** The version of a package, as texts that end with a zero. */
struct aclCANNPackageVersion {
    char version[128];
    char majorVersion[64];
    char minorVersion[64];
    char releaseVersion[64];
    char patchVersion[64];
    char reserved[128];
};

/** What the runtime calls on its own thread when the stream gets there; it may call no ACL. */
typedef void (*aclrtCallback)(void *user_data);

/** Whether the stream waits for the callback to return. */
enum aclrtCallbackBlockType : uint32_t {
    ACL_CALLBACK_NO_BLOCK = 0,
    ACL_CALLBACK_BLOCK = 1
};

/** As `aclrtCallback`, without a thread of the caller's to run it. Since 1.17. */
typedef void (*aclrtHostFunc)(void *arguments);

/** Whose last error is asked for. */
enum aclrtLastErrLevel : uint32_t {
    ACL_RT_THREAD_LEVEL = 0
};

/* Process and devices */

/** Initialises the library; `config_path` may be null. "Repeated" (100002) is harmless. */
aclError aclInit(const char *config_path);
/** Ends the library for the whole process. Never from a destructor or at exit. */
aclError aclFinalize(void);
/** The text of this thread's last error; may be null. */
const char *aclGetRecentErrMsg(void);
/** How many devices the process sees. Stub libraries succeed and write nothing. */
aclError aclrtGetDeviceCount(uint32_t *count);
/** Makes the device's default context current for the calling thread. Counted per device. */
aclError aclrtSetDevice(int32_t device);
/** Takes back one `aclrtSetDevice`; the last one frees the default context with its streams. */
aclError aclrtResetDevice(int32_t device);
/** The device of the calling thread's context. */
aclError aclrtGetDevice(int32_t *device);
/** Waits for all work of the current device. */
aclError aclrtSynchronizeDevice(void);

/* Contexts */

/** Makes a context and makes it current for the calling thread. */
aclError aclrtCreateContext(aclrtContext *context, int32_t device);
aclError aclrtDestroyContext(aclrtContext context);
/** Makes a context current for the calling thread. */
aclError aclrtSetCurrentContext(aclrtContext context);
/** The calling thread's context; an error (107002) if it has none. */
aclError aclrtGetCurrentContext(aclrtContext *context);

/* Streams. Destroying one requires its context to be current. */

/** Makes a stream; `priority` is reserved, `flags` are ACL_STREAM_... */
aclError aclrtCreateStreamWithConfig(aclrtStream *stream, uint32_t priority, uint32_t flags);
/** Destroys a stream whose tasks are over. */
aclError aclrtDestroyStream(aclrtStream stream);
/** Where the stream stands, without waiting. */
aclError aclrtStreamQuery(aclrtStream stream, aclrtStreamStatus *status);
/** Waits without an end. */
aclError aclrtSynchronizeStream(aclrtStream stream);
/** Waits for at most so long; 507046 after that. */
aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t timeout);
/** ACL_STOP_ON_FAILURE, once per stream, before its first task. */
aclError aclrtSetStreamFailureMode(aclrtStream stream, uint64_t mode);

/* Events */

/** Makes an event that can be recorded again and again; `flags` are ACL_EVENT_... */
aclError aclrtCreateEventExWithFlag(aclrtEvent *event, uint32_t flags);
/** Legal before what it recorded is over. */
aclError aclrtDestroyEvent(aclrtEvent event);
/** May block the host while the device has no event resource left. */
aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream);
/** Makes later tasks of the stream wait for what the event recorded. */
aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event);
/** Complete, too, for an event that was never recorded. */
aclError aclrtQueryEventStatus(aclrtEvent event, aclrtEventRecordedStatus *status);
/** Waits without an end. */
aclError aclrtSynchronizeEvent(aclrtEvent event);

/* Memory */

/** Device memory of `bytes`, which is not zero. */
aclError aclrtMalloc(void **address, size_t bytes, aclrtMemMallocPolicy policy);
/** Frees at once and waits for nobody. */
aclError aclrtFree(void *address);
/** Page-locked host memory. */
aclError aclrtMallocHost(void **address, size_t bytes);
aclError aclrtFreeHost(void *address);
/** Free and total bytes of the current device. */
aclError aclrtGetMemInfo(aclrtMemAttr memory, size_t *free_bytes, size_t *total_bytes);
/** Copies and waits; `room` is how many bytes may be written at the destination. */
aclError aclrtMemcpy(void *destination, size_t room, const void *source, size_t bytes,
                     aclrtMemcpyKind kind);
/** Queues a copy. Pageable host memory makes it wait; host to host is an error (207000). */
aclError aclrtMemcpyAsync(void *destination, size_t room, const void *source, size_t bytes,
                          aclrtMemcpyKind kind, aclrtStream stream);
/** Queues writing the low byte of `value` to `bytes` bytes. */
aclError aclrtMemsetAsync(void *destination, size_t room, int32_t value, size_t bytes,
                          aclrtStream stream);

/* Other devices of the host */

aclError aclrtDeviceCanAccessPeer(int32_t *can_access, int32_t device, int32_t peer);
/** One way: the current device reads the peer. `flags` is 0. */
aclError aclrtDeviceEnablePeerAccess(int32_t peer, uint32_t flags);
aclError aclrtDeviceDisablePeerAccess(int32_t peer);

/* In the headers 1.15, 1.17 and 9.1 */

/** The name of the chip; may be null. Since 1.15. */
const char *aclrtGetSocName(void);
/** Host or device. Since 1.15. */
aclError aclrtGetRunMode(aclrtRunMode *mode);
/** The version of the runtime interface. Deprecated in 9.1. Since 1.15. */
aclError aclrtGetVersion(int32_t *major, int32_t *minor, int32_t *patch);
/** The version of a package. Deprecated in 9.1. Since 1.15. */
aclError aclsysGetCANNVersion(aclCANNPackageName package, aclCANNPackageVersion *version);
/** As `aclFinalize`, and tells the number of references. Since 1.15. */
aclError aclFinalizeReference(uint64_t *references);
/** Destroys a stream and drops its tasks. Since 1.15. */
aclError aclrtDestroyStreamForce(aclrtStream stream);
/** Drops the stream's tasks; who waits for it gets 107023. Since 1.15. */
aclError aclrtStreamAbort(aclrtStream stream);
/** Drops the tasks of all streams of a device, in milliseconds. Experimental. Since 1.15. */
aclError aclrtDeviceTaskAbort(int32_t device, uint32_t timeout);
/** Milliseconds between two events with ACL_EVENT_TIME_LINE. Since 1.15. */
aclError aclrtEventElapsedTime(float *milliseconds, aclrtEvent start, aclrtEvent end);
/** As `aclrtMalloc`, with less padding on A2 and A3. Since 1.15. */
aclError aclrtMallocAlign32(void **address, size_t bytes, aclrtMemMallocPolicy policy);
/** Writes the low byte of `value` to `bytes` bytes, and waits. Since 1.15. */
aclError aclrtMemset(void *destination, size_t room, int32_t value, size_t bytes);
/** What the library knows of an address. Since 1.15. */
aclError aclrtPointerGetAttributes(const void *address, aclrtPtrAttributes *attributes);
/** Queues `count` copies in one call; `first_of_attribute[i]` is the first copy that
 *  `attributes[i]` describes. On an error `failed` is the copy that it is about. Since 1.15. */
aclError aclrtMemcpyBatchAsync(void **destinations, size_t *rooms, void **sources, size_t *bytes,
                               size_t count, aclrtMemcpyBatchAttr *attributes,
                               size_t *first_of_attribute, size_t attribute_count, size_t *failed,
                               aclrtStream stream);
/** Seconds that a device-side wait may take, for the whole process. Since 1.15. */
aclError aclrtSetOpWaitTimeout(uint32_t seconds);
/** Seconds that a task may take, for the whole process. Since 1.15. */
aclError aclrtSetOpExecuteTimeOut(uint32_t seconds);
/** The last error of the thread, left in place. Since 1.15. */
aclError aclrtPeekAtLastError(aclrtLastErrLevel level);
/** The last error of the thread, which is cleared. Since 1.15. */
aclError aclrtGetLastError(aclrtLastErrLevel level);
/** Queues a callback, which a thread inside `aclrtProcessReport` runs. Since 1.15. */
aclError aclrtLaunchCallback(aclrtCallback callback, void *user_data,
                             aclrtCallbackBlockType block_type, aclrtStream stream);
/** Names the thread that runs the callbacks of a stream. Since 1.15. */
aclError aclrtSubscribeReport(uint64_t thread, aclrtStream stream);
/** Waits for callbacks and runs them, on the subscribed thread. Since 1.15. */
aclError aclrtProcessReport(int32_t timeout);
/** Since 1.15. */
aclError aclrtUnSubscribeReport(uint64_t thread, aclrtStream stream);

/* In the headers 1.17 and 9.1 */

/** The version of a package by its name, as text. How much room `version` needs is
 *  not passed. Since 1.17. */
aclError aclsysGetVersionStr(char *package, char *version);
/** The same as a number. Since 1.17. */
aclError aclsysGetVersionNum(char *package, int32_t *version);
/** Waits for at most so many milliseconds for all work of the current device. Since 1.17. */
aclError aclrtSynchronizeDeviceWithTimeout(int32_t timeout);
/** Waits for at most so long; 507047 after that. Since 1.17. */
aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t timeout);
/** Since 1.17. */
aclError aclrtStreamWaitEventWithTimeout(aclrtStream stream, aclrtEvent event, int32_t timeout);
/** How many streams can still be made. Since 1.17. */
aclError aclrtGetStreamAvailableNum(uint32_t *count);
/** Queues a callback, which a thread of the library runs. Since 1.17. */
aclError aclrtLaunchHostFunc(aclrtStream stream, aclrtHostFunc function, void *arguments);
/** Registers host memory; `flags` are ACL_HOST_REG_... Since 1.17. */
aclError aclrtHostRegisterV2(void *address, uint64_t bytes, uint32_t flags);
/** Since 1.17. */
aclError aclrtHostUnregister(void *address);
/** The start and size of the allocation that an address lies in. Since 1.17. */
aclError aclrtMemGetAddressRange(void *address, void **start, size_t *bytes);
/** Exports a whole allocation; `key` has room for ACL_IPC_HANDLE_SIZE bytes, given as
 *  `room`. Since 1.17. */
aclError aclrtIpcMemGetExportKey(void *address, size_t bytes, char *key, size_t room,
                                 uint64_t flags);
/** Imports what another process of the host exported. Since 1.17. */
aclError aclrtIpcMemImportByKey(void **address, const char *key, uint64_t flags);
/** Lists the processes that may import, by the ids of `aclrtDeviceGetBareTgid`. Since 1.17. */
aclError aclrtIpcMemSetImportPid(const char *key, int32_t *processes, size_t count);
/** Ends an import, or the export; importers first. Since 1.17. */
aclError aclrtIpcMemClose(const char *key);
/** This process's id as the device's driver knows it. Since 1.17. */
aclError aclrtDeviceGetBareTgid(int32_t *process);

} /* extern "C" */

#endif
