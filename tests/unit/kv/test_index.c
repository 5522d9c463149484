/* The index against a plain sorted array: random keys, versions, removals, counts. */
#include "kv/index.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/kv/draw.h"

/* A key of the model: revisions in order, negative for tombstones. */
struct model_key {
    char name[40];
    int64_t revs[64];
    int n;
};

#define MODEL_MAX 4000

struct model {
    struct model_key keys[MODEL_MAX]; /* sorted by name */
    int n;
};

static int model_find(const struct model *m, const char *name, bool *found)
{
    int low = 0;
    int high = m->n;

    *found = false;
    while (low < high) {
        int middle = (low + high) / 2;
        int rc = strcmp(m->keys[middle].name, name);

        if (rc == 0) {
            *found = true;
            return middle;
        }
        if (rc < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int64_t model_at(const struct model_key *key, int64_t rev)
{
    int64_t found = 0;

    for (int i = 0; i < key->n && llabs(key->revs[i]) <= rev; i++) {
        found = key->revs[i];
    }
    return found;
}

/* Names of a few shapes: shared beginnings of different lengths, some a part of others.
 */
static void random_name(char *name, size_t size)
{
    static const char *const shapes[] = {"/registry/pods/ns-%d/pod-%d", "k%d%d", "%d/%d",
                                         "/registry/pods/ns-%d/%d/status-of-it"};
    snprintf(name, size, shapes[draw(4)], (int)draw(12), (int)draw(150));
}

static void change(struct index *index, struct model *m, int64_t rev)
{
    char name[40];
    bool found;
    int at;
    struct index_place place;
    struct key *key;
    struct version version = {.seq = rev, .rev = rev};

    random_name(name, sizeof(name));
    at = model_find(m, name, &found);
    key = index_locate(index, slice_str(name), &place);
    cr_assert_eq(key != NULL, found, "%s", name);
    if (!found) {
        if (m->n == MODEL_MAX) {
            return;
        }
        memmove(&m->keys[at + 1], &m->keys[at], (size_t)(m->n - at) * sizeof(m->keys[0]));
        m->n++;
        strcpy(m->keys[at].name, name);
        m->keys[at].n = 0;
    }
    if (m->keys[at].n == 64) {
        return;
    }
    if (found && key_is_live(key) && draw(3) == 0) {
        m->keys[at].revs[m->keys[at].n++] = -rev;
    } else {
        version.created = found && key_is_live(key) ? key->created : rev;
        version.number = 1;
        if (found) {
            version.number += key->number;
        }
        m->keys[at].revs[m->keys[at].n++] = rev;
    }
    index_add(index, &place, slice_str(name), &version);
}

static void compact(struct index *index, struct model *m, int64_t rev)
{
    for (int i = 0; i < m->n; i++) {
        struct model_key *key = &m->keys[i];
        int keep = 0;

        while (keep + 1 < key->n && llabs(key->revs[keep + 1]) <= rev) {
            keep++;
        }
        if (key->revs[keep] < 0 && -key->revs[keep] < rev) {
            keep++;
        }
        key->n -= keep;
        memmove(key->revs, key->revs + keep, (size_t)key->n * sizeof(key->revs[0]));
        index_trim(index, slice_str(key->name), rev);
        if (key->n == 0) {
            memmove(key, key + 1, (size_t)(m->n - i - 1) * sizeof(*key));
            m->n--;
            i--;
        }
    }
}

static void expect_same(const struct index *index, const struct model *m, int64_t rev)
{
    struct index_place place;
    struct span all = {.from = slice_str("!"), .unbounded = true};
    struct key *key = index_first(index, &all, all.from, &place);
    uint64_t live = 0;
    uint64_t versions = 0;

    for (int i = 0; i < m->n; i++, key = index_next(index, &all, &place)) {
        int64_t at = model_at(&m->keys[i], rev);
        struct version version;
        bool there;

        cr_assert_not_null(key);
        cr_assert(slice_eq(key_name(key), slice_str(m->keys[i].name)));
        there = key_at(key, rev, &version);
        cr_assert_eq(there, at != 0);
        if (there) {
            cr_assert_eq(version.rev, llabs(at));
            cr_assert_eq(version.number != 0, at > 0);
        }
        cr_assert_eq(key_is_live_at(key, rev), at > 0);
        cr_assert_eq(key_n_versions(key), m->keys[i].n);
        live += m->keys[i].revs[m->keys[i].n - 1] > 0;
        versions += (uint64_t)m->keys[i].n;
    }
    cr_assert_null(key);
    cr_assert_eq(index->n_live, live);
    cr_assert_eq(index->n_keys, m->n);
    cr_assert_eq(index->n_versions, versions);
}

static uint64_t model_count(const struct model *m, const char *from, const char *to,
                            int64_t rev)
{
    uint64_t n = 0;

    for (int i = 0; i < m->n; i++) {
        n += strcmp(m->keys[i].name, from) >= 0 &&
             (to == NULL || strcmp(m->keys[i].name, to) < 0) &&
             model_at(&m->keys[i], rev) > 0;
    }
    return n;
}

static void expect_count(const struct index *index, const struct model *m, int64_t rev)
{
    char from[40];
    char to[40];
    struct span span;
    const struct key *stop;
    uint64_t n = 0;

    random_name(from, sizeof(from));
    random_name(to, sizeof(to));
    span = (struct span){.from = slice_str(from), .to = slice_str(to)};
    span.unbounded = draw(4) == 0;
    stop = index_count(index, &span, span.from, rev, 100, &n);
    while (stop != NULL) {
        stop = index_count(index, &span, key_name(stop), rev, 100, &n);
    }
    cr_assert_eq(n, model_count(m, from, span.unbounded ? NULL : to, rev),
                 "%s to %s at %" PRId64, from, to, rev);
}

/* Never too old; newer than true only where compaction has removed keys. */
static void expect_newest(const struct index *index, const struct model *m,
                          bool is_compacted)
{
    char from[40];
    char to[40];
    struct span span;
    int64_t newest = 0;

    random_name(from, sizeof(from));
    random_name(to, sizeof(to));
    span = (struct span){.from = slice_str(from), .to = slice_str(to)};
    span.unbounded = draw(4) == 0;
    for (int i = 0; i < m->n; i++) {
        const struct model_key *key = &m->keys[i];
        int64_t rev = llabs(key->revs[key->n - 1]);

        if (strcmp(key->name, from) >= 0 &&
            (span.unbounded || strcmp(key->name, to) < 0)) {
            newest = rev > newest ? rev : newest;
        }
    }
    cr_assert_geq(index_newest(index, &span), newest);
    cr_assert(is_compacted || index_newest(index, &span) == newest);
}

Test(index, does_what_a_sorted_array_does)
{
    struct model *m = mem_zero(sizeof(*m));
    int64_t compacted = 0;
    struct index index;

    draw_seed();
    index_open(&index);
    for (int64_t rev = 2; rev < 60000; rev++) {
        change(&index, m, rev);
        if (draw(4000) == 0) {
            compacted += (int64_t)draw((uint64_t)(rev - compacted)) + 1;
            compact(&index, m, compacted);
        }
        if (draw(500) == 0) {
            int64_t at = compacted + (int64_t)draw((uint64_t)(rev - compacted) + 1);

            expect_same(&index, m, at);
            expect_count(&index, m, at);
            expect_count(&index, m, rev);
            expect_newest(&index, m, compacted > 0);
        }
    }
    expect_same(&index, m, 60000);
    index_close(&index);
    free(m);
}

/* ---- shapes ---- */

static void add(struct index *index, const char *name, int64_t rev)
{
    struct version version = {.seq = rev, .rev = rev, .created = rev, .number = 1};
    struct index_place place;

    cr_assert_null(index_locate(index, slice_str(name), &place));
    index_add(index, &place, slice_str(name), &version);
}

static void kill(struct index *index, const char *name, int64_t rev)
{
    struct version version = {.seq = rev, .rev = rev};
    struct index_place place;

    cr_assert_not_null(index_locate(index, slice_str(name), &place));
    index_add(index, &place, slice_str(name), &version);
}

Test(index, empties_after_everything_was_removed_in_any_order)
{
    static const int steps[] = {1, 7919, -1};
    enum { N = 20000 };
    char name[16];

    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        struct index index;
        size_t empty;

        index_open(&index);
        empty = index.bytes;
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof(name), "k%06d", i * 7919 % N);
            add(&index, name, i + 2);
        }
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof(name), "k%06d", ((i * steps[s]) % N + N) % N);
            kill(&index, name, N + 2);
            index_trim(&index, slice_str(name), N + 3);
            cr_assert_null(index_find(&index, slice_str(name)));
        }
        cr_expect_eq(index.n_keys, 0);
        cr_expect_eq(index.bytes, empty);
        add(&index, "again", N + 4);
        cr_expect_not_null(index_find(&index, slice_str("again")));
        index_close(&index);
    }
}

Test(index, keeps_a_key_of_one_version_in_a_hundred_bytes)
{
    enum { N = 100000 };
    struct index index;
    char name[16];
    uint64_t n = 0;
    struct span all = {.from = slice_str("k"), .unbounded = true};

    index_open(&index);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "key-%08d",
                 (int)((i * 48271ll) % 2147483647 % 99999989));
        if (index_find(&index, slice_str(name)) == NULL) {
            add(&index, name, i + 2);
        }
    }
    cr_expect_lt(index.bytes / index.n_keys, 100 + strlen(name));
    index_count(&index, &all, all.from, N + 2, 1, &n);
    cr_expect_eq(n, index.n_keys, "counts jump over whole subtrees");
    index_close(&index);
}

Test(index, finds_names_that_begin_or_end_like_others)
{
    static const char *const names[] = {"a",         "aa",        "aaaaaaaa",
                                        "aaaaaaaaa", "aaaaaaaab", "ab"};
    struct span all = {.unbounded = true};
    struct index index;
    struct index_place place;

    index_open(&index);
    for (size_t i = ARRAY_LEN(names); i > 0; i--) {
        add(&index, names[i - 1], 2);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        cr_assert_not_null(index_find(&index, slice_str(names[i])));
    }
    cr_expect_null(index_find(&index, slice_str("aaa")));
    cr_expect_null(index_find(&index, slice_of("a\0", 2)));
    all.from = slice_of("a\0", 2);
    cr_expect(
        slice_eq(key_name(index_first(&index, &all, all.from, &place)), slice_str("aa")));
    cr_expect_null(index_first(&index, &all, slice_str("b"), &place));
    all.single = true;
    cr_expect_null(index_first(&index, &all, all.from, &place));
    index_close(&index);
}
