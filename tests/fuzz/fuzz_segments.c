/* Any bytes as segment files of the log: the start refuses with a sentence that names a
 * file, or every entry that it says it has can be read, the log takes more, and the next
 * start finds all of it.
 *
 * The input is a story of steps: begin a file, add a record with a right checksum and
 * fields that may make no sense, raw bytes, zeros. So damage reaches what is behind the
 * checksums. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/record.h"
#include "raftlog/segment.h"
#include "raftlog/store.h"
#include "tests/fuzz/fuzz_world.h"

#define FILES_MAX 4
#define FILE_MAX  (256 * KIB)
#define LOG_DIR   FUZZ_DIR "/log"

static void on_stored(void *owner)
{
    (void)owner;
}

/* ---- writing ---- */

struct draft {
    struct fuzz_world *world;
    struct buf bytes;
    uint64_t first;
    uint64_t next;
    uint64_t term;
    uint32_t salt;
    uint32_t place;
    unsigned files;
};

static void draft_end(struct draft *draft)
{
    if (draft->files > 0) {
        char *path = segment_path(LOG_DIR, draft->first);

        fuzz_world_put(draft->world, path, buf_slice(&draft->bytes));
        free(path);
    }
    buf_clear(&draft->bytes);
}

static void draft_begin(struct draft *draft, struct fuzz *in)
{
    uint8_t what = fuzz_byte(in);
    struct segment_header header = {
        .first = draft->next, .salt = draft->salt + 1, .after_anchor = (what & 1) != 0};
    uint8_t encoded[SEGMENT_HEADER_SIZE];

    draft_end(draft);
    draft->files++;
    draft->first = (what & 2) != 0 ? fuzz_u64(in) : draft->next;
    header.first = (what & 4) != 0 ? fuzz_u64(in) : draft->first;
    draft->next = header.first;
    draft->salt = header.salt;
    draft->place = 0;
    segment_encode_header(encoded, &header);
    if ((what & 8) == 0) {
        buf_append(&draft->bytes, encoded, sizeof(encoded));
    }
}

static void draft_record(struct draft *draft, struct fuzz *in)
{
    uint8_t what = fuzz_byte(in);
    struct slice payload = fuzz_part(in);
    struct raftlog_entry entry = {
        .index = (what & 1) != 0 ? fuzz_u64(in) : draft->next,
        .term = (what & 2) != 0 ? fuzz_u64(in) : draft->term,
        .type =
            (what & 4) != 0 ? (enum raftlog_entry_type)fuzz_byte(in) : RAFTLOG_COMMAND,
        .cluster_ms = (what & 8) != 0 ? fuzz_u64(in) : draft->next,
        .payload = payload,
    };
    uint32_t place = (what & 16) != 0 ? (uint32_t)fuzz_u64(in) : draft->place;
    size_t size = record_size(payload.len);
    uint8_t *at = buf_reserve(&draft->bytes, size);

    if (at == NULL) {
        return;
    }
    record_encode(at, &entry, place, draft->salt);
    if ((what & 32) != 0) { /* a byte of it is flipped */
        at[fuzz_u16(in) % size] ^= (uint8_t)(1 + fuzz_byte(in) % 255);
    }
    buf_commit(&draft->bytes, size);
    draft->next = entry.index + 1;
    draft->term = entry.term;
    draft->place = place + 1;
}

static void draft_step(struct draft *draft, struct fuzz *in)
{
    static const uint8_t zeros[4096];
    struct slice raw;

    switch (fuzz_byte(in) % 8) {
    case 0:
        if (draft->files < FILES_MAX) {
            draft_begin(draft, in);
        }
        break;
    case 1:
        raw = fuzz_part(in);
        buf_append(&draft->bytes, raw.ptr, raw.len);
        break;
    case 2:
        buf_append(&draft->bytes, zeros, fuzz_u16(in) % sizeof(zeros));
        break;
    case 3:
        draft->place = 0;
        break;
    case 4:
        draft->term++;
        break;
    default:
        draft_record(draft, in);
        break;
    }
}

static void write_files(struct fuzz_world *world, struct fuzz *in)
{
    struct draft draft = {
        .world = world, .bytes = BUF_INIT(FILE_MAX), .next = 1, .term = 1};

    draft_begin(&draft, in);
    while (fuzz_more(in)) {
        draft_step(&draft, in);
    }
    draft_end(&draft);
    buf_close(&draft.bytes);
}

/* ---- reading ---- */

static void settle(struct fuzz_world *world, struct store *store)
{
    while (!store_idle(store)) {
        CHECK(sim_world_step(world->world, UINT64_MAX));
    }
}

static void read_all(struct store *store)
{
    struct raftlog_entry entry;

    if (store_last_index(store) == store_get_anchor(store)->index) {
        return; /* empty */
    }
    for (uint64_t index = store_first_index(store); index <= store_last_index(store);
         index++) {
        store_get(store, index, &entry);
        CHECK(entry.index == index && entry.term == store_term_of(store, index));
        store_release(store);
    }
}

static void close_store(struct fuzz_world *world, struct store *store)
{
    settle(world, store);
    store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    struct fuzz_world w;
    struct store *store;
    struct err err = {0};
    int rc;

    fuzz_world_open(&w);
    CHECK(store_open(&store, w.env, FUZZ_DIR, on_stored, NULL, &err) == 0);
    close_store(&w, store); /* makes the vote file */
    write_files(&w, &in);

    rc = store_open(&store, w.env, FUZZ_DIR, on_stored, NULL, &err);
    if (rc != 0) {
        CHECK(rc == ERR_CORRUPT || rc == ERR_VERSION);
        CHECK(strstr(err.text, FUZZ_DIR "/") != NULL);
    } else {
        uint64_t last = store_last_index(store);
        struct raftlog_entry more = {.index = last + 1,
                                     .term = store_term_of(store, last) + 1,
                                     .type = RAFTLOG_COMMAND,
                                     .payload = slice_str("more")};

        read_all(store);
        store_append(store, &more);
        store_flush(store);
        close_store(&w, store);
        rc = store_open(&store, w.env, FUZZ_DIR, on_stored, NULL, &err);
        CHECK(rc == 0);
        CHECK(store_last_index(store) == last + 1);
        read_all(store);
        close_store(&w, store);
    }
    CHECK(w.fatals == 0);
    fuzz_world_close(&w);
    return 0;
}
