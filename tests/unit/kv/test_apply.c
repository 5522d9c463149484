/* Entries: batches of commands, waiters, and what stops the process. */
#include "tests/unit/kv/fixture.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(apply, .init = open_store, .fini = close_store);

static Kvd__Command__Command *put_command(const char *key, const char *value)
{
    return command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_PUT, put_new(&fx, key, value));
}

/* Outcomes of an entry's commands, in order. */
struct outcomes {
    uint64_t skip; /* sequence that nobody waits for */
    struct text text;
};

static struct arena *find(void *owner, const Kvd__Command__Command *command)
{
    return command->sequence == ((struct outcomes *)owner)->skip ? NULL : &fx.arena;
}

static void applied(void *owner, const Kvd__Command__Command *command,
                    enum api_status status, ProtobufCMessage *response)
{
    struct outcomes *outcomes = owner;
    char *text = show_outcome(status, response);

    show(&outcomes->text, "%" PRIu64 ": %s\n", command->sequence, text);
    free(text);
}

Test(apply, commands_of_an_entry_run_in_order)
{
    Kvd__Command__Command *commands[] = {
        put_command("a", "1"),
        put_command("", "2"),
        put_command("a", "3"),
        command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE,
                    delete_new(&fx, "a", NULL)),
    };
    struct outcomes outcomes = {.skip = 2};
    struct kv_waiters waiters = {find, applied, &outcomes};
    struct kv_entry entry = {.index = 1, .term = 3, .cluster_ms = 77};

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        commands[i]->sequence = i;
    }
    entry.payload = batch_of(&fx, commands, ARRAY_LEN(commands));
    kv_begin(fx.kv);
    kv_apply(fx.kv, &entry, &waiters);
    kv_commit(fx.kv);

    cr_expect_str_eq(outcomes.text.bytes, "0: put @2\n"
                                          "1: etcdserver: key is not provided\n"
                                          "2: done\n"
                                          "3: del @4 #1\n");
    cr_expect_eq(kv_applied_index(fx.kv), 1);
    cr_expect_eq(kv_applied_term(fx.kv), 3);
    cr_expect_eq(kv_cluster_ms(fx.kv), 77);
    free(outcomes.text.bytes);
}

Test(apply, entry_without_commands_counts)
{
    struct kv_entry entry = {.index = 1, .term = 1};

    kv_begin(fx.kv);
    kv_apply(fx.kv, &entry, NULL);
    kv_commit(fx.kv);
    fixture_reopen(&fx);

    cr_expect_eq(kv_applied_index(fx.kv), 1);
    cr_expect_eq(kv_revision(fx.kv), 1);
}

Test(apply, cluster_time_never_goes_back)
{
    struct kv_entry entry = {.index = 1, .term = 1, .cluster_ms = 50};

    kv_begin(fx.kv);
    kv_apply(fx.kv, &entry, NULL);
    entry = (struct kv_entry){.index = 2, .term = 1, .cluster_ms = 40};
    kv_apply(fx.kv, &entry, NULL);
    kv_commit(fx.kv);

    cr_expect_eq(kv_cluster_ms(fx.kv), 50);
}

Test(apply, reads_see_what_was_applied_before_the_commit)
{
    Kvd__Command__Command *command = put_command("a", "1");

    kv_begin(fx.kv);
    fixture_entry(&fx, batch_of(&fx, &command, 1));
    expect_get(&fx, "a", NULL, 0, "@2 #1 a=1(2,2,1)");
    kv_commit(fx.kv);
    expect_get(&fx, "a", NULL, 0, "@2 #1 a=1(2,2,1)");
}

Test(apply, reply_that_does_not_fit_leaves_the_write_done)
{
    Etcdserverpb__TxnRequest *req = txn_new(
        &fx, NULL,
        THEN(op_put(&fx, "b", "1"), op_get(&fx, "a", NULL), op_put(&fx, "c", "1")), NULL);
    char *big = mem_zero(5000);

    memset(big, 'x', 4999);
    put(&fx, "a", big);
    free(big);
    fx.arena.max = fx.arena.used + 4500;
    run_txn(&fx, req);
    fx.arena.max = 1 * GIB;

    cr_expect_eq(fx.status, API_RESPONSE_TOO_LARGE);
    cr_expect_null(fx.response);
    expect_get(&fx, "b", "", 0, "@3 #2 b=1(3,3,1) c=1(3,3,1)");
}

/* ---- what ends it ---- */

static void expect_fatal(struct slice payload, const char *part)
{
    kv_begin(fx.kv);
    fixture_entry(&fx, payload);
    kv_commit(fx.kv);

    cr_expect_eq(fx.n_fatal, 1);
    cr_expect_not_null(strstr(fx.fatal, part), "%s", fx.fatal);
    cr_expect_null(strchr(fx.fatal, '\n'));
}

Test(apply, unknown_command_is_fatal_and_asks_for_an_upgrade)
{
    static const uint8_t future[] = {0x0a, 4, 0xca, 0x0c, 1, 'x'}; /* field 201 */

    expect_fatal(slice_of(future, sizeof(future)), "upgrade this member");
}

Test(apply, payload_that_cannot_be_read_is_fatal)
{
    static const uint8_t cut[] = {0x0a, 100, 1, 2, 3};

    expect_fatal(slice_of(cut, sizeof(cut)), "cannot be decoded");
}

Test(apply, payload_of_something_else_is_fatal)
{
    static const uint8_t other[] = {0x12, 1, 0};

    expect_fatal(slice_of(other, sizeof(other)), "cannot be decoded");
}

Test(apply, nothing_happens_after_a_fatal_error)
{
    static const uint8_t other[] = {0x12, 1, 0};
    Kvd__Command__Command *command = put_command("b", "1");

    put(&fx, "a", "1");
    expect_fatal(slice_of(other, sizeof(other)), "entry 2");
    kv_begin(fx.kv);
    fixture_entry(&fx, batch_of(&fx, &command, 1));
    kv_commit(fx.kv);
    expect_get(&fx, "a", NULL, 0, "etcdserver: corrupt cluster");
    cr_expect_not(kv_upkeep(fx.kv));
    cr_expect_eq(fx.n_fatal, 1);

    fixture_stop(&fx);
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    cr_expect_eq(kv_applied_index(fx.kv), 1, "as before the entry");
    expect_get(&fx, "a", "", 0, "@2 #1 a=1(2,2,1)");
}

Test(apply, default_for_fatal_errors_is_to_exit_with_one, .exit_code = 1)
{
    static const uint8_t other[] = {0x12, 1, 0};
    struct kv_options options = {.env = &fx.env, .path = fx.path};
    struct kv_entry entry = {
        .index = 1, .term = 1, .payload = slice_of(other, sizeof(other))};

    fixture_stop(&fx);
    cr_assert_eq(kv_open(&fx.kv, &options, NULL), 0);
    kv_begin(fx.kv);
    kv_apply(fx.kv, &entry, NULL);
}
