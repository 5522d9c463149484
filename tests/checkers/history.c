#include "tests/checkers/history.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

void history_close(struct history *history)
{
    free(history->ops);
    *history = (struct history){0};
}

size_t history_invoke(struct history *history, const struct op *op)
{
    struct op *added;

    if (history->n == history->room) {
        history->room = history->room > 0 ? history->room * 2 : 256;
        history->ops = mem_grow(history->ops, history->room * sizeof(*history->ops));
    }
    added = &history->ops[history->n];
    *added = *op;
    added->outcome = OP_PENDING;
    added->answered = UINT64_MAX;
    return history->n++;
}

void history_answer(struct history *history, size_t place, uint64_t now,
                    const struct op *answer)
{
    struct op *op = &history->ops[place];

    CHECK(place < history->n && op->outcome == OP_PENDING);
    op->outcome = answer->outcome;
    op->succeeded = answer->succeeded;
    op->seen = answer->seen;
    op->revision = answer->revision;
    if (answer->outcome == OP_DONE || answer->outcome == OP_REFUSED) {
        op->answered = now;
    }
}
