/* The search keeps the calls and returns of one key in a list ordered by time. A call
 * that fits the state is lifted out together with its return and remembered on a stack;
 * meeting a return means that an op ended which was not explained yet, so the last choice
 * is undone. (set, state) pairs that were tried before are not tried again.
 *
 * An op of unknown outcome may never have happened, so each one doubles the search. What
 * need not be tried: one that would change nothing; and of deletes, which are all alike
 * and whose answers bind nobody, any but the one that began first. */
#include "tests/checkers/linear.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/check.h"
#include "base/mem.h"

#define STEPS_MAX 20000000u

struct entry {
    struct entry *next;
    struct entry *prev;
    struct entry *ret; /* of a call: its return; of a return: NULL */
    const struct op *op;
    size_t number;              /* of the op within its key */
    const struct entry *before; /* of the call of an unknown delete: the one before it */
};

struct choice {
    struct entry *call;
    uint64_t state;
};

struct search {
    struct entry head;
    struct entry *entries;
    struct choice *stack;
    size_t depth;
    size_t n_ops;
    size_t n_open; /* ops with an answer, not yet explained */
    uint64_t *set; /* bit per op: explained */
    size_t n_words;
    uint64_t *cache; /* rows of state and set; open addressing, grows */
    size_t n_cached;
    size_t cache_room;
    size_t deepest;
    const struct op *stuck;
};

struct moment {
    uint64_t time;
    bool is_return;
    const struct op *op;
    size_t number;
};

static bool answered(const struct op *op)
{
    return op->outcome == OP_DONE;
}

static bool is_unknown_delete(const struct op *op)
{
    return op->kind == OP_DELETE && !answered(op);
}

/* A conditional write, or a condition alone. */
static bool cas_fits(const struct op *op, uint64_t *state)
{
    bool holds = op->unconditional || *state == op->expected;

    if (answered(op) && !op->succeeded) {
        /* Alone, it failed for this condition; in a group it may be another one. */
        return op->seen == *state && !(op->group == 0 && holds);
    }
    if (answered(op) && !holds) {
        return false;
    }
    if (op->kind == OP_CAS && holds) {
        *state = op->value;
    }
    return true;
}

/* Does op fit the state, as far as its answer is known? Moves the state. */
static bool fits(const struct op *op, uint64_t *state)
{
    if (op->tells_before && answered(op) && op->seen != *state) {
        return false;
    }
    switch (op->kind) {
    case OP_READ:
        return op->seen == *state;
    case OP_WRITE:
        *state = op->value;
        return true;
    case OP_DELETE:
        if (answered(op) && op->succeeded != (*state != 0)) {
            return false;
        }
        *state = 0;
        return true;
    case OP_CAS:
    case OP_GUARD:
        return cas_fits(op, state);
    case OP_NKINDS:
        break;
    }
    UNREACHABLE();
}

/* ---- the cache of what was tried ---- */

static uint64_t *cache_row(const struct search *s, size_t at)
{
    return s->cache + at * (s->n_words + 2);
}

/* A row is: used, state, set. Returns the place of the pair, or of the free row for it.
 */
static uint64_t *cache_find(const struct search *s, uint64_t state, const uint64_t *set)
{
    uint64_t hash = XXH3_64bits_withSeed(set, s->n_words * sizeof(*set), state);

    for (size_t at = hash & (s->cache_room - 1);; at = (at + 1) & (s->cache_room - 1)) {
        uint64_t *row = cache_row(s, at);

        if (row[0] == 0 ||
            (row[1] == state && memcmp(row + 2, set, s->n_words * sizeof(*set)) == 0)) {
            return row;
        }
    }
}

static void cache_grow(struct search *s)
{
    uint64_t *old = s->cache;
    size_t old_room = s->cache_room;

    s->cache_room = old_room > 0 ? old_room * 2 : 1024;
    s->cache = mem_zero(s->cache_room * (s->n_words + 2) * sizeof(*s->cache));
    for (size_t i = 0; i < old_room; i++) {
        uint64_t *row = old + i * (s->n_words + 2);

        if (row[0] != 0) {
            memcpy(cache_find(s, row[1], row + 2), row, (s->n_words + 2) * sizeof(*row));
        }
    }
    free(old);
}

/* True when the pair is new. */
static bool cache_add(struct search *s, uint64_t state)
{
    uint64_t *row;

    if (s->n_cached * 2 >= s->cache_room) {
        cache_grow(s);
    }
    row = cache_find(s, state, s->set);
    if (row[0] != 0) {
        return false;
    }
    row[0] = 1;
    row[1] = state;
    memcpy(row + 2, s->set, s->n_words * sizeof(*row));
    s->n_cached++;
    return true;
}

/* ---- the list of calls and returns ---- */

static int moment_cmp(const void *a, const void *b)
{
    const struct moment *x = a;
    const struct moment *y = b;

    if (x->time != y->time) {
        return x->time < y->time ? -1 : 1;
    }
    /* At one instant calls come first: the ops then overlap, which claims less. */
    return (int)x->is_return - (int)y->is_return;
}

static void link_behind(struct entry *at, struct entry *added)
{
    added->next = at->next;
    added->prev = at;
    if (at->next != NULL) {
        at->next->prev = added;
    }
    at->next = added;
}

static void build_list(struct search *s, const struct op *const *ops, size_t n)
{
    struct moment *moments = mem_alloc(2 * n * sizeof(*moments));
    struct entry **calls = mem_zero(n * sizeof(struct entry *));
    const struct entry *unknown_delete = NULL;
    struct entry *last = &s->head;

    for (size_t i = 0; i < n; i++) {
        moments[2 * i] = (struct moment){ops[i]->invoked, false, ops[i], i};
        moments[2 * i + 1] = (struct moment){ops[i]->answered, true, ops[i], i};
    }
    qsort(moments, 2 * n, sizeof(*moments), moment_cmp);
    for (size_t i = 0; i < 2 * n; i++) {
        struct entry *entry = &s->entries[i];

        *entry = (struct entry){.op = moments[i].op, .number = moments[i].number};
        if (moments[i].is_return) {
            calls[entry->number]->ret = entry;
        } else {
            calls[entry->number] = entry;
            if (is_unknown_delete(entry->op)) {
                entry->before = unknown_delete;
                unknown_delete = entry;
            }
        }
        link_behind(last, entry);
        last = entry;
    }
    free(calls);
    free(moments);
}

static void unlink_entry(struct entry *entry)
{
    entry->prev->next = entry->next;
    if (entry->next != NULL) {
        entry->next->prev = entry->prev;
    }
}

static void relink_entry(struct entry *entry)
{
    entry->prev->next = entry;
    if (entry->next != NULL) {
        entry->next->prev = entry;
    }
}

static void lift(struct search *s, struct entry *call, uint64_t state)
{
    s->stack[s->depth++] = (struct choice){call, state};
    unlink_entry(call);
    unlink_entry(call->ret);
    s->n_open -= answered(call->op);
}

static struct entry *undo(struct search *s, uint64_t *state)
{
    struct choice choice = s->stack[--s->depth];

    relink_entry(choice.call->ret);
    relink_entry(choice.call);
    s->set[choice.call->number / 64] &= ~(1ull << choice.call->number % 64);
    s->n_open += answered(choice.call->op);
    *state = choice.state;
    return choice.call;
}

static bool explained(const struct search *s, const struct entry *call)
{
    return s->set[call->number / 64] >> call->number % 64 & 1;
}

/* May the op come next, and is it worth trying? Moves the state. */
static bool helps(const struct search *s, const struct entry *call, uint64_t *state)
{
    uint64_t before = *state;

    return (call->before == NULL || explained(s, call->before)) &&
           fits(call->op, state) && (answered(call->op) || *state != before);
}

static enum linear_verdict run(struct search *s)
{
    struct entry *entry = s->head.next;
    uint64_t state = 0;

    for (unsigned steps = 0; s->n_open > 0; steps++) {
        uint64_t next = state;

        if (steps == STEPS_MAX) {
            return LINEAR_GAVE_UP;
        }
        CHECK(entry != NULL);
        if (entry->ret == NULL) {
            if (s->depth >= s->deepest) {
                s->deepest = s->depth;
                s->stuck = entry->op;
            }
            if (s->depth == 0) {
                return LINEAR_NO;
            }
            entry = undo(s, &state)->next;
            continue;
        }
        if (helps(s, entry, &next)) {
            s->set[entry->number / 64] |= 1ull << entry->number % 64;
            if (cache_add(s, next)) {
                lift(s, entry, state);
                state = next;
                entry = s->head.next;
                continue;
            }
            s->set[entry->number / 64] &= ~(1ull << entry->number % 64);
        }
        entry = entry->next;
    }
    return LINEAR_YES;
}

static enum linear_verdict check_key(const struct op *const *ops, size_t n,
                                     const struct op **stuck)
{
    struct search s = {.n_ops = n, .n_words = (n + 63) / 64};
    enum linear_verdict verdict;

    s.entries = mem_alloc(2 * n * sizeof(*s.entries));
    s.stack = mem_alloc(n * sizeof(*s.stack));
    s.set = mem_zero(s.n_words * sizeof(*s.set));
    for (size_t i = 0; i < n; i++) {
        s.n_open += answered(ops[i]);
    }
    build_list(&s, ops, n);
    verdict = run(&s);
    *stuck = s.stuck;
    free(s.cache);
    free(s.set);
    free(s.stack);
    free(s.entries);
    return verdict;
}

/* ---- all keys ---- */

static int by_key(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a;
    const struct op *y = *(const struct op *const *)b;

    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x < y ? -1 : x > y;
}

static bool takes_part(const struct op *op)
{
    if (op->outcome == OP_REFUSED || op->serializable || op->at != 0) {
        return false;
    }
    return op->outcome == OP_DONE || (op->kind != OP_READ && op->kind != OP_GUARD);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The values of a key that somebody saw, or made a condition of; false: values may also
 * have been seen by a delete that did not tell which. */
static bool find_observed(const struct op *const *ops, size_t n, uint64_t *observed,
                          size_t *n_observed)
{
    *n_observed = 0;
    for (size_t i = 0; i < n; i++) {
        const struct op *op = ops[i];

        if (op->outcome == OP_DONE && op->kind == OP_DELETE && op->succeeded &&
            !op->tells_before) {
            return false;
        }
        if (op->kind == OP_CAS || op->kind == OP_GUARD) {
            observed[(*n_observed)++] = op->expected;
        }
        if (op_saw(op)) {
            observed[(*n_observed)++] = op->seen;
        }
    }
    qsort(observed, *n_observed, sizeof(*observed), by_number);
    return true;
}

/* Leaves out the writes of unknown outcome whose value nobody ever saw: when there is an
 * order with such a write, there is one without. Each one left in doubles the search. */
static size_t drop_unobserved(const struct op **ops, size_t n)
{
    uint64_t *observed = mem_alloc(2 * n * sizeof(*observed));
    size_t n_observed;
    size_t kept = n;

    if (find_observed(ops, n, observed, &n_observed)) {
        kept = 0;
        for (size_t i = 0; i < n; i++) {
            bool needed = answered(ops[i]) || op_value_after(ops[i]) == 0 ||
                          bsearch(&ops[i]->value, observed, n_observed, sizeof(*observed),
                                  by_number) != NULL;

            if (needed) {
                ops[kept++] = ops[i];
            }
        }
    }
    free(observed);
    return kept;
}

enum linear_verdict linear_check(const struct history *history, uint32_t *key,
                                 size_t *stuck)
{
    const struct op **ops = mem_alloc(history->n * sizeof(const struct op *));
    enum linear_verdict verdict = LINEAR_YES;
    size_t n = 0;

    for (size_t i = 0; i < history->n; i++) {
        if (takes_part(&history->ops[i])) {
            ops[n++] = &history->ops[i];
        }
    }
    qsort(ops, n, sizeof(const struct op *), by_key);
    for (size_t from = 0, to; from < n && verdict == LINEAR_YES; from = to) {
        const struct op *culprit = NULL;

        for (to = from; to < n && ops[to]->key == ops[from]->key; to++) {
        }
        verdict = check_key(ops + from, drop_unobserved(ops + from, to - from), &culprit);
        if (verdict != LINEAR_YES) {
            *key = ops[from]->key;
            *stuck = culprit != NULL ? (size_t)(culprit - history->ops) : 0;
        }
    }
    free(ops);
    return verdict;
}
