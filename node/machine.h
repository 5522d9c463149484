/* From log to state machine and back to whoever asked.
 *
 * Happy path: machine_submit takes a command; machine_propose gathers the turn's commands
 * into one log entry, or into one frame to the leader; machine_apply hands committed
 * entries to the state machine, which names the commands that wait here by their
 * sequence; machine_answer calls them back; machine_commit ends SQLite's transaction.
 * What can fail: a command is refused before it enters the log (too large, too many
 * requests), lost with its leader, or not heard of in time (its outcome is then unknown,
 * and it is never submitted again). A command waits for a leader; one that was never
 * submitted, or that the leader said it did not submit, is submitted later.
 *
 * The member that holds the call answers from its own apply: it reads its own writes. */
#ifndef KVD_NODE_MACHINE_H
#define KVD_NODE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/status.h"
#include "base/arena.h"
#include "base/env.h"
#include "base/limits.h"
#include "base/list.h"
#include "command.pb-c.h"
#include "kv/kv.h"
#include "node/diverge.h"
#include "node/membership.h"
#include "node/metrics.h"
#include "node/peer.h"
#include "peer.pb-c.h"
#include "raftlog/raftlog.h"

#define MACHINE_COMMAND_MAX (LIMIT_ENTRY_BYTES - 64) /* bytes of an encoded command */

struct machine;

/*   QUEUED <--> FORWARDED      forwarded, and back when the leader says it did not submit
 *     |  \          |
 *     |   PROPOSED  |
 *     v      v      v
 *        DECIDED                outcome known; done runs next */
enum machine_state {
    MACHINE_QUEUED,
    MACHINE_PROPOSED,
    MACHINE_FORWARDED,
    MACHINE_DECIDED,
    MACHINE_NSTATES,
};

/* A command on its way. The caller owns it; the machine owns everything but the first
 * four fields from submit until done, and the command too. */
struct machine_op {
    Kvd__Command__Command *command; /* request and client are set */
    struct arena *arena;            /* the response goes here */
    void (*done)(struct machine_op *op, enum api_status status,
                 ProtobufCMessage *response);
    /* Nobody waits for it sooner than this after its submit: until then it is only sent
     * along with others. 0: it is sent at once. */
    uint64_t patience_ms;
    enum machine_state state;
    uint64_t started_ms;
    uint64_t index; /* of its log entry, when proposed here */
    size_t size;    /* encoded */
    enum api_status status;
    ProtobufCMessage *response;
    struct machine_op *next; /* in its bucket */
    struct list place;       /* by state, in order */
    struct list age;         /* of all that are not decided, oldest first */
};

struct machine_options {
    struct env *env;
    struct kv *kv;
    struct raftlog *log;
    struct peers *peers;
    struct diverge *diverge;
    struct metrics *metrics;
    const struct membership *members;
    uint64_t epoch;     /* random, of this start */
    size_t request_max; /* bytes of an encoded command */
    uint32_t election_ms;
};

struct machine *machine_open(const struct machine_options *options);

/* Calls back everything that waits with API_STOPPED. NULL is fine. */
void machine_close(struct machine *m);

/* done runs later, exactly once, from machine_answer or machine_close. */
void machine_submit(struct machine *m, struct machine_op *op);

/* Something was, since machine_propose: another turn is wanted at once. */
bool machine_submitted(const struct machine *m);

/* The turn's commands into the log, or to the leader. */
void machine_propose(struct machine *m, uint64_t now_ms);

/* Applies what is committed, up to limits of entries and of time; true when there is
 * more. The transaction stays open over several turns: what is applied is durable in the
 * log, so nobody waits for it. */
bool machine_apply(struct machine *m, uint64_t now_ms);

/* Commits the transaction when it is LIMIT_APPLY_MS old, or large, or has to be now; true
 * when none is open: then the state machine's upkeep may run. */
bool machine_commit(struct machine *m, uint64_t now_ms, bool now);

/* The state machine was replaced by one that is ahead: what became of the commands in the
 * log is not known here. Those that were not submitted stay. */
void machine_replaced(struct machine *m);

/* Gives up on what waited too long, then calls back all whose outcome is known. */
void machine_answer(struct machine *m, uint64_t now_ms);

/* Frames of other members (LINK_FORWARD, LINK_FORWARD_REFUSED). */
void machine_forwarded(struct machine *m, uint64_t from, const Kvd__Peer__Forward *frame);
void machine_refused(struct machine *m, const Kvd__Peer__ForwardRefused *frame);

/* The write-ahead log of SQLite has this size: new commands are held off while it is
 * larger than max. */
void machine_observe_wal(struct machine *m, int64_t wal_bytes, int64_t max);

/* Whether this member's own disk has room, and, where it leads, those of a majority: if
 * not, new commands are refused. */
void machine_observe_room(struct machine *m, bool here, bool enough);

/* How long a command may wait: 5 s and two election timeouts. */
uint64_t machine_timeout_ms(const struct machine *m);
uint64_t machine_deadline_ms(const struct machine *m);
size_t machine_pending(const struct machine *m);

#endif
