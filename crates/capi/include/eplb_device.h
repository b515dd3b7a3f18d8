/* Devices: backends by name, devices, streams, memory and communicators, the library's own or lent by the
 * engine; and backends that an engine brings along. Part of eplb.h, whose rules hold here; include that.
 */
#ifndef EPLB_DEVICE_H
#define EPLB_DEVICE_H

#ifndef EPLB_H
#error "include eplb.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- backends */

/* Opens a backend by name: "host", host memory, always there; "cuda"; "ascend". `devices` is how many
 * devices the host shows, and of no meaning for others. `config` may be null; with one, its section
 * [backend.libraries] says where the vendor's libraries are. */
eplb_status eplb_backend_open(const char *name, uint32_t devices, const eplb_config *config,
                              eplb_backend **backend);

/* Opens the backend that the section [backend] of a configuration names, "host" if it names none. */
eplb_status eplb_backend_open_configured(const eplb_config *config, uint32_t devices,
                                         eplb_backend **backend);

/* The name of a backend, until it is freed. */
eplb_status eplb_backend_name(const eplb_backend *backend, eplb_bytes *name);

/* How many devices this process sees; none is no error. */
eplb_status eplb_backend_devices(const eplb_backend *backend, uint32_t *devices);

eplb_status eplb_backend_free(eplb_backend *backend);

/* ---------------------------------------------------------------- devices */

/* What a device is and can do. Texts live as long as the device's handle. */
typedef struct eplb_device_info {
    size_t struct_size;
    uint32_t ordinal;
    uint8_t peer_memory;        /* memory can be exported and imported */
    uint8_t communicators;      /* communicators can be created */
    uint8_t stream_abort;       /* streams of ours can be aborted */
    uint8_t ranks_share_device; /* two ranks of a communicator may use one device */
    size_t alignment;           /* of every allocation, a power of two, at least 64 */
    const char *backend;
    const char *name;
    const char *software;       /* driver and libraries, with their versions */
} eplb_device_info;

/* Opens a device by its ordinal. A process opens each device once and makes all from that handle. */
eplb_status eplb_device_open(const eplb_backend *backend, uint32_t ordinal, eplb_device **device);

/* The same in a context of the engine: a context of the backend's library (CUcontext, aclrtContext). */
eplb_status eplb_device_adopt(const eplb_backend *backend, uint32_t ordinal, void *context,
                              eplb_device **device);

eplb_status eplb_device_describe(const eplb_device *device, eplb_device_info *info);

/* Free and total bytes at this moment. */
eplb_status eplb_device_memory(const eplb_device *device, uint64_t *free_bytes, uint64_t *total_bytes);

/* Waits until all work that was queued through this device has ended and all that was freed is given
 * back. EPLB_ERROR_TIMED_OUT if that takes longer. */
eplb_status eplb_device_drain(const eplb_device *device, uint32_t timeout_ms);

/* Gives up all queued work of streams and communicators of ours. What the engine lent is left alone. */
eplb_status eplb_device_abort(const eplb_device *device);

/* Frees the handle. What was made from the device lives on, and the device with it; when the last of it
 * goes, work that is still queued on streams of ours is given up. Drain first. */
eplb_status eplb_device_free(eplb_device *device);

/* ---------------------------------------------------------------- streams */

enum eplb_stream_priority {
    EPLB_PRIORITY_LOW = -1,
    EPLB_PRIORITY_NORMAL = 0,
    EPLB_PRIORITY_HIGH = 1
};

eplb_status eplb_stream_create(const eplb_device *device, int32_t priority, eplb_stream **stream);

/* A stream of the engine (cudaStream_t, aclrtStream) of this device's context. It is never destroyed,
 * aborted or reconfigured. */
eplb_status eplb_stream_borrow(const eplb_device *device, void *handle, eplb_stream **stream);

/* The stream of the vendor's library. */
eplb_status eplb_stream_handle(const eplb_stream *stream, void **handle);

/* Waits until all queued work is done. */
eplb_status eplb_stream_wait(const eplb_stream *stream, uint32_t timeout_ms);

eplb_status eplb_stream_free(eplb_stream *stream);

/* ---------------------------------------------------------------- memory */

/* Device memory with undefined contents. May wait for the device with some vendors. */
eplb_status eplb_memory_allocate(const eplb_device *device, size_t bytes, eplb_memory **memory);

/* Device memory of the engine. It is never freed. */
eplb_status eplb_memory_borrow(const eplb_device *device, void *address, size_t bytes,
                               eplb_memory **memory);

/* Where it begins, as the device sees it, and its bytes. Either may be null. */
eplb_status eplb_memory_range(const eplb_memory *memory, void **address, size_t *bytes);

/* Copies bytes between the host and a part of the memory, behind all work queued on `stream`, and waits
 * for the copy. For loading and for checks: it allocates, and has no place on the step path. After
 * EPLB_ERROR_TIMED_OUT the copy may still be done. */
eplb_status eplb_memory_write(const eplb_memory *memory, const eplb_stream *stream, size_t offset,
                              const void *bytes, size_t size, uint32_t timeout_ms);
eplb_status eplb_memory_read(const eplb_memory *memory, const eplb_stream *stream, size_t offset,
                             void *bytes, size_t size, uint32_t timeout_ms);

eplb_status eplb_memory_free(eplb_memory *memory);

/* ---------------------------------------------------------------- communicators */

/* Makes the name of a communicator: on one rank, for the engine to carry to all. It lives until the
 * device's handle is used for this again or freed. */
eplb_status eplb_communicator_id(eplb_device *device, eplb_bytes *id);

/* Begins to create a communicator of `size` ranks; all of them have to. `buffer_bytes` is how much
 * device memory it may keep, 0 for the backend's own small choice; the same on all ranks. */
eplb_status eplb_communicator_create(const eplb_device *device, const void *id, size_t id_size,
                                     uint32_t rank, uint32_t size, uint64_t buffer_bytes,
                                     eplb_communicator **communicator);

/* A communicator of the engine (ncclComm_t, HcclComm). It is never destroyed or aborted. The engine
 * queues nothing on communicators of this device while a call with this one does, and all ranks queue
 * in one order. */
eplb_status eplb_communicator_borrow(const eplb_device *device, void *handle, uint32_t rank,
                                     uint32_t size, eplb_communicator **communicator);

/* Whether it can be used yet. */
eplb_status eplb_communicator_is_ready(const eplb_communicator *communicator, int32_t *is_ready);

/* Queues gathering `send` of every rank, by rank, into `receive`, which is as many times as long. */
eplb_status eplb_communicator_all_gather(const eplb_communicator *communicator,
                                         const eplb_memory *send, const eplb_memory *receive,
                                         const eplb_stream *stream);

/* Queues a barrier: later work of the stream starts after all ranks' streams came here. */
eplb_status eplb_communicator_barrier(const eplb_communicator *communicator,
                                      const eplb_stream *stream);

/* Gives it up: creation and queued work end in bounded time, each with an error. */
eplb_status eplb_communicator_abort(const eplb_communicator *communicator);

eplb_status eplb_communicator_free(eplb_communicator *communicator);

/* ---------------------------------------------------------------- a backend of the engine */

/* How a function of an engine's backend failed; 0 is no failure. Other numbers count as FAILED. */
enum eplb_device_failure_kind {
    EPLB_FAILURE_NONE = 0,
    EPLB_FAILURE_LOST = 1,
    EPLB_FAILURE_OUT_OF_MEMORY = 2,
    EPLB_FAILURE_UNSUPPORTED = 3,
    EPLB_FAILURE_INVALID_USE = 4,
    EPLB_FAILURE_ABORTED = 5,
    EPLB_FAILURE_TIMED_OUT = 6,
    EPLB_FAILURE_FAILED = 7
};

/* Room for what a function wants to say of its failure; all zero when the function is called. */
typedef struct eplb_device_failure {
    size_t struct_size;
    int64_t code;    /* the vendor's number, 0 for none */
    char text[240];  /* what was wrong, ending in a zero byte */
} eplb_device_failure;

/* Where queued work stands. With FAILED it is over, too: none of it touches memory any more. */
enum eplb_progress {
    EPLB_PROGRESS_COMPLETE = 0,
    EPLB_PROGRESS_PENDING = 1,
    EPLB_PROGRESS_FAILED = 2
};

enum eplb_copy_kind {
    EPLB_COPY_DEVICE = 0,   /* within the device's memory */
    EPLB_COPY_PEER = 1,     /* one side, or both, is imported */
    EPLB_COPY_UPLOAD = 2,   /* from pinned memory */
    EPLB_COPY_DOWNLOAD = 3  /* to pinned memory */
};

/* One copy of a batch, which has no order inside. This structure will never change. */
typedef struct eplb_copy {
    uintptr_t destination;
    uintptr_t source;
    size_t bytes;
    int32_t kind; /* enum eplb_copy_kind */
    int32_t reserved;
} eplb_copy;

/* A device of an engine's backend: the engine's own pointer. */
typedef struct eplb_engine_device eplb_engine_device;

/* A backend that an engine brings along. The functions are the raw device traits of the Rust crate
 * eplb-device, whose rules R1 to R28 say what each has to keep; in short: functions may be called from
 * any thread and from several at once, nothing but allocating and freeing may wait for the device,
 * streams run in the order in which work was queued and beside each other, sizes are never zero, and
 * what destroys, frees, closes or withdraws has done so even when it fails.
 *
 * A function gives 0 or an enum eplb_device_failure_kind, and may fill in `failure`. All are needed,
 * except where "may be null" stands: what such a function would do is then not supported. */
typedef struct eplb_device_functions {
    size_t struct_size;
    const char *name; /* of the backend; copied */
    void *user;       /* for the functions that have no device */

    /* May be null: called once, when nothing of the backend is used any more. */
    void (*release)(void *user);
    int32_t (*count)(void *user, uint32_t *devices, eplb_device_failure *failure);
    int32_t (*open)(void *user, uint32_t ordinal, eplb_engine_device **device,
                    eplb_device_failure *failure);
    /* May be null. Opens a device in a context of the engine. */
    int32_t (*adopt)(void *user, uint32_t ordinal, uintptr_t context, eplb_engine_device **device,
                     eplb_device_failure *failure);
    void (*close)(eplb_engine_device *device);
    /* Texts have to live until the device is closed. */
    int32_t (*describe)(eplb_engine_device *device, eplb_device_info *info,
                        eplb_device_failure *failure);
    int32_t (*memory_info)(eplb_engine_device *device, uint64_t *free_bytes, uint64_t *total_bytes,
                           eplb_device_failure *failure);

    int32_t (*create_stream)(eplb_engine_device *device, int32_t priority, uintptr_t *stream,
                             eplb_device_failure *failure);
    int32_t (*destroy_stream)(eplb_engine_device *device, uintptr_t stream,
                              eplb_device_failure *failure);
    /* With EPLB_PROGRESS_FAILED, `failure` and `kind` say why the work failed. */
    int32_t (*query_stream)(eplb_engine_device *device, uintptr_t stream, int32_t *progress,
                            int32_t *kind, eplb_device_failure *failure);
    /* May be null. */
    int32_t (*abort_stream)(eplb_engine_device *device, uintptr_t stream,
                            eplb_device_failure *failure);

    int32_t (*create_event)(eplb_engine_device *device, uintptr_t *event,
                            eplb_device_failure *failure);
    int32_t (*destroy_event)(eplb_engine_device *device, uintptr_t event,
                             eplb_device_failure *failure);
    int32_t (*record_event)(eplb_engine_device *device, uintptr_t event, uintptr_t stream,
                            eplb_device_failure *failure);
    int32_t (*wait_event)(eplb_engine_device *device, uintptr_t stream, uintptr_t event,
                          eplb_device_failure *failure);
    int32_t (*query_event)(eplb_engine_device *device, uintptr_t event, int32_t *progress,
                           int32_t *kind, eplb_device_failure *failure);

    int32_t (*allocate)(eplb_engine_device *device, size_t bytes, uintptr_t *address,
                        eplb_device_failure *failure);
    int32_t (*free)(eplb_engine_device *device, uintptr_t address, eplb_device_failure *failure);
    /* Page-locked memory of the host, which the library reads and writes as plain bytes. */
    int32_t (*allocate_pinned)(eplb_engine_device *device, size_t bytes, uintptr_t *address,
                               eplb_device_failure *failure);
    int32_t (*free_pinned)(eplb_engine_device *device, uintptr_t address,
                           eplb_device_failure *failure);
    int32_t (*copy)(eplb_engine_device *device, const eplb_copy *copies, size_t count,
                    uintptr_t stream, eplb_device_failure *failure);
    int32_t (*fill)(eplb_engine_device *device, uintptr_t destination, uint8_t value, size_t bytes,
                    uintptr_t stream, eplb_device_failure *failure);

    /* Peer memory: all four, or all null. A key is at most `capacity` bytes; `size` takes its length. */
    int32_t (*export_memory)(eplb_engine_device *device, uintptr_t base, size_t bytes, uint8_t *key,
                             size_t capacity, size_t *size, eplb_device_failure *failure);
    int32_t (*withdraw)(eplb_engine_device *device, const uint8_t *key, size_t size,
                        eplb_device_failure *failure);
    int32_t (*import_memory)(eplb_engine_device *device, const uint8_t *key, size_t size,
                             uintptr_t *address, size_t *bytes, eplb_device_failure *failure);
    int32_t (*close_import)(eplb_engine_device *device, const uint8_t *key, size_t size,
                            uintptr_t address, eplb_device_failure *failure);
} eplb_device_functions;

/* Makes a backend of an engine's functions; the structure is copied. Communicators are not part of it:
 * the engine has its own. */
eplb_status eplb_backend_create(const eplb_device_functions *functions, eplb_backend **backend);

#ifdef __cplusplus
}
#endif

#endif
