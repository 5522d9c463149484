/* What the sender of a state may say to the one who writes it down: chunks and ends whose
 * frames are right and whose offsets, lengths and checksums may not be, raw bytes, in any
 * pieces and with breaks. Nothing crashes, and a file that counts as whole is, byte by
 * byte, what was to be sent. */
#include "node/state_sink.h"
#include "tests/fuzz/fuzz_world.h"
#include "tests/unit/node/state_stream.h"

#define PATH FUZZ_DIR "/state-2.db"

static void add_step(struct buf *out, struct fuzz *in, size_t due, size_t size)
{
    uint8_t what = fuzz_byte(in);
    size_t len = 1 + fuzz_u16(in) % 4096;
    struct slice raw;

    switch (what % 8) {
    case 0:
        raw = fuzz_part(in);
        buf_append(out, raw.ptr, raw.len);
        break;
    case 1:
        state_stream_add_end(out, fuzz_u64(in));
        break;
    case 2:
        state_stream_add_end(out, state_stream_checksum(size));
        break;
    case 3:
        state_stream_add_chunk(out, fuzz_u64(in), len);
        break;
    default:
        state_stream_add_chunk(out, due,
                               due + len > size && due < size ? size - due : len);
        break;
    }
}

static void check_file(struct fuzz_world *w, size_t size)
{
    struct disk_file *file;
    uint8_t byte;

    CHECK(w->disk->ops->open(w->disk, PATH, DISK_READ_ONLY, &file) == 0);
    CHECK(w->disk->ops->size(file) == (int64_t)size);
    for (size_t i = 0; i < size; i++) {
        CHECK(w->disk->ops->read(file, &byte, 1, i) == 1);
        CHECK(byte == state_stream_byte(i));
    }
    w->disk->ops->close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    size_t size = 1 + fuzz_u16(&in) % 6000;
    struct buf stream = BUF_INIT(MIB);
    struct fuzz_world w;
    struct state_sink sink = {0};
    struct err err = {0};
    int rc = 0;

    fuzz_world_open(&w);
    sim_disk_set_capacity(w.sim, 1ull << 30);
    CHECK(state_sink_open(&sink, w.disk, FUZZ_DIR, PATH, size, &err) == 0);
    while (rc == 0 && fuzz_more(&in) && !state_sink_whole(&sink)) {
        add_step(&stream, &in, (size_t)state_sink_offset(&sink), size);
        rc = state_sink_take(&sink, &stream, &err);
        CHECK(state_sink_offset(&sink) <= size);
        if (rc == 0 && fuzz_byte(&in) % 16 == 1) {
            buf_clear(&stream);
            state_sink_resume(&sink);
        }
    }
    CHECK(rc == 0 || err.text[0] != '\0');
    if (rc == 0 && state_sink_whole(&sink)) {
        check_file(&w, size);
    }
    state_sink_close(&sink);
    buf_close(&stream);
    fuzz_world_close(&w);
    return 0;
}
