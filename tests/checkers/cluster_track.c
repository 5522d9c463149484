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
    free(track->pauses);
    *track = (struct cluster_track){0};
}

static void add_pause(struct cluster_track *track, uint64_t from, uint64_t to)
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

static void note_births(struct cluster_track *track, uint64_t now, int64_t revision)
{
    if ((size_t)revision >= track->room) {
        size_t room = (size_t)revision * 2 + 64;

        track->born = mem_grow(track->born, room * sizeof(*track->born));
        track->room = room;
    }
    while (track->last < revision) {
        track->born[++track->last] = now;
    }
}

void cluster_track_note(struct cluster_track *track, uint64_t now, int64_t revision,
                        uint64_t applied, uint64_t term)
{
    if (revision > track->last) {
        note_births(track, now, revision);
    }
    if (term > track->term) {
        add_pause(track, now > HANDOVER ? now - HANDOVER : 0, now + HANDOVER);
        track->term = term;
    }
    if (applied > track->applied) {
        if (now - track->applied_at > QUIET) {
            add_pause(track, track->applied_at, now);
        }
        track->applied = applied;
        track->applied_at = now;
    }
}

uint64_t cluster_track_born(const struct cluster_track *track, int64_t revision)
{
    if (revision > track->last) {
        return UINT64_MAX;
    }
    return revision > 0 ? track->born[revision] : 0;
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
