/* A sorted array of pointers: reading, by far the most frequent, is a binary search, and
 * a range lies in one piece. A change in the middle moves pointers, 8 bytes each. */
#include "cli/lib/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"

static size_t weight(const struct entry *entry)
{
    return sizeof(*entry) + sizeof(entry) + entry->kv.key.len + entry->kv.value.len;
}

static int compare(struct kvd_bytes a, struct kvd_bytes b)
{
    return slice_cmp(slice_of(a.ptr, a.len), slice_of(b.ptr, b.len));
}

static struct entry *entry_new(const struct kvd_kv *kv)
{
    struct entry *entry = mem_alloc(sizeof(*entry) + kv->key.len + kv->value.len);

    entry->kv = *kv;
    entry->kv.key.ptr = entry->bytes;
    entry->kv.value.ptr = entry->bytes + kv->key.len;
    memcpy(entry->bytes, kv->key.ptr, kv->key.len);
    if (kv->value.len > 0) {
        memcpy(entry->bytes + kv->key.len, kv->value.ptr, kv->value.len);
    }
    return entry;
}

void table_close(struct table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        free(table->entries[i]);
    }
    free(table->entries);
    *table = (struct table){0};
}

size_t table_seek(const struct table *table, struct kvd_bytes key)
{
    size_t from = 0;
    size_t to = table->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (compare(table->entries[middle]->kv.key, key) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static bool is_at(const struct table *table, size_t place, struct kvd_bytes key)
{
    return place < table->n && compare(table->entries[place]->kv.key, key) == 0;
}

const struct kvd_kv *table_at(const struct table *table, size_t place)
{
    return &table->entries[place]->kv;
}

static void move(struct table *table, size_t from, size_t to)
{
    memmove(table->entries + to, table->entries + from,
            (table->n - from) * sizeof(*table->entries));
}

struct entry *table_put(struct table *table, const struct kvd_kv *kv)
{
    struct entry *entry = entry_new(kv);
    size_t place = table_seek(table, kv->key);
    struct entry *old = NULL;

    table->bytes += weight(entry);
    if (is_at(table, place, kv->key)) {
        old = table->entries[place];
        table->bytes -= weight(old);
        table->entries[place] = entry;
        return old;
    }
    if (table->n == table->room) {
        table->room = table->room == 0 ? 64 : table->room * 2;
        table->entries = mem_grow(table->entries, table->room * sizeof(*table->entries));
    }
    move(table, place, place + 1);
    table->entries[place] = entry;
    table->n++;
    return NULL;
}

struct entry *table_remove(struct table *table, struct kvd_bytes key)
{
    size_t place = table_seek(table, key);
    struct entry *old;

    if (!is_at(table, place, key)) {
        return NULL;
    }
    old = table->entries[place];
    table->bytes -= weight(old);
    move(table, place + 1, place);
    table->n--;
    return old;
}

void table_compare(struct table *old, const struct table *now, table_differs_cb differs,
                   void *owner)
{
    size_t i = 0;
    size_t k = 0;

    while (i < old->n || k < now->n) {
        struct entry *was = i < old->n ? old->entries[i] : NULL;
        const struct kvd_kv *kv = k < now->n ? table_at(now, k) : NULL;
        int order = was == NULL ? 1 : kv == NULL ? -1 : compare(was->kv.key, kv->key);

        if (order < 0) {
            differs(owner, NULL, was);
        } else if (order > 0) {
            differs(owner, kv, NULL);
        } else if (was->kv.mod_revision == kv->mod_revision) {
            free(was);
        } else {
            differs(owner, kv, was);
        }
        i += order <= 0;
        k += order >= 0;
    }
    old->n = 0;
    table_close(old);
}
