/* What machine.c and forward.c share: the table of commands on their way. */
#ifndef KVD_NODE_MACHINE_PARTS_H
#define KVD_NODE_MACHINE_PARTS_H

#include "node/batch.h"
#include "node/machine.h"

struct machine {
    struct machine_options options;
    struct machine_op **buckets; /* by sequence; LIMIT_PENDING_CALLS of them */
    size_t n_ops;                /* submitted, not yet decided */
    size_t bytes;                /* of them, encoded */
    uint64_t last_sequence;
    bool submitted;        /* something, since machine_propose */
    struct list queued;    /* waiting for a leader, for the turn, or for company */
    uint64_t send_by_ms;   /* the first of them wants to be sent; UINT64_MAX: none */
    bool patient;          /* that is why they were not sent in the last turn */
    struct list proposed;  /* in this member's log */
    struct list forwarded; /* sent to the leader */
    struct list decided;   /* done runs next */
    struct list ages;      /* all but decided, oldest first */
    struct batch batch;    /* of this turn */
    struct arena arena;    /* of one forwarded command */
    uint64_t leader;       /* as of the last turn */
    uint64_t leader_since_ms;
    uint64_t hold_until_ms; /* the leader refused: forward nothing until then; or 0 */
    bool lagging;           /* committed entries wait to be applied, too many */
    bool wal_is_large;      /* SQLite's */
    bool full_here;         /* the disk of this member has no room */
    bool full_everywhere;   /* it leads, and no majority has room */
    size_t open_entries;    /* applied in the transaction that is open; 0: none is */
    size_t open_bytes;      /* payload of them */
    uint64_t open_since_ms; /* when it began */
};

/* The op of a sequence that is on its way, or NULL. */
struct machine_op *machine_find(const struct machine *m, uint64_t sequence);

void machine_move(struct machine *m, struct machine_op *op, enum machine_state to);

/* Its outcome is known; response is NULL unless status is API_OK. */
void machine_decide(struct machine *m, struct machine_op *op, enum api_status status,
                    ProtobufCMessage *response);

/* A command can be taken now. */
bool machine_has_room(const struct machine *m);

/* Puts the batch into the log; what does not go in goes back. */
void machine_propose_batch(struct machine *m);

/* Sends what is queued to the leader, as far as its link takes it. */
void forward_queued(struct machine *m, uint64_t leader);

/* Why a member's commands were not submitted; fixed by the wire. */
enum forward_reason {
    REASON_NOT_LEADER = 0, /* they may be sent again */
    REASON_TOO_MANY = 1,
    REASON_DISK_FULL = 2,
};

/* Tells members that their commands in the batch were not submitted. */
void forward_refuse_batch(struct machine *m, enum forward_reason reason);

#endif
