/* Headers and reports taken apart and made. Part of eplb.h, whose rules hold here; include that.
 *
 * An engine that can carry bytes needs none of this. It is for engines whose own messages have fixed
 * fields: they take apart what a coordinator or a session gives, carry what their fields hold, and make
 * of it at the other end what a session or a coordinator takes.
 */
#ifndef EPLB_MESSAGE_H
#define EPLB_MESSAGE_H

#ifndef EPLB_H
#error "include eplb.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum eplb_directive_kind {
    EPLB_DIRECTIVE_PREPARE = 1, /* get the weights for a new table ready */
    EPLB_DIRECTIVE_COMMIT = 2,  /* switch the layer to them */
    EPLB_DIRECTIVE_REVERT = 3   /* go back to the table before the commit */
};

/* What is to become of one layer. */
typedef struct eplb_directive {
    size_t struct_size;
    int32_t kind;            /* enum eplb_directive_kind */
    uint32_t layer;
    uint64_t token;          /* of the attempt; tokens rise and are never used again */
    uint64_t from_epoch;     /* prepare: the epoch that the new table follows */
    uint64_t epoch;          /* the epoch to prepare, to switch to, or to go back to */
    uint64_t at_step;        /* commit, revert: the first step with it */
    const uint32_t *experts; /* prepare: the expert of each slot of all ranks */
    size_t expert_count;
    const uint16_t *shares;  /* prepare: of each slot in 1/65,535; null when replicas share evenly */
    size_t share_count;
} eplb_directive;

/* A result other than 0 ends the visit. */
typedef int32_t (*eplb_directive_fn)(void *user, const eplb_directive *directive);

/* Visits the changes that a header names, in token order. `step` may be null. EPLB_ERROR_HEADER for bytes
 * that are no header. */
eplb_status eplb_header_read(const void *header, size_t size, uint64_t *step, eplb_directive_fn visit,
                             void *user);

/* Makes the header of a step. `epochs` holds the epoch that each layer routes with on this step, the
 * switches of this header included; `directives` are in token order. `written` takes the bytes that it
 * has; with EPLB_ERROR_LENGTH, when `capacity` is less, the bytes that it would have. */
eplb_status eplb_header_write(uint64_t step, const uint64_t *epochs, size_t layers,
                              const eplb_directive *directives, size_t count, void *header,
                              size_t capacity, size_t *written);

enum eplb_answer_kind {
    EPLB_ANSWER_PREPARED = 1,
    EPLB_ANSWER_REFUSED = 2,
    EPLB_ANSWER_COMMITTED = 3,
    EPLB_ANSWER_COMMIT_FAILED = 4, /* the old epoch stands */
    EPLB_ANSWER_REVERTED = 5,
    EPLB_ANSWER_REVERT_FAILED = 6  /* the rank runs no step until it can go back */
};

/* How far a rank got with one change. */
typedef struct eplb_answer {
    size_t struct_size;
    int32_t kind;       /* enum eplb_answer_kind */
    uint32_t reserved;
    uint64_t token;
    uint64_t step;      /* committed: the first step with the new epoch */
    const char *reason; /* of what failed, at most 256 bytes are kept; null is none */
} eplb_answer;

typedef int32_t (*eplb_answer_fn)(void *user, const eplb_answer *answer);

/* Visits what a report says of changes, in token order. `rank` and `step` may be null. Pointers live until
 * the callback returns. EPLB_ERROR_REPORT for bytes that are no report. */
eplb_status eplb_report_read(const void *report, size_t size, uint32_t *rank, uint64_t *step,
                             eplb_answer_fn visit, void *user);

/* Makes the report of a rank after a step, for a coordinator with EPLB_CARRIAGE_LEADER. `answers` are in
 * token order; `load` may be null. `written` as for eplb_header_write. */
eplb_status eplb_report_write(uint32_t rank, uint64_t step, const eplb_load *load,
                              const eplb_answer *answers, size_t count, void *report,
                              size_t capacity, size_t *written);

#ifdef __cplusplus
}
#endif

#endif
