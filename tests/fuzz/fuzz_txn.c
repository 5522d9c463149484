/* Transactions, leases and compactions that the input's bytes choose, answered by the
 * store and by the model of the unit tests, which must agree word for word. */
#include "tests/fuzz/fuzz_store.h"

/* The choices of workload.h come from the input instead of random numbers. */
#define KVD_TESTS_UNIT_KV_DRAW_H

static struct fuzz in;

static uint64_t draw(uint64_t below)
{
    return (below > 256 ? fuzz_u16(&in) : fuzz_byte(&in)) % below;
}

#define MODEL_REVISIONS 400
#include "tests/unit/kv/workload.h"

#define COMMANDS_MAX 100

static struct fixture fx;
static struct model m;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    bool restarts = len % 2 == 1;

    in = fuzz_of(bytes, len);
    fuzz_store_open(&fx);
    model_init(&m);
    for (int i = 0; i < COMMANDS_MAX && fuzz_more(&in); i++) {
        fx.passed_ms += draw(16) == 0 ? draw(3000) : 0;
        workload_step(&fx, &m);
        workload_expect_reads(&fx, &m, 1);
        if (draw(4) == 0) {
            kv_upkeep(fx.kv);
        }
        arena_reset(&fx.arena);
    }
    fuzz_store_close(&fx, restarts);
    return 0;
}
