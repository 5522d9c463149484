/* Whole simulated members: the real node, state machine and log of each, on a simulated
 * host with a simulated disk. */
#ifndef KVD_SIM_NODE_CLUSTER_H
#define KVD_SIM_NODE_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "node/node.h"
#include "tests/checkers/cluster_track.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_world.h"

#define CLUSTER_MEMBERS_MAX 5

struct node_member {
    struct node_cluster *cluster;
    uint32_t number; /* from 1; also its host's */
    struct sim_host *host;
    struct sim_disk *disk;
    struct config config;
    struct node *node; /* NULL while it is down */
    bool stopping;     /* node_stop was called */
    bool doomed;       /* it said that it cannot go on */
    bool disk_fails;   /* its disk was told to: it may end by itself */
    bool disk_full;    /* likewise; a kill does not make room */
    bool harmed;       /* its state was taken away or damaged, and is not whole again */
    bool rotten;       /* ... damaged: it may end by itself when it finds that out */
    bool needs_state;  /* as it said after its last turn */
    bool fetching;     /* likewise: bytes of it come */
    char client_address[32];
};

struct node_cluster {
    struct sim_world *world;
    uint32_t n_members;
    struct node_member members[CLUSTER_MEMBERS_MAX];
    unsigned log_plants; /* see raftlog_set_plants */
    unsigned kv_plants;  /* see kv_set_plants */
    size_t watch_ring;   /* bytes; see watch_set_ring */
    size_t lock_steps;   /* see kv_set_lock_steps */
    size_t state_chunk;  /* bytes; see state_server_set_chunk; 0: as it is */
    bool forgets_sync;   /* a planted bug: see sim_disk_forget_sync */
    uint64_t drift_ppm;  /* no member's clock gains or loses more */
    struct cluster_track track;
    uint64_t starts;
    uint64_t kills;
    uint64_t disk_ends; /* members that ended because their disk failed, or was damaged */
    uint64_t needs;     /* times that a member needed the state of another one */
    uint64_t streams;   /* begun, to fetch one */
    uint64_t resumed;   /* of these, in the middle */
    uint64_t installs;  /* states that members went on with */
    /* A member finds that it needs a state, begins to get bytes of one, or goes on with
     * one. */
    void (*changed)(void *owner, struct node_member *member);
    void *owner;
    char failure[512]; /* what no member may do or say; "" */
};

void node_cluster_open(struct node_cluster *cluster, struct sim_world *world,
                       uint32_t n_members);
void node_cluster_close(struct node_cluster *cluster);

/* Before the members are started: cut the log as soon as so many entries are durable in
 * the state; keep so many, and so many for a member that lacks them. */
void node_cluster_shorten_logs(struct node_cluster *cluster, uint64_t count,
                               uint64_t keep, uint64_t hold);

/* Before the members are started: states are streamed so slowly, in bytes a second. */
void node_cluster_slow_streams(struct node_cluster *cluster, uint64_t rate);

/* Reads and writes that end early, at this chance in a million. */
void node_cluster_shorten_io(struct node_cluster *cluster, uint32_t per_million);

/* Before the members are started: clocks that gain or lose so much. */
void node_cluster_drift(struct node_cluster *cluster, uint64_t ppm);

/* A member whose disk fails may stay down. */
void node_member_start(struct node_member *member);
/* half: the log write under way has happened in part. */
void node_member_kill(struct node_member *member, bool silent, bool half);
/* The disk call after so many fails, which may end the member; mended by a kill, or here.
 */
void node_member_fail_disk(struct node_member *member, uint64_t calls, int error);
void node_member_mend_disk(struct node_member *member);
/* So many bytes more fit on its disk, which may end it, until it is mended. */
void node_member_fill_disk(struct node_member *member, uint64_t spare);
void node_member_stop(struct node_member *member);

/* Of a member that is down: its database is gone, or bytes of it are others. False: the
 * cluster might not get over it, for another member's state is not whole; nothing happens
 * then. */
bool node_member_lose_state(struct node_member *member);
bool node_member_rot(struct node_member *member, struct sim_rng *rng);

#endif
