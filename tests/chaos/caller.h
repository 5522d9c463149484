/* A client's connection to one member at a time, and calls on it: what they are told is
 * told on, as it is; nothing is repeated.
 *
 * Happy path: caller_connect, then caller_call for one answer to one question; or
 * call_start and caller_pump for several calls side by side and for streams. What can
 * fail: the connection; then every call on it ends, and caller_connect goes on, to
 * another member when it is asked to. Used by one thread. */
#ifndef KVD_CHAOS_CALLER_H
#define KVD_CHAOS_CALLER_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "cli/lib/endpoint.h"
#include "cli/lib/link.h"

/* What is known of a call. */
enum call_outcome {
    CALL_OPEN, /* no answer yet */
    CALL_OK,
    CALL_FAIL, /* a definite no, or never sent: nothing was changed */
    CALL_INFO, /* it may have been done */
};

struct caller {
    const struct endpoint *endpoints;
    size_t n_endpoints;
    size_t member;     /* index of the endpoint in use */
    struct link *link; /* private; NULL: not connected */
};

void caller_open(struct caller *caller, const struct endpoint *endpoints, size_t n,
                 size_t member);
void caller_close(struct caller *caller);

/* Tries the member in use for at most timeout_ms; true when it is connected. */
bool caller_connect(struct caller *caller, int64_t timeout_ms);

/* Ends all calls; the next connection is to that member. */
void caller_leave(struct caller *caller, size_t member);

/* Moves bytes until something was heard or the time has come. */
void caller_pump(struct caller *caller, int64_t until_ms);
bool caller_is_up(const struct caller *caller);

/* One call; zeroed before its first use. */
struct call {
    enum call_outcome outcome;
    int code;       /* of gRPC; -1: there was no answer */
    char text[200]; /* why it did not succeed */
    struct arena arena;
    const ProtobufCMessageDescriptor *type;
    const ProtobufCMessage *reply;    /* the newest message; until the next start */
    void (*heard)(struct call *call); /* each message of a stream, or NULL */
    void *owner;                      /* of heard */
    struct stream stream;             /* private */
    int64_t deadline_ms;              /* private; -1: none */
};

/* request NULL: messages follow by call_say. The request is given to the member with
 * timeout_ms to answer it (-1: none). False: not connected; the call has failed. */
bool call_start(struct caller *caller, struct call *call, const char *path,
                const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
                int64_t timeout_ms);
void call_say(struct call *call, const ProtobufCMessage *message);
void call_pause(struct call *call, bool paused);

/* Gives a call up that is open: CALL_INFO. */
void call_stop(struct call *call);
void call_close(struct call *call);

/* Starts a call and waits for its end. */
enum call_outcome caller_call(struct caller *caller, struct call *call, const char *path,
                              const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *reply,
                              int64_t timeout_ms);

#endif
