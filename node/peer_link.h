/* The two halves of a link, for peer.c: dial.c owns the connection that is dialled and
 * written, inlink.c the one that is accepted and read. */
#ifndef KVD_NODE_PEER_LINK_H
#define KVD_NODE_PEER_LINK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "node/config.h"
#include "node/peer.h"
#include "node/quiet.h"

#define PEER_SAID_MAX 256

/*   WAITING --time--> CONNECTING --opened--> GREETING --hello--> UP
 *      ^------------------+---------------------+----------------+   ended, refused, late
 */
enum dial_state { DIAL_WAITING, DIAL_CONNECTING, DIAL_GREETING, DIAL_UP, DIAL_NSTATES };

struct dial {
    struct peers *peers;
    struct peer *peer;
    enum dial_state state;
    struct stream *stream; /* NULL while waiting */
    struct buf in;         /* the answer to the hello */
    struct buf out;        /* frames of this turn */
    bool ended;            /* the stream's last event came */
    uint64_t due_ms;       /* waiting: dial then; connecting, greeting: give up then */
    uint64_t up_since_ms;
    uint32_t backoff_ms;
    size_t next_url;
    size_t n_refused; /* tries in a row that met nobody listening */
};

/* One accepted connection. */
struct inlink {
    struct peers *peers;
    struct peer *peer;     /* NULL until its hello was accepted */
    struct stream *stream; /* NULL: another one took it, see peers_events.fetching */
    struct buf in;
    bool ended;
    bool replaced; /* the peer has a newer one: hand out nothing more */
    bool paused;
    uint64_t due_ms; /* closed then: no hello came, or nothing at all */
    struct list place;
};

struct peer {
    const struct member *member;
    struct dial dial;
    struct inlink *inlink; /* NULL without an accepted connection */
    bool up;               /* as last reported */
    bool refused;          /* so was this */
    uint64_t up_since_ms;
    char said[PEER_SAID_MAX]; /* the trouble that was logged last */
};

struct peers {
    struct peers_options options;
    struct peer items[LIMIT_MEMBERS]; /* the others */
    size_t n;
    struct list inlinks; /* all accepted connections */
    size_t n_strangers;  /* those without a peer */
    struct quiet quiet;  /* about strangers */
    struct listener *listeners[CONFIG_URLS_MAX];
    size_t n_listeners;
    struct arena arena; /* of one decoded frame */
    struct buf scratch; /* of one encoded frame */
    bool started;
};

/* Logs trouble with a member once, until it changes or the link was up again. */
void peer_say(struct peer *peer, const char *what, const char *detail);

void dial_init(struct dial *dial, struct peers *peers, struct peer *peer);
void dial_receive(struct dial *dial, uint64_t now_ms);
void dial_flush(struct dial *dial, uint64_t now_ms);
/* Nothing comes from the other member any more: do not trust this connection either. */
void dial_drop(struct dial *dial, uint64_t now_ms);
/* The other member is there: dial now, if waiting. */
void dial_hurry(struct dial *dial, uint64_t now_ms);
uint64_t dial_deadline_ms(const struct dial *dial);
void dial_close(struct dial *dial);

void inlink_accept(struct peers *peers, struct stream *stream);
/* Hands out the frames that are complete; may end and free the link. */
void inlink_receive(struct inlink *link, uint64_t now_ms);
void inlink_close(struct inlink *link);

#endif
