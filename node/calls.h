/* Calls as their handlers see them, and all calls of a member as the turn sees them.
 *
 * A handler (rpc_*.c) begins with the decoded request and ends the call exactly once, now
 * or later, with call_reply or call_fail. In between it may wait for one operation at a
 * time: a command's way through the log, a read gate, pages of a long read, or a
 * condition. The client may leave at any time: then the handler is simply never called
 * again. */
#ifndef KVD_NODE_CALLS_H
#define KVD_NODE_CALLS_H

#include "api/status.h"
#include "base/arena.h"
#include "base/list.h"
#include "command.pb-c.h"
#include "kv/kv.h"
#include "node/call.h"
#include "node/machine.h"
#include "node/rate.h"
#include "node/rpc.h"
#include "node/wheel.h"
#include "raftlog/raftlog.h"

/*   READING --last message--> READY --turn--> WORKING --reply, fail--> ENDED
 *      +------------------------+-- fail, client leaves ---------------^  */
enum call_state { CALL_READING, CALL_READY, CALL_WORKING, CALL_ENDED, CALL_NSTATES };

/* What a handler wants to hear of a call that stays open; set by the method's start. Any
 * may be NULL. */
struct call_events {
    /* Bidirectional: a message of the client, gone after this function, which may end the
     * call. */
    void (*heard)(struct call *call, const ProtobufCMessage *message);
    /* Bidirectional: the client sends nothing more. NULL: the call ends with OK. */
    void (*heard_all)(struct call *call);
    /* The client has taken most of what was sent on this stream. Called where nothing may
     * be sent: record only. */
    void (*drained)(struct call *call);
    /* A read gate did not open; the call goes on, or ends with what status the handler
     * thinks right. NULL: it ends with that of the gate. */
    void (*gate_failed)(struct call *call);
    /* The call has ended, for whatever reason; call->owner is the handler's to free. */
    void (*ended)(struct call *call);
};

struct call {
    struct node *node;
    struct conn *conn;
    struct wire_call *stream; /* NULL once it is gone */
    enum rpc_id method;
    ProtobufCMessage *request; /* decoded, in the arena; bidirectional: NULL */
    struct arena arena;        /* request and reply; bidirectional: what was heard */
    Kvd__V1__Fence *fence;     /* of the metadata, for writes; or NULL */
    const char *token;         /* of the metadata, as long as the stream is there */
    bool from_gateway; /* the connection's certificate is a proxy's, not the client's */
    const char *user;  /* who called, while auth is on; or NULL */
    uint64_t auth_revision; /* that the user's token names; 0: any */
    bool has_leader;        /* the client wants an error when there is no leader */
    bool lingers; /* may stay open for ever: ended first when the member stops */
    bool left;    /* for ended: the client took the call back, or its deadline passed */
    bool lost;    /* for ended: the connection was lost */
    const struct call_events *events; /* the handler's, or NULL */
    void *owner;                      /* the handler's */

    enum call_state state; /* private, as all below */
    int holds;             /* the stream, and each operation in flight */
    struct list inbox;     /* bidirectional: messages that were not heard yet */
    struct list talking;   /* in calls' list while there are any, or news of the end */
    bool said_all;         /* bidirectional: the client's half is closed */
    struct list place;     /* ready, opened, scanning or waiting: one of calls' lists */
    struct wheel_timer timer; /* the nearer one of the two */
    uint64_t deadline_ms;     /* the client's; UINT64_MAX: none */
    uint64_t limit_ms;        /* ours for a read gate; UINT64_MAX: none */
    Kvd__Command__Command command;
    Kvd__Command__Client client;
    struct machine_op op;
    struct raftlog_read read;
    bool permitted; /* there may be an answer other than a refusal: admit.h */
    bool caught_up; /* this member was asked to be as far as the token */
    bool reading;   /* raftlog has the read */
    int read_rc;
    struct kv_scan *scan;
    size_t reply_bytes; /* sent or waiting to be */
    void (*applied)(struct call *call, enum api_status status,
                    ProtobufCMessage *response);
    void (*opened)(struct call *call);
    void (*build)(struct call *call);
    void (*poll)(struct call *call);
};

struct calls {
    struct list ready; /* complete requests and new streams, to be started in this turn */
    struct list talking; /* streams with an inbox; those of slow readers stay there */
    struct list opened;  /* read gates that opened or failed */
    struct list scans;   /* long reads: a few pages of the first one each turn */
    struct list waiting; /* for a condition that is polled once a turn */
    struct list all;     /* place of those in none of the above */
    struct wheel deadlines;
    struct list idle; /* ended, kept for reuse */
    size_t n_idle;
    struct rate rate;
    size_t n;      /* in use */
    size_t unsent; /* bytes of replies whose streams are not closed */
};

/* ---- for handlers ---- */

/* Ends the call with this reply; its header is filled in. */
void call_reply(struct call *call, ProtobufCMessage *reply);
/* The same when status is API_OK; else it ends with that. */
void call_answer(struct call *call, enum api_status status, ProtobufCMessage *reply);
void call_finish(struct call *call); /* OK, after the messages that were sent */
void call_fail(struct call *call, enum api_status status);
void call_fail_text(struct call *call, enum grpc_code code, const char *text);

/* Sends a message of a stream of replies, its header filled in by the caller. */
void call_send(struct call *call, const ProtobufCMessage *message);

/* The same for a message that the caller encodes: room for size bytes, to be filled at
 * once. NULL: the message is too large, and the call has failed. */
uint8_t *call_send_begin(struct call *call, size_t size);

/* Streams of replies: the client has taken most of what was sent before, on this stream
 * and on the others of its connection. */
bool call_takes_more(const struct call *call);

/* When it does not: goes on in the first turn in which it does. */
void call_go_on_when_taken(struct call *call, void (*go_on)(struct call *call));

/* Sends call->command, whose request is set, through the log. */
void call_propose(struct call *call,
                  void (*applied)(struct call *call, enum api_status status,
                                  ProtobufCMessage *response));

/* The same, not before so many milliseconds, unless other commands are sent. */
void call_propose_patiently(struct call *call, uint64_t patience_ms,
                            void (*applied)(struct call *call, enum api_status status,
                                            ProtobufCMessage *response));

/* Builds the reply: now, or once the client has taken enough of those before. */
void call_build(struct call *call, void (*build)(struct call *call));

/* The same, when the applied state may be read linearizably. */
void call_gate(struct call *call, void (*opened)(struct call *call));

/* An operation of the handler's own, on another thread, holds the call until it says on
 * the loop that it has ended: the call goes on later, unless it has ended meanwhile. */
void call_hold(struct call *call);
void call_resume(struct call *call, void (*go_on)(struct call *call));

/* Goes on with pages of call->scan until there is a reply. */
void call_scan(struct call *call);

/* Asks once a turn, until poll ends the call. */
void call_wait(struct call *call, void (*poll)(struct call *call));

/* ---- for the turn ---- */

/* rate_limit: see rate_init. */
void calls_init(struct calls *calls, uint64_t rate_limit, uint64_t now_ms);

/* Starts the requests that are complete; streams hear what arrived. */
void calls_start(struct calls *calls);

/* Goes on with opened gates, long reads and conditions, and ends what is late. True when
 * there is more to do at once. */
bool calls_continue(struct calls *calls, uint64_t now_ms);

uint64_t calls_deadline_ms(const struct calls *calls);

/* Ends every call that is not ended; or only those that could stay open for ever. */
void calls_fail_all(struct calls *calls, enum api_status status);
void calls_fail_streams(struct calls *calls, enum api_status status);

/* Ends the open streams of clients that asked for a member with a leader. */
void calls_fail_leaderless(struct calls *calls);

/* All streams are closed and all operations have ended. */
void calls_close(struct calls *calls);

/* ---- between call.c and calls.c ---- */

/* Moves a call into one of the lists. */
void call_place(struct call *call, struct list *where);
void call_start(struct call *call);
void call_hear(struct call *call);  /* its inbox */
void call_go_on(struct call *call); /* its read gate opened, or failed */
void call_read_page(struct call *call);
void call_late(struct call *call, uint64_t now_ms); /* its timer ran out */

struct call *calls_take_idle(struct calls *calls); /* NULL: none */
void calls_give_idle(struct calls *calls, struct call *call);

#endif
