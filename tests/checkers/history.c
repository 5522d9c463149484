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
    op->tells_before = answer->tells_before;
    op->seen = answer->seen;
    op->seen_mod = answer->seen_mod;
    op->seen_create = answer->seen_create;
    op->seen_version = answer->seen_version;
    op->revision = answer->revision;
    if (answer->outcome == OP_DONE || answer->outcome == OP_REFUSED) {
        op->answered = now;
    }
}

const char *op_kind_name(enum op_kind kind)
{
    static const char *const names[] = {[OP_READ] = "read",
                                        [OP_WRITE] = "write",
                                        [OP_CAS] = "cas",
                                        [OP_DELETE] = "delete",
                                        [OP_GUARD] = "guard"};

    return names[kind];
}

bool op_wrote(const struct op *op)
{
    if (op->outcome != OP_DONE || op->kind == OP_READ || op->kind == OP_GUARD) {
        return false;
    }
    return op->kind == OP_WRITE || op->succeeded;
}

uint64_t op_value_after(const struct op *op)
{
    return op->kind == OP_DELETE ? 0 : op->value;
}

bool op_saw(const struct op *op)
{
    if (op->outcome != OP_DONE) {
        return false;
    }
    return op->kind == OP_READ || op->tells_before ||
           ((op->kind == OP_CAS || op->kind == OP_GUARD) && !op->succeeded);
}
