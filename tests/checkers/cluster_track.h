/* What is known of a cluster's time: when each revision was first applied by any member,
 * and when the cluster worked. ns.
 *
 * An observer outside of time (of a simulation) knows it exactly: cluster_track_note. The
 * clients of real processes know it between two bounds: cluster_track_know.
 *
 * Times without a working quorum show as gaps in which no member applied anything new;
 * cluster time stands still in them, and at a change of leader it falls back by what the
 * old leader had counted and not yet written. */
#ifndef KVD_CHECKERS_CLUSTER_TRACK_H
#define KVD_CHECKERS_CLUSTER_TRACK_H

#include <stddef.h>
#include <stdint.h>

struct node_cluster;

struct track_pause {
    uint64_t from;
    uint64_t to;
};

struct cluster_track {
    uint64_t *born; /* by revision: not there before; private, as all below */
    uint64_t *seen; /* by revision: there by then */
    int64_t last;   /* revision */
    size_t room;
    uint64_t applied;
    uint64_t applied_at;
    uint64_t term;
    uint64_t ahead; /* ns: the most that a leader of this term counted unwritten */
    struct track_pause *pauses;
    size_t n_pauses;
    size_t pause_room;
};

void cluster_track_close(struct cluster_track *track);

/* A member has applied so much. */
void cluster_track_note(struct cluster_track *track, uint64_t now, int64_t revision,
                        uint64_t applied, uint64_t term);

/* A leader has counted so much more than what is in the entries that it applied: at the
 * next change of leader the time may fall back by that. */
void cluster_track_ahead(struct cluster_track *track, uint64_t ahead);

/* A revision, the one after the last: it was not there before born, and was by seen. */
void cluster_track_know(struct cluster_track *track, uint64_t born, uint64_t seen);

/* The time between the two may not have counted. In the order of from. */
void cluster_track_pause(struct cluster_track *track, uint64_t from, uint64_t to);

/* A revision was not there before; UINT64_MAX: not yet. */
uint64_t cluster_track_born(const struct cluster_track *track, int64_t revision);

/* A revision was there at the latest then; UINT64_MAX: not known to have been. */
uint64_t cluster_track_seen(const struct cluster_track *track, int64_t revision);

/* When the time began not to count, of which this moment is part; else the moment. */
uint64_t cluster_track_pause_begin(const struct cluster_track *track, uint64_t moment);

/* How much of the time between the two may not have counted. */
uint64_t cluster_track_paused(const struct cluster_track *track, uint64_t from,
                              uint64_t to);

#endif
