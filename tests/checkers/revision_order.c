#include "tests/checkers/revision_order.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct order {
    const struct history *history;
    const struct event *events; /* by revision */
    size_t n_events;
    int64_t last;
    const struct event *sorted; /* by key, then by revision */
    size_t *first;              /* by key: place of its first event in sorted */
    uint32_t n_keys;
    const struct op **writers; /* by value */
    size_t n_writers;
    const struct op **deleters; /* those that may delete, by key */
    size_t n_deleters;
    int64_t *landed; /* by op: the revision at which it took place; 0: none */
    struct order_fault *fault;
    struct err *err;
};

static size_t place_of(const struct order *order, const struct op *op)
{
    return (size_t)(op - order->history->ops);
}

static int wrong(const struct order *order, const struct op *op, const char *what)
{
    if (order->fault != NULL) {
        order->fault->op = place_of(order, op);
        order->fault->key = op->key;
        order->fault->what = what;
    }
    return err_set(order->err, ERR_CORRUPT,
                   "client %" PRIu32 ": %s of key %" PRIu32 " (value %" PRIu64
                   ", seen %" PRIu64 ", revision %" PRId64 ", invoked at %" PRIu64
                   " ns): %s",
                   op->client, op_kind_name(op->kind), op->key, op->value, op->seen,
                   op->revision, op->invoked, what);
}

static int wrong_with(const struct order *order, const struct op *op,
                      const struct op *other, const char *what)
{
    if (order->fault != NULL && other != NULL) {
        order->fault->other = place_of(order, other);
    }
    return wrong(order, op, what);
}

static int wrong_event(const struct order *order, const struct event *event,
                       const char *what)
{
    if (order->fault != NULL) {
        order->fault->key = event->key;
        order->fault->what = NULL;
    }
    return err_set(order->err, ERR_CORRUPT,
                   "revision %" PRId64 " of key %" PRIu32 " (value %" PRIu64 "): %s",
                   event->revision, event->key, event->value, what);
}

/* ---- looking up ---- */

/* The last event of a key at or below a revision, or NULL. */
static const struct event *event_at(const struct order *order, uint32_t key,
                                    int64_t revision)
{
    size_t low = key < order->n_keys ? order->first[key] : 0;
    size_t first = low;
    size_t high = key < order->n_keys ? order->first[key + 1] : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order->sorted[middle].revision <= revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > first ? &order->sorted[low - 1] : NULL;
}

static uint64_t value_at(const struct order *order, uint32_t key, int64_t revision)
{
    const struct event *event = event_at(order, key, revision);

    return event != NULL ? event->value : 0;
}

static bool is_there(const struct order *order, const struct op *op, int64_t revision)
{
    const struct event *event = event_at(order, op->key, revision);

    return event != NULL && event->revision == revision &&
           event->value == op_value_after(op);
}

/* The ops of a group stand side by side. */
static const struct op *group_begin(const struct order *order, const struct op *op)
{
    while (op->group != 0 && op > order->history->ops && op[-1].group == op->group) {
        op--;
    }
    return op;
}

static const struct op *group_end(const struct order *order, const struct op *op)
{
    const struct op *end = order->history->ops + order->history->n;
    uint32_t group = op->group;

    op++;
    while (group != 0 && op < end && op->group == group) {
        op++;
    }
    return op;
}

static bool group_wrote(const struct order *order, const struct op *op)
{
    const struct op *end = group_end(order, op);

    for (op = group_begin(order, op); op < end; op++) {
        if (op_wrote(op)) {
            return true;
        }
    }
    return false;
}

static bool is_conditional(const struct op *op)
{
    return op->kind == OP_GUARD || (op->kind == OP_CAS && !op->unconditional);
}

/* ---- indexes ---- */

static void index_events(struct order *order)
{
    struct event *sorted = mem_alloc((order->n_events + 1) * sizeof(*sorted));
    size_t *next;

    for (size_t i = 0; i < order->n_events; i++) {
        uint32_t key = order->events[i].key;

        order->n_keys = key >= order->n_keys ? key + 1 : order->n_keys;
    }
    order->first = mem_zero(((size_t)order->n_keys + 1) * sizeof(*order->first));
    for (size_t i = 0; i < order->n_events; i++) {
        order->first[order->events[i].key + 1]++;
    }
    for (uint32_t key = 0; key < order->n_keys; key++) {
        order->first[key + 1] += order->first[key];
    }
    next = mem_alloc(((size_t)order->n_keys + 1) * sizeof(*next));
    for (uint32_t key = 0; key < order->n_keys; key++) {
        next[key] = order->first[key];
    }
    for (size_t i = 0; i < order->n_events; i++) {
        sorted[next[order->events[i].key]++] = order->events[i];
    }
    free(next);
    order->sorted = sorted;
}

static int by_value(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a;
    const struct op *y = *(const struct op *const *)b;

    return x->value < y->value ? -1 : x->value > y->value;
}

static int by_key(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a;
    const struct op *y = *(const struct op *const *)b;

    return x->key < y->key ? -1 : x->key > y->key;
}

static void index_writers(struct order *order)
{
    size_t n = order->history->n;

    order->writers = mem_alloc((n + 1) * sizeof(const struct op *));
    order->deleters = mem_alloc((n + 1) * sizeof(const struct op *));
    order->landed = mem_zero((n + 1) * sizeof(*order->landed));
    for (size_t i = 0; i < n; i++) {
        const struct op *op = &order->history->ops[i];

        if (op->kind == OP_READ || op->kind == OP_GUARD) {
            continue;
        }
        if (op_value_after(op) != 0) {
            order->writers[order->n_writers++] = op;
        } else if (op->outcome != OP_REFUSED) {
            order->deleters[order->n_deleters++] = op;
        }
    }
    qsort(order->writers, order->n_writers, sizeof(const struct op *), by_value);
    qsort(order->deleters, order->n_deleters, sizeof(const struct op *), by_key);
}

static void close_order(struct order *order)
{
    free((void *)order->sorted);
    free(order->first);
    free(order->writers);
    free(order->deleters);
    free(order->landed);
}

static const struct op *find_writer(const struct order *order, uint64_t value)
{
    struct op wanted = {.value = value};
    const struct op *key = &wanted;
    const struct op *const *found = bsearch(&key, order->writers, order->n_writers,
                                            sizeof(const struct op *), by_value);

    return found != NULL ? *found : NULL;
}

/* Who may have deleted a key at a revision: who says so, else one whose outcome is not
 * known; NULL: nobody. */
static const struct op *find_deleter(const struct order *order, const struct event *event)
{
    const struct op *open = NULL;
    size_t low = 0;
    size_t high = order->n_deleters;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order->deleters[middle]->key < event->key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < order->n_deleters && order->deleters[low]->key == event->key; low++) {
        const struct op *op = order->deleters[low];

        if (op_wrote(op) && op->revision == event->revision) {
            return op;
        }
        if (op->outcome == OP_UNKNOWN || op->outcome == OP_PENDING) {
            open = op;
        }
    }
    return open;
}

/* ---- every event has its op, every acknowledged write its event ---- */

/* An op whose outcome was not told took place: with all of its group, under conditions
 * that held. */
static int check_landed(const struct order *order, const struct op *op, int64_t revision)
{
    const struct op *end = group_end(order, op);

    for (op = group_begin(order, op); op < end; op++) {
        uint64_t before = value_at(order, op->key, revision - 1);
        bool writes = op->kind != OP_READ && op->kind != OP_GUARD;

        if (is_conditional(op) && before != op->expected) {
            return wrong(order, op, "took place although its condition did not hold");
        }
        if (writes && !(op_value_after(op) == 0 && before == 0) &&
            !is_there(order, op, revision)) {
            return wrong(order, op, "is missing where the rest of its group took place");
        }
    }
    return 0;
}

static int check_put(struct order *order, const struct event *event)
{
    const struct op *writer = find_writer(order, event->value);

    if (writer == NULL) {
        return wrong_event(order, event, "nobody wrote this");
    }
    if (writer->key != event->key || writer->outcome == OP_REFUSED) {
        return wrong(order, writer, "is in the store although it was refused");
    }
    if (writer->outcome == OP_DONE &&
        (!op_wrote(writer) || writer->revision != event->revision)) {
        return wrong(order, writer, "is in the store at another revision, or twice");
    }
    if (order->landed[place_of(order, writer)] != 0) {
        return wrong(order, writer, "is in the store twice");
    }
    order->landed[place_of(order, writer)] = event->revision;
    return writer->outcome == OP_DONE ? 0 : check_landed(order, writer, event->revision);
}

/* Of a revision that changed several keys: all of them are of one group. */
static int check_together(const struct order *order, const struct event *events, size_t n)
{
    uint32_t group = 0;

    for (size_t i = 0; i < n; i++) {
        const struct op *op = events[i].value != 0 ? find_writer(order, events[i].value)
                                                   : find_deleter(order, &events[i]);

        if (op == NULL) {
            return wrong_event(order, &events[i], "nobody asked for this");
        }
        if (events[i].value == 0 && op->outcome != OP_DONE) {
            continue; /* it may be another one that is open */
        }
        if (op->group == 0 || (group != 0 && op->group != group)) {
            return wrong_event(order, &events[i], "changed together with another key");
        }
        group = op->group;
    }
    return 0;
}

static int check_events(struct order *order)
{
    int rc = 0;

    for (size_t i = 0, to; i < order->n_events && rc == 0; i = to) {
        const struct event *event = &order->events[i];

        for (to = i + 1;
             to < order->n_events && order->events[to].revision == event->revision;
             to++) {
        }
        CHECK(i == 0 || event->revision > event[-1].revision);
        if (to - i > 1) {
            rc = check_together(order, event, to - i);
        }
        for (; event < &order->events[to] && rc == 0; event++) {
            if (event->value != 0) {
                rc = check_put(order, event);
            } else if (find_deleter(order, event) == NULL) {
                rc = wrong_event(order, event, "nobody asked to delete it");
            }
        }
    }
    return rc;
}

static int check_writes(const struct order *order)
{
    for (size_t i = 0; i < order->history->n; i++) {
        const struct op *op = &order->history->ops[i];

        if (op_wrote(op) && !is_there(order, op, op->revision)) {
            return wrong(order, op, "was acknowledged and is not in the store");
        }
    }
    return 0;
}

/* ---- every value seen was there at its revision ---- */

static int check_pair(const struct order *order, const struct op *op,
                      const struct event *event)
{
    if (op->seen_mod != 0 && op->seen_mod != event->revision) {
        return wrong(order, op, "saw a wrong mod revision");
    }
    if (event->version != 0 && op->seen_version != 0 &&
        (op->seen_version != event->version ||
         op->seen_create != event->create_revision)) {
        return wrong(order, op, "saw a wrong version or create revision");
    }
    return 0;
}

static int check_seen(const struct order *order, const struct op *op, int64_t revision)
{
    const struct event *event = event_at(order, op->key, revision);
    uint64_t there = event != NULL ? event->value : 0;

    if (op->seen != there) {
        return wrong_with(order, op, there != 0 ? find_writer(order, there) : NULL,
                          "saw what was not there at its revision");
    }
    return there != 0 ? check_pair(order, op, event) : 0;
}

/* A transaction that failed had a condition that did not hold. */
static int check_failed(const struct order *order, const struct op *op)
{
    const struct op *end = group_end(order, op);

    if (op != group_begin(order, op)) {
        return 0;
    }
    for (const struct op *part = op; part < end; part++) {
        if (is_conditional(part) &&
            part->expected != value_at(order, part->key, part->revision)) {
            return 0;
        }
    }
    return wrong(order, op, "failed although the condition held");
}

static int check_value(const struct order *order, const struct op *op)
{
    int64_t before = op->revision - group_wrote(order, op);
    int rc = 0;

    if (op->revision > order->last) {
        return wrong(order, op, "answered with a revision beyond the store's last");
    }
    if (op_saw(op)) {
        rc = check_seen(order, op, op->at != 0 ? op->at : before);
    }
    if (rc == 0 && is_conditional(op) && op->succeeded &&
        op->expected != value_at(order, op->key, before)) {
        rc = wrong(order, op, "succeeded although the value was another");
    }
    if (rc == 0 && (op->kind == OP_CAS || op->kind == OP_GUARD) && !op->succeeded) {
        rc = check_failed(order, op);
    }
    if (rc == 0 && op->kind == OP_DELETE && !op->succeeded &&
        value_at(order, op->key, before) != 0) {
        rc = wrong(order, op, "found nothing to delete although there was something");
    }
    return rc;
}

static int check_values(const struct order *order)
{
    int rc = 0;

    for (size_t i = 0; i < order->history->n && rc == 0; i++) {
        if (order->history->ops[i].outcome == OP_DONE) {
            rc = check_value(order, &order->history->ops[i]);
        }
    }
    return rc;
}

/* ---- real time ---- */

static int by_invoked(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a;
    const struct op *y = *(const struct op *const *)b;

    return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

static int by_answered(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a;
    const struct op *y = *(const struct op *const *)b;

    return x->answered < y->answered ? -1 : x->answered > y->answered;
}

/* The revision at which an op took place: told, or found in the store; 0: not known. */
static int64_t revision_of(const struct order *order, const struct op *op)
{
    return op->outcome == OP_DONE ? op->revision : order->landed[place_of(order, op)];
}

static int walk_in_time(const struct order *order, const struct op *const *begun,
                        size_t n_begun, const struct op *const *ended, size_t n_ended)
{
    const struct op *newest = NULL; /* of what was answered before */
    size_t past = 0;

    for (size_t i = 0; i < n_begun; i++) {
        const struct op *op = begun[i];
        int64_t revision = revision_of(order, op);
        bool wrote = op_wrote(op) || op->outcome != OP_DONE;

        for (; past < n_ended && ended[past]->answered < op->invoked; past++) {
            if (newest == NULL || ended[past]->revision > newest->revision) {
                newest = ended[past];
            }
        }
        if (newest != NULL &&
            (revision < newest->revision || (wrote && revision == newest->revision))) {
            return wrong_with(order, op, newest,
                              "is older than what was answered before it began");
        }
    }
    return 0;
}

static int check_real_time(const struct order *order)
{
    const struct history *history = order->history;
    const struct op **begun = mem_alloc((history->n + 1) * sizeof(const struct op *));
    const struct op **ended = mem_alloc((history->n + 1) * sizeof(const struct op *));
    size_t n_begun = 0;
    size_t n_ended = 0;
    int rc;

    for (size_t i = 0; i < history->n; i++) {
        const struct op *op = &history->ops[i];

        if (op->serializable || revision_of(order, op) == 0) {
            continue;
        }
        begun[n_begun++] = op;
        if (op->outcome == OP_DONE) {
            ended[n_ended++] = op;
        }
    }
    qsort(begun, n_begun, sizeof(const struct op *), by_invoked);
    qsort(ended, n_ended, sizeof(const struct op *), by_answered);
    rc = walk_in_time(order, begun, n_begun, ended, n_ended);
    free(begun);
    free(ended);
    return rc;
}

int revision_order_check(const struct history *history, const struct event *events,
                         size_t n_events, int64_t last, struct order_fault *fault,
                         struct err *err)
{
    struct order order = {.history = history,
                          .events = events,
                          .n_events = n_events,
                          .last = last,
                          .fault = fault,
                          .err = err};
    int rc;

    if (fault != NULL) {
        *fault = (struct order_fault){.op = SIZE_MAX, .other = SIZE_MAX};
    }
    index_events(&order);
    index_writers(&order);
    rc = check_writes(&order);
    if (rc == 0) {
        rc = check_events(&order);
    }
    if (rc == 0) {
        rc = check_values(&order);
    }
    if (rc == 0) {
        rc = check_real_time(&order);
    }
    close_order(&order);
    return rc;
}
