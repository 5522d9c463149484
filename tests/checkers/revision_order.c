#include "tests/checkers/revision_order.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

static const char *const kind_names[] = {
    [OP_READ] = "read", [OP_WRITE] = "write", [OP_CAS] = "cas", [OP_DELETE] = "delete"};

static int wrong(struct err *err, const struct op *op, const char *what)
{
    return err_set(err, ERR_CORRUPT,
                   "client %" PRIu32 ": %s of key %" PRIu32 " (value %" PRIu64
                   ", seen %" PRIu64 ", revision %" PRId64 ", invoked at %" PRIu64
                   " ns): %s",
                   op->client, kind_names[op->kind], op->key, op->value, op->seen,
                   op->revision, op->invoked, what);
}

/* The op made a revision of its own, by its answer. */
static bool wrote(const struct op *op)
{
    if (op->outcome != OP_DONE || op->kind == OP_READ) {
        return false;
    }
    return op->kind == OP_WRITE || op->succeeded;
}

static uint64_t value_after(const struct op *op)
{
    return op->kind == OP_DELETE ? 0 : op->value;
}

/* The number of events at or below a revision. */
static size_t events_until(const struct event *events, size_t n, int64_t revision)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;

        if (events[middle].revision <= revision) {
            low = middle + 1;
        } else {
            n = middle;
        }
    }
    return low;
}

static int check_ascending(const struct event *events, size_t n, struct err *err)
{
    for (size_t i = 1; i < n; i++) {
        if (events[i].revision <= events[i - 1].revision) {
            return err_set(err, ERR_CORRUPT, "revision %" PRId64 " changed two keys",
                           events[i].revision);
        }
    }
    return 0;
}

/* ---- every event has its op, every acknowledged write its event ---- */

static int by_value(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a;
    const struct op *y = *(const struct op *const *)b;

    return x->value < y->value ? -1 : x->value > y->value;
}

static const struct op *find_writer(const struct op *const *writers, size_t n,
                                    uint64_t value)
{
    struct op wanted = {.value = value};
    const struct op *key = &wanted;
    const struct op *const *found =
        bsearch(&key, writers, n, sizeof(const struct op *), by_value);

    return found != NULL ? *found : NULL;
}

static bool may_have_deleted(const struct history *history, const struct event *event)
{
    for (size_t i = 0; i < history->n; i++) {
        const struct op *op = &history->ops[i];
        bool open = op->outcome == OP_UNKNOWN || op->outcome == OP_PENDING;

        if (op->kind == OP_DELETE && op->key == event->key &&
            (open || (wrote(op) && op->revision == event->revision))) {
            return true;
        }
    }
    return false;
}

static int check_event(const struct history *history, const struct op *const *writers,
                       size_t n, const struct event *event, struct err *err)
{
    const struct op *writer;

    if (event->value == 0) {
        if (!may_have_deleted(history, event)) {
            return err_set(err, ERR_CORRUPT,
                           "revision %" PRId64 " deleted key %" PRIu32
                           ", which nobody asked for",
                           event->revision, event->key);
        }
        return 0;
    }
    writer = find_writer(writers, n, event->value);
    if (writer == NULL) {
        return err_set(err, ERR_CORRUPT,
                       "revision %" PRId64 " holds value %" PRIu64 ", which nobody wrote",
                       event->revision, event->value);
    }
    if (writer->key != event->key || writer->outcome == OP_REFUSED) {
        return wrong(err, writer, "is in the store although it was refused");
    }
    if (writer->outcome == OP_DONE &&
        (!wrote(writer) || writer->revision != event->revision)) {
        return wrong(err, writer, "is in the store at another revision, or twice");
    }
    return 0;
}

static int check_events(const struct history *history, const struct event *events,
                        size_t n_events, struct err *err)
{
    const struct op **writers = mem_alloc(history->n * sizeof(const struct op *));
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < history->n; i++) {
        if (history->ops[i].kind == OP_WRITE || history->ops[i].kind == OP_CAS) {
            writers[n++] = &history->ops[i];
        }
    }
    qsort(writers, n, sizeof(const struct op *), by_value);
    for (size_t i = 0; i < n_events && rc == 0; i++) {
        rc = check_event(history, writers, n, &events[i], err);
    }
    free(writers);
    return rc;
}

static int check_writes(const struct history *history, const struct event *events,
                        size_t n_events, struct err *err)
{
    for (size_t i = 0; i < history->n; i++) {
        const struct op *op = &history->ops[i];
        size_t at;

        if (!wrote(op)) {
            continue;
        }
        at = events_until(events, n_events, op->revision);
        if (at == 0 || events[at - 1].revision != op->revision ||
            events[at - 1].key != op->key || events[at - 1].value != value_after(op)) {
            return wrong(err, op, "was acknowledged and is not in the store");
        }
    }
    return 0;
}

/* ---- every value seen was there at its revision ---- */

/* What a key held at a revision: the last event of the key at or below it. */
static uint64_t value_at(const struct event *events, size_t n_events, uint32_t key,
                         int64_t revision)
{
    for (size_t at = events_until(events, n_events, revision); at > 0; at--) {
        if (events[at - 1].key == key) {
            return events[at - 1].value;
        }
    }
    return 0;
}

static int check_values(const struct history *history, const struct event *events,
                        size_t n_events, int64_t last, struct err *err)
{
    for (size_t i = 0; i < history->n; i++) {
        const struct op *op = &history->ops[i];
        bool looked = op->kind == OP_READ || (op->kind == OP_CAS && !op->succeeded);

        if (op->outcome != OP_DONE) {
            continue;
        }
        if (op->revision > last) {
            return wrong(err, op, "answered with a revision beyond the store's last");
        }
        if (looked && op->seen != value_at(events, n_events, op->key, op->revision)) {
            return wrong(err, op, "saw what was not there at its revision");
        }
        if (op->kind == OP_CAS && op->succeeded &&
            op->expected != value_at(events, n_events, op->key, op->revision - 1)) {
            return wrong(err, op, "swapped although the value was another");
        }
    }
    return 0;
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

static int check_real_time(const struct history *history, struct err *err)
{
    const struct op **begun = mem_alloc(history->n * sizeof(const struct op *));
    const struct op **ended = mem_alloc(history->n * sizeof(const struct op *));
    int64_t newest = 0; /* revision of what was answered before */
    size_t n = 0;
    size_t past = 0;
    int rc = 0;

    for (size_t i = 0; i < history->n; i++) {
        if (history->ops[i].outcome == OP_DONE && !history->ops[i].serializable) {
            begun[n] = &history->ops[i];
            ended[n++] = &history->ops[i];
        }
    }
    qsort(begun, n, sizeof(const struct op *), by_invoked);
    qsort(ended, n, sizeof(const struct op *), by_answered);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct op *op = begun[i];

        for (; past < n && ended[past]->answered < op->invoked; past++) {
            newest = ended[past]->revision > newest ? ended[past]->revision : newest;
        }
        if (op->revision < newest || (wrote(op) && op->revision == newest)) {
            rc = wrong(err, op, "is older than what was answered before it began");
        }
    }
    free(begun);
    free(ended);
    return rc;
}

int revision_order_check(const struct history *history, const struct event *events,
                         size_t n_events, int64_t last, struct err *err)
{
    int rc = check_ascending(events, n_events, err);

    if (rc == 0) {
        rc = check_writes(history, events, n_events, err);
    }
    if (rc == 0) {
        rc = check_events(history, events, n_events, err);
    }
    if (rc == 0) {
        rc = check_values(history, events, n_events, last, err);
    }
    if (rc == 0) {
        rc = check_real_time(history, err);
    }
    return rc;
}
