#include "tests/checkers/chronicle.h"

#include <inttypes.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#define ARENA_MAX (512 * MIB)
#define NO_KEY    UINT32_MAX

void chronicle_init(struct chronicle *chronicle)
{
    *chronicle = (struct chronicle){.last = CHRONICLE_FIRST - 1};
    arena_init(&chronicle->arena, ARENA_MAX);
}

void chronicle_close(struct chronicle *chronicle)
{
    arena_close(&chronicle->arena);
    free(chronicle->keys);
    free(chronicle->changes);
    free(chronicle->compactions);
    free(chronicle->slots);
    free(chronicle->first);
    *chronicle = (struct chronicle){0};
}

/* ---- names ---- */

static uint32_t *find_slot(struct chronicle *chronicle, struct slice bytes)
{
    uint64_t hash = XXH3_64bits(bytes.ptr, bytes.len);

    for (uint32_t i = (uint32_t)hash & (chronicle->n_slots - 1);;
         i = (i + 1) & (chronicle->n_slots - 1)) {
        uint32_t key = chronicle->slots[i];

        if (key == NO_KEY || slice_eq(chronicle->keys[key].bytes, bytes)) {
            return &chronicle->slots[i];
        }
    }
}

static void grow_names(struct chronicle *chronicle)
{
    uint32_t n = chronicle->n_slots > 0 ? chronicle->n_slots * 2 : 256;

    chronicle->n_slots = n;
    chronicle->slots = mem_grow(chronicle->slots, n * sizeof(*chronicle->slots));
    chronicle->keys = mem_grow(chronicle->keys, n / 2 * sizeof(*chronicle->keys));
    for (uint32_t i = 0; i < n; i++) {
        chronicle->slots[i] = NO_KEY;
    }
    for (uint32_t key = 0; key < chronicle->n_keys; key++) {
        *find_slot(chronicle, chronicle->keys[key].bytes) = key;
    }
}

uint32_t chronicle_key(struct chronicle *chronicle, struct slice bytes)
{
    uint32_t *slot;

    if (chronicle->n_keys * 2 == chronicle->n_slots) {
        grow_names(chronicle);
    }
    slot = find_slot(chronicle, bytes);
    if (*slot == NO_KEY) {
        *slot = chronicle->n_keys++;
        chronicle->keys[*slot] =
            (struct chronicle_name){arena_dup(&chronicle->arena, bytes), CHRONICLE_NONE};
    }
    return *slot;
}

struct slice chronicle_name(const struct chronicle *chronicle, uint32_t key)
{
    CHECK(key < chronicle->n_keys);
    return chronicle->keys[key].bytes;
}

/* ---- writing ---- */

void chronicle_add(struct chronicle *chronicle, const struct change *change)
{
    struct change *added;

    if (chronicle->n_changes == chronicle->room) {
        chronicle->room = chronicle->room > 0 ? chronicle->room * 2 : 1024;
        chronicle->changes =
            mem_grow(chronicle->changes, chronicle->room * sizeof(*chronicle->changes));
    }
    added = &chronicle->changes[chronicle->n_changes++];
    *added = *change;
    added->revision = chronicle->last + 1;
    added->value = arena_dup(&chronicle->arena, change->value);
}

static bool comes_before(const struct chronicle *chronicle, const struct change *a,
                         const struct change *b)
{
    if (a->deleted != b->deleted) {
        return a->deleted;
    }
    if (a->deleted) {
        return slice_cmp(chronicle_name(chronicle, a->key),
                         chronicle_name(chronicle, b->key)) < 0;
    }
    return slice_cmp(a->value, b->value) < 0;
}

int chronicle_end_revision(struct chronicle *chronicle, struct err *err)
{
    size_t place = (size_t)(chronicle->last + 1 - CHRONICLE_FIRST);

    if (chronicle->begun == chronicle->n_changes) {
        return err_set(err, ERR_CORRUPT, "revision %" PRId64 " is missing in the store",
                       chronicle->last + 1);
    }
    for (size_t i = chronicle->begun + 1; i < chronicle->n_changes; i++) {
        struct change held = chronicle->changes[i];
        size_t at = i;

        for (; at > chronicle->begun &&
               comes_before(chronicle, &held, &chronicle->changes[at - 1]);
             at--) {
            chronicle->changes[at] = chronicle->changes[at - 1];
        }
        chronicle->changes[at] = held;
    }
    for (size_t i = chronicle->begun; i < chronicle->n_changes; i++) {
        struct chronicle_name *name = &chronicle->keys[chronicle->changes[i].key];

        chronicle->changes[i].before = name->newest;
        name->newest = i;
    }
    if ((place & (place - 1)) == 0) {
        chronicle->first = mem_grow(chronicle->first, (place * 2 + 1) * sizeof(size_t));
    }
    chronicle->first[place] = chronicle->begun;
    chronicle->begun = chronicle->n_changes;
    chronicle->last++;
    return 0;
}

void chronicle_abandon_revision(struct chronicle *chronicle)
{
    chronicle->n_changes = chronicle->begun;
}

void chronicle_compact(struct chronicle *chronicle, int64_t revision, uint64_t now)
{
    size_t n = chronicle->n_compactions++;

    chronicle->compactions =
        mem_grow(chronicle->compactions, (n + 1) * sizeof(*chronicle->compactions));
    chronicle->compactions[n] = (struct compaction){revision, now};
}

/* ---- reading ---- */

int64_t chronicle_compacted(const struct chronicle *chronicle, uint64_t now)
{
    int64_t highest = 0;

    for (size_t i = 0; i < chronicle->n_compactions; i++) {
        const struct compaction *compaction = &chronicle->compactions[i];

        if (compaction->asked <= now && compaction->revision > highest) {
            highest = compaction->revision;
        }
    }
    return highest;
}

size_t chronicle_first(const struct chronicle *chronicle, int64_t revision)
{
    if (revision > chronicle->last) {
        return chronicle->n_changes;
    }
    return revision < CHRONICLE_FIRST ? 0 : chronicle->first[revision - CHRONICLE_FIRST];
}

const struct change *chronicle_at(const struct chronicle *chronicle, uint32_t key,
                                  int64_t revision)
{
    size_t at = chronicle->keys[key].newest;

    CHECK(key < chronicle->n_keys);
    while (at != CHRONICLE_NONE && chronicle->changes[at].revision > revision) {
        at = chronicle->changes[at].before;
    }
    return at != CHRONICLE_NONE ? &chronicle->changes[at] : NULL;
}

uint64_t chronicle_digest(const struct change *change)
{
    int64_t numbers[4];
    uint64_t hash;

    if (change == NULL || change->deleted) {
        return 0;
    }
    numbers[0] = change->create_revision;
    numbers[1] = change->revision;
    numbers[2] = change->version;
    numbers[3] = change->lease;
    hash = XXH3_64bits(change->value.ptr, change->value.len);
    hash = XXH3_64bits_withSeed(numbers, sizeof(numbers), hash);
    return hash != 0 ? hash : 1;
}
