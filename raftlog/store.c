/* The durable log: the loop's side.
 *
 * The loop plans, the log lane carries out. Appending encodes the record once, into a
 * window of the cache, gives it its place in the layout and puts a step into the batch
 * being gathered. store_flush hands the batch to the log lane; the lane touches the
 * batch, the writer, and the bytes of held windows, and nothing else of the store. When
 * the batch is done, the loop moves the stored index and submits the next batch.
 *
 * What can fail: opening (err); later any error of the disk, which ends in env_fatal. */
#include "raftlog/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "raftlog/cache.h"
#include "raftlog/layout.h"
#include "raftlog/record.h"
#include "raftlog/recover.h"
#include "raftlog/spare.h"
#include "raftlog/vote.h"
#include "raftlog/writer.h"

#define SEGMENTS_PER_DISK 1024

struct batch {
    struct store *store;
    struct step *steps;
    size_t n;
    size_t room;
    size_t done;   /* carried out: all, unless there was no room */
    uint64_t last; /* stored when this batch is done */
    size_t bytes;  /* of records */
    struct env_job job;
    struct files_tally tally; /* the lane's while it runs, as is all below */
    int rc;
    struct err err;
};

struct store {
    struct env *env;
    store_cb stored_cb;
    void *owner;
    bool dead;

    struct vote vote; /* shared with the lane: see vote.h */
    uint64_t term;
    uint64_t voted_for;
    struct store_anchor anchor;
    uint8_t anchor_config[LIMIT_ANCHOR_CONFIG];

    struct layout layout;
    struct cache cache;
    struct spare spare;
    uint64_t segment_bytes;
    uint64_t tail_size; /* that the last segment has at least */
    uint64_t stored;
    uint32_t place; /* of the next record in its group */

    struct batch batches[2];
    struct batch *gathering;
    struct batch *writing; /* NULL: nothing is under way */
    bool on_lane;          /* and the lane has it */
    uint64_t on_lane_ms;   /* since then */
    bool waits;            /* the last try found no room */
    uint64_t retry_ms;     /* the next one, unless it is on the lane */
    bool flush_wanted;
    struct writer writer; /* the lane's while there is a batch being written */

    struct disk_file *reading; /* a segment to read back from */
    uint64_t reading_segment;
    char *log_dir;
    struct files_tally tally;
};

static void fatal(struct store *store, const struct err *err)
{
    if (!store->dead) {
        store->dead = true;
        spare_stop(&store->spare);
        env_fatal(store->env, err->text);
    }
}

/* ---- batches ---- */

static struct step *add_step(struct store *store, enum step_kind kind)
{
    struct batch *batch = store->gathering;

    CHECK(batch->n < LIMIT_LOG_STEPS);
    if (batch->n == batch->room) {
        batch->room = batch->room > 0 ? batch->room * 2 : 16;
        batch->steps = mem_grow(batch->steps, batch->room * sizeof(*batch->steps));
    }
    batch->steps[batch->n] = (struct step){.kind = kind};
    return &batch->steps[batch->n++];
}

static void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->steps[i].kind == STEP_WRITE) {
            batch->steps[i].write.window->holds--;
        } else if (batch->steps[i].kind == STEP_ANCHOR) {
            free(batch->steps[i].anchor);
        }
    }
    batch->n = 0;
    batch->bytes = 0;
}

/* On the log lane. */
static void batch_run(struct env_job *job)
{
    struct batch *batch = container_of(job, struct batch, job);

    batch->rc = writer_run(&batch->store->writer, batch->steps, batch->n, &batch->done,
                           &batch->tally, &batch->err);
}

static void submit(struct store *store);

/* Nothing is lost and nobody was told: the batch goes on where it stopped. */
static void wait_for_room(struct store *store, const struct err *err)
{
    if (!store->waits) {
        log_warn("the log waits for room on the disk", LOG_TEXT("error", err->text));
    }
    store->waits = true;
    store->retry_ms = env_mono_ms(store->env) + LIMIT_LOG_RETRY_MS;
}

static void batch_done(struct env_job *job)
{
    struct batch *batch = container_of(job, struct batch, job);
    struct store *store = batch->store;
    bool moved = batch->last > store->stored;

    store->on_lane = false;
    if (batch->rc == ERR_FULL && !store->dead) {
        wait_for_room(store, &batch->err);
        return;
    }
    store->waits = false;
    batch_clear(batch);
    files_tally_add(&store->tally, &batch->tally);
    store->writing = NULL;
    if (batch->rc < 0) {
        fatal(store, &batch->err);
    }
    if (store->dead) {
        return;
    }
    if (moved) {
        store->stored = batch->last;
    }
    if (store->flush_wanted) {
        submit(store);
    }
    spare_want(&store->spare,
               2 * layout_end(layout_tail(&store->layout)) + LIMIT_SPARE_STEP);
    if (moved) {
        store->stored_cb(store->owner);
    }
}

static void put_on_lane(struct store *store, struct batch *batch)
{
    store->on_lane = true;
    store->on_lane_ms = env_mono_ms(store->env);
    batch->job = (struct env_job){.run = batch_run, .done = batch_done};
    env_submit(store->env, ENV_LANE_LOG, &batch->job);
}

static void submit(struct store *store)
{
    struct batch *batch = store->gathering;

    store->flush_wanted = false;
    if (batch->n == 0) {
        return;
    }
    store->writing = batch;
    store->gathering = &store->batches[batch == &store->batches[0]];
    store->place = 0;
    batch->last = layout_last(&store->layout);
    batch->tally = (struct files_tally){0};
    batch->done = 0;
    put_on_lane(store, batch);
}

/* ---- open and close ---- */

/* A small disk gets small segments: a few of them must not matter to it. */
static int choose_segment_bytes(struct env *env, const char *dir, uint64_t *out,
                                struct err *err)
{
    int64_t space = env->disk->ops->space(env->disk, dir);
    uint64_t bytes;

    if (space < 0) {
        return files_fail(err, (int)space, "statvfs", dir);
    }
    bytes = (uint64_t)space / SEGMENTS_PER_DISK / LIMIT_SEGMENT_MIN * LIMIT_SEGMENT_MIN;
    bytes = bytes < LIMIT_SEGMENT_BYTES ? bytes : LIMIT_SEGMENT_BYTES;
    *out = bytes > LIMIT_SEGMENT_MIN ? bytes : LIMIT_SEGMENT_MIN;
    return 0;
}

static void keep_anchor(struct store *store, const struct store_anchor *anchor)
{
    CHECK(anchor->configuration.len <= LIMIT_ANCHOR_CONFIG);
    store->anchor = *anchor;
    store->anchor.configuration.ptr = store->anchor_config;
    if (anchor->configuration.len > 0) {
        memcpy(store->anchor_config, anchor->configuration.ptr,
               anchor->configuration.len);
    }
}

int store_open(struct store **out, struct env *env, const char *dir, store_cb stored,
               void *owner, struct err *err)
{
    struct store *store = mem_zero(sizeof(*store));
    const struct vote_state *state = &store->vote.state;
    int rc;

    store->env = env;
    store->stored_cb = stored;
    store->owner = owner;
    store->log_dir = mem_printf("%s/log", dir);
    store->gathering = &store->batches[0];
    store->batches[0].store = store;
    store->batches[1].store = store;
    rc = choose_segment_bytes(env, dir, &store->segment_bytes, err);
    if (rc < 0) {
        goto fail;
    }
    rc = recover(env, dir, store->segment_bytes, &store->vote, &store->layout,
                 &store->writer, &store->tally, err);
    if (rc < 0) {
        goto fail;
    }
    store->term = state->term;
    store->voted_for = state->vote;
    keep_anchor(store, &(struct store_anchor){
                           .index = state->anchor_index,
                           .term = state->anchor_term,
                           .configuration = slice_of(state->config, state->config_len),
                           .configuration_index = state->config_index});
    store->stored = layout_last(&store->layout);
    store->tail_size = store->segment_bytes;
    spare_init(&store->spare, env, store->log_dir, store->segment_bytes);
    *out = store;
    return 0;

fail:
    store_close(store);
    return rc;
}

bool store_is_dead(const struct store *store)
{
    return store->dead;
}

bool store_idle(const struct store *store)
{
    return !store->on_lane && !store->spare.busy;
}

static void stop_reading(struct store *store)
{
    if (store->reading != NULL) {
        store->env->disk->ops->close(store->reading);
        store->reading = NULL;
    }
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    CHECK(store_idle(store));
    stop_reading(store);
    for (size_t i = 0; i < ARRAY_LEN(store->batches); i++) {
        batch_clear(&store->batches[i]);
        free(store->batches[i].steps);
    }
    spare_close(&store->spare);
    writer_close(&store->writer);
    cache_close(&store->cache);
    layout_close(&store->layout);
    vote_close(&store->vote);
    free(store->log_dir);
    free(store);
}

/* ---- vote ---- */

uint64_t store_term(const struct store *store)
{
    return store->term;
}

uint64_t store_vote(const struct store *store)
{
    return store->voted_for;
}

void store_set_vote(struct store *store, uint64_t term, uint64_t voted_for)
{
    struct err err;

    CHECK(term > store->term || (term == store->term && (store->voted_for == 0 ||
                                                         store->voted_for == voted_for)));
    if (store->dead) {
        return;
    }
    store->term = term;
    store->voted_for = voted_for;
    if (vote_set(&store->vote, term, voted_for, &store->tally, &err) < 0) {
        fatal(store, &err);
    }
}

/* ---- log ---- */

uint64_t store_first_index(const struct store *store)
{
    return store->anchor.index + 1;
}

uint64_t store_last_index(const struct store *store)
{
    return layout_last(&store->layout);
}

uint64_t store_stored_index(const struct store *store)
{
    return store->stored;
}

const struct store_anchor *store_get_anchor(const struct store *store)
{
    return &store->anchor;
}

size_t store_backlog(const struct store *store)
{
    return store->batches[0].bytes + store->batches[1].bytes;
}

/* A new last segment, beginning at first and with room for a record of this size. */
static void roll(struct store *store, uint64_t first, uint64_t size, bool after_anchor)
{
    struct step *step = add_step(store, STEP_ROLL);

    step->roll.header = (struct segment_header){
        .first = first,
        .salt = (uint32_t)env_random_u64(store->env),
        .after_anchor = after_anchor,
    };
    step->roll.size = u64_max(store->segment_bytes, SEGMENT_HEADER_SIZE + size);
    store->tail_size = step->roll.size;
    step->roll.made_ahead = spare_take(&store->spare, &step->roll.spare);
    layout_roll(&store->layout, &step->roll.header);
    store->place = 0;
}

/* Room in the last segment for the record of an entry. */
static void make_room(struct store *store, uint64_t index, size_t size)
{
    const struct layout_segment *tail = layout_tail(&store->layout);

    if (layout_end(tail) + size <= store->segment_bytes) {
        return;
    }
    if (tail->n > 0) {
        roll(store, index, size, false);
    } else if (SEGMENT_HEADER_SIZE + size > store->tail_size) {
        store->tail_size = SEGMENT_HEADER_SIZE + size;
        add_step(store, STEP_GROW)->size = store->tail_size;
    }
}

/* Has the lane write size bytes that begin at `at`; adjoining writes are one. */
static void plan_write(struct store *store, struct cache_window *window,
                       const uint8_t *at, size_t size, uint64_t offset)
{
    struct batch *batch = store->gathering;
    struct step *step = batch->n > 0 ? &batch->steps[batch->n - 1] : NULL;

    if (step == NULL || step->kind != STEP_WRITE || step->write.window != window ||
        step->write.offset + step->write.len != offset) {
        step = add_step(store, STEP_WRITE);
        step->write.window = window;
        step->write.bytes = at;
        step->write.offset = offset;
        window->holds++;
    }
    step->write.len += size;
    batch->bytes += size;
}

void store_append(struct store *store, const struct raftlog_entry *entry)
{
    size_t size = record_size(entry->payload.len);
    const struct layout_segment *tail;
    struct cache_window *window;
    uint64_t segment;
    uint64_t offset;
    uint8_t *at;

    if (store->dead) {
        return;
    }
    CHECK(entry->index == layout_last(&store->layout) + 1);
    CHECK(store_backlog(store) + size <= LIMIT_LOG_GATHER);
    make_room(store, entry->index, size);
    tail = layout_tail(&store->layout);
    segment = tail->header.first;
    offset = layout_end(tail);
    at = cache_reserve(&store->cache, segment, offset, size, &window);
    record_encode(at, entry, store->place++, tail->header.salt);
    plan_write(store, window, at, size, offset);
    layout_add(&store->layout, entry->term, size);
}

void store_truncate_suffix(struct store *store, uint64_t index)
{
    const struct layout_segment *tail;
    struct step *step;

    if (store->dead || index > layout_last(&store->layout)) {
        return;
    }
    CHECK(index > store->anchor.index);
    for (size_t i = store->layout.n_segments;
         store->layout.segments[i - 1].header.first > index; i--) {
        step = add_step(store, STEP_UNLINK);
        step->segment = store->layout.segments[i - 1].header.first;
    }
    layout_cut(&store->layout, index);
    tail = layout_tail(&store->layout);
    step = add_step(store, STEP_CUT);
    step->cut.segment = tail->header.first;
    step->cut.offset = layout_end(tail);
    step->cut.size = store->segment_bytes;
    store->tail_size = store->segment_bytes;
    cache_cut(&store->cache, tail->header.first, layout_end(tail));
    stop_reading(store);
    store->place = 0;
    store->stored = u64_min(store->stored, index - 1);
    if (store->writing != NULL) {
        store->writing->last = u64_min(store->writing->last, index - 1);
    }
}

void store_flush(struct store *store)
{
    if (store->dead) {
        return;
    }
    if (store->spare.wanted == 0) { /* not in store_open: it may be closed at once */
        spare_want(&store->spare, LIMIT_SPARE_STEP);
    }
    if (store->writing != NULL) {
        store->flush_wanted = true;
    } else {
        submit(store);
    }
}

void store_retry(struct store *store)
{
    if (!store->dead && env_mono_ms(store->env) >= store_deadline_ms(store)) {
        put_on_lane(store, store->writing);
    }
}

uint64_t store_deadline_ms(const struct store *store)
{
    return store->waits && !store->on_lane ? store->retry_ms : UINT64_MAX;
}

/* Whether the anchor's entry is the one that the log has there. */
static bool holds_anchor(const struct store *store, const struct store_anchor *anchor)
{
    return store_term_of(store, anchor->index) == anchor->term;
}

static void plan_anchor(struct store *store, const struct store_anchor *anchor)
{
    size_t len = anchor->configuration.len;
    struct store_anchor *copy = mem_alloc(sizeof(*copy) + len);

    *copy = *anchor;
    copy->configuration.ptr = (uint8_t *)(copy + 1);
    if (len > 0) {
        memcpy(copy + 1, anchor->configuration.ptr, len);
    }
    add_step(store, STEP_ANCHOR)->anchor = copy;
    store->place = 0;
}

void store_truncate_prefix(struct store *store, const struct store_anchor *anchor)
{
    if (store->dead || anchor->index == store->anchor.index) {
        return;
    }
    CHECK(anchor->index > store->anchor.index);
    if (!holds_anchor(store, anchor)) {
        /* An entry of another term there was never committed: it may go first. */
        store_truncate_suffix(store, anchor->index);
        roll(store, anchor->index + 1, 0, true);
    }
    plan_anchor(store, anchor);
    keep_anchor(store, anchor);
    while (layout_oldest_below(&store->layout, anchor->index)) {
        struct step *step = add_step(store, STEP_REMOVE);

        step->segment = store->layout.segments[0].header.first;
        layout_drop_oldest(&store->layout);
    }
    cache_drop_below(&store->cache, store->layout.segments[0].header.first);
    stop_reading(store);
}

uint64_t store_term_of(const struct store *store, uint64_t index)
{
    if (index == store->anchor.index) {
        return store->anchor.term;
    }
    return index < store->anchor.index ? 0 : layout_term(&store->layout, index);
}

/* ---- reading ---- */

/* How many bytes to read from a place: its record and those behind it that are stored,
 * about a chunk of them, for they will be wanted next. */
static size_t read_ahead(const struct store *store, uint64_t index,
                         const struct layout_place *place)
{
    size_t len = place->size;

    while (len < LIMIT_CHUNK_BYTES && index < store->stored) {
        struct layout_place next = layout_find(&store->layout, ++index);

        if (next.segment != place->segment) {
            break;
        }
        len += next.size;
    }
    return len;
}

static int read_back(struct store *store, uint64_t index,
                     const struct layout_place *place, struct err *err)
{
    struct disk *disk = store->env->disk;
    size_t len = read_ahead(store, index, place);
    char *path = segment_path(store->log_dir, place->segment);
    struct cache_window *window;
    size_t got;
    int rc = 0;

    if (store->reading == NULL || store->reading_segment != place->segment) {
        stop_reading(store);
        rc = disk->ops->open(disk, path, DISK_READ_ONLY, &store->reading);
        rc = rc < 0 ? files_fail(err, rc, "open", path) : 0;
        store->reading_segment = place->segment;
    }
    if (rc == 0) {
        window = cache_borrow(&store->cache, place->segment, place->offset, len);
        rc = files_read(disk, store->reading, path, window->bytes, len, place->offset,
                        &got, err);
        if (rc == 0 && got < len) {
            rc = err_set(err, ERR_CORRUPT, "%s ends before offset %" PRIu64, path,
                         place->offset + len);
        }
    }
    free(path);
    return rc;
}

/* The record's bytes, wherever they are; NULL when they cannot be had. */
static const uint8_t *record_bytes(struct store *store, uint64_t index,
                                   const struct layout_place *place)
{
    const uint8_t *bytes =
        cache_find(&store->cache, place->segment, place->offset, place->size);
    struct err err;

    if (bytes != NULL) {
        return bytes;
    }
    CHECK(index <= store->stored);
    if (read_back(store, index, place, &err) < 0) {
        fatal(store, &err);
        return NULL;
    }
    return cache_find(&store->cache, place->segment, place->offset, place->size);
}

void store_get(struct store *store, uint64_t index, struct raftlog_entry *out)
{
    struct layout_place place;
    const uint8_t *bytes;
    struct err err;
    uint32_t ignored;

    *out = (struct raftlog_entry){.index = index, .type = RAFTLOG_NOOP};
    if (store->dead) {
        return;
    }
    CHECK(index > store->anchor.index);
    place = layout_find(&store->layout, index);
    bytes = record_bytes(store, index, &place);
    if (bytes == NULL) {
        return;
    }
    if (!record_decode(bytes, place.size, place.salt, out, &ignored) ||
        out->index != index || out->term != store_term_of(store, index)) {
        err_set(&err, ERR_CORRUPT,
                "%s: the record of entry %" PRIu64 " in the file of %" PRIu64
                " at offset %" PRIu64 " was damaged since it was written",
                store->log_dir, index, place.segment, place.offset);
        fatal(store, &err);
    }
}

void store_release(struct store *store)
{
    const struct layout_segment *tail = layout_tail(&store->layout);
    uint64_t segment = tail->header.first;
    uint64_t offset = layout_end(tail);
    uint64_t first_unstored = store->stored + 1;

    if (first_unstored <= store->anchor.index) {
        first_unstored = store->anchor.index + 1;
    }

    if (first_unstored <= layout_last(&store->layout)) {
        struct layout_place place = layout_find(&store->layout, first_unstored);

        segment = place.segment;
        offset = place.offset;
    }
    cache_release(&store->cache, LIMIT_LOG_CACHE, segment, offset);
}

void store_get_stats(const struct store *store, struct store_stats *out)
{
    *out = (struct store_stats){
        .bytes = store->layout.bytes,
        .segment = store->segment_bytes,
        .writing_ms = store->on_lane ? env_mono_ms(store->env) - store->on_lane_ms : 0,
        .waits = store->waits,
        .fsyncs = store->tally.syncs,
        .fsync_ns = store->tally.ns,
        .fsync_max_ns = store->tally.max_ns,
    };
}
