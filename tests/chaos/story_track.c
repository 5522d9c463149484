/* When revisions were born and when the cluster worked, as far as answers show it.
 *
 * An answer that was fresh says that all beyond its revision was born after the question;
 * any answer, that all up to its revision was there when it came. A write that was
 * acknowledged says that the cluster worked at some moment between the two. */
#include <stdlib.h>

#include "base/mem.h"
#include "tests/chaos/story.h"
#include "tests/checkers/times.h"

/* As the simulation's observer (cluster_track.c) counts: without an entry for so long,
 * and around a change of leader, cluster time may have stood still. */
#define QUIET    (1200 * TIME_MS)
#define HANDOVER (1500 * TIME_MS)

static void know_births(struct story *story)
{
    size_t n = (size_t)story->chronicle.last + 2;
    uint64_t *born = mem_zero(n * sizeof(*born));
    uint64_t *seen = mem_alloc(n * sizeof(*seen));

    for (size_t i = 0; i < n; i++) {
        seen[i] = UINT64_MAX;
    }
    for (size_t i = 0; i < story->n_signs; i++) {
        const struct sign *sign = &story->signs[i];
        size_t at = (size_t)sign->revision;

        if (at + 1 >= n) {
            continue;
        }
        seen[at] = sign->answered < seen[at] ? sign->answered : seen[at];
        if (sign->fresh && sign->invoked > born[at + 1]) {
            born[at + 1] = sign->invoked;
        }
    }
    for (size_t i = 1; i < n; i++) {
        born[i] = born[i - 1] > born[i] ? born[i - 1] : born[i];
    }
    for (size_t i = n - 1; i > 0; i--) {
        seen[i - 1] = seen[i] < seen[i - 1] ? seen[i] : seen[i - 1];
    }
    for (size_t i = 1; i + 1 < n; i++) {
        cluster_track_know(&story->track, born[i], seen[i]);
    }
    free(born);
    free(seen);
}

static int by_answered(const void *a, const void *b)
{
    const struct sign *x = a;
    const struct sign *y = b;

    return x->answered < y->answered ? -1 : x->answered > y->answered;
}

/* One found later may begin earlier: they are put in order first. */
struct pauses {
    struct track_pause *pauses;
    size_t n;
    size_t room;
};

static void add(struct pauses *all, uint64_t from, uint64_t to)
{
    if (all->n == all->room) {
        all->room = all->room > 0 ? all->room * 2 : 64;
        all->pauses = mem_grow(all->pauses, all->room * sizeof(*all->pauses));
    }
    all->pauses[all->n++] = (struct track_pause){from, to};
}

static int by_from(const void *a, const void *b)
{
    const struct track_pause *x = a;
    const struct track_pause *y = b;

    return x->from < y->from ? -1 : x->from > y->from;
}

static void know_pauses(struct story *story)
{
    struct pauses all = {0};
    uint64_t worked = 0; /* an entry was applied then, or later */
    uint64_t term = 0;

    qsort(story->signs, story->n_signs, sizeof(*story->signs), by_answered);
    for (size_t i = 0; i < story->n_signs; i++) {
        const struct sign *sign = &story->signs[i];

        if (sign->term > term) {
            add(&all, sign->invoked > HANDOVER ? sign->invoked - HANDOVER : 0,
                sign->answered + HANDOVER);
            term = sign->term;
        }
        if (sign->wrote) {
            if (sign->answered > worked + QUIET) {
                add(&all, worked, sign->answered);
            }
            worked = sign->invoked > worked ? sign->invoked : worked;
        }
    }
    if (story->end > worked + QUIET) {
        add(&all, worked, story->end);
    }
    qsort(all.pauses, all.n, sizeof(*all.pauses), by_from);
    for (size_t i = 0; i < all.n; i++) {
        cluster_track_pause(&story->track, all.pauses[i].from, all.pauses[i].to);
    }
    free(all.pauses);
}

void story_know_times(struct story *story)
{
    know_births(story);
    know_pauses(story);
}
