/* Replacing a folder as a whole. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "cli/folder_swap.h"
#include "folder_rig.h"

static struct err err;
static struct folder_swap swap;

TestSuite(folder_swap, .init = rig_start, .fini = rig_stop);

/* The next folder, with one file of this content. */
static void prepare(const char *content)
{
    char path[600];
    FILE *out;

    cr_assert_eq(mkdir(swap.next, 0777), 0);
    snprintf(path, sizeof(path), "%s/file", swap.next);
    out = fopen(path, "w");
    cr_assert_not_null(out);
    fputs(content, out);
    fclose(out);
}

Test(folder_swap, first_and_next_folder_take_the_place)
{
    cr_assert_eq(folder_swap_open(&swap, rig_path("conf//"), false, &err), 0);
    cr_assert_not(folder_swap_has_last(&swap));
    prepare("one");
    cr_assert_eq(folder_swap_commit(&swap, "note", &err), 0, "%s", err.text);
    cr_assert_str_eq(rig_read("conf/file"), "one");
    cr_assert(folder_swap_has_last(&swap));

    prepare("two");
    cr_assert_eq(folder_swap_commit(&swap, "note", &err), 0, "%s", err.text);

    cr_assert_str_eq(rig_read("conf/file"), "two");
    cr_assert_neq(access(swap.next, F_OK), 0, "the old one is gone");
    cr_assert_str_eq(rig_read(".conf.kvctl"), "kvctl reload: note\n");
    folder_swap_close(&swap);
}

Test(folder_swap, folder_with_files_of_others_is_refused_unless_adopted)
{
    mkdir(rig_path("conf"), 0777);
    rig_write("conf/precious", "x", 1);

    cr_assert_eq(folder_swap_open(&swap, rig_path("conf"), false, &err), ERR_INVALID);
    cr_assert_eq(folder_swap_open(&swap, rig_path("conf"), true, &err), 0);
    prepare("one");
    cr_assert_eq(folder_swap_commit(&swap, "note", NULL), 0);
    folder_swap_close(&swap);

    cr_assert_null(rig_read("conf/precious"));
    cr_assert_eq(folder_swap_open(&swap, rig_path("conf"), false, NULL), 0,
                 "it is ours now");
    folder_swap_close(&swap);
}

Test(folder_swap, empty_folder_is_taken_and_a_file_is_not)
{
    mkdir(rig_path("conf"), 0777);
    rig_write("file", "x", 1);

    cr_assert_eq(folder_swap_open(&swap, rig_path("conf"), false, NULL), 0);
    folder_swap_close(&swap);
    cr_assert_eq(folder_swap_open(&swap, rig_path("file"), true, &err), ERR_INVALID);
}

Test(folder_swap, leftovers_of_an_earlier_run_are_removed)
{
    mkdir(rig_path(".conf.new"), 0777);
    rig_write(".conf.new/half", "x", 1);

    cr_assert_eq(folder_swap_open(&swap, rig_path("conf"), false, NULL), 0);

    cr_assert_neq(access(swap.next, F_OK), 0);
    folder_swap_close(&swap);
}
