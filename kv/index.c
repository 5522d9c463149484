/* The B+ tree of keys; see index.h for what a slot holds. Nothing here can fail.
 *
 * Happy path: index_locate walks down, remembering a slot per level; index_add puts the
 * version into the key found and brings the counts of the inner slots up to date; or a
 * new key walks down once more, splitting the full nodes that it meets, so that there is
 * always room above. A node that empties goes away; one that fits into its neighbour
 * joins it.
 *
 * The slot key of an inner node is the smallest key below the slot. */
#include "kv/index.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define MERGE_MAX     (INDEX_SLOTS * 3 / 4) /* neighbours that fit in this are merged */
#define MALLOC_HEADER 8

struct index_node {
    uint32_t n;
    uint32_t skip; /* all names here begin with the same so many bytes */
    uint64_t hint[INDEX_SLOTS];
    struct key *key[INDEX_SLOTS];
};

/* A node above the leaves. */
struct index_inner {
    struct index_node node; /* first, so that a node may be seen as inner */
    struct index_node *child[INDEX_SLOTS];
    uint32_t live[INDEX_SLOTS];
    int64_t rev_max[INDEX_SLOTS];
};

static struct index_inner *inner_of(struct index_node *node)
{
    return (struct index_inner *)node;
}

static struct index_node *node_new(struct index *index, bool leaf)
{
    struct index_node *node =
        mem_alloc(leaf ? sizeof(struct index_node) : sizeof(struct index_inner));

    node->n = 0;
    node->skip = 0;
    index->bytes += malloc_usable_size(node) + MALLOC_HEADER;
    return node;
}

static void node_free(struct index *index, struct index_node *node)
{
    index->bytes -= malloc_usable_size(node) + MALLOC_HEADER;
    free(node);
}

/* ---- hints ---- */

/* Eight bytes of the name after skip, as a number that orders like them; zeros follow a
 * name that ends, so that equal hints decide nothing. */
static uint64_t hint_of(struct slice name, size_t skip)
{
    uint64_t hint = 0;
    size_t len = name.len > skip ? name.len - skip : 0;

    if (len >= sizeof(hint)) {
        memcpy(&hint, name.ptr + skip, sizeof(hint));
    } else if (len > 0) {
        memcpy(&hint, name.ptr + skip, len);
    }
    return __builtin_bswap64(hint);
}

static size_t common_len(struct slice a, struct slice b, size_t max)
{
    size_t n = 0;

    max = a.len < max ? a.len : max;
    max = b.len < max ? b.len : max;
    while (n < max && a.ptr[n] == b.ptr[n]) {
        n++;
    }
    return n;
}

static void node_set_skip(struct index_node *node, size_t skip)
{
    node->skip = (uint32_t)skip;
    for (unsigned i = 0; i < node->n; i++) {
        node->hint[i] = hint_of(key_name(node->key[i]), skip);
    }
}

/* How much all names of the node begin with in common. */
static size_t node_common(const struct index_node *node)
{
    struct slice last = key_name(node->key[node->n - 1]);

    return common_len(key_name(node->key[0]), last, SIZE_MAX);
}

/* After a node was cut: its hints are good as long as nothing more is in common. */
static void node_refit(struct index_node *node)
{
    size_t skip = node_common(node);

    if (skip != node->skip) {
        node_set_skip(node, skip);
    }
}

/* Writes a key into a slot; the slots around it hold their keys already. */
static void node_set_key(struct index_node *node, unsigned slot, struct key *key)
{
    struct slice name = key_name(key);
    unsigned other = slot == 0 ? node->n - 1 : 0;
    size_t common = name.len;

    node->key[slot] = key;
    if (other != slot) {
        common = common_len(name, key_name(node->key[other]), node->skip);
    }
    if (other == slot || common < node->skip) {
        node_set_skip(node, common);
    } else {
        node->hint[slot] = hint_of(name, node->skip);
    }
}

/* As the sought name compares with what all names of the node begin with. */
static int compare_beginning(const struct index_node *node, struct slice name)
{
    size_t len = name.len < node->skip ? name.len : node->skip;
    int rc = memcmp(name.ptr, node->key[0]->bytes, len);

    return rc == 0 && name.len < node->skip ? -1 : rc;
}

/* Slot of the last key at or before name, -1 when all come after it. The common beginning
 * is compared last: a name that is found need not look at another key than its own. */
static int node_search(const struct index_node *node, struct slice name, bool *exact)
{
    uint64_t hint = hint_of(name, node->skip);
    int low = 0;
    int high = (int)node->n;
    int rc;

    *exact = false;
    while (low < high) {
        int middle = (low + high) / 2;

        if (hint != node->hint[middle]) {
            rc = hint < node->hint[middle] ? -1 : 1;
        } else {
            rc = slice_cmp(name, key_name(node->key[middle]));
        }
        if (rc == 0) {
            *exact = true;
            return middle;
        }
        if (rc < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    rc = compare_beginning(node, name);
    if (rc != 0) {
        return rc < 0 ? -1 : (int)node->n - 1;
    }
    return low - 1;
}

/* ---- moving slots ---- */

/* Copies n slots; within one node they may overlap. */
static void slots_move(struct index_node *to, unsigned at, const struct index_node *from,
                       unsigned first, unsigned n, bool leaf)
{
    memmove(to->key + at, from->key + first, n * sizeof(to->key[0]));
    memmove(to->hint + at, from->hint + first, n * sizeof(to->hint[0]));
    if (!leaf) {
        struct index_inner *t = inner_of(to);
        const struct index_inner *f = (const struct index_inner *)from;

        memmove(t->child + at, f->child + first, n * sizeof(t->child[0]));
        memmove(t->live + at, f->live + first, n * sizeof(t->live[0]));
        memmove(t->rev_max + at, f->rev_max + first, n * sizeof(t->rev_max[0]));
    }
}

static void slot_open(struct index_node *node, unsigned slot, bool leaf)
{
    slots_move(node, slot + 1, node, slot, node->n - slot, leaf);
    node->n++;
}

static void slot_close(struct index_node *node, unsigned slot, bool leaf)
{
    node->n--;
    slots_move(node, slot, node, slot + 1, node->n - slot, leaf);
}

/* Counts below a child anew. */
static void inner_recount(struct index_inner *inner, unsigned slot, bool child_is_leaf)
{
    const struct index_node *child = inner->child[slot];
    uint32_t live = 0;
    int64_t rev = 0;

    for (unsigned i = 0; i < child->n; i++) {
        int64_t below;

        if (child_is_leaf) {
            live += key_is_live(child->key[i]);
            below = child->key[i]->rev;
        } else {
            live += inner_of(inner->child[slot])->live[i];
            below = inner_of(inner->child[slot])->rev_max[i];
        }
        rev = below > rev ? below : rev;
    }
    inner->live[slot] = live;
    inner->rev_max[slot] = rev;
}

/* ---- life ---- */

void index_open(struct index *index)
{
    *index = (struct index){.height = 1};
    index->root = node_new(index, true);
}

static void node_close(struct index *index, struct index_node *node, unsigned level)
{
    for (unsigned i = 0; i < node->n; i++) {
        if (level == 0) {
            key_free(node->key[i], &index->bytes);
        } else {
            node_close(index, inner_of(node)->child[i], level - 1);
        }
    }
    node_free(index, node);
}

void index_close(struct index *index)
{
    if (index->root != NULL) {
        node_close(index, index->root, index->height - 1);
        CHECK(index->bytes == 0);
    }
    *index = (struct index){0};
}

/* ---- search ---- */

struct key *index_locate(const struct index *index, struct slice name,
                         struct index_place *place)
{
    struct index_node *node = index->root;
    bool exact = false;
    int slot;

    for (unsigned level = index->height - 1; level > 0; level--) {
        slot = node_search(node, name, &exact);
        place->node[level] = node;
        place->slot[level] = slot > 0 ? (unsigned)slot : 0;
        node = inner_of(node)->child[place->slot[level]];
    }
    slot = node->n > 0 ? node_search(node, name, &exact) : -1;
    place->node[0] = node;
    place->slot[0] = (unsigned)(exact ? slot : slot + 1);
    return node->n > 0 && exact ? node->key[slot] : NULL;
}

struct key *index_find(const struct index *index, struct slice name)
{
    struct index_place place;

    return index_locate(index, name, &place);
}

/* The key at the place, or the first of the next leaf when it is past its leaf. */
static struct key *place_settle(const struct index *index, struct index_place *place)
{
    unsigned level = 1;

    if (place->slot[0] < place->node[0]->n) {
        return place->node[0]->key[place->slot[0]];
    }
    while (level < index->height && place->slot[level] + 1 >= place->node[level]->n) {
        level++;
    }
    if (level >= index->height) {
        return NULL;
    }
    place->slot[level]++;
    for (; level > 0; level--) {
        place->node[level - 1] = inner_of(place->node[level])->child[place->slot[level]];
        place->slot[level - 1] = 0;
    }
    return place->node[0]->key[0];
}

static struct key *within(const struct span *span, struct key *key)
{
    return key != NULL && span_ends_before(span, key_name(key)) ? NULL : key;
}

struct key *index_first(const struct index *index, const struct span *span,
                        struct slice from, struct index_place *place)
{
    struct key *key = index_locate(index, from, place);

    return span->single ? key : within(span, place_settle(index, place));
}

struct key *index_next(const struct index *index, const struct span *span,
                       struct index_place *place)
{
    if (span->single) {
        return NULL;
    }
    place->slot[0]++;
    return within(span, place_settle(index, place));
}

/* ---- change ---- */

/* Cuts the full child of a slot in two; the parent has room. A name that comes in at the
 * end leaves the left part full, so that keys that arrive in order fill their nodes. */
static void inner_split(struct index *index, struct index_inner *parent, unsigned slot,
                        struct slice name, bool leaf)
{
    struct index_node *left = parent->child[slot];
    struct index_node *right = node_new(index, leaf);
    bool exact;
    bool at_end = node_search(left, name, &exact) == (int)left->n - 1;
    unsigned keep = at_end ? left->n - 1 : left->n / 2;

    slots_move(right, 0, left, keep, left->n - keep, leaf);
    right->skip = left->skip;
    right->n = left->n - keep;
    left->n = keep;
    node_refit(left);
    node_refit(right);
    inner_recount(parent, slot, leaf);

    slot_open(&parent->node, slot + 1, false);
    parent->child[slot + 1] = right;
    node_set_key(&parent->node, slot + 1, right->key[0]);
    inner_recount(parent, slot + 1, leaf);
}

/* A new root above a full one. */
static void index_grow(struct index *index)
{
    struct index_node *root = node_new(index, false);

    CHECK(index->height < INDEX_HEIGHT_MAX);
    root->n = 1;
    inner_of(root)->child[0] = index->root;
    node_set_key(root, 0, index->root->key[0]);
    inner_recount(inner_of(root), 0, index->height == 1);
    index->root = root;
    index->height++;
}

static void inner_note(struct index_inner *inner, unsigned slot, int live, int64_t rev)
{
    inner->live[slot] += (uint32_t)live;
    if (inner->rev_max[slot] < rev) {
        inner->rev_max[slot] = rev;
    }
}

/* Puts a key that is not in the tree into it. */
static void index_insert(struct index *index, struct key *key)
{
    struct slice name = key_name(key);
    struct index_node *node;
    bool exact = false;
    int slot;

    if (index->root->n == INDEX_SLOTS) {
        index_grow(index);
    }
    node = index->root;
    for (unsigned level = index->height - 1; level > 0; level--) {
        struct index_inner *inner = inner_of(node);

        slot = node_search(node, name, &exact);
        if (slot < 0) {
            slot = 0;
            node_set_key(node, 0, key);
        }
        if (inner->child[slot]->n == INDEX_SLOTS) {
            inner_split(index, inner, (unsigned)slot, name, level == 1);
            slot += slice_cmp(name, key_name(node->key[slot + 1])) >= 0;
        }
        inner_note(inner, (unsigned)slot, key_is_live(key), key->rev);
        node = inner->child[slot];
    }
    slot = node->n > 0 ? node_search(node, name, &exact) : -1;
    CHECK(!exact);
    slot_open(node, (unsigned)(slot + 1), true);
    node_set_key(node, (unsigned)(slot + 1), key);
}

/* Puts a key into the leaf where it was looked for, which has room. */
static void place_insert(struct index *index, struct index_place *place, struct key *key)
{
    struct index_node *leaf = place->node[0];
    unsigned slot = place->slot[0];

    slot_open(leaf, slot, true);
    node_set_key(leaf, slot, key);
    for (unsigned level = 1; level < index->height; level++) {
        struct index_node *node = place->node[level];

        /* Only the smallest key of all comes first in its leaf. */
        if (slot == 0) {
            node_set_key(node, 0, key);
        }
        inner_note(inner_of(node), place->slot[level], key_is_live(key), key->rev);
    }
}

struct key *index_add(struct index *index, struct index_place *place, struct slice name,
                      const struct version *version)
{
    unsigned slot = place->slot[0];
    struct key *key = slot < place->node[0]->n ? place->node[0]->key[slot] : NULL;

    index->n_versions++;
    if (key != NULL && slice_eq(key_name(key), name)) {
        int live = -(int)key_is_live(key);

        key_add(key, version, &index->bytes);
        live += key_is_live(key);
        for (unsigned level = 1; level < index->height; level++) {
            inner_note(inner_of(place->node[level]), place->slot[level], live, key->rev);
        }
        index->n_live += (uint64_t)(int64_t)live;
        return key;
    }
    key = key_new(name, version, &index->bytes);
    if (place->node[0]->n < INDEX_SLOTS) {
        place_insert(index, place, key);
    } else {
        index_insert(index, key);
    }
    index->n_keys++;
    index->n_live += key_is_live(key);
    return key;
}

/* Joins the children of two neighbouring slots when one node has room for both. */
static bool inner_merge(struct index *index, struct index_inner *parent, unsigned slot,
                        bool leaf)
{
    struct index_node *left = parent->child[slot];
    struct index_node *right = parent->child[slot + 1];

    if (left->n + right->n > MERGE_MAX) {
        return false;
    }
    slots_move(left, left->n, right, 0, right->n, leaf);
    left->n += right->n;
    node_set_skip(left, node_common(left));
    node_free(index, right);
    slot_close(&parent->node, slot + 1, false);
    inner_recount(parent, slot, leaf);
    return true;
}

/* Takes the key at the place, which is not live, out of the tree and frees it. */
static void index_remove(struct index *index, struct index_place *place)
{
    struct key *key = place->node[0]->key[place->slot[0]];

    CHECK(!key_is_live(key));
    slot_close(place->node[0], place->slot[0], true);
    for (unsigned level = 1; level < index->height; level++) {
        struct index_inner *parent = inner_of(place->node[level]);
        struct index_node *child = place->node[level - 1];
        unsigned slot = place->slot[level];
        bool leaf = level == 1;

        if (child->n == 0) {
            node_free(index, child);
            slot_close(&parent->node, slot, false);
            continue;
        }
        if (parent->node.key[slot] == key) {
            node_set_key(&parent->node, slot, child->key[0]);
        }
        if (slot + 1 < parent->node.n && inner_merge(index, parent, slot, leaf)) {
            continue;
        }
        if (slot > 0) {
            inner_merge(index, parent, slot - 1, leaf);
        }
    }
    while (index->height > 1 && index->root->n <= 1) {
        struct index_node *root = index->root;

        index->root = root->n == 1 ? inner_of(root)->child[0] : node_new(index, true);
        index->height = root->n == 1 ? index->height - 1 : 1;
        node_free(index, root);
    }
    index->n_keys--;
    key_free(key, &index->bytes);
}

void index_trim(struct index *index, struct slice name, int64_t rev)
{
    struct index_place place;
    struct key *key = index_locate(index, name, &place);
    size_t before;

    if (key == NULL) {
        return;
    }
    before = key_n_versions(key);
    if (key_trim(key, rev, &index->bytes)) {
        index->n_versions -= before - key_n_versions(key);
    } else {
        index->n_versions -= before;
        index_remove(index, &place);
    }
}

/* ---- counting ---- */

struct count_walk {
    int64_t rev;
    size_t budget;
    uint64_t n;
    const struct key *stop; /* where the budget ended */
};

/* First slot whose key is at or after name. */
static unsigned node_lower(const struct index_node *node, struct slice name)
{
    bool exact = false;
    int slot = node->n > 0 ? node_search(node, name, &exact) : -1;

    return (unsigned)(exact ? slot : slot + 1);
}

/* First slot that leads to keys at or after name: above the leaves that may be the one
 * before. */
static unsigned node_from(const struct index_node *node, unsigned level,
                          struct slice name)
{
    unsigned slot = node_lower(node, name);

    if (level > 0 && slot > 0) {
        slot -= slot == node->n || slice_cmp(key_name(node->key[slot]), name) > 0;
    }
    return slot;
}

/* Bounds are NULL when the whole node lies on their good side. */
static void count_node(struct count_walk *walk, struct index_node *node, unsigned level,
                       const struct slice *from, const struct slice *to)
{
    unsigned first = from != NULL ? node_from(node, level, *from) : 0;
    unsigned end = to != NULL ? node_lower(node, *to) : node->n;
    size_t used;

    if (level == 0) {
        if (walk->budget == 0 && first < end) {
            walk->stop = node->key[first];
            return;
        }
        for (unsigned i = first; i < end; i++) {
            walk->n += key_is_live_at(node->key[i], walk->rev);
        }
        used = end > first ? end - first : 0;
        walk->budget -= used < walk->budget ? used : walk->budget;
        return;
    }
    for (unsigned i = first; i < end && walk->stop == NULL; i++) {
        const struct slice *low = i == first ? from : NULL;
        const struct slice *high = i + 1 == end ? to : NULL;
        struct index_inner *inner = inner_of(node);

        if (low == NULL && high == NULL && inner->rev_max[i] <= walk->rev) {
            walk->n += inner->live[i];
        } else {
            count_node(walk, inner->child[i], level - 1, low, high);
        }
    }
}

const struct key *index_count(const struct index *index, const struct span *span,
                              struct slice from, int64_t rev, size_t budget,
                              uint64_t *count)
{
    struct count_walk walk = {.rev = rev, .budget = budget};

    if (span->single) {
        const struct key *key = index_find(index, span->from);

        *count += key != NULL && key_is_live_at(key, rev);
        return NULL;
    }
    if (!span_ends_before(span, from)) {
        count_node(&walk, index->root, index->height - 1, &from,
                   span->unbounded ? NULL : &span->to);
    }
    *count += walk.n;
    return walk.stop;
}

/* ---- the newest change ---- */

/* Bounds as above. */
static int64_t newest_below(struct index_node *node, unsigned level,
                            const struct slice *from, const struct slice *to)
{
    unsigned first = from != NULL ? node_from(node, level, *from) : 0;
    unsigned end = to != NULL ? node_lower(node, *to) : node->n;
    int64_t newest = 0;

    for (unsigned i = first; i < end; i++) {
        const struct slice *low = i == first ? from : NULL;
        const struct slice *high = i + 1 == end ? to : NULL;
        int64_t rev;

        if (level == 0) {
            rev = node->key[i]->rev;
        } else if (low == NULL && high == NULL) {
            rev = inner_of(node)->rev_max[i];
        } else {
            rev = newest_below(inner_of(node)->child[i], level - 1, low, high);
        }
        newest = rev > newest ? rev : newest;
    }
    return newest;
}

int64_t index_newest(const struct index *index, const struct span *span)
{
    return newest_below(index->root, index->height - 1, &span->from,
                        span->unbounded ? NULL : &span->to);
}
