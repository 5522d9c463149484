#include "kv/watch_gather.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

#define ROOM_KEPT 4096 /* events; a longer array is given back */

void gather_begin(struct watch_gather *gather)
{
    if (gather->room > ROOM_KEPT) {
        gather_close(gather);
    }
    *gather = (struct watch_gather){.events = gather->events, .room = gather->room};
}

void gather_add(struct watch_gather *gather, const struct watch_event *event)
{
    if (gather->n == gather->room) {
        gather->room = gather->room > 0 ? 2 * gather->room : 64;
        gather->events =
            mem_grow(gather->events, gather->room * sizeof(gather->events[0]));
    }
    gather->events[gather->n++] = *event;
    gather->bytes += watch_event_size(event);
}

void gather_end_revision(struct watch_gather *gather)
{
    gather->revs += gather->n > gather->whole;
    gather->whole = gather->n;
    gather->whole_bytes = gather->bytes;
}

bool gather_full(const struct watch_gather *gather)
{
    return gather->whole_bytes >= LIMIT_WATCH_BATCH ||
           gather->revs >= LIMIT_WATCH_BATCH_REVS;
}

struct watch_batch gather_batch(const struct watch_gather *gather, int64_t revision)
{
    return (struct watch_batch){.events = gather->events,
                                .n = gather->whole,
                                .bytes = gather->whole_bytes,
                                .revision = revision};
}

void gather_close(struct watch_gather *gather)
{
    free(gather->events);
    *gather = (struct watch_gather){0};
}
