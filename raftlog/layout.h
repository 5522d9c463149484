/* Where each entry of the log lies, and its term: the loop's view of the segments. Plain
 * memory, four bytes an entry; never does I/O.
 *
 * Happy path: layout_roll begins a segment, layout_add puts the next entry behind the
 * last; layout_find tells its place. Nothing can fail; asking for an entry that is not
 * held is a mistake of ours. A zeroed struct is empty; layout_close is safe on it. */
#ifndef KVD_RAFTLOG_LAYOUT_H
#define KVD_RAFTLOG_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/segment.h"

struct layout_segment {
    struct segment_header header;
    uint32_t *ends; /* end offset of each record, in units of RECORD_ALIGN */
    size_t n;
    size_t room;
};

struct layout_run {
    uint64_t from; /* entries from here on have this term */
    uint64_t term;
};

struct layout {
    struct layout_segment *segments; /* oldest first, without gaps */
    size_t n_segments;
    size_t segments_room;
    struct layout_run *runs;
    size_t n_runs;
    size_t runs_room;
    uint64_t bytes; /* headers and records of all segments */
};

struct layout_place {
    uint64_t segment; /* its first index */
    uint32_t salt;
    uint64_t offset;
    size_t size;
};

/* A new last segment; header->first must be last + 1 unless the layout is empty or a
 * snapshot replaces what is there. */
void layout_roll(struct layout *layout, const struct segment_header *header);

/* The entry behind the last one. Returns its index. */
uint64_t layout_add(struct layout *layout, uint64_t term, size_t record_size);

/* The last segment; there must be one. */
const struct layout_segment *layout_tail(const struct layout *layout);
uint64_t layout_end(
    const struct layout_segment *segment); /* offset behind its last record */

uint64_t layout_last(const struct layout *layout);

struct layout_place layout_find(const struct layout *layout, uint64_t index);

/* 0 when the entry is not held. */
uint64_t layout_term(const struct layout *layout, uint64_t index);

/* Forgets the entries from index on, and segments that begin above it. */
void layout_cut(struct layout *layout, uint64_t index);

/* True when the oldest segment is not the last and holds nothing above index. */
bool layout_oldest_below(const struct layout *layout, uint64_t index);
void layout_drop_oldest(struct layout *layout);

void layout_close(struct layout *layout);

#endif
