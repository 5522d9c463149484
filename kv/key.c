/* One key and its versions. Nothing here can fail; see key.h for the encoding. */
#include "kv/key.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define MALLOC_HEADER 8 /* what the allocator adds to each block */

/* An older version. */
struct key_mark {
    int64_t seq; /* negative for a tombstone */
    int64_t rev;
};

struct key_past {
    uint32_t n; /* never 0 */
    uint32_t room;
    int64_t created; /* of at[0]; tombstone: 0 */
    int64_t number;
    struct key_mark at[];
};

static size_t memory_of(void *p)
{
    return p != NULL ? malloc_usable_size(p) + MALLOC_HEADER : 0;
}

static void set_newest(struct key *key, const struct version *version)
{
    key->seq = version->seq;
    key->rev = version->rev;
    key->created = version->created;
    key->number = version->number;
    key->lease = version->lease;
}

/* Moves the older versions to a block with room for that many; 0 frees it. */
static void past_resize(struct key *key, uint32_t room, size_t *bytes)
{
    *bytes -= memory_of(key->past);
    if (room == 0) {
        free(key->past);
        key->past = NULL;
        return;
    }
    key->past = mem_grow(key->past, sizeof(*key->past) + room * sizeof(struct key_mark));
    key->past->room = room;
    *bytes += memory_of(key->past);
}

static bool mark_is_tombstone(const struct key_mark *mark)
{
    return mark->seq < 0;
}

/* Number of older versions at or below rev. */
static uint32_t past_upto(const struct key_past *past, int64_t rev)
{
    uint32_t low = 0;
    uint32_t high = past != NULL ? past->n : 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (past->at[middle].rev <= rev) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The i-th older version with the numbers that it had. One that a later version of the
 * same revision hides may come out with numbers of its neighbour: nobody can ask for it.
 */
static struct version past_version(const struct key *key, uint32_t i)
{
    const struct key_past *past = key->past;
    const struct key_mark *mark = &past->at[i];
    struct version version = {.seq = mark->seq, .rev = mark->rev};
    uint32_t first = i;

    if (mark_is_tombstone(mark)) {
        version.seq = -mark->seq;
        return version;
    }
    if (key_is_live(key) && mark->rev >= key->created) {
        version.created = key->created;
        version.number = key->number - (past->n - i);
        return version;
    }
    while (first > 0 && !mark_is_tombstone(&past->at[first - 1])) {
        first--;
    }
    if (first == 0) {
        version.created = past->created;
        version.number = past->number + i;
    } else {
        version.created = past->at[first].rev;
        version.number = i - first + 1;
    }
    return version;
}

struct key *key_new(struct slice name, const struct version *first, size_t *bytes)
{
    struct key *key = mem_alloc(offsetof(struct key, bytes) + name.len);

    CHECK(name.len > 0 && name.len <= UINT32_MAX);
    set_newest(key, first);
    key->past = NULL;
    key->attached = 0;
    key->len = (uint32_t)name.len;
    memcpy(key->bytes, name.ptr, name.len);
    *bytes += memory_of(key);
    return key;
}

void key_free(struct key *key, size_t *bytes)
{
    if (key == NULL) {
        return;
    }
    past_resize(key, 0, bytes);
    *bytes -= memory_of(key);
    free(key);
}

struct version key_newest(const struct key *key)
{
    return (struct version){.seq = key->seq,
                            .rev = key->rev,
                            .created = key->created,
                            .number = key->number,
                            .lease = key->lease};
}

bool key_accepts(const struct key *key, const struct version *version)
{
    if (version->seq <= key->seq || version->rev < key->rev) {
        return false;
    }
    if (version->number == 0) {
        return key_is_live(key) && version->created == 0;
    }
    if (version->number == 1) {
        return !key_is_live(key) && version->created == version->rev;
    }
    return version->number == key->number + 1 && version->created == key->created;
}

void key_add(struct key *key, const struct version *version, size_t *bytes)
{
    struct key_past *past = key->past;

    CHECK(key_accepts(key, version));
    if (past == NULL || past->n == past->room) {
        uint32_t n = past != NULL ? past->n : 0;

        CHECK(n < UINT32_MAX / 2);
        past_resize(key, n + n / 2 + 1, bytes);
        past = key->past;
        past->n = n;
    }
    if (past->n == 0) {
        past->created = key->created;
        past->number = key->number;
    }
    past->at[past->n++] = (struct key_mark){
        .seq = key_is_live(key) ? key->seq : -key->seq,
        .rev = key->rev,
    };
    set_newest(key, version);
}

bool key_at(const struct key *key, int64_t rev, struct version *out)
{
    uint32_t n;

    if (key->rev <= rev) {
        *out = key_newest(key);
        return true;
    }
    n = past_upto(key->past, rev);
    if (n == 0) {
        return false;
    }
    *out = past_version(key, n - 1);
    return true;
}

bool key_is_live_at(const struct key *key, int64_t rev)
{
    uint32_t n;

    if (key->rev <= rev) {
        return key_is_live(key);
    }
    n = past_upto(key->past, rev);
    return n > 0 && !mark_is_tombstone(&key->past->at[n - 1]);
}

int64_t key_row_after(const struct key *key, int64_t rev, int64_t seq)
{
    const struct key_past *past = key->past;
    uint32_t n = past_upto(past, rev - 1);

    for (; past != NULL && n < past->n; n++) {
        int64_t row =
            mark_is_tombstone(&past->at[n]) ? -past->at[n].seq : past->at[n].seq;

        if (row > seq) {
            return row;
        }
    }
    return key->rev >= rev && key->seq > seq ? key->seq : 0;
}

size_t key_n_versions(const struct key *key)
{
    return 1 + (key->past != NULL ? key->past->n : 0);
}

bool key_trim(struct key *key, int64_t rev, size_t *bytes)
{
    struct key_past *past = key->past;
    uint32_t keep; /* first older version that stays */
    struct version first;

    if (key->rev <= rev) {
        if (past != NULL) {
            past_resize(key, 0, bytes);
        }
        return key_is_live(key) || key->rev == rev;
    }
    keep = past_upto(past, rev);
    if (keep == 0) {
        return true;
    }
    keep--;
    if (mark_is_tombstone(&past->at[keep]) && past->at[keep].rev < rev) {
        keep++;
    }
    if (keep == past->n) {
        past_resize(key, 0, bytes);
        return true;
    }
    first = past_version(key, keep);
    past->n -= keep;
    memmove(past->at, past->at + keep, past->n * sizeof(past->at[0]));
    past->created = first.created;
    past->number = first.number;
    if (past->n < past->room / 4) {
        past_resize(key, past->n, bytes);
    }
    return true;
}
