/* Recent records in memory: windows of segment bytes, oldest first. Nothing can fail. */
#include "raftlog/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

static struct cache_window *window_new(uint64_t segment, uint64_t from, size_t room)
{
    struct cache_window *window = mem_alloc(sizeof(*window) + room);

    *window =
        (struct cache_window){.segment = segment, .from = from, .to = from, .room = room};
    return window;
}

/* -1, 0, 1: the place is before, in or behind the window. */
static int compare(const struct cache_window *window, uint64_t segment, uint64_t offset)
{
    if (segment != window->segment) {
        return segment < window->segment ? -1 : 1;
    }
    if (offset < window->from) {
        return -1;
    }
    return offset >= window->to;
}

static void retire(struct cache *cache, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        cache->bytes -= cache->windows[i]->room;
        cache->windows[i]->next = cache->retired;
        cache->retired = cache->windows[i];
    }
    if (to > from) {
        memmove(cache->windows + from, cache->windows + to,
                (cache->n - to) * sizeof(*cache->windows));
        cache->n -= to - from;
    }
}

uint8_t *cache_reserve(struct cache *cache, uint64_t segment, uint64_t offset,
                       size_t size, struct cache_window **window)
{
    struct cache_window *last = cache->n > 0 ? cache->windows[cache->n - 1] : NULL;
    uint8_t *at;

    CHECK(last == NULL || compare(last, segment, offset) > 0);
    if (last == NULL || last->sealed || last->segment != segment || last->to != offset ||
        last->room - (last->to - last->from) < size) {
        last = window_new(segment, offset,
                          size > LIMIT_LOG_WINDOW ? size : LIMIT_LOG_WINDOW);
        if (cache->n == cache->room) {
            cache->room = cache->room > 0 ? cache->room * 2 : 16;
            cache->windows =
                mem_grow(cache->windows, cache->room * sizeof(*cache->windows));
        }
        cache->windows[cache->n++] = last;
        cache->bytes += last->room;
    }
    at = last->bytes + (last->to - last->from);
    last->to += size;
    *window = last;
    return at;
}

/* The first window that does not lie wholly before the place. */
static size_t search(const struct cache *cache, uint64_t segment, uint64_t offset)
{
    size_t low = 0;
    size_t high = cache->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (compare(cache->windows[middle], segment, offset) > 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const uint8_t *bytes_in(const struct cache_window *window, uint64_t segment,
                               uint64_t offset, size_t size)
{
    if (compare(window, segment, offset) != 0 || window->to - offset < size) {
        return NULL;
    }
    return window->bytes + (offset - window->from);
}

const uint8_t *cache_find(const struct cache *cache, uint64_t segment, uint64_t offset,
                          size_t size)
{
    size_t i = search(cache, segment, offset);
    const uint8_t *bytes = NULL;

    if (i < cache->n) {
        bytes = bytes_in(cache->windows[i], segment, offset, size);
    }
    for (const struct cache_window *window = cache->borrowed;
         bytes == NULL && window != NULL; window = window->next) {
        bytes = bytes_in(window, segment, offset, size);
    }
    return bytes;
}

struct cache_window *cache_borrow(struct cache *cache, uint64_t segment, uint64_t from,
                                  size_t len)
{
    struct cache_window *window = window_new(segment, from, len);

    window->to = from + len;
    window->next = cache->borrowed;
    cache->borrowed = window;
    return window;
}

/* A window cut in the middle takes no more records: a write under way may still read the
 * bytes behind the cut. */
void cache_cut(struct cache *cache, uint64_t segment, uint64_t offset)
{
    size_t i = search(cache, segment, offset);

    if (i < cache->n && compare(cache->windows[i], segment, offset) == 0 &&
        cache->windows[i]->from < offset) {
        struct cache_window *window = cache->windows[i];

        window->to = offset;
        window->sealed = true;
        i++;
    }
    retire(cache, i, cache->n);
    for (struct cache_window *window = cache->borrowed; window != NULL;
         window = window->next) {
        if (compare(window, segment, offset) <= 0) {
            window->to = window->segment == segment && window->from < offset
                             ? offset
                             : window->from;
        }
    }
}

void cache_drop_below(struct cache *cache, uint64_t segment)
{
    retire(cache, 0, search(cache, segment, 0));
}

static void free_list(struct cache_window **list)
{
    struct cache_window **at = list;

    while (*at != NULL) {
        struct cache_window *window = *at;

        if (window->holds > 0) {
            at = &window->next;
        } else {
            *at = window->next;
            free(window);
        }
    }
}

void cache_release(struct cache *cache, size_t bytes_max, uint64_t segment,
                   uint64_t offset)
{
    size_t n = 0;
    size_t bytes = cache->bytes;

    while (n < cache->n && bytes > bytes_max && cache->windows[n]->holds == 0 &&
           (cache->windows[n]->segment < segment ||
            (cache->windows[n]->segment == segment && cache->windows[n]->to <= offset))) {
        bytes -= cache->windows[n++]->room;
    }
    retire(cache, 0, n);
    free_list(&cache->retired);
    free_list(&cache->borrowed);
}

void cache_close(struct cache *cache)
{
    retire(cache, 0, cache->n);
    free_list(&cache->retired);
    free_list(&cache->borrowed);
    CHECK(cache->retired == NULL);
    free(cache->windows);
    *cache = (struct cache){0};
}
