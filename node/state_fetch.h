/* Fetching the state from another member, into a database of its own, while the old one
 * goes on serving. Ends with a state that is opened and verified; to go on with it is the
 * owner's. */
#ifndef KVD_NODE_STATE_FETCH_H
#define KVD_NODE_STATE_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/err.h"
#include "kv/kv.h"
#include "node/datadir.h"
#include "node/discard.h"
#include "node/hello.h"
#include "node/metrics.h"
#include "node/state_report.h"
#include "node/state_sink.h"

/*   IDLE ──due──▶ DIALLING ──▶ GREETING ──▶ ASKING ──▶ FETCHING ──whole──▶ LOADING
 *    ▲                │           │           │           │       on disk     │   │
 *    ├── failed, late ┴───────────┴───────────┴───────────┘                   │   │
 *    │   (what is there is kept: the same copy can be gone on with)           │   │
 *    ├── damaged ─────────────────────────────────────────────────────────────┘   │
 *    └── taken, or not needed any more ─── READY ◀── verified ────────────────────┘
 */
enum fetch_state {
    FETCH_IDLE,
    FETCH_DIALLING,
    FETCH_GREETING, /* hello sent */
    FETCH_ASKING,   /* request sent */
    FETCH_FETCHING, /* bytes come, are checked, written and synced */
    FETCH_LOADING,  /* opened, every row verified */
    FETCH_READY,
    FETCH_NSTATES,
};

/* What is lacking, as the owner knows it. */
struct fetch_need {
    uint64_t
        index; /* a state as of this index or later; 0: none, what was begun is dropped */
    uint64_t term; /* of that entry, if it is known to be committed; else 0 */
    uint64_t leader; /* who is asked first; 0: nobody knows */
    bool urgent;     /* nobody is served meanwhile, so there is nobody to step back for */
};

struct state_fetch_options {
    struct env *env;
    const struct hello_self *self; /* must outlive the fetch, as all below */
    struct datadir *dir;
    struct discards *discards;
    struct metrics *metrics;
    struct kv_options kv; /* of the state that comes; its path is chosen here */
    /* A member shows its store id: 0 to go on; see identity_meet. */
    int (*meet)(void *owner, uint64_t member, uint64_t store, struct err *err);
    void *owner;
};

/* What the sender says it is. */
struct fetch_begin {
    uint64_t copy;
    uint64_t index;
    uint64_t term;
    uint64_t hash;
    uint64_t size;
    uint64_t log_term; /* of consensus, when it was offered */
};

#define FETCH_SAID_MAX 600

struct state_fetch {
    struct state_fetch_options options;
    enum fetch_state state; /* private, as all below */
    struct fetch_need need;
    uint64_t due_ms; /* idle: dial then; else give up then */
    uint32_t backoff_ms;
    uint64_t source;   /* the member it comes from; 0: none yet */
    size_t next;       /* place of the member that is asked next */
    size_t next_url;   /* of the source */
    unsigned failures; /* in a row, with this source */
    struct stream *stream;
    bool ended;    /* the stream's last event came */
    bool paused;   /* reading: too much waits to be written */
    struct buf in; /* received */
    struct arena arena;
    struct fetch_begin begin; /* of what is in the sink */
    uint64_t received;        /* bytes of it, a moment ago */
    struct state_sink sink;
    char *path;         /* of the database; NULL: nothing was fetched */
    unsigned number;    /* of it */
    struct env_job job; /* writes, or loads */
    bool working;
    struct buf handed; /* the job's: bytes for the sink */
    int rc;            /* likewise */
    struct err err;
    struct kv *fresh; /* loaded */
    struct state_report report;
    uint64_t loading_ms;       /* when it began */
    char said[FETCH_SAID_MAX]; /* the trouble that was logged last */
};

void state_fetch_init(struct state_fetch *fetch,
                      const struct state_fetch_options *options);

/* Once a turn. */
void state_fetch_continue(struct state_fetch *fetch, const struct fetch_need *need,
                          uint64_t now_ms);
uint64_t state_fetch_deadline_ms(const struct state_fetch *fetch);

/* The state that was fetched, or NULL; as of *begin. */
struct kv *state_fetch_ready(const struct state_fetch *fetch, struct fetch_begin *begin);

/* Takes it, with the number of its database: the fetch owns nothing any more. */
struct kv *state_fetch_take(struct state_fetch *fetch, unsigned *number);

/* Percent of the state that is here. */
unsigned state_fetch_percent(const struct state_fetch *fetch);

/* No job is under way. */
bool state_fetch_idle(const struct state_fetch *fetch);
void state_fetch_close(struct state_fetch *fetch);

#endif
