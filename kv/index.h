/* The ordered index of keys in memory: a B+ tree over struct key.
 *
 * A slot of a node holds a pointer to a key and eight bytes of its name, taken after what
 * all names of the node have in common, so that a search seldom looks at a key itself.
 * Each slot of an inner node also counts the live keys below it and knows the newest
 * revision below it: counting a range jumps over whole subtrees, also at an older
 * revision. */
#ifndef KVD_KV_INDEX_H
#define KVD_KV_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "kv/key.h"
#include "kv/span.h"

#define INDEX_SLOTS      64
#define INDEX_HEIGHT_MAX 12

struct index_node;

struct index {
    struct index_node *root; /* private */
    unsigned height;         /* private: of the tree, 1 when the root is a leaf */
    uint64_t n_keys;
    uint64_t n_live;
    uint64_t n_versions;
    size_t bytes; /* of memory */
};

/* A place in the tree: a slot on each level, the leaf at [0]. Valid until a key is added
 * to or removed from the index; versions may be added to keys. */
struct index_place {
    struct index_node *node[INDEX_HEIGHT_MAX];
    unsigned slot[INDEX_HEIGHT_MAX];
};

void index_open(struct index *index);
void index_close(struct index *index);

struct key *index_find(const struct index *index, struct slice name);

/* As index_find, and remembers where, for index_add. */
struct key *index_locate(const struct index *index, struct slice name,
                         struct index_place *place);

/* Adds a version to the key found at place, or a new key when index_locate found none;
 * the place is used up in the latter case. Returns the key. */
struct key *index_add(struct index *index, struct index_place *place, struct slice name,
                      const struct version *version);

/* Forgets what a compaction at rev removes of that key; see key_trim. */
void index_trim(struct index *index, struct slice name, int64_t rev);

/* The first key of span at or after from (which is in it), and the one after the place;
 * NULL at the end. */
struct key *index_first(const struct index *index, const struct span *span,
                        struct slice from, struct index_place *place);
struct key *index_next(const struct index *index, const struct span *span,
                       struct index_place *place);

/* Adds to *count the keys of span, from `from` on, that live at rev. Looks at about
 * budget single keys; when that does not suffice, returns the first key not counted, to
 * go on from, else NULL. */
const struct key *index_count(const struct index *index, const struct span *span,
                              struct slice from, int64_t rev, size_t budget,
                              uint64_t *count);

/* No key of span, which has an end or none, was changed after this revision; there may be
 * none that was changed at it. */
int64_t index_newest(const struct index *index, const struct span *span);

#endif
