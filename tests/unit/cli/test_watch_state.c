/* The state file of a watch: what is written is read again, anything else is refused. */
#include <criterion/criterion.h>

#include "cli/watch_state.h"
#include "folder_rig.h"

TestSuite(watch_state, .init = rig_start, .fini = rig_stop);

static struct err err;

static struct watch_state state_of(const char *watched)
{
    static char path[1000];

    snprintf(path, sizeof(path), "%s", rig_path("state"));
    return (struct watch_state){.path = path, .watched = watched};
}

Test(watch_state, what_is_written_is_read_again)
{
    struct watch_state written = state_of("prefix \"/a\"");
    struct watch_state read = state_of("prefix \"/a\"");

    written.revision = 9223372036854775807;
    written.events = 3;
    cr_assert_eq(watch_state_write(&written, &err), 0, "%s", err.text);
    cr_assert_eq(watch_state_read(&read, &err), 0, "%s", err.text);

    cr_assert_eq(read.revision, 9223372036854775807);
    cr_assert_eq(read.events, 3);
    cr_assert_null(rig_read("state.new"), "no temporary file stays");
}

Test(watch_state, missing_file_is_no_failure_but_a_beginning)
{
    struct watch_state state = state_of("key \"a\"");

    cr_assert_eq(watch_state_read(&state, &err), ERR_NOT_FOUND);
}

Test(watch_state, file_of_another_watch_is_refused)
{
    struct watch_state written = state_of("prefix \"/a\"");
    struct watch_state read = state_of("prefix \"/b\"");

    cr_assert_eq(watch_state_write(&written, NULL), 0);

    cr_assert_eq(watch_state_read(&read, &err), ERR_INVALID);
    cr_assert_not_null(strstr(err.text, "is of another watch (prefix \"/a\")"), "%s",
                       err.text);
}

Test(watch_state, what_is_no_state_is_refused)
{
    static const char *const texts[] = {
        "",
        "kvctl watch state 1",
        "kvctl watch state 2\nkey \"a\"\nrevision 1 events 0\n",
        "kvctl watch state 1\nkey \"a\"\n",
        "kvctl watch state 1\nkey \"a\"\nrevision x events 0\n",
        "kvctl watch state 1\nkey \"a\"\nrevision -1 events 0\n",
        "kvctl watch state 1\nkey \"a\"\nrevision 1\n",
        "\0\0\0\0",
    };
    struct watch_state state = state_of("key \"a\"");

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        rig_write("state", texts[i], strlen(texts[i]));
        cr_assert_eq(watch_state_read(&state, &err), ERR_INVALID, "text %zu", i);
    }
}

Test(watch_state, failure_to_write_leaves_the_old_state)
{
    struct watch_state state = state_of("key \"a\"");
    char missing[1000];

    cr_assert_eq(watch_state_write(&state, NULL), 0);
    cr_assert_eq(mkdir(rig_path("state.new"), 0777), 0); /* in the way */
    state.revision = 5;

    cr_assert_eq(watch_state_write(&state, &err), ERR_IO);
    cr_assert_eq(watch_state_read(&state, NULL), 0);
    cr_assert_eq(state.revision, 0);
    snprintf(missing, sizeof(missing), "%s", rig_path("none/state"));
    state.path = missing;
    cr_assert_eq(watch_state_write(&state, &err), ERR_IO);
}
