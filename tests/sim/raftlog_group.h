/* A group of real logs on simulated hosts, joined by a network that may drop, double,
 * delay and reorder single frames. Every event is followed by the checks of
 * raftlog_check.h.
 *
 * Each member has a state machine that only counts: what it applied, and how much of that
 * a power cut would spare. A member whose log does not lead there any more gets the state
 * of another one (raftlog_fetch.h). */
#ifndef KVD_SIM_RAFTLOG_GROUP_H
#define KVD_SIM_RAFTLOG_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "raftlog/raftlog.h"
#include "tests/sim/raftlog_check.h"
#include "tests/sim/raftlog_fetch.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_world.h"

struct raftlog_group;

struct raftlog_member {
    struct raftlog_group *group;
    uint32_t number; /* from 1: also its id and its host's number */
    struct sim_host *host;
    struct sim_disk *disk;
    struct raftlog *log; /* NULL while it is down */
    uint32_t life;       /* counts its starts */
    struct raftlog_state applied;
    struct raftlog_state durable;   /* what a restart finds */
    struct raftlog_state installed; /* fetched at some time; what was durable since */
    struct raftlog_fetch fetch;
    uint64_t frozen_until;
};

/* What may be done with a frame: a script's view. */
enum raftlog_frame_fate { FRAME_PASS, FRAME_DROP };

struct raftlog_group_events {
    /* An entry was given out on a member. May be NULL. */
    void (*taken)(void *owner, struct raftlog_member *member,
                  const struct raftlog_entry *entry);
    void *taken_owner;
    /* Decides about a frame instead of chance. May be NULL. */
    enum raftlog_frame_fate (*fate)(void *owner, uint32_t from, uint32_t to,
                                    struct slice frame);
    void *fate_owner;
    /* A member has got one stage further with a fetched state: the time to kill it. May
     * be NULL. */
    void (*stage)(void *owner, struct raftlog_member *member);
    void *stage_owner;
};

struct raftlog_group_options {
    uint32_t n_members;
    uint64_t keep_entries;
    uint64_t hold_entries; /* 0: so many that it does not matter */
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    unsigned plants;
};

struct raftlog_group {
    struct sim_world *world;
    struct raftlog_group_options options;
    struct raftlog_group_events events;
    struct raftlog_check *check;
    struct raftlog_member members[RAFTLOG_GROUP_MAX + 1]; /* by number */
    struct arena arena;
    struct sim_rng rng; /* of the network */
    struct list frames; /* under way */

    /* The network now. */
    uint64_t delay_low;
    uint64_t delay_high;
    uint32_t drop_per_million;
    uint32_t double_per_million;
    uint32_t late_per_million; /* frames that take up to LATE_MAX */
    bool cut[RAFTLOG_GROUP_MAX + 1][RAFTLOG_GROUP_MAX + 1]; /* from, to */

    uint64_t n_frames;
    uint64_t starts;
    uint64_t kills;
    uint64_t installs;
    uint64_t elections; /* of members that are gone; see raftlog_group_elections */
    char failure[512];  /* the first; "" */
};

void raftlog_group_open(struct raftlog_group *group, struct sim_world *world,
                        const struct raftlog_group_options *options);
void raftlog_group_close(struct raftlog_group *group);

void raftlog_member_start(struct raftlog_member *member);
/* half: the log write under way has happened in part. */
void raftlog_member_kill(struct raftlog_member *member, bool half);

/* Pauses the member as SIGSTOP does; an end in the past wakes it. */
void raftlog_member_freeze(struct raftlog_member *member, uint64_t until);

/* Tells a member that its links were made anew. */
void raftlog_member_links_up(struct raftlog_member *member);

/* Its database is lost, while it is down: it starts with an empty state. False, and
 * nothing happens, when nobody else surely has a state that does instead. */
bool raftlog_member_lose_state(struct raftlog_member *member);

/* To be called after anything was done with a member's log from outside. */
void raftlog_member_touched(struct raftlog_member *member);

/* Hands a frame to a member at once. */
void raftlog_group_deliver(struct raftlog_group *group, uint32_t from, uint32_t to,
                           struct slice frame);

/* Whole again: no cut, no loss, short delays. */
void raftlog_group_heal(struct raftlog_group *group);

/* The live leader of the highest term, or NULL. */
struct raftlog_member *raftlog_group_leader(struct raftlog_group *group);
uint64_t raftlog_group_elections(const struct raftlog_group *group);

void raftlog_group_fail(struct raftlog_group *group, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
