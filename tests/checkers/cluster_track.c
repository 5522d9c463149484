#include "tests/checkers/cluster_track.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tests/checkers/times.h"

/* While leases exist the leader writes at least once a second. */
#define QUIET (1200 * TIME_MS)

/* Between the time in the last entry that an old leader got through and the first entry
 * of the new one nothing is counted, though entries of the old one may still be applied:
 * as much before the first sign of the new term, and after it. */
#define HANDOVER (1500 * TIME_MS)

void cluster_track_close(struct cluster_track *track)
{
    free(track->born);
    free(track->seen);
    free(track->pauses);
    *track = (struct cluster_track){0};
}

void cluster_track_pause(struct cluster_track *track, uint64_t from, uint64_t to)
{
    struct track_pause *before =
        track->n_pauses > 0 ? &track->pauses[track->n_pauses - 1] : NULL;

    if (before != NULL && from <= before->to) {
        before->from = from < before->from ? from : before->from;
        before->to = to > before->to ? to : before->to;
        return;
    }
    if (track->n_pauses == track->pause_room) {
        track->pause_room = track->pause_room > 0 ? track->pause_room * 2 : 64;
        track->pauses =
            mem_grow(track->pauses, track->pause_room * sizeof(*track->pauses));
    }
    track->pauses[track->n_pauses++] = (struct track_pause){from, to};
}

void cluster_track_know(struct cluster_track *track, uint64_t born, uint64_t seen)
{
    if ((size_t)track->last + 1 >= track->room) {
        track->room = track->room * 2 + 64;
        track->born = mem_grow(track->born, track->room * sizeof(*track->born));
        track->seen = mem_grow(track->seen, track->room * sizeof(*track->seen));
    }
    track->last++;
    track->born[track->last] = born;
    track->seen[track->last] = seen;
}

void cluster_track_note(struct cluster_track *track, uint64_t now, int64_t revision,
                        uint64_t applied, uint64_t term)
{
    while (track->last < revision) {
        cluster_track_know(track, now, now);
    }
    if (term > track->term) {
        uint64_t lost = HANDOVER + track->ahead;

        cluster_track_pause(track, now > lost ? now - lost : 0, now + HANDOVER);
        track->term = term;
        track->ahead = 0;
    }
    if (applied > track->applied) {
        if (now - track->applied_at > QUIET) {
            cluster_track_pause(track, track->applied_at, now);
        }
        track->applied = applied;
        track->applied_at = now;
    }
}

void cluster_track_ahead(struct cluster_track *track, uint64_t ahead)
{
    track->ahead = ahead > track->ahead ? ahead : track->ahead;
}

uint64_t cluster_track_born(const struct cluster_track *track, int64_t revision)
{
    if (revision > track->last) {
        return UINT64_MAX;
    }
    return revision > 0 ? track->born[revision] : 0;
}

uint64_t cluster_track_seen(const struct cluster_track *track, int64_t revision)
{
    if (revision > track->last) {
        return UINT64_MAX;
    }
    return revision > 0 ? track->seen[revision] : 0;
}

uint64_t cluster_track_pause_begin(const struct cluster_track *track, uint64_t moment)
{
    for (size_t i = 0; i < track->n_pauses; i++) {
        if (track->pauses[i].from <= moment && moment < track->pauses[i].to) {
            return track->pauses[i].from;
        }
    }
    return moment;
}

uint64_t cluster_track_paused(const struct cluster_track *track, uint64_t from,
                              uint64_t to)
{
    uint64_t total = 0;

    for (size_t i = 0; i < track->n_pauses; i++) {
        uint64_t begin = track->pauses[i].from > from ? track->pauses[i].from : from;
        uint64_t end = track->pauses[i].to < to ? track->pauses[i].to : to;

        total += end > begin ? end - begin : 0;
    }
    return total;
}
