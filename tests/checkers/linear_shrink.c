#include "tests/checkers/linear_shrink.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tests/checkers/linear.h"

struct shrink {
    const struct history *history;
    size_t *places;
    size_t n;
};

static const struct op *op_of(const struct shrink *shrink, size_t i)
{
    return &shrink->history->ops[shrink->places[i]];
}

/* The op rests on the key having held this value, at a time when `left` can have left it
 * there. */
static bool rests_on(const struct op *op, uint64_t value, const struct op *left)
{
    if (op->answered < left->invoked) {
        return false;
    }
    if (op_saw(op) && op->seen == value) {
        return true;
    }
    if (op->kind == OP_DELETE && op->outcome == OP_DONE && !op->tells_before) {
        return op->succeeded == (value != 0);
    }
    return (op->kind == OP_CAS || op->kind == OP_GUARD) && op->expected == value;
}

static bool is_needed(const struct shrink *shrink, size_t i)
{
    const struct op *op = op_of(shrink, i);

    if (op->kind == OP_READ || op->kind == OP_GUARD) {
        return false;
    }
    for (size_t k = 0; k < shrink->n; k++) {
        if (k != i && rests_on(op_of(shrink, k), op_value_after(op), op)) {
            return true;
        }
    }
    return false;
}

static bool still_wrong(const struct shrink *shrink, size_t without)
{
    struct history rest = {.ops = mem_alloc((shrink->n + 1) * sizeof(struct op))};
    uint32_t key;
    size_t stuck;
    bool wrong;

    for (size_t i = 0; i < shrink->n; i++) {
        if (i != without) {
            rest.ops[rest.n++] = *op_of(shrink, i);
        }
    }
    wrong = linear_check(&rest, &key, &stuck) == LINEAR_NO;
    history_close(&rest);
    return wrong;
}

static void drop(struct shrink *shrink, size_t i)
{
    shrink->n--;
    for (; i < shrink->n; i++) {
        shrink->places[i] = shrink->places[i + 1];
    }
}

static int by_beginning(const void *a, const void *b, void *owner)
{
    const struct history *history = owner;
    uint64_t x = history->ops[*(const size_t *)a].invoked;
    uint64_t y = history->ops[*(const size_t *)b].invoked;

    return x < y ? -1 : x > y;
}

size_t *linear_shrink(const struct history *history, uint32_t key, size_t *n)
{
    struct shrink shrink = {.history = history,
                            .places = mem_alloc((history->n + 1) * sizeof(size_t))};
    bool dropped = true;

    for (size_t i = 0; i < history->n; i++) {
        if (history->ops[i].key == key) {
            shrink.places[shrink.n++] = i;
        }
    }
    qsort_r(shrink.places, shrink.n, sizeof(size_t), by_beginning, (void *)history);
    /* What rested on one that is gone now may go in the next round. */
    while (dropped) {
        dropped = false;
        for (size_t i = shrink.n; i > 0; i--) {
            if (!is_needed(&shrink, i - 1) && still_wrong(&shrink, i - 1)) {
                drop(&shrink, i - 1);
                dropped = true;
            }
        }
    }
    *n = shrink.n;
    return shrink.places;
}
