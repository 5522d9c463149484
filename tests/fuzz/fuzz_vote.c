/* Any bytes as the vote file: refused with a sentence that names it, or what was read is
 * what the next start reads, and a new vote is kept. Slots may have a right checksum and
 * fields that make no sense. */
#include "base/crc.h"
#include "base/mem.h"
#include "raftlog/little.h"
#include "raftlog/vote.h"
#include "tests/fuzz/fuzz_world.h"

#define VOTE_FILE FUZZ_DIR "/vote"
#define SLOTS     2

/* Bytes of the input at the start of a slot, sealed on demand. */
static void write_file(struct fuzz_world *w, struct fuzz *in)
{
    static uint8_t file[SLOTS * VOTE_SLOT_SIZE + 16];
    uint8_t what = fuzz_byte(in);
    size_t len = SLOTS * VOTE_SLOT_SIZE;

    memset(file, 0, sizeof(file));
    for (int slot = 0; slot < SLOTS; slot++) {
        uint8_t *at = file + slot * VOTE_SLOT_SIZE;
        struct slice part = fuzz_part(in);

        if (part.len > VOTE_SLOT_SIZE) {
            part.len = VOTE_SLOT_SIZE;
        }
        if (part.len > 0) {
            memcpy(at, part.ptr, part.len);
        }
        if ((what & 1 << slot) != 0) {
            little_put32(at, crc32c(0, at + 4, VOTE_SLOT_SIZE - 4));
        }
    }
    if ((what & 4) != 0) {
        len = fuzz_u16(in) % sizeof(file);
    }
    fuzz_world_put(w, VOTE_FILE, slice_of(file, len));
}

static int start(struct vote *vote, struct fuzz_world *w, struct err *err)
{
    struct files_tally tally = {0};
    bool found;
    int rc = vote_load(vote, w->env, FUZZ_DIR, &found, err);

    CHECK(rc != 0 || found);
    return rc == 0 ? vote_start(vote, found, &tally, err) : rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    struct files_tally tally = {0};
    struct fuzz_world w;
    struct vote vote = {0};
    struct err err = {0};
    int rc;

    fuzz_world_open(&w);
    write_file(&w, &in);
    rc = start(&vote, &w, &err);
    if (rc != 0) {
        CHECK(rc == ERR_CORRUPT || rc == ERR_VERSION);
        CHECK(strstr(err.text, VOTE_FILE) != NULL);
    } else {
        uint64_t term = vote.state.term;
        uint64_t anchor = vote.state.anchor_index;

        vote_close(&vote);
        CHECK(start(&vote, &w, &err) == 0);
        CHECK(vote.state.term == term && vote.state.anchor_index == anchor);
        CHECK(vote_set(&vote, term + 1, 7, &tally, &err) == 0);
        vote_close(&vote);
        CHECK(start(&vote, &w, &err) == 0);
        CHECK(vote.state.term == term + 1 && vote.state.vote == 7);
        CHECK(vote.state.anchor_index == anchor);
    }
    vote_close(&vote);
    fuzz_world_close(&w);
    return 0;
}
