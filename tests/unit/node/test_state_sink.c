#include "node/state_sink.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "tests/sim/sim_disk.h"
#include "tests/unit/node/state_stream.h"

#define SIZE  2500
#define CHUNK 1000
#define DIR   "/data"
#define PATH  DIR "/state-2.db"

static struct sim_disk *sim;
static struct disk *disk;
static struct state_sink sink;
static struct buf stream;
static struct err err;

static void set_up(void)
{
    sim = sim_disk_new(3);
    disk = sim_disk_as_disk(sim);
    disk->ops->mkdir(disk, DIR);
    disk->ops->sync_dir(disk, "/");
    buf_init(&stream, MIB);
    err = (struct err){0};
    cr_assert_eq(state_sink_open(&sink, disk, DIR, PATH, SIZE, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
    state_sink_close(&sink);
    buf_close(&stream);
    sim_disk_free(sim);
}

TestSuite(state_sink, .init = set_up, .fini = tear_down);

static void open_anew(void)
{
    state_sink_close(&sink);
    disk->ops->unlink(disk, PATH);
    cr_assert_eq(state_sink_open(&sink, disk, DIR, PATH, SIZE, &err), 0, "%s", err.text);
}

static void assert_file_is_right(void)
{
    struct disk_file *file;
    uint8_t bytes[SIZE + 1];

    cr_assert_eq(disk->ops->open(disk, PATH, DISK_READ_ONLY, &file), 0);
    cr_assert_eq(disk->ops->read(file, bytes, sizeof(bytes), 0), SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        cr_assert_eq(bytes[i], state_stream_byte(i), "byte %zu", i);
    }
    disk->ops->close(file);
}

Test(state_sink, a_whole_stream_becomes_a_file_that_survives_a_power_cut)
{
    state_stream_build(&stream, SIZE, 0, CHUNK);

    cr_assert_eq(state_sink_take(&sink, &stream, &err), 0, "%s", err.text);

    cr_assert(state_sink_whole(&sink));
    cr_assert_eq(state_sink_offset(&sink), SIZE);
    cr_assert_eq(disk->ops->sync_dir(disk, DIR), 0);
    state_sink_close(&sink);
    sim_disk_crash(sim);
    assert_file_is_right();
}

Test(state_sink, bytes_may_come_one_by_one)
{
    struct buf piece = BUF_INIT(16);
    struct slice all;

    state_stream_build(&stream, SIZE, 0, CHUNK);
    all = buf_slice(&stream);
    for (size_t i = 0; i < all.len; i++) {
        cr_assert_not(state_sink_whole(&sink));
        buf_append(&piece, all.ptr + i, 1);
        cr_assert_eq(state_sink_take(&sink, &piece, &err), 0, "byte %zu: %s", i,
                     err.text);
        cr_assert_eq(buf_len(&piece), 0);
    }
    cr_assert(state_sink_whole(&sink));
    assert_file_is_right();
    buf_close(&piece);
}

Test(state_sink, a_stream_that_broke_goes_on_with_the_byte_that_is_due)
{
    struct buf part = BUF_INIT(MIB);
    struct slice all;

    state_stream_build(&stream, SIZE, 0, CHUNK);
    all = buf_slice(&stream);
    buf_append(&part, all.ptr, all.len / 2);
    cr_assert_eq(state_sink_take(&sink, &part, &err), 0);
    cr_assert_eq(state_sink_offset(&sink), CHUNK);

    state_sink_resume(&sink);
    state_stream_build(&part, SIZE, CHUNK, CHUNK / 2);
    cr_assert_eq(state_sink_take(&sink, &part, &err), 0, "%s", err.text);

    cr_assert(state_sink_whole(&sink));
    assert_file_is_right();
    buf_close(&part);
}

/* Whichever bit is another one: the stream is never taken for whole, and somebody is told
 * what is wrong with it; or it waits for more bytes, which a deadline ends. */
Test(state_sink, a_flip_of_any_bit_of_a_stream_is_found_and_named)
{
    struct buf copy = BUF_INIT(MIB);
    size_t len;
    size_t n_waiting = 0;

    state_stream_build(&stream, SIZE, 0, CHUNK);
    len = buf_len(&stream);
    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct slice all = buf_slice(&stream);
            int rc;

            open_anew();
            err.text[0] = '\0';
            buf_append(&copy, all.ptr, all.len);
            ((uint8_t *)buf_slice(&copy).ptr)[i] ^= (uint8_t)(1u << bit);
            rc = state_sink_take(&sink, &copy, &err);

            cr_assert_not(state_sink_whole(&sink), "bit %d of byte %zu", bit, i);
            if (rc == 0) {
                n_waiting++;
            } else {
                cr_assert_eq(rc, ERR_CORRUPT);
                cr_assert_neq(err.text[0], '\0');
            }
        }
    }
    /* Only a length that grew waits: some bits of four lengths of four bytes each. */
    cr_assert_lt(n_waiting, 4 * 32);
    buf_close(&copy);
}

Test(state_sink, a_gap_and_an_overlap_are_refused)
{
    state_stream_add_chunk(&stream, 0, CHUNK);
    state_stream_add_chunk(&stream, CHUNK + 1, CHUNK);
    cr_assert_eq(state_sink_take(&sink, &stream, &err), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "1000 bytes at offset 1001 came"), "%s",
                       err.text);

    open_anew();
    state_stream_add_chunk(&stream, 0, CHUNK);
    state_stream_add_chunk(&stream, CHUNK - 1, CHUNK);
    cr_assert_eq(state_sink_take(&sink, &stream, &err), ERR_CORRUPT);
}

Test(state_sink, more_than_was_announced_is_refused)
{
    state_stream_add_chunk(&stream, 0, SIZE);
    state_stream_add_chunk(&stream, SIZE, 1);

    cr_assert_eq(state_sink_take(&sink, &stream, &err), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "those at 2500 of 2500 were due"), "%s",
                       err.text);
}

Test(state_sink, an_end_before_the_end_is_refused)
{
    state_stream_add_chunk(&stream, 0, CHUNK);
    state_stream_add_end(&stream, state_stream_checksum(CHUNK));

    cr_assert_eq(state_sink_take(&sink, &stream, &err), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "ends after 1000 of 2500 bytes"), "%s", err.text);
    cr_assert_not(state_sink_spoiled(&sink));
}

Test(state_sink, a_whole_with_another_checksum_is_spoiled)
{
    state_stream_add_chunk(&stream, 0, SIZE);
    state_stream_add_end(&stream, 1);

    cr_assert_eq(state_sink_take(&sink, &stream, &err), ERR_CORRUPT);
    cr_assert(state_sink_spoiled(&sink));
    cr_assert_not_null(strstr(err.text, "the sender's is 0000000000000001"), "%s",
                       err.text);
}

Test(state_sink, another_frame_is_refused)
{
    Kvd__Peer__StateRequest request = KVD__PEER__STATE_REQUEST__INIT;

    link_encode(&stream, LINK_STATE_REQUEST, &request.base);

    cr_assert_eq(state_sink_take(&sink, &stream, &err), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "type 64 at this place"), "%s", err.text);
}

Test(state_sink, a_disk_without_room_is_noticed_before_anything_is_written)
{
    state_sink_close(&sink);
    disk->ops->unlink(disk, PATH);
    sim_disk_set_capacity(sim, 70 * MIB);

    cr_assert_eq(state_sink_open(&sink, disk, DIR, PATH, 10 * MIB, &err), ERR_FULL);
    cr_assert_not_null(strstr(err.text, "70 MiB are free, the state needs 11"), "%s",
                       err.text);
}

Test(state_sink, every_call_of_the_disk_may_fail)
{
    for (uint64_t n = 0;; n++) {
        struct buf copy = BUF_INIT(MIB);
        int rc;

        open_anew();
        state_stream_build(&copy, SIZE, 0, CHUNK);
        sim_disk_fail_after(sim, n, n % 2 == 0 ? -EIO : -ENOSPC);
        rc = state_sink_take(&sink, &copy, &err);
        buf_close(&copy);
        if (rc == 0) {
            cr_assert(state_sink_whole(&sink));
            cr_assert_gt(n, 3);
            break;
        }
        cr_assert_eq(rc, n % 2 == 0 ? ERR_IO : ERR_FULL);
        cr_assert_not_null(strstr(err.text, PATH), "%s", err.text);
        cr_assert_not(state_sink_whole(&sink));
    }
}
