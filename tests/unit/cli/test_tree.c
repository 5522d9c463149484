/* Listing and reading folders. */
#include <criterion/criterion.h>

#include "base/limits.h"
#include "cli/tree.h"
#include "folder_rig.h"

static struct tree tree;
static struct err err;

TestSuite(tree, .init = rig_start, .fini = rig_stop);

static int list(bool follow)
{
    err = (struct err){0};
    return tree_open(&tree, rig_folder, follow, &err);
}

Test(tree, files_come_in_the_order_of_bytes)
{
    mkdir(rig_path("b"), 0777);
    mkdir(rig_path("empty"), 0777);
    rig_write("b/x", "1", 1);
    rig_write("b!x", "22", 2);
    rig_write("a \xc3\xa4", "", 0);

    cr_assert_eq(list(false), 0);

    cr_assert_eq(tree.n, 3);
    cr_assert_str_eq(tree.files[0].path, "a \xc3\xa4");
    cr_assert_str_eq(tree.files[1].path, "b!x");
    cr_assert_str_eq(tree.files[2].path, "b/x");
    cr_assert_eq(tree.bytes, 3);
    tree_close(&tree);
}

Test(tree, contents_are_read_byte_for_byte)
{
    struct arena arena;
    struct slice content;

    arena_init(&arena, MIB);
    rig_write("f", "a\0\xff\r\n", 5);
    cr_assert_eq(list(false), 0);

    cr_assert_eq(tree_read(&tree, &tree.files[0], &arena, &content, NULL), 0);

    cr_assert(slice_eq(content, slice_of("a\0\xff\r\n", 5)));
    tree_close(&tree);
    arena_close(&arena);
}

Test(tree, a_file_that_changes_its_length_is_refused)
{
    struct arena arena;
    struct slice content;

    arena_init(&arena, MIB);
    rig_write("f", "abc", 3);
    cr_assert_eq(list(false), 0);

    rig_write("f", "abcd", 4);
    cr_assert_eq(tree_read(&tree, &tree.files[0], &arena, &content, &err), ERR_INVALID);
    rig_write("f", "ab", 2);
    cr_assert_eq(tree_read(&tree, &tree.files[0], &arena, &content, &err), ERR_INVALID);

    tree_close(&tree);
    arena_close(&arena);
}

Test(tree, symbolic_links_are_refused_by_name)
{
    rig_write("f", "abc", 3);
    cr_assert_eq(symlink("f", rig_path("link")), 0);

    cr_assert_eq(list(false), ERR_INVALID);

    cr_assert_not_null(strstr(err.text, "link: is a symbolic link; --follow"));
}

Test(tree, followed_links_count_as_what_they_point_to)
{
    mkdir(rig_path("d"), 0777);
    rig_write("d/f", "abc", 3);
    cr_assert_eq(symlink("d/f", rig_path("file")), 0);
    cr_assert_eq(symlink("d", rig_path("folder")), 0);

    cr_assert_eq(list(true), 0);

    cr_assert_eq(tree.n, 3);
    cr_assert_str_eq(tree.files[1].path, "file");
    cr_assert_eq(tree.files[1].size, 3);
    cr_assert_str_eq(tree.files[2].path, "folder/f");
    tree_close(&tree);
}

Test(tree, links_that_go_round_or_nowhere_are_refused)
{
    mkdir(rig_path("d"), 0777);
    cr_assert_eq(symlink("..", rig_path("d/up")), 0);
    cr_assert_eq(list(true), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "leads back"));

    cr_assert_eq(unlink(rig_path("d/up")), 0);
    cr_assert_eq(symlink("nowhere", rig_path("d/dangling")), 0);
    cr_assert_eq(list(true), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "leads nowhere"));
}

Test(tree, pipes_are_refused)
{
    cr_assert_eq(mkfifo(rig_path("pipe"), 0666), 0);

    cr_assert_eq(list(true), ERR_INVALID);

    cr_assert_not_null(strstr(err.text, "pipe: is neither a file nor a folder"));
}

Test(tree, folders_nested_without_end_are_refused)
{
    char path[LIMIT_TREE_DEPTH * 2 + 4] = "d";

    for (size_t i = 0; i <= LIMIT_TREE_DEPTH; i++) {
        cr_assert_eq(mkdir(rig_path(path), 0777), 0);
        strcat(path, "/d");
    }

    cr_assert_eq(list(false), ERR_TOO_BIG);
}

Test(tree, a_missing_folder_is_named)
{
    cr_assert_eq(tree_open(&tree, "build/no-such-folder", false, &err), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "build/no-such-folder"));
}
