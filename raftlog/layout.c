/* Where each entry lies: per segment the end offsets of its records; terms as runs, since
 * a term changes rarely. */
#include "raftlog/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raftlog/record.h"

/* Room for one more item in an array that doubles. */
static void *grow(void *items, size_t n, size_t *room, size_t item_size)
{
    if (n < *room) {
        return items;
    }
    *room = *room > 0 ? *room * 2 : 16;
    return mem_grow(items, *room * item_size);
}

static uint64_t offset_of(const struct layout_segment *segment, size_t i)
{
    return i == 0 ? SEGMENT_HEADER_SIZE : (uint64_t)segment->ends[i - 1] * RECORD_ALIGN;
}

uint64_t layout_end(const struct layout_segment *segment)
{
    return offset_of(segment, segment->n);
}

const struct layout_segment *layout_tail(const struct layout *layout)
{
    CHECK(layout->n_segments > 0);
    return &layout->segments[layout->n_segments - 1];
}

uint64_t layout_last(const struct layout *layout)
{
    const struct layout_segment *tail = layout_tail(layout);

    return tail->header.first + tail->n - 1;
}

void layout_roll(struct layout *layout, const struct segment_header *header)
{
    CHECK(layout->n_segments == 0 || header->first == layout_last(layout) + 1 ||
          (header->after_anchor && header->first > layout_last(layout)));
    layout->segments = grow(layout->segments, layout->n_segments, &layout->segments_room,
                            sizeof(*layout->segments));
    layout->segments[layout->n_segments++] = (struct layout_segment){.header = *header};
    layout->bytes += SEGMENT_HEADER_SIZE;
}

uint64_t layout_add(struct layout *layout, uint64_t term, size_t record_size)
{
    struct layout_segment *tail;
    uint64_t index = layout_last(layout) + 1;
    uint64_t end;

    tail = &layout->segments[layout->n_segments - 1];
    end = layout_end(tail) + record_size;
    CHECK(end % RECORD_ALIGN == 0 && end / RECORD_ALIGN <= UINT32_MAX);
    tail->ends = grow(tail->ends, tail->n, &tail->room, sizeof(*tail->ends));
    tail->ends[tail->n++] = (uint32_t)(end / RECORD_ALIGN);
    layout->bytes += record_size;
    if (layout->n_runs == 0 || layout->runs[layout->n_runs - 1].term != term) {
        layout->runs =
            grow(layout->runs, layout->n_runs, &layout->runs_room, sizeof(*layout->runs));
        layout->runs[layout->n_runs++] = (struct layout_run){.from = index, .term = term};
    }
    return index;
}

/* The segment that holds index: the last one that does not begin above it. */
static size_t segment_of(const struct layout *layout, uint64_t index)
{
    size_t low = 0;
    size_t high = layout->n_segments;

    CHECK(high > 0 && layout->segments[0].header.first <= index);
    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (layout->segments[middle].header.first <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

struct layout_place layout_find(const struct layout *layout, uint64_t index)
{
    const struct layout_segment *segment = &layout->segments[segment_of(layout, index)];
    size_t i = index - segment->header.first;

    CHECK(i < segment->n);
    return (struct layout_place){
        .segment = segment->header.first,
        .salt = segment->header.salt,
        .offset = offset_of(segment, i),
        .size = offset_of(segment, i + 1) - offset_of(segment, i),
    };
}

uint64_t layout_term(const struct layout *layout, uint64_t index)
{
    size_t low = 0;
    size_t high = layout->n_runs;

    if (high == 0 || index < layout->segments[0].header.first ||
        index < layout->runs[0].from || index > layout_last(layout)) {
        return 0;
    }
    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (layout->runs[middle].from <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return layout->runs[low].term;
}

static void drop_segment(struct layout *layout, size_t i)
{
    struct layout_segment *segment = &layout->segments[i];

    layout->bytes -= layout_end(segment);
    free(segment->ends);
    layout->n_segments--;
    memmove(segment, segment + 1, (layout->n_segments - i) * sizeof(*segment));
}

void layout_cut(struct layout *layout, uint64_t index)
{
    struct layout_segment *tail;
    size_t keep;

    while (layout_tail(layout)->header.first > index) {
        drop_segment(layout, layout->n_segments - 1);
    }
    tail = &layout->segments[layout->n_segments - 1];
    keep = index - tail->header.first;
    CHECK(keep <= tail->n);
    layout->bytes -= layout_end(tail) - offset_of(tail, keep);
    tail->n = keep;
    while (layout->n_runs > 0 && layout->runs[layout->n_runs - 1].from >= index) {
        layout->n_runs--;
    }
}

bool layout_oldest_below(const struct layout *layout, uint64_t index)
{
    return layout->n_segments > 1 && layout->segments[1].header.first <= index + 1;
}

void layout_drop_oldest(struct layout *layout)
{
    uint64_t first;
    size_t runs = 0;

    CHECK(layout->n_segments > 1);
    drop_segment(layout, 0);
    first = layout->segments[0].header.first;
    while (runs + 1 < layout->n_runs && layout->runs[runs + 1].from <= first) {
        runs++;
    }
    if (runs > 0) {
        layout->n_runs -= runs;
        memmove(layout->runs, layout->runs + runs,
                layout->n_runs * sizeof(*layout->runs));
    }
}

void layout_close(struct layout *layout)
{
    for (size_t i = 0; i < layout->n_segments; i++) {
        free(layout->segments[i].ends);
    }
    free(layout->segments);
    free(layout->runs);
    *layout = (struct layout){0};
}
