/* Writing folders: all or nothing, and nothing outside. */
#include <criterion/criterion.h>
#include <dirent.h>

#include "base/mem.h"
#include "cli/tree_write.h"
#include "folder_rig.h"

static struct err err;
static struct tree_writer *writer;

TestSuite(tree_write, .init = rig_start, .fini = rig_stop);

/* Opens a writer for paths, which end with NULL. */
static int open_for(bool overwrite, const char *const *paths)
{
    struct slice slices[10];
    size_t n = 0;

    while (paths[n] != NULL) {
        slices[n] = slice_str(paths[n]);
        n++;
    }
    err = (struct err){0};
    return tree_writer_open(rig_folder, slices, n, overwrite, &writer, &err);
}

#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})

static size_t entries_of(const char *name)
{
    DIR *dir = opendir(rig_path(name));
    size_t n = 0;

    cr_assert_not_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 2; /* . and .. */
}

Test(tree_write, files_appear_at_the_commit_with_their_folders)
{
    cr_assert_eq(open_for(false, PATHS("a", "d/e/x", "d/e/y", "d/z")), 0);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(tree_writer_add(writer, i, slice_of("0123" + i, 1), NULL), 0);
    }
    cr_assert_null(rig_read("a"), "not before the commit");

    cr_assert_eq(tree_writer_commit(writer, NULL, &err), 0, "%s", err.text);
    tree_writer_close(writer);

    cr_assert_str_eq(rig_read("a"), "0");
    cr_assert_str_eq(rig_read("d/e/x"), "1");
    cr_assert_str_eq(rig_read("d/e/y"), "2");
    cr_assert_str_eq(rig_read("d/z"), "3");
    cr_assert_eq(entries_of("d/e"), 2, "no temporary files stay");
}

Test(tree_write, nothing_stays_of_what_was_not_committed)
{
    rig_write("a", "old", 3);
    cr_assert_eq(open_for(true, PATHS("a", "b")), 0);
    cr_assert_eq(tree_writer_add(writer, 0, slice_str("new"), NULL), 0);

    tree_writer_close(writer);

    cr_assert_str_eq(rig_read("a"), "old");
    cr_assert_eq(entries_of("."), 1);
}

Test(tree_write, existing_files_are_replaced_only_when_allowed)
{
    rig_write("a", "old", 3);

    cr_assert_eq(open_for(false, PATHS("a")), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "/a exists; --yes replaces it"));
    cr_assert_eq(open_for(true, PATHS("a")), 0);
    cr_assert_eq(tree_writer_add(writer, 0, slice_str("new"), NULL), 0);
    cr_assert_eq(tree_writer_commit(writer, NULL, NULL), 0);
    tree_writer_close(writer);

    cr_assert_str_eq(rig_read("a"), "new");
}

Test(tree_write, a_file_made_meanwhile_is_not_replaced)
{
    cr_assert_eq(open_for(false, PATHS("a")), 0);
    cr_assert_eq(tree_writer_add(writer, 0, slice_str("new"), NULL), 0);
    rig_write("a", "theirs", 6);

    cr_assert_eq(tree_writer_commit(writer, NULL, &err), ERR_IO);
    tree_writer_close(writer);

    cr_assert_str_eq(rig_read("a"), "theirs");
    cr_assert_eq(entries_of("."), 1);
}

Test(tree_write, paths_that_lead_outside_are_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } wrong[] = {{"", 0},   {"/a", 2},   {"a/", 2},     {"a//b", 4},
                 {"..", 2}, {"../a", 4}, {"a/../b", 6}, {"a/.", 3},
                 {".", 1},  {"a\0b", 3}, {"a/..", 4}};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        cr_assert_eq(tree_path_check(slice_of(wrong[i].bytes, wrong[i].len), &err),
                     ERR_INVALID, "%s", wrong[i].bytes);
    }
    cr_assert_eq(tree_path_check(slice_str("...x/.y/..z"), NULL), 0);
}

Test(tree_write, names_that_no_file_system_takes_are_refused)
{
    char name[300];

    memset(name, 'n', sizeof(name));
    cr_assert_eq(tree_path_check(slice_of(name, 255), NULL), 0);
    cr_assert_eq(tree_path_check(slice_of(name, 256), NULL), ERR_INVALID);
}

Test(tree_write, a_path_cannot_be_file_and_folder)
{
    cr_assert_eq(open_for(false, PATHS("a", "a!", "a/b")), ERR_INVALID);
    cr_assert_not_null(
        strstr(err.text, "\"a\" would be a file and the folder of \"a/b\""));
}

Test(tree_write, a_folder_in_the_place_of_a_file_is_refused)
{
    mkdir(rig_path("a"), 0777);

    cr_assert_eq(open_for(true, PATHS("a")), ERR_INVALID);

    cr_assert_not_null(strstr(err.text, "is a folder"));
}

Test(tree_write, links_in_the_folder_are_not_followed)
{
    cr_assert_eq(mkdir(rig_path("outside"), 0777), 0);
    cr_assert_eq(symlink("outside", rig_path("d")), 0);

    cr_assert_eq(open_for(true, PATHS("d/x")), 0);
    cr_assert_eq(tree_writer_add(writer, 0, slice_str("new"), &err), ERR_INVALID);
    tree_writer_close(writer);

    cr_assert_eq(entries_of("outside"), 0);
}
