#include "kv/auth_span.h"

#include <stdlib.h>

bool auth_span_valid(ProtobufCBinaryData key, ProtobufCBinaryData range_end)
{
    struct span span = span_of(key, range_end);

    return key.len > 0 &&
           (span.single || span.unbounded || slice_cmp(span.from, span.to) < 0);
}

static int compare_spans(const void *a, const void *b)
{
    return slice_cmp(((const struct span *)a)->from, ((const struct span *)b)->from);
}

void auth_spans_merge(struct auth_spans *spans)
{
    size_t n = 0;

    if (spans->n == 0) {
        return;
    }
    qsort(spans->list, spans->n, sizeof(spans->list[0]), compare_spans);
    for (size_t i = 1; i < spans->n; i++) {
        struct span *last = &spans->list[n];
        const struct span *next = &spans->list[i];

        if (!last->unbounded && slice_cmp(next->from, last->to) > 0) {
            spans->list[++n] = *next;
        } else if (next->unbounded) {
            last->unbounded = true;
        } else if (!last->unbounded && slice_cmp(next->to, last->to) > 0) {
            last->to = next->to;
        }
    }
    spans->n = n + 1;
}

/* The last one that begins at or before the key; NULL: none does. */
static const struct span *last_before(const struct auth_spans *spans, struct slice key)
{
    size_t low = 0;
    size_t high = spans->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slice_cmp(spans->list[middle].from, key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? &spans->list[low - 1] : NULL;
}

bool auth_spans_cover(const struct auth_spans *spans, const struct span *asked)
{
    const struct span *span = last_before(spans, asked->from);

    if (span == NULL || span->unbounded) {
        return span != NULL;
    }
    if (asked->unbounded) {
        return false;
    }
    if (asked->single || slice_cmp(asked->to, asked->from) <= 0) {
        return slice_cmp(asked->from, span->to) < 0;
    }
    return slice_cmp(asked->to, span->to) <= 0;
}
