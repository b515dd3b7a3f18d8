/* Sessions: one rank's weights, load and routing tables. Part of eplb.h, whose rules hold here; include
 * that.
 */
#ifndef EPLB_SESSION_H
#define EPLB_SESSION_H

#ifndef EPLB_H
#error "include eplb.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- weights */

/* The tensors of one rank's experts, none yet. */
eplb_status eplb_weights_create(eplb_weights **weights);

/* Adds a tensor of a layer: weights, scales, all that belongs to an expert and has to move with it. Its
 * bytes are never interpreted. `memory` holds one buffer after the other, one for each slot of the rank
 * in slot order, with indirect commits the spare ones behind them: `slot_bytes` each, `slot_stride`
 * from one to the next. Layers come in order from 0, and names are the same on all ranks. */
eplb_status eplb_weights_add_tensor(eplb_weights *weights, uint32_t layer, const char *name,
                                    const eplb_memory *memory, size_t slot_stride,
                                    size_t slot_bytes);

eplb_status eplb_weights_free(eplb_weights *weights);

/* ---------------------------------------------------------------- load */

enum eplb_count_form {
    EPLB_COUNTS_PLAIN = 0,      /* the tokens of each slot */
    EPLB_COUNTS_PREFIX_SUMS = 1 /* of all slots up to and with this one, as xLLM's workers count */
};

enum eplb_phase {
    EPLB_PHASE_MIXED = 0, /* both, or the engine does not say */
    EPLB_PHASE_PREFILL = 1,
    EPLB_PHASE_DECODE = 2
};

/* Tokens that a rank counted on its own slots over some steps. */
typedef struct eplb_load {
    size_t struct_size;
    uint64_t first_step;
    uint64_t last_step;
    const uint64_t *counts; /* layers x slots of this rank */
    size_t count;
    /* Fields from here on may be left off. */
    int32_t form;           /* enum eplb_count_form */
    int32_t phase;          /* enum eplb_phase */
} eplb_load;

enum eplb_counter_width {
    EPLB_COUNTERS_INT32 = 4,
    EPLB_COUNTERS_INT64 = 8
};

enum eplb_counter_life {
    EPLB_COUNTERS_RISING = 0,      /* kernels add to them, nobody clears them */
    EPLB_COUNTERS_CLEARED = 1,     /* kernels add to them, the library clears them after each reading */
    EPLB_COUNTERS_OVERWRITTEN = 2  /* each forward pass writes its own counts over the last ones */
};

/* Counters that the engine's kernels write on the engine's stream: layers x slots of this rank, without
 * gaps, little endian, signed. */
typedef struct eplb_load_counters {
    size_t struct_size;
    const eplb_memory *memory;
    int32_t width;            /* enum eplb_counter_width */
    int32_t form;             /* enum eplb_count_form */
    int32_t life;             /* enum eplb_counter_life */
    /* Fields from here on may be left off; 0 and null take the value in brackets. */
    uint32_t ring;            /* readings that may be under way, 1 to 64 [8] */
    uint64_t every;           /* read once in so many steps, the same on all ranks [1] */
    uint64_t most_tokens;     /* that a layer can route to this rank in one step [2^56] */
    const uint8_t *padding;   /* for each layer and local slot whether it holds padding alone [none] */
    size_t padding_count;
} eplb_load_counters;

/* ---------------------------------------------------------------- sessions */

enum eplb_held {
    EPLB_HELD_ALL = 0,     /* the slots hold what the placement says */
    EPLB_HELD_NOTHING = 1, /* they are filled from the pool of the configuration */
    EPLB_HELD_OTHER = 2    /* they hold `held_placement`; the rest is loaded from the pool */
};

/* What a session is opened with. Handles may be freed when eplb_session_open has returned. */
typedef struct eplb_session_options {
    size_t struct_size;
    const eplb_config *config;
    const eplb_placement *placement;     /* what the weights hold, or are to hold */
    const eplb_device *device;           /* that has the weights */
    const eplb_stream *stream;           /* that forward passes run on; layers switch between them */
    const eplb_weights *weights;
    uint32_t rank;
    uint32_t device_routing;             /* not 0: routing tables are kept on the device, too */
    /* Fields from here on may be left off or null. */
    const eplb_load_counters *counters;  /* null: the engine gives its counts to end_step */
    const eplb_placement *held_placement;
    int32_t held;                        /* enum eplb_held */
    int32_t reserved;
    eplb_clock_fn clock;                 /* null: the system's */
    void *user;
    /* Of all live ranks, numbered in their order, and used for nothing else: for experts that can't, or must
     * not, come through peer memory. Null: with `executor.transport = "collective"` the session makes one. */
    const eplb_communicator *communicator;
} eplb_session_options;

/* Registers the weights of a rank, which hold the placement, and reserves all memory that moving them
 * will need. With slots to fill it waits for that, at most as long as `pool.timeout` says. */
eplb_status eplb_session_open(const eplb_session_options *options, eplb_session **session);

/* What the other ranks need to know of this one, for the engine to carry to them; lives until the
 * session is connected or freed. */
eplb_status eplb_session_endpoint(eplb_session *session, eplb_bytes *endpoint);

/* Connects to the other ranks: `endpoints[rank]` holds that rank's bytes, `count` of them; this rank's
 * own and those of dead ranks are not looked at. If it fails, the session can only be freed. */
eplb_status eplb_session_connect(eplb_session *session, const eplb_bytes *endpoints, size_t count);

/* Begins a step with the header of the coordinator. Layers whose new weights are on all ranks are
 * switched here, on the session's stream. EPLB_ERROR_STEP_REFUSED, EPLB_ERROR_COMMIT_FAILED,
 * EPLB_ERROR_HEADER: this rank must not run this step. The old epochs stand, the engine goes on with
 * the next step, and still sends this rank's report. */
eplb_status eplb_session_begin_step(eplb_session *session, const void *header, size_t size);

/* Reads the load counters, once for each forward pass, when it has been queued; nothing is waited for.
 * `phase` is an enum eplb_phase. */
eplb_status eplb_session_collect(eplb_session *session, int32_t phase);

/* Ends a step and gives the report for the coordinator, until the handle is used by another call that
 * is not `const`, or freed. `load` is null when nothing was counted, or with load counters. `digest` is null
 * but in spmd. */
eplb_status eplb_session_end_step(eplb_session *session, const eplb_load *load,
                                  const eplb_plan_digest *digest, eplb_bytes *report);

/* The routing table of a layer for the step that has begun. The pointers live until the next
 * eplb_session_begin_step, or until the session is freed. */
eplb_status eplb_session_routing(const eplb_session *session, uint32_t layer, eplb_routing *routing);

/* How tokens of each logical expert of a layer divide over all slots under that table, exactly. */
eplb_status eplb_session_divide(const eplb_session *session, uint32_t layer, const uint64_t *tokens,
                                size_t experts, uint64_t *slot_tokens, size_t slots);

/* Where a layer's routing table lies in device memory; offsets are in bytes from its start. */
typedef struct eplb_device_routing {
    size_t struct_size;
    void *address;
    uint32_t version;      /* of the layout: 1 */
    uint32_t experts;
    uint32_t slot_count;   /* of all ranks */
    uint32_t local_slots;
    size_t offsets;        /* uint32 x (experts + 1) */
    size_t slots;          /* uint32 x slot_count */
    size_t shares;         /* uint16 x slot_count */
    size_t buffers;        /* uint32 x local_slots: the buffer of each slot */
    size_t bytes;
} eplb_device_routing;

/* The routing table of a layer on the device, if the options asked for it. The address stays for the
 * session's life, for captured graphs; work queued on the session's stream finds the table of its step. */
eplb_status eplb_session_device_routing(const eplb_session *session, uint32_t layer,
                                        eplb_device_routing *routing);

/* The memory of one tensor, counted in the order of registration, of one of this rank's slots, as the
 * step that has begun reads it. `slot` counts over all ranks. */
eplb_status eplb_session_slot(const eplb_session *session, uint32_t layer, uint32_t slot,
                              uint32_t tensor, eplb_memory **memory);

/* Which buffer holds each of this rank's slots, for kernels that index buffers: `count` numbers. Changes
 * only with indirect commits. */
eplb_status eplb_session_slot_buffers(const eplb_session *session, uint32_t layer, uint32_t *buffers,
                                      size_t count);

/* The epoch that each layer routes with: `count` numbers. */
eplb_status eplb_session_epochs(const eplb_session *session, uint64_t *epochs, size_t count);

/* The placement that this rank routes with, as a handle of its own. */
eplb_status eplb_session_placement(const eplb_session *session, eplb_placement **placement);

/* Waits until nothing moves and no switch is under way. For replays, and before a shutdown.
 * EPLB_ERROR_UNSETTLED if that takes longer. */
eplb_status eplb_session_settle(eplb_session *session, uint32_t timeout_ms);

/* What the session has done, every figure by name, or one of them. */
eplb_status eplb_session_figures(const eplb_session *session, eplb_figure_fn visit, void *user);
eplb_status eplb_session_figure(const eplb_session *session, const char *name, uint64_t *value);

eplb_status eplb_session_free(eplb_session *session);

#ifdef __cplusplus
}
#endif

#endif
