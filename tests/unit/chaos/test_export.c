#include "tests/chaos/export.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct story story;
static char path[] = "/tmp/kvd-export-XXXXXX";
static char text[2000];

/* A put, a swap that succeeded, a read, a put of unknown outcome, and one more read by
 * the same client. */
static const struct op ops[] = {
    {.kind = OP_WRITE,
     .outcome = OP_DONE,
     .client = 1,
     .value = 11,
     .invoked = 10,
     .answered = 20},
    {.kind = OP_CAS,
     .outcome = OP_DONE,
     .client = 2,
     .expected = 11,
     .value = 12,
     .succeeded = true,
     .invoked = 30,
     .answered = 40},
    {.kind = OP_READ,
     .outcome = OP_DONE,
     .client = 1,
     .seen = 12,
     .invoked = 35,
     .answered = 45},
    {.kind = OP_DELETE, .outcome = OP_UNKNOWN, .client = 1, .invoked = 50},
    {.kind = OP_READ, .outcome = OP_DONE, .client = 1, .invoked = 60, .answered = 70},
};

static void begin(void)
{
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    close(fd);
    chronicle_init(&story.chronicle);
    cr_assert_eq(chronicle_key(&story.chronicle, slice_str("k")), 0);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        size_t place = history_invoke(&story.history, &ops[i]);

        history_answer(&story.history, place, ops[i].answered, &ops[i]);
    }
}

static void end(void)
{
    unlink(path);
    story_close(&story);
}

TestSuite(export, .init = begin, .fini = end);

static const char *written(void)
{
    FILE *file = fopen(path, "r");
    size_t n = fread(text, 1, sizeof(text) - 1, file);

    text[n] = '\0';
    fclose(file);
    return text;
}

Test(export, porcupine_gets_puts_and_gets_and_a_new_process_after_an_unknown_one)
{
    cr_assert_eq(export_porcupine(&story, path, NULL), 0);

    cr_assert_str_eq(written(),
                     "{:process 8, :type :invoke, :f :put, :key \"k\", :value \"11\"}\n"
                     "{:process 8, :type :ok, :f :put, :key \"k\", :value \"11\"}\n"
                     "{:process 16, :type :invoke, :f :put, :key \"k\", :value \"12\"}\n"
                     "{:process 8, :type :invoke, :f :get, :key \"k\", :value nil}\n"
                     "{:process 16, :type :ok, :f :put, :key \"k\", :value \"12\"}\n"
                     "{:process 8, :type :ok, :f :get, :key \"k\", :value \"12\"}\n"
                     "{:process 8, :type :invoke, :f :put, :key \"k\", :value \"\"}\n"
                     "{:process 32776, :type :invoke, :f :get, :key \"k\", :value nil}\n"
                     "{:process 32776, :type :ok, :f :get, :key \"k\", :value \"\"}\n");
}

Test(export, jepsen_gets_registers_by_key)
{
    cr_assert_eq(export_jepsen(&story, path, NULL), 0);

    written();
    cr_assert(strstr(text, "{:index 0, :time 10, :process 8, :type :invoke, :f :write, "
                           ":value [\"k\" 11]}\n") == text);
    cr_assert(strstr(text, ":type :invoke, :f :cas, :value [\"k\" [11 12]]}\n"));
    cr_assert(strstr(text, ":type :ok, :f :read, :value [\"k\" 12]}\n"));
    cr_assert(strstr(text, ":type :invoke, :f :write, :value [\"k\" nil]}\n"));
}

Test(export, directory_that_is_not_there_is_an_error_in_words)
{
    struct err err;

    cr_assert_eq(export_jepsen(&story, "/nowhere/x", &err), ERR_IO);
    cr_assert_str_eq(err.text, "create /nowhere/x: No such file or directory");
}
