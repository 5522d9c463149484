/* What clients asked of a cluster and what they were told: the input of the checkers.
 *
 * Values are unique numbers (0: the key is absent), so that a value read names the write
 * it came from. A call whose outcome is not known has no end: it may have happened at any
 * time after its start, or never. */
#ifndef KVD_CHECKERS_HISTORY_H
#define KVD_CHECKERS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
    OP_READ,
    OP_WRITE,
    OP_CAS, /* if a condition holds, write; else read */
    OP_DELETE,
    OP_GUARD, /* a condition alone: what depends on it are other ops of its group */
    OP_NKINDS,
};

enum op_outcome {
    OP_PENDING, /* no answer yet; the same as unknown when the history ends */
    OP_DONE,
    OP_REFUSED, /* surely without effect */
    OP_UNKNOWN,
};

/* A transaction over several keys is a group: an op for each key, side by side, with the
 * same client, times, outcome, success and revision. */
struct op {
    enum op_kind kind;
    enum op_outcome outcome;
    uint32_t client;
    uint32_t key;
    uint32_t group;    /* 0: alone */
    uint16_t member;   /* which was asked, for people */
    bool succeeded;    /* CAS, guard: all conditions held; delete: it deleted something */
    bool serializable; /* a read that may be stale */
    bool unconditional; /* CAS: its condition is elsewhere in the group */
    bool tells_before;  /* write, delete: `seen` is the value before it */
    uint64_t value;     /* write, CAS: the new value; CAS: 0 deletes */
    uint64_t expected;  /* CAS, guard: the value that must be there */
    uint64_t seen;      /* read, failed CAS or guard: the value found */
    int64_t seen_mod;   /* revisions and version of what was seen; 0: not told */
    int64_t seen_create;
    int64_t seen_version;
    int64_t at;        /* read: the state as of this revision; 0: the newest */
    int64_t revision;  /* of the answer's header */
    uint64_t invoked;  /* ns */
    uint64_t answered; /* ns; UINT64_MAX while the outcome is unknown */
};

struct history {
    struct op *ops;
    size_t n;
    size_t room; /* private */
};

void history_close(struct history *history);

/* The place of a new op; its outcome is OP_PENDING and its answer never came. */
size_t history_invoke(struct history *history, const struct op *op);

/* Fills in an answer: outcome, succeeded, what was seen and revision are taken from
 * answer. */
void history_answer(struct history *history, size_t place, uint64_t now,
                    const struct op *answer);

/* "read" and so on. */
const char *op_kind_name(enum op_kind kind);

/* By its answer: it made a revision of its own. */
bool op_wrote(const struct op *op);

/* What it leaves behind, once it has taken place. */
uint64_t op_value_after(const struct op *op);

/* A value was seen, and is in `seen`. */
bool op_saw(const struct op *op);

#endif
