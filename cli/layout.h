/* How a folder lies under a prefix of the store.
 *
 * plain:    <prefix>/<path> for each file. Written in one transaction, so it is bounded.
 * releases: <prefix>/releases/<id>/<path>, and <prefix>/current holds the prefix of the
 *           release in use: "<prefix>/releases/<id>/". A release is written in as many
 *           transactions as it takes and becomes visible when the pointer is switched.
 *
 * A prefix that has a pointer keeps the second layout, so that its readers can rely on
 * it. */
#ifndef KVD_CLI_LAYOUT_H
#define KVD_CLI_LAYOUT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "cli/lib/client.h"

#define LAYOUT_CURRENT  "current"
#define LAYOUT_RELEASES "releases"

struct layout {
    struct slice base;     /* "<prefix>/" */
    struct slice current;  /* "<prefix>/current" */
    struct slice releases; /* "<prefix>/releases/" */
    struct slice
        pointer;         /* value of current when it is a pointer; len 0: there is none */
    int64_t pointer_rev; /* mod revision of current; 0: absent */
    int64_t revision;    /* at which this was read */
};

/* Names only; nothing is read. */
void layout_name(struct layout *layout, const char *prefix, struct arena *arena);

/* Names, and what the store has; rev 0: now. */
int layout_read(struct layout *layout, const char *prefix, int64_t rev,
                struct client *client, struct arena *arena, struct err *err);

/* "<prefix>/releases/<id>/" */
struct slice layout_release(const struct layout *layout, struct slice id,
                            struct arena *arena);

/* Can it be the id of a release: one component of a key. */
bool layout_id_valid(const char *id);

/* Would a file of this path collide with the names of the releases layout? */
bool layout_reserved(const char *path);

struct slice slice_join(struct slice a, struct slice b, struct arena *arena);
bool slice_starts_with(struct slice s, struct slice prefix);

#endif
