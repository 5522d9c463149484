/* Any bytes as entries of the log, applied: done, refused, or the state machine says in
 * one line that it cannot go on. Never a crash, and the state is what its hash says. An
 * entry is a batch of the input's bytes, or of commands with the envelope made right. */
#include "tests/fuzz/fuzz_store.h"

#define ENTRIES_MAX 64

static struct fixture fx;

/* kvd.command.Batch: field 1, again and again. */
static struct slice batch(struct fuzz *in, int n)
{
    static uint8_t bytes[65536];
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        struct slice command = fuzz_part(in);

        if (command.len > 16383 || len + command.len + 3 > sizeof(bytes)) {
            break;
        }
        bytes[len++] = 0x0a;
        bytes[len++] = (uint8_t)(command.len & 0x7f) | 0x80;
        bytes[len++] = (uint8_t)(command.len >> 7);
        if (command.len > 0) {
            memcpy(bytes + len, command.ptr, command.len);
        }
        len += command.len;
    }
    return slice_of(bytes, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    bool restarts = fuzz_byte(&in) % 2 == 1;

    fuzz_store_open(&fx);
    for (int i = 0; i < ENTRIES_MAX && fuzz_more(&in) && fx.n_fatal == 0; i++) {
        uint8_t what = fuzz_byte(&in);

        fx.passed_ms += what >= 0x80 ? 400 * (what & 0x7f) : 0;
        kv_begin(fx.kv);
        fixture_entry(&fx, what % 4 == 0 ? fuzz_part(&in) : batch(&in, what % 4));
        kv_commit(fx.kv);
        if (what % 8 == 3) {
            kv_upkeep(fx.kv);
        }
        arena_reset(&fx.arena);
    }
    CHECK(fx.n_fatal <= 1);
    fuzz_store_close(&fx, restarts);
    return 0;
}
