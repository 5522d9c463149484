/* An interval tree: ranges in order of their beginnings, balanced (AVL), where each node
 * knows which range below it ends last. Cormen et al., Introduction to Algorithms, 14.3.
 */
#ifndef KVD_KV_WATCH_TREE_H
#define KVD_KV_WATCH_TREE_H

#include "kv/watch_spot.h"

struct watch_spot *tree_find(struct watch_spot *root, const struct span *span);

/* The range is not in the tree yet, or is in it. Both return the new root. */
struct watch_spot *tree_add(struct watch_spot *root, struct watch_spot *spot);
struct watch_spot *tree_remove(struct watch_spot *root, struct watch_spot *spot);

/* Calls back for each range that the key lies in, in order. */
void tree_stab(struct watch_spot *root, struct slice name,
               void (*hit)(void *owner, struct watch_spot *spot), void *owner);

/* Calls back for each range. */
void tree_visit(struct watch_spot *root,
                void (*visit)(void *owner, struct watch_spot *spot), void *owner);

#endif
