/* Random commands and reads, answered by the store and by the model. */
#include "tests/unit/kv/model.h"
#include "tests/unit/kv/workload.h"

static struct fixture fx;
static struct model m;

static void open_store(void)
{
    fixture_open(&fx);
    model_init(&m);
    draw_seed();
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(model, .init = open_store, .fini = close_store);

static void expect_same_reads(int n)
{
    for (int i = 0; i < n; i++) {
        Etcdserverpb__RangeRequest *req = draw_range(&fx, &m);
        enum api_status status = model_check_range(&m, req, false);
        struct text want = {.bytes = mem_strdup("")};

        if (status != API_OK) {
            show(&want, "%s", api_status_text(status));
        } else {
            model_range(&m, req, &want);
        }
        expect_range(&fx, req, want.bytes);
        free(want.bytes);
    }
}

Test(model, store_answers_as_the_model_does, .timeout = 300)
{
    for (int i = 0; i < 4000; i++) {
        Kvd__Command__Command *command = draw_command(&fx, &m);
        char *want;

        fx.passed_ms += draw(100) == 0 ? draw(3000) : 0;
        model_time(&m, fx.passed_ms + 10 * (kv_applied_index(fx.kv) + 1));
        want = model_apply(&m, command);

        fixture_run(&fx, (int)command->request_case, command->put);
        expect(&fx, want);
        free(want);
        cr_assert_eq(kv_revision(fx.kv), m.rev);
        cr_assert_eq(kv_compact_revision(fx.kv), m.compacted);
        expect_same_reads(3);
        if (draw(3) == 0) {
            kv_upkeep(fx.kv);
        }
        if (draw(200) == 0) {
            fixture_reopen(&fx);
            cr_assert(kv_rescan_step(fx.kv));
            cr_assert(kv_rescan_step(fx.kv));
        }
        arena_reset(&fx.arena);
    }
}
