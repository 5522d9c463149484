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

Test(model, store_answers_as_the_model_does, .timeout = 300)
{
    for (int i = 0; i < 4000; i++) {
        fx.passed_ms += draw(100) == 0 ? draw(3000) : 0;
        workload_step(&fx, &m);
        workload_expect_reads(&fx, &m, 3);
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
