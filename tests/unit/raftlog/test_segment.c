/* One file of the log: header, walk, and the judgement of its end. */
#include "raftlog/segment.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/files.h"
#include "raftlog/record.h"
#include "tests/sim/sim_disk.h"

#define SIZE 8192
#define SALT 5

/* An image that is built record by record. */
static struct segment_image image;
static size_t end;
static size_t starts[64]; /* offset of record i */
static uint64_t n;

static void begin(void)
{
    image = (struct segment_image){
        .path = mem_strdup("log/1.log"),
        .bytes = mem_zero(SIZE),
        .len = SIZE,
        .header = {.first = 1, .salt = SALT},
    };
    segment_encode_header(image.bytes, &image.header);
    end = SEGMENT_HEADER_SIZE;
    n = 0;
}

static void add_as(uint64_t index, uint64_t term, uint32_t place, size_t len)
{
    uint8_t payload[2048];
    struct raftlog_entry entry = {.index = index, .term = term, .type = RAFTLOG_COMMAND};

    memset(payload, 'x', len);
    entry.payload = slice_of(payload, len);
    record_encode(image.bytes + end, &entry, place, SALT);
    starts[n++] = end;
    end += record_size(len);
}

static void add(uint32_t place, size_t len)
{
    add_as(n + 1, 1, place, len);
}

static void lose_sector(size_t sector)
{
    memset(image.bytes + sector * 512, 0, 512);
}

/* How many records a walk finds; *verdict is segment_end's. */
static uint64_t walk_all(int *verdict, struct err *err)
{
    struct segment_walk walk = segment_walk(&image, 0);
    struct raftlog_entry entry;
    uint64_t found = 0;

    while (segment_next(&walk, &entry)) {
        found++;
        cr_assert_eq(entry.index, found);
    }
    *verdict = segment_end(&walk, err);
    return found;
}

static void expect(uint64_t found, int verdict)
{
    struct err err = {0};
    int got;

    cr_assert_eq(walk_all(&got, &err), found);
    cr_assert_eq(got, verdict, "%d, %s", got, err.text);
    if (got == ERR_CORRUPT) {
        cr_assert(strstr(err.text, "log/1.log") != NULL, "%s", err.text);
        cr_assert(strstr(err.text, "offset") != NULL, "%s", err.text);
    }
    segment_unload(&image);
}

Test(segment, name_is_the_first_index_in_20_digits)
{
    char *path = segment_path("/d/log", 42);
    uint64_t first;

    cr_assert_str_eq(path, "/d/log/00000000000000000042.log");
    cr_assert(segment_parse_name("00000000000000000042.log", &first));
    cr_assert_eq(first, 42);
    cr_assert_not(segment_parse_name("00000000000000000000.log", &first));
    cr_assert_not(segment_parse_name("0000000000000000042.log", &first));
    cr_assert_not(segment_parse_name("00000000000000000042.bak", &first));
    cr_assert_not(segment_parse_name("0000000000000000004x.log", &first));
    cr_assert_not(segment_parse_name("99999999999999999999.log", &first));
    free(path);
}

Test(segment, walk_finds_all_records)
{
    begin();
    add(0, 10);
    add(1, 700);
    add(0, 0);

    expect(3, SEGMENT_BLANK);
}

Test(segment, full_one_has_a_blank_end)
{
    begin();
    add(0, 10);
    image.len = end;

    expect(1, SEGMENT_BLANK);
}

Test(segment, record_with_a_lost_sector_is_torn)
{
    begin();
    add(0, 100);
    add(0, 1500);
    lose_sector(2);

    expect(1, SEGMENT_TORN);
}

Test(segment, record_whose_first_sector_is_lost_is_torn)
{
    begin();
    add(0, 408);
    add(0, 1500); /* begins with the second sector but for 24 bytes */
    memset(image.bytes + starts[1], 0, 512 - starts[1] % 512);

    expect(1, SEGMENT_TORN);
}

Test(segment, lost_sector_within_the_last_group_is_torn_though_records_follow)
{
    begin();
    add(0, 100);
    add(0, 1000);
    add(1, 1000);
    add(2, 100);
    lose_sector(1);

    expect(1, SEGMENT_TORN);
}

Test(segment, lost_sector_before_the_last_group_is_damage)
{
    begin();
    add(0, 100);
    add(0, 1000);
    add(1, 1000);
    add(0, 100);
    lose_sector(1);

    expect(1, ERR_CORRUPT);
}

Test(segment, bad_record_without_a_lost_sector_is_damage)
{
    begin();
    add(0, 100);
    add(0, 1500);
    image.bytes[starts[1] + 600] ^= 1;

    expect(1, ERR_CORRUPT);
}

Test(segment, length_that_no_record_has_is_damage)
{
    begin();
    add(0, 100);
    image.bytes[starts[0] + 7] = 0xff;

    expect(0, ERR_CORRUPT);
}

Test(segment, wrong_length_that_covers_an_intact_record_is_damage)
{
    begin();
    add(0, 100);
    add(1, 100);
    image.bytes[starts[0] + 5] = 0x10; /* over 4 KiB: a blank sector would be inside */

    expect(0, ERR_CORRUPT);
}

Test(segment, index_out_of_order_is_damage)
{
    begin();
    add_as(1, 1, 0, 100);
    add_as(3, 1, 0, 100);

    expect(1, ERR_CORRUPT);
}

Test(segment, term_that_falls_is_damage)
{
    begin();
    add_as(1, 5, 0, 100);
    add_as(2, 4, 0, 100);

    expect(1, ERR_CORRUPT);
}

Test(segment, records_in_a_clients_payload_are_not_taken_for_ours)
{
    uint8_t fake[1024];
    struct raftlog_entry inner = {.index = 9, .term = 1, .type = RAFTLOG_COMMAND};
    struct raftlog_entry outer = {.index = 2, .term = 1, .type = RAFTLOG_COMMAND};

    begin();
    add(0, 100);
    memset(fake, 'x', sizeof(fake));
    record_encode(fake + 600, &inner, 0, SALT + 1); /* the salt is not known to clients */
    outer.payload = slice_of(fake, sizeof(fake));
    record_encode(image.bytes + end, &outer, 0, SALT);
    memset(image.bytes + end, 0, 512 - end % 512);

    expect(1, SEGMENT_TORN);
}

/* ---- loading ---- */

static int load(const uint8_t *bytes, size_t len, struct err *err)
{
    struct sim_disk *sim = sim_disk_new(1);
    struct disk *disk = sim_disk_as_disk(sim);
    struct segment_image loaded;
    struct disk_file *file;
    int rc;

    cr_assert_eq(disk->ops->open(disk, "/00000000000000000001.log", DISK_CREATE, &file),
                 0);
    cr_assert_eq(files_write(disk, file, "f", bytes, len, 0, err), 0);
    disk->ops->close(file);
    rc = segment_load(&loaded, disk, "", 1, err);
    if (rc == 0) {
        segment_unload(&loaded);
    }
    sim_disk_free(sim);
    return rc;
}

Test(segment, header_is_verified)
{
    struct segment_header header = {.first = 1, .salt = 9, .after_anchor = true};
    uint8_t bytes[64] = {0};
    struct err err;

    segment_encode_header(bytes, &header);
    cr_assert_eq(load(bytes, sizeof(bytes), &err), 0);
    cr_assert_eq(load(bytes, 31, &err), ERR_CORRUPT);
    for (size_t i = 0; i < SEGMENT_HEADER_SIZE; i++) {
        bytes[i] ^= 4;
        cr_assert_eq(load(bytes, sizeof(bytes), &err), ERR_CORRUPT);
        bytes[i] ^= 4;
    }
    header.first = 2;
    segment_encode_header(bytes, &header);
    cr_assert_eq(load(bytes, sizeof(bytes), &err), ERR_CORRUPT);
    cr_assert(strstr(err.text, "begins at index 2") != NULL, "%s", err.text);
}
