#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk_posix.h"
#include "node/identity.h"
#include "node/smallfile.h"

static char dir[64];

static void make_dir(void)
{
    mkdir("build", 0755);
    snprintf(dir, sizeof(dir), "build/test_identity.XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(identity, .init = make_dir, .fini = remove_dir);

static struct config_urls urls_of(const char *first, const char *second)
{
    struct config_urls urls = {.n = 1};

    urls.items[0].address = (char *)first;
    if (second != NULL) {
        urls.items[urls.n++].address = (char *)second;
    }
    return urls;
}

/* What etcd computes for its default member, known from a thousand log files. */
Test(identity, ids_are_those_of_etcd)
{
    struct config_urls urls = urls_of("localhost:2380", NULL);
    uint64_t member = identity_member_id(&urls, "etcd-cluster");

    cr_assert_eq(member, 0x8e9e05c52164694dull);
    cr_assert_eq(identity_cluster_id(&member, 1), 0xcdf818194e3a8c32ull);
}

Test(identity, ids_depend_on_urls_and_token)
{
    struct config_urls one = urls_of("a:1", NULL);
    struct config_urls two = urls_of("a:1", "b:1");

    cr_assert_neq(identity_member_id(&one, "t"), identity_member_id(&two, "t"));
    cr_assert_neq(identity_member_id(&one, "t"), identity_member_id(&one, "u"));
}

static const struct identity sample = {
    .cluster_id = 0xc1, .member_id = 0xa1, .store_id = 0xffffffffffffffff};

Test(identity, what_is_saved_is_loaded)
{
    struct identity saved = sample;
    struct identity loaded;
    struct err err;

    saved.complete = true;
    cr_assert_eq(identity_save(&saved, disk_posix(), dir, &err), 0);
    cr_assert_eq(identity_load(&loaded, disk_posix(), dir, &err), 0, "%s", err.text);

    cr_assert_eq(loaded.cluster_id, saved.cluster_id);
    cr_assert_eq(loaded.member_id, saved.member_id);
    cr_assert_eq(loaded.store_id, saved.store_id);
    cr_assert(loaded.complete);
}

Test(identity, without_a_file_it_is_not_found)
{
    struct identity loaded;

    cr_assert_eq(identity_load(&loaded, disk_posix(), dir, NULL), ERR_NOT_FOUND);
}

/* Each bit of the file: refused, with the file and the offset. */
static void expect_flips_noticed(const char *name)
{
    char text[SMALLFILE_MAX];
    struct identity loaded;
    struct err err;

    cr_assert_eq(smallfile_read(disk_posix(), dir, name, text, &err), 0);
    for (size_t bit = 0; bit < 8 * strlen(text); bit++) {
        char flipped[SMALLFILE_MAX];
        int rc;

        strcpy(flipped, text);
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ 1 << bit % 8);
        smallfile_replace(disk_posix(), dir, name, flipped, &err);
        rc = identity_load(&loaded, disk_posix(), dir, &err);
        cr_assert(rc == ERR_CORRUPT || rc == ERR_VERSION, "bit %zu: %d", bit, rc);
        cr_assert_not_null(strstr(err.text, name));
        cr_assert_not_null(strstr(err.text, "offset"), "bit %zu: %s", bit, err.text);
    }
    smallfile_replace(disk_posix(), dir, name, text, &err);
    cr_assert_eq(identity_load(&loaded, disk_posix(), dir, &err), 0, "%s", err.text);
}

/* A zero ends a text before its end. */
static void expect_zeros_noticed(const char *name)
{
    char text[SMALLFILE_MAX];
    struct identity loaded;
    struct err err;
    char path[160];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    cr_assert_eq(smallfile_read(disk_posix(), dir, name, text, &err), 0);
    fd = open(path, O_WRONLY);
    for (size_t at = 0; at < strlen(text); at++) {
        cr_assert_eq(pwrite(fd, "", 1, (off_t)at), 1);
        cr_assert_eq(identity_load(&loaded, disk_posix(), dir, &err), ERR_CORRUPT);
        cr_assert_not_null(strstr(err.text, name));
        cr_assert_not_null(strstr(err.text, "offset"), "byte %zu: %s", at, err.text);
        cr_assert_eq(pwrite(fd, &text[at], 1, (off_t)at), 1);
    }
    close(fd);
}

Test(identity, any_changed_bit_is_noticed, .timeout = 60)
{
    struct identity id = sample;
    struct err err;

    identity_save(&id, disk_posix(), dir, &err);
    cr_assert_eq(identity_meet(&id, disk_posix(), dir, 0xb2, 0x22, &err), 0);

    expect_flips_noticed("IDENTITY");
    expect_flips_noticed("PEERS");
    expect_zeros_noticed("IDENTITY");
    expect_zeros_noticed("PEERS");
}

Test(identity, a_newer_format_is_refused_by_its_number)
{
    struct identity loaded;
    struct err err;

    smallfile_replace(disk_posix(), dir, "IDENTITY", "kvd-identity 2\nwhatever\n", &err);

    cr_assert_eq(identity_load(&loaded, disk_posix(), dir, &err), ERR_VERSION);
    cr_assert_not_null(strstr(err.text, "newer kvd (format 2"));
}

Test(identity, the_first_store_of_a_member_is_pinned_for_ever)
{
    struct identity id = sample;
    struct identity later;
    struct err err;

    identity_save(&id, disk_posix(), dir, &err);
    cr_assert_eq(identity_meet(&id, disk_posix(), dir, 0xb2, 0x22, &err), 0);
    cr_assert_eq(identity_meet(&id, disk_posix(), dir, 0xc3, 0x33, &err), 0);
    cr_assert_eq(identity_load(&later, disk_posix(), dir, &err), 0, "%s", err.text);

    cr_assert_eq(identity_meet(&later, disk_posix(), dir, 0xb2, 0x22, &err), 0);
    cr_assert_eq(identity_meet(&later, disk_posix(), dir, 0xb2, 0x23, &err), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "came back with another store"));
    cr_assert_eq(identity_meet(&later, disk_posix(), dir, 0xc3, 0x33, &err), 0);
}

Test(identity, a_damaged_list_of_stores_is_refused)
{
    struct identity id = sample;
    struct identity loaded;
    struct err err;

    identity_save(&id, disk_posix(), dir, &err);
    identity_meet(&id, disk_posix(), dir, 0xb2, 0x22, &err);
    smallfile_replace(disk_posix(), dir, "PEERS", "kvd-peers 1\n", &err);

    cr_assert_eq(identity_load(&loaded, disk_posix(), dir, &err), ERR_CORRUPT);
    cr_assert_not_null(strstr(err.text, "PEERS"));
}
