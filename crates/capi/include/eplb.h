/* Expert-parallel load balancing for Mixture-of-Experts engines: the C interface.
 *
 * What it is for, and two whole programs, are in docs/embedding.md. In short: an engine makes a
 * configuration, a topology and a placement; its master process starts a coordinator, each of its
 * ranks opens a session with its weights; then bytes travel with the engine's own messages: with each
 * step a header to every rank, and a report back from every rank.
 *
 * Rules that hold for every function:
 *
 * - A function gives EPLB_OK or the number of an error, and changes nothing then, unless its text says
 *   otherwise. eplb_last_error() says what was wrong, where, and what is allowed. Numbers are never
 *   reused; later versions may give numbers that this header does not name.
 * - Handles are numbers in the shape of pointers and never addresses. A null one, one that this library
 *   never gave out, one of another type and one that was freed are errors, never crashes: numbers are
 *   not given out twice. Other pointers have to be what the text says, or null where it says so.
 * - Threads: any thread may use any handle. A call whose handle is `const` runs beside other such
 *   calls; any other call needs its handle for itself, and gives EPLB_ERROR_BUSY at once while another
 *   call has it. No call waits for another one.
 * - A handle that another was made from may be freed before that one: what is needed lives on.
 * - Structures begin with `struct_size`, which the caller sets to sizeof the structure before each call,
 *   also of those that the library fills in. Those of older headers, shorter at the end, are accepted;
 *   of longer ones what is beyond this version must be zero.
 * - Memory that a function gives out by pointer belongs to the library and lives as long as the text
 *   says. Memory that is given to a function is read or written during the call alone, device memory,
 *   streams, contexts, communicators and callbacks apart: these are lent, and have to stay alive until
 *   all that was made from them has been freed and eplb_device_drain has succeeded after that.
 * - Callbacks get the `user` pointer that was given with them. They must return; they must not throw,
 *   jump out, or free the handle whose call they are in. One that says that it failed makes the call
 *   give EPLB_ERROR_CALLBACK.
 * - Nothing here prints, ends the process or waits without an end. A failure inside the library is
 *   EPLB_ERROR_PANIC, and the handle of that call can only be freed from then on.
 * - After fork() the child must not use the library.
 *
 * The interface is versioned by EPLB_ABI_VERSION: within one version functions, numbers and fields are
 * only added. Symbols have the version EPLB_<n>, and the shared library the soname libeplb.so.<n>.
 */
#ifndef EPLB_H
#define EPLB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. */
#define EPLB_ABI_VERSION 1

/* Stands for "no rank", "no layer" where a number of 32 bits is wanted. */
#define EPLB_NONE UINT32_MAX

/* ---------------------------------------------------------------- errors */

/* What a call gives back: EPLB_OK or one of the numbers below. */
typedef int32_t eplb_status;

enum eplb_status_code {
    EPLB_OK = 0,

    /* The call itself. */
    EPLB_ERROR_NULL = 1,         /* a pointer or a handle that is needed is null */
    EPLB_ERROR_HANDLE = 2,       /* no handle of this library, or of another type */
    EPLB_ERROR_FREED = 3,        /* the handle was freed */
    EPLB_ERROR_BUSY = 4,         /* another call has the handle */
    EPLB_ERROR_PANIC = 5,        /* a failure inside the library; please report it */
    EPLB_ERROR_BROKEN = 6,       /* the handle had such a failure, or could not be connected: free it */
    EPLB_ERROR_STRUCT_SIZE = 7,  /* struct_size is none that this version knows */
    EPLB_ERROR_ARGUMENT = 8,     /* a number or name that is not allowed */
    EPLB_ERROR_LENGTH = 9,       /* an array or a buffer is too short or too long */
    EPLB_ERROR_TEXT = 10,        /* a text that is not UTF-8 */
    EPLB_ERROR_STATE = 11,       /* not now: for a session, before or after it is connected */
    EPLB_ERROR_CALLBACK = 12,    /* a callback said that it failed, or gave what can't be */

    /* What is set up. */
    EPLB_ERROR_CONFIG = 20,
    EPLB_ERROR_MODEL = 21,
    EPLB_ERROR_TOPOLOGY = 22,
    EPLB_ERROR_PLACEMENT = 23,
    EPLB_ERROR_PROFILE = 24,
    EPLB_ERROR_POLICY = 25,
    EPLB_ERROR_MANAGER = 26,
    EPLB_ERROR_BACKEND = 27,     /* no such backend, or not built in, or its libraries are unusable */

    /* What happens while steps run. */
    EPLB_ERROR_REPORT = 40,        /* bytes that are no report */
    EPLB_ERROR_HEADER = 41,        /* bytes that are no header */
    EPLB_ERROR_STEP_REFUSED = 42,  /* the step must not be run on this rank; go on with the next one */
    EPLB_ERROR_COMMIT_FAILED = 43, /* the same, because a switch-over failed; the old epoch stands */
    EPLB_ERROR_STEP_ORDER = 44,    /* a step that is not after the last one */
    EPLB_ERROR_EXECUTOR = 45,      /* weights that don't fit, or that could not be moved */
    EPLB_ERROR_LOAD = 46,          /* load counters that don't fit */
    EPLB_ERROR_NO_COUNTERS = 47,   /* no load counters were lent */
    EPLB_ERROR_NOT_RUNNING = 48,   /* this rank runs no step now */
    EPLB_ERROR_THREAD = 49,        /* the system gives no thread */
    EPLB_ERROR_UNSETTLED = 50,     /* something is still under way when the time is over */

    /* What a device says; eplb_last_vendor_code() has the vendor's number. */
    EPLB_ERROR_DEVICE_LOST = 60,
    EPLB_ERROR_OUT_OF_MEMORY = 61,
    EPLB_ERROR_UNSUPPORTED = 62,
    EPLB_ERROR_INVALID_USE = 63,
    EPLB_ERROR_ABORTED = 64,
    EPLB_ERROR_TIMED_OUT = 65,
    EPLB_ERROR_DEVICE_FAILED = 66,

    /* 80 is of the Python module alone: a file that holds no loads. */

    /* An error that has no number of its own yet. */
    EPLB_ERROR_OTHER = 99
};

/* One line about the last call of this thread that did not give EPLB_OK; never null, empty if there was
 * none. It stays until the next call of this thread that fails. */
const char *eplb_last_error(void);

/* The number of that error, EPLB_OK if there was none. */
eplb_status eplb_last_error_code(void);

/* The vendor's number of that error, 0 where the vendor gave none. */
int64_t eplb_last_vendor_code(void);

/* The name of a number, as in "EPLB_ERROR_NULL"; "unknown" for numbers that are none. Never null. */
const char *eplb_status_name(eplb_status status);

/* The version of the library, as in "0.1.0", and of the interface that it offers. */
const char *eplb_version(void);
uint32_t eplb_abi_version(void);

/* Handles that were given out and not freed, of all types. For tests that look for leaks. */
size_t eplb_handle_count(void);

/* ---------------------------------------------------------------- handles */

typedef struct eplb_config eplb_config;           /* what can be set */
typedef struct eplb_topology eplb_topology;       /* ranks, nodes, slots */
typedef struct eplb_placement eplb_placement;     /* the expert of each slot of each layer */
typedef struct eplb_plan eplb_plan;               /* what a policy proposes */
typedef struct eplb_coordinator eplb_coordinator; /* decides which layers change */
typedef struct eplb_backend eplb_backend;         /* a kind of device */
typedef struct eplb_device eplb_device;           /* an open device */
typedef struct eplb_stream eplb_stream;           /* a queue of work of a device */
typedef struct eplb_memory eplb_memory;           /* a range of device memory */
typedef struct eplb_communicator eplb_communicator; /* one rank's end of a communicator */
typedef struct eplb_weights eplb_weights;         /* the tensors of one rank's experts */
typedef struct eplb_session eplb_session;         /* one rank's part: moves weights, switches layers */

/* Bytes that belong to the library. This structure will never change. */
typedef struct eplb_bytes {
    const uint8_t *data;
    size_t size;
} eplb_bytes;

/* ---------------------------------------------------------------- configuration */

/* A configuration with every value at its default (the section Config of the Rust documentation, or the
 * commented files in configs/, list them). */
eplb_status eplb_config_create(eplb_config **config);

/* Reads TOML. `origin` names the text in messages. Values are checked. */
eplb_status eplb_config_parse(const char *toml, const char *origin, eplb_config **config);

/* Sets one value by its key, with its section: "ep_size", "manager.window_samples". Whether the values
 * fit each other is checked where the configuration is used, and by eplb_config_check. */
eplb_status eplb_config_set_bool(eplb_config *config, const char *key, int32_t value);
eplb_status eplb_config_set_integer(eplb_config *config, const char *key, int64_t value);
eplb_status eplb_config_set_number(eplb_config *config, const char *key, double value);
eplb_status eplb_config_set_text(eplb_config *config, const char *key, const char *value);

/* Whether every value is one that is allowed. */
eplb_status eplb_config_check(const eplb_config *config);

/* The whole configuration as TOML, ending in a zero byte that is not counted, until the handle is used
 * next or freed. */
eplb_status eplb_config_text(eplb_config *config, eplb_bytes *toml);

eplb_status eplb_config_free(eplb_config *config);

/* ---------------------------------------------------------------- model, ranks, placement */

/* The Mixture-of-Experts part of a model. */
typedef struct eplb_model {
    size_t struct_size;
    uint32_t layers;  /* MoE layers, 1 to 4,096 */
    uint32_t experts; /* logical experts of each layer, 1 to 65,536 */
    uint32_t groups;  /* expert groups of group-limited routing; 0 is 1, for models without */
} eplb_model;

/* One rank of the expert-parallel group. */
typedef struct eplb_rank {
    size_t struct_size;
    uint32_t node;  /* the node it stands on; nodes are numbered without a gap */
    uint32_t slots; /* slots it holds in each layer, at least 1 */
    uint32_t speed; /* in thousandths of an ordinary rank; 0 is 1,000 */
    uint8_t is_dead;  /* it keeps its slot numbers, but what they hold counts for nothing */
    uint8_t is_empty; /* it has joined, and holds no weights yet */
    uint8_t reserved[2];
} eplb_rank;

/* The ranks that a configuration describes: `ep_size` of them with an equal share of `experts` and the
 * redundant ones, over `cluster.nodes`. */
eplb_status eplb_topology_create(const eplb_config *config, uint32_t experts, eplb_topology **topology);

/* The ranks given, `count` of them in rank order. Slots are numbered over all ranks, rank after rank. */
eplb_status eplb_topology_create_of(const eplb_rank *ranks, size_t count, eplb_topology **topology);

/* Ranks and slots of a layer, dead ones included. */
eplb_status eplb_topology_size(const eplb_topology *topology, uint32_t *ranks, uint32_t *slots);

/* The slots of one rank: the first and how many. */
eplb_status eplb_topology_slots_of(const eplb_topology *topology, uint32_t rank, uint32_t *first,
                                   uint32_t *count);

eplb_status eplb_topology_free(eplb_topology *topology);

/* The placement to start with, by which the engine loads its weights: an even one, or with
 * `manager.profile` the one that is planned for what is known from there. The same on every rank. */
eplb_status eplb_placement_create(const eplb_config *config, const eplb_model *model,
                                  const eplb_topology *topology, eplb_placement **placement);

/* The placement of tables: experts[layer * slots + slot] (physical_to_logical_map). */
eplb_status eplb_placement_create_of(const eplb_model *model, const eplb_topology *topology,
                                     const uint32_t *experts, size_t count,
                                     eplb_placement **placement);

/* Copies the expert of each slot of a layer to `experts`, which has room for `count` of them, the slots
 * of all ranks. `epoch` may be null. */
eplb_status eplb_placement_layer(const eplb_placement *placement, uint32_t layer, uint32_t *experts,
                                 size_t count, uint64_t *epoch);

/* Balancedness, mean rank load / max rank load, of a layer under `loads`, tokens by logical expert. */
eplb_status eplb_placement_balancedness(const eplb_placement *placement, uint32_t layer,
                                        const uint64_t *loads, size_t count, double *balancedness);

eplb_status eplb_placement_free(eplb_placement *placement);

/* Where the tokens of each expert of a layer go, in compressed sparse rows: the replicas of expert e are
 * the entries offsets[e] to offsets[e + 1], each with its slot and its share of the expert's tokens in
 * 1/65,535. The shares of an expert add up to 65,535. */
typedef struct eplb_routing {
    size_t struct_size;
    uint64_t epoch;
    uint32_t experts;
    uint32_t entries;
    const uint32_t *offsets; /* experts + 1 */
    const uint32_t *slots;   /* entries */
    const uint16_t *shares;  /* entries */
} eplb_routing;

/* ---------------------------------------------------------------- policy alone */

/* What a plan is made from. */
typedef struct eplb_plan_request {
    size_t struct_size;
    const eplb_config *config;     /* for the policy and its settings */
    const eplb_topology *topology;
    const eplb_model *model;
    const uint64_t *loads;         /* tokens: windows x layers x experts, the oldest window first */
    size_t windows;                /* at least 1 */
    /* Fields from here on may be left off or null. */
    const float *weights;          /* how much each window counts, `windows` of them; null: all alike */
    const eplb_placement *present; /* the placement of now, from which as little as possible is moved */
    const uint32_t *layers;        /* the layers to plan; null: all of them */
    size_t layer_count;
} eplb_plan_request;

/* What a plan says of one layer. */
typedef struct eplb_layer_plan {
    size_t struct_size;
    uint32_t layer;
    uint32_t is_weighed;         /* whether gain, price and bound are given */
    double balancedness_before;  /* of the present placement; not a number without one */
    double balancedness_after;
    uint64_t moved_slots;        /* slots whose rank did not hold their expert before */
    double gain;                 /* expected, in units of the layer's mean rank load */
    double price;                /* of the moves, in the same units */
    double bound;                /* the most that could be gained */
} eplb_layer_plan;

/* Plans with the policy of the configuration, on all cores. */
eplb_status eplb_plan_create(const eplb_plan_request *request, eplb_plan **plan);

/* How many layers were planned. */
eplb_status eplb_plan_layers(const eplb_plan *plan, size_t *count);

/* What it says of one of them, in the order of the request. */
eplb_status eplb_plan_layer(const eplb_plan *plan, size_t index, eplb_layer_plan *layer);

/* The placement with the plan in use; layers that were not planned are as before. Without a present
 * placement all layers have to have been planned. */
eplb_status eplb_plan_placement(const eplb_plan *plan, eplb_placement **placement);

/* How the tokens of a planned layer divide over the replicas. The pointers live as long as the plan. */
eplb_status eplb_plan_routing(const eplb_plan *plan, size_t index, eplb_routing *routing);

eplb_status eplb_plan_free(eplb_plan *plan);

#ifdef __cplusplus
}
#endif

#include "eplb_coordinator.h"
#include "eplb_device.h"
#include "eplb_session.h"
#include "eplb_message.h"

#endif
