/* Coordinators decide which layers change; metrics, notes and the log. Part of eplb.h, whose rules hold
 * here; include that.
 */
#ifndef EPLB_COORDINATOR_H
#define EPLB_COORDINATOR_H

#ifndef EPLB_H
#error "include eplb.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- coordinator */

/* Tells the time: nanoseconds since a start that stays the same. May be called from any thread. */
typedef uint64_t (*eplb_clock_fn)(void *user);

enum eplb_carriage {
    EPLB_CARRIAGE_LEADER = 0, /* one coordinator, in the engine's master process */
    EPLB_CARRIAGE_SPMD = 1    /* one on every rank; each is given the reports of all ranks */
};

typedef struct eplb_coordinator_options {
    size_t struct_size;
    int32_t carriage;    /* enum eplb_carriage */
    uint32_t own_rank;   /* with EPLB_CARRIAGE_SPMD the rank that it lives on */
    eplb_clock_fn clock; /* null: the system's */
    void *user;
} eplb_coordinator_options;

/* In spmd, what ranks compare before anything moves: the rank's report carries it. */
typedef struct eplb_plan_digest {
    size_t struct_size;
    uint64_t round;
    uint64_t digest;
} eplb_plan_digest;

/* A number with a name, for metrics. A result other than 0 ends the visit. */
typedef int32_t (*eplb_figure_fn)(void *user, const char *name, uint64_t value);

/* Something that happened, for logs and metrics. Numbers that don't apply are EPLB_NONE (32 bits),
 * UINT64_MAX (64 bits) or not a number. Pointers live until the callback returns. */
typedef struct eplb_note {
    size_t struct_size;
    int32_t kind; /* enum eplb_note_kind; later versions have more */
    uint32_t layer;
    uint32_t rank;
    uint32_t count;     /* of layers: begun, planned to move, committed; of parts left */
    uint64_t round;
    uint64_t epoch;
    uint64_t step;
    double balancedness_before;
    double balancedness_after;
    double gain;
    double price;
    const char *text;   /* one line for people */
} eplb_note;

enum eplb_note_kind {
    EPLB_NOTE_OTHER = 0,
    EPLB_NOTE_ROUND_STARTED = 1,
    EPLB_NOTE_ROUND_SKIPPED = 2,
    EPLB_NOTE_LAYER_PLANNED = 3,
    EPLB_NOTE_ROUND_PLANNED = 4,
    EPLB_NOTE_ROUND_FINISHED = 5,
    EPLB_NOTE_ROUND_ABORTED = 6,
    EPLB_NOTE_LAYER_COMMITTED = 7,
    EPLB_NOTE_LAYER_INDIVISIBLE = 8,
    EPLB_NOTE_LAYER_REFUSED = 9,
    EPLB_NOTE_COMMIT_FAILED = 10,
    EPLB_NOTE_REVERT_FAILED = 11,
    EPLB_NOTE_LAYER_REVERTED = 12,
    EPLB_NOTE_REVERT_UNCONFIRMED = 13,
    EPLB_NOTE_REPORT_REJECTED = 14
};

/* A result other than 0 ends the visit; notes not visited are kept for the next call. */
typedef int32_t (*eplb_note_fn)(void *user, const eplb_note *note);

/* Starts to watch a model that runs with `placement`. `options` may be null: a leader with the system's
 * clock. Planning runs on a thread of its own. */
eplb_status eplb_coordinator_start(const eplb_config *config, const eplb_placement *placement,
                                   const eplb_coordinator_options *options,
                                   eplb_coordinator **coordinator);

/* Begins a step and gives the header that every rank needs to run it, until the handle is used next or
 * freed. Steps rise; the last one may be begun again. With `allow_changes` 0 nothing new is switched at
 * this step (graph warm-up, or a phase in which the engine can't). Never waits. */
eplb_status eplb_coordinator_begin_step(eplb_coordinator *coordinator, uint64_t step,
                                        int32_t allow_changes, eplb_bytes *header);

/* Takes a rank's report. `sender` is the rank that the engine received it from. */
eplb_status eplb_coordinator_accept_report(eplb_coordinator *coordinator, uint32_t sender,
                                           const void *report, size_t size);

/* Waits for the plan under way, at most so long. For replays and tests; an engine never needs it. */
eplb_status eplb_coordinator_settle(eplb_coordinator *coordinator, uint32_t timeout_ms);

/* In spmd the digest of this rank's plan, for its own report. `has_digest` is 0 while there is none. */
eplb_status eplb_coordinator_plan_digest(const eplb_coordinator *coordinator,
                                         eplb_plan_digest *digest, int32_t *has_digest);

/* The placement that the next step routes with, as a handle of its own. */
eplb_status eplb_coordinator_placement(const eplb_coordinator *coordinator,
                                       eplb_placement **placement);

/* What is known of the traffic, as the text of a profile, ending in a zero byte that is not counted,
 * until the handle is used next or freed: to be kept in a file that `manager.profile` names when the
 * service starts again. EPLB_ERROR_PROFILE while nothing is known. */
eplb_status eplb_coordinator_profile(eplb_coordinator *coordinator, eplb_bytes *profile);

/* Every counter, by name, or one of them. */
eplb_status eplb_coordinator_counters(const eplb_coordinator *coordinator, eplb_figure_fn visit,
                                      void *user);
eplb_status eplb_coordinator_counter(const eplb_coordinator *coordinator, const char *name,
                                     uint64_t *value);

/* What happened since the last call, oldest first; the last 1,024 are kept. */
eplb_status eplb_coordinator_take_notes(eplb_coordinator *coordinator, eplb_note_fn visit, void *user);

eplb_status eplb_coordinator_free(eplb_coordinator *coordinator);

/* ---------------------------------------------------------------- log */

enum eplb_log_level {
    EPLB_LOG_ERROR = 1,
    EPLB_LOG_WARN = 2,
    EPLB_LOG_INFO = 3,
    EPLB_LOG_DEBUG = 4,
    EPLB_LOG_TRACE = 5
};

/* One event: its level, where in the library it arose, and one line. The texts live until the callback
 * returns. May be called from any thread, also from several at once. */
typedef void (*eplb_log_fn)(void *user, int32_t level, const char *target, const char *message);

/* Gives every event of this level and more urgent ones to `log`, in place of the one before; null ends
 * it. When the call returns, no call of the one before is under way. There is one log for the whole
 * process. Inside of a log callback it gives EPLB_ERROR_BUSY, and events that arise there are dropped. */
eplb_status eplb_log_set(int32_t level, eplb_log_fn log, void *user);

#ifdef __cplusplus
}
#endif

#endif
