/* What a cluster held, revision by revision: every change of every key in order, read
 * from the store itself (chronicler.c) or made by a test. The truth that the checkers of
 * watches, leases and locks compare with.
 *
 * Within a revision the order is that of execution, which a listing does not show. The
 * writers of the simulation keep to a rule from which it follows: deletes come before
 * puts; deletes in order of their keys, puts in order of their values. */
#ifndef KVD_CHECKERS_CHRONICLE_H
#define KVD_CHECKERS_CHRONICLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

#define CHRONICLE_FIRST 2 /* revision of the first write into an empty store */
#define CHRONICLE_NONE  SIZE_MAX

struct change {
    int64_t revision;
    uint32_t key; /* see chronicle_key */
    bool deleted;
    int64_t create_revision; /* of a put, as all below */
    int64_t version;
    int64_t lease;
    struct slice value;
    size_t before; /* place of the change of this key before, or CHRONICLE_NONE */
};

struct chronicle_name {
    struct slice bytes;
    size_t newest; /* place of its newest change, or CHRONICLE_NONE */
};

struct compaction {
    int64_t revision;
    uint64_t asked; /* ns: it may have happened from then on */
};

struct chronicle {
    struct arena arena; /* names and values */
    struct chronicle_name *keys;
    uint32_t n_keys;
    struct change *changes;
    size_t n_changes;
    int64_t last; /* revision; those from CHRONICLE_FIRST to here are complete */
    struct compaction *compactions;
    size_t n_compactions;
    uint32_t *slots; /* private: hash of the names */
    uint32_t n_slots;
    size_t *first; /* private: by revision, place of its first change */
    size_t room;   /* private: of changes */
    size_t begun;  /* private: place of the first change of the revision to be ended */
};

void chronicle_init(struct chronicle *chronicle);
void chronicle_close(struct chronicle *chronicle);

/* The number of a key, the same for the same bytes. */
uint32_t chronicle_key(struct chronicle *chronicle, struct slice bytes);
struct slice chronicle_name(const struct chronicle *chronicle, uint32_t key);

/* Adds a change of revision last + 1 (its revision and before are filled in, its value is
 * copied). */
void chronicle_add(struct chronicle *chronicle, const struct change *change);

/* Revision last + 1 is complete. ERR_CORRUPT: nothing changed in it. */
int chronicle_end_revision(struct chronicle *chronicle, struct err *err);

/* Forgets what was added to revision last + 1. */
void chronicle_abandon_revision(struct chronicle *chronicle);

void chronicle_compact(struct chronicle *chronicle, int64_t revision, uint64_t now);

/* The highest revision that a compaction may have reached by then; 0: none. */
int64_t chronicle_compacted(const struct chronicle *chronicle, uint64_t now);

/* Place of the first change of a revision; n_changes beyond the last one. */
size_t chronicle_first(const struct chronicle *chronicle, int64_t revision);

/* The newest change of a key at or below a revision, or NULL: never touched. */
const struct change *chronicle_at(const struct chronicle *chronicle, uint32_t key,
                                  int64_t revision);

/* Equal for equal pairs; 0 for none and for a delete. */
uint64_t chronicle_digest(const struct change *change);

#endif
