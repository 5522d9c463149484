/* Folders of certificates: rights, nothing overwritten, nothing left behind. */
#include <criterion/criterion.h>
#include <time.h>

#include "cli/cert_dir.h"
#include "folder_rig.h"

static struct err err;
static struct cert *cert;
static struct cert_dir dir;

static void start(void)
{
    struct cert_order order = {
        .use = CERT_CA, .name = "ca", .from_s = 0, .until_s = time(NULL) + 1000};

    rig_start();
    cr_assert_eq(cert_make(&order, NULL, &cert, &err), 0);
}

static void stop(void)
{
    cert_free(cert);
    rig_stop();
}

TestSuite(cert_dir, .init = start, .fini = stop);

static int mode_of(const char *name)
{
    struct stat st;

    cr_assert_eq(stat(rig_path(name), &st), 0, "%s", name);
    return st.st_mode & 0777;
}

/* A folder that the rig has not made. */
static const char *fresh(void)
{
    static char path[300];

    snprintf(path, sizeof(path), "%s/certs", rig_folder);
    return path;
}

Test(cert_dir, only_the_owner_reads_keys)
{
    umask(0);
    cr_assert_eq(cert_dir_open(&dir, fresh(), true, &err), 0, "%s", err.text);
    cr_assert_eq(cert_dir_add(&dir, "ca", cert, &err), 0, "%s", err.text);
    cert_dir_close(&dir, true);

    cr_assert_eq(mode_of("certs"), 0700);
    cr_assert_eq(mode_of("certs/ca.crt"), 0644);
    cr_assert_eq(mode_of("certs/ca.key"), 0600);
}

Test(cert_dir, what_is_there_is_not_overwritten)
{
    rig_write("m1.key", "precious", 8);
    cr_assert_eq(cert_dir_open(&dir, rig_folder, true, &err), 0);

    cr_assert_eq(cert_dir_check_free(&dir, "m2", &err), 0);
    cr_assert_eq(cert_dir_check_free(&dir, "m1", &err), ERR_EXISTS);
    cr_assert_not_null(strstr(err.text, "/m1.key exists"), "%s", err.text);
    cr_assert_eq(cert_dir_add(&dir, "m1", cert, &err), ERR_EXISTS);
    cert_dir_close(&dir, false);

    cr_assert_str_eq(rig_read("m1.key"), "precious");
    cr_assert_null(rig_read("m1.crt"), "what was written is taken back");
}

Test(cert_dir, a_link_is_not_followed)
{
    cr_assert_eq(symlink("elsewhere", rig_path("m1.crt")), 0);
    cr_assert_eq(cert_dir_open(&dir, rig_folder, false, &err), 0);

    cr_assert_eq(cert_dir_add(&dir, "m1", cert, &err), ERR_EXISTS);
    cert_dir_close(&dir, false);

    cr_assert_null(rig_read("elsewhere"));
}

Test(cert_dir, a_run_that_fails_leaves_nothing)
{
    cr_assert_eq(cert_dir_open(&dir, fresh(), true, &err), 0);
    cr_assert_eq(cert_dir_add(&dir, "ca", cert, &err), 0);

    cert_dir_close(&dir, false);

    cr_assert_eq(access(fresh(), F_OK), -1);
}

Test(cert_dir, a_folder_that_others_may_write_to_is_refused)
{
    cr_assert_eq(chmod(rig_folder, 0777), 0);

    cr_assert_eq(cert_dir_open(&dir, rig_folder, true, &err), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "mode 777"), "%s", err.text);
    cr_assert_eq(access(rig_folder, F_OK), 0, "it is not ours to remove");
}

Test(cert_dir, a_folder_that_is_missing_is_made_only_when_it_may_be)
{
    cr_assert_eq(cert_dir_open(&dir, fresh(), false, &err), ERR_NOT_FOUND);
    rig_write("file", "", 0);
    cr_assert_eq(cert_dir_open(&dir, rig_path("file"), true, &err), ERR_IO);
}

Test(cert_dir, both_files_are_read_back)
{
    struct cert *read;

    cr_assert_eq(cert_dir_open(&dir, rig_folder, false, &err), 0);
    cr_assert_eq(cert_dir_load(&dir, "ca", &read, &err), ERR_NOT_FOUND);
    cr_assert_eq(cert_dir_add(&dir, "ca", cert, &err), 0);
    cr_assert_eq(cert_dir_load(&dir, "ca", &read, &err), 0, "%s", err.text);
    cr_assert(cert_is_ca(read));
    cert_free(read);
    rig_write("ca.crt", "rubbish", 7);
    cr_assert_eq(cert_dir_load(&dir, "ca", &read, &err), ERR_INVALID);
    cert_dir_close(&dir, true);
}

Test(cert_dir, names_stay_in_the_folder)
{
    static const char *const good[] = {"m1", "a.b", "alice@example.com", "X-1_2+3"};
    static const char *const bad[] = {"",   ".",  "..",  "../x", "a/b",
                                      "-x", ".x", "a b", "\n"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(cert_name_valid(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(cert_name_valid(bad[i]), "%s", bad[i]);
    }
}
