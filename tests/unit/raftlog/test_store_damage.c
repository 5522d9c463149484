/* Damaged files: every byte of a small log and of the vote file changed in turn. Whatever
 * the start makes of it, it never crashes and never takes other content for what was
 * written: it names the file, or drops an end that may have been an unfinished write. */
#include "raftlog/store.h"

#include <inttypes.h>

#include "base/crc.h"
#include "raftlog/little.h"
#include "tests/unit/raftlog/store_rig.h"

#define FIRST_FILE RIG_DIR "/log/00000000000000000001.log"
#define VOTE_FILE  RIG_DIR "/vote"
#define GROUPS     3
#define PER_GROUP  3
#define LAST       (GROUPS * PER_GROUP)

static struct rig rig;

/* Three groups of three records and a vote, closed. */
static void build(void)
{
    rig_init(&rig, 5);
    rig_must_open(&rig);
    for (uint64_t group = 0; group < GROUPS; group++) {
        rig_append_stored(&rig, group * PER_GROUP + 1, (group + 1) * PER_GROUP, 1);
    }
    store_set_vote(rig.store, 4, 2);
    rig_close_store(&rig);
}

/* Bytes of the first file up to the last record. */
static uint64_t log_end(void)
{
    struct store_stats stats;

    build();
    rig_must_open(&rig);
    store_get_stats(rig.store, &stats);
    rig_close(&rig);
    return stats.bytes;
}

/* What was read must be what was written, but for the last group at most. */
static void check_opened(uint64_t offset)
{
    uint64_t last = store_last_index(rig.store);

    cr_assert_geq(last, LAST - PER_GROUP,
                  "a change at %" PRIu64 " dropped entry %" PRIu64, offset, last + 1);
    for (uint64_t index = 1; index <= last; index++) {
        rig_check(&rig, index, 1);
    }
    cr_assert_eq(store_term(rig.store), 4);
    cr_assert_eq(store_vote(rig.store), 2);
}

/* Changes one byte and starts. True when the start refused. */
static bool refused(const char *path, uint64_t offset, uint8_t mask)
{
    bool was_refused;

    build();
    sim_disk_flip(rig.sim, path, offset, mask);
    was_refused = rig_open(&rig) != 0;
    if (was_refused) {
        cr_assert(rig.err.code == ERR_CORRUPT || rig.err.code == ERR_VERSION);
        cr_assert(strstr(rig.err.text, path) != NULL, "%s", rig.err.text);
        cr_assert(strstr(rig.err.text, "offset") != NULL, "%s", rig.err.text);
    } else {
        check_opened(offset);
    }
    rig_close(&rig);
    return was_refused;
}

Test(store_damage, no_byte_of_a_segment_can_change_unnoticed, .timeout = 120)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    uint64_t end = log_end();
    unsigned n_refused = 0;
    unsigned n = 0;

    for (uint64_t offset = 0; offset < end + 600; offset++) {
        uint8_t mask = masks[offset % ARRAY_LEN(masks)];

        n_refused += refused(FIRST_FILE, offset, mask);
        n++;
    }
    /* All but the blank end, and what might be torn in the last record. */
    cr_assert_gt(n_refused, end * 9 / 10);
    cr_assert_lt(n_refused, n);
}

Test(store_damage, no_byte_of_the_vote_file_matters_alone, .timeout = 120)
{
    for (uint64_t offset = 0; offset < 8192; offset += offset % 4096 < 80 ? 1 : 61) {
        cr_assert_not(refused(VOTE_FILE, offset, 0x10));
    }
}

Test(store_damage, vote_file_without_a_good_slot_is_refused)
{
    build();
    sim_disk_flip(rig.sim, VOTE_FILE, 20, 1);
    sim_disk_flip(rig.sim, VOTE_FILE, 4096 + 20, 1);

    cr_assert_eq(rig_open(&rig), ERR_CORRUPT);
    cr_assert(strstr(rig.err.text, "both slots") != NULL, "%s", rig.err.text);
    rig_close(&rig);
}

Test(store_damage, missing_vote_file_is_refused)
{
    struct disk *disk;

    build();
    disk = rig.env->disk;
    cr_assert_eq(disk->ops->unlink(disk, VOTE_FILE), 0);

    cr_assert_eq(rig_open(&rig), ERR_CORRUPT);
    cr_assert(strstr(rig.err.text, "vote twice") != NULL, "%s", rig.err.text);
    rig_close(&rig);
}

Test(store_damage, missing_segments_are_refused)
{
    struct disk *disk;

    rig_init(&rig, 5);
    rig_must_open(&rig);
    rig.payload_len = 3000;
    rig_append_stored(&rig, 1, 100, 1);
    rig_close_store(&rig);
    disk = rig.env->disk;
    cr_assert_eq(disk->ops->unlink(disk, FIRST_FILE), 0);

    cr_assert_eq(rig_open(&rig), ERR_CORRUPT);
    cr_assert(strstr(rig.err.text, "entries 1 to ") != NULL, "%s", rig.err.text);
    rig_close(&rig);
}

Test(store_damage, damage_before_the_last_segment_is_refused)
{
    rig_init(&rig, 5);
    rig_must_open(&rig);
    rig.payload_len = 3000;
    rig_append_stored(&rig, 1, 100, 1);
    rig_close_store(&rig);
    sim_disk_flip(rig.sim, FIRST_FILE, 5000, 4);

    cr_assert_eq(rig_open(&rig), ERR_CORRUPT);
    cr_assert(strstr(rig.err.text, "index 2)") != NULL, "%s", rig.err.text);
    rig_close(&rig);
}

/* Rewrites a u32 of a file and the CRC32C that covers it. */
static void forge(const char *path, uint64_t from, size_t len, uint64_t at,
                  uint32_t value, uint64_t crc_at, uint64_t crc_from, size_t crc_len)
{
    struct disk *disk = rig.env->disk;
    struct disk_file *file;
    uint8_t *bytes = mem_alloc(len);

    cr_assert_eq(disk->ops->open(disk, path, 0, &file), 0);
    cr_assert_eq(disk->ops->read(file, bytes, len, from), (ssize_t)len);
    little_put32(bytes + at, value);
    little_put32(bytes + crc_at, crc32c(0, bytes + crc_from, crc_len));
    cr_assert_eq(disk->ops->write(file, bytes, len, from), (ssize_t)len);
    disk->ops->close(file);
    free(bytes);
}

static void refuse_newer_without_touching(void)
{
    uint64_t changes = sim_disk_changes(rig.sim);

    cr_assert_eq(rig_open(&rig), ERR_VERSION);
    cr_assert(strstr(rig.err.text, "newer version") != NULL, "%s", rig.err.text);
    cr_assert_eq(sim_disk_changes(rig.sim), changes);
    rig_close(&rig);
}

Test(store_damage, segment_of_a_newer_version_is_refused_and_nothing_is_touched)
{
    build();
    forge(FIRST_FILE, 0, 32, 8, 2, 28, 0, 28);

    refuse_newer_without_touching();
}

Test(store_damage, vote_file_of_a_newer_version_is_refused_and_nothing_is_touched)
{
    build();
    forge(VOTE_FILE, 0, 4096, 60, 2, 0, 4, 4092);

    refuse_newer_without_touching();
}
