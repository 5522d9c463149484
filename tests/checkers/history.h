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

enum op_kind { OP_READ, OP_WRITE, OP_CAS, OP_DELETE };

enum op_outcome {
    OP_PENDING, /* no answer yet; the same as unknown when the history ends */
    OP_DONE,
    OP_REFUSED, /* surely without effect */
    OP_UNKNOWN,
};

struct op {
    enum op_kind kind;
    enum op_outcome outcome;
    uint32_t client;
    uint32_t key;
    uint64_t value;    /* write, CAS: the new value */
    uint64_t expected; /* CAS: the value it must replace */
    bool succeeded;    /* CAS: swapped; delete: something was deleted */
    uint64_t seen;     /* read, failed CAS: the value found */
    int64_t revision;  /* of the answer's header */
    bool serializable; /* a read that may be stale */
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

/* Fills in an answer: outcome, succeeded, seen and revision are taken from answer. */
void history_answer(struct history *history, size_t place, uint64_t now,
                    const struct op *answer);

#endif
