#include "tests/chaos/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/checkers/linear_shrink.h"

#define ROWS_MAX 60 /* of a table */
#define TEXT_MAX 200

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* v<client>.<nth>: as the clients number their values. */
static const char *value_text(uint64_t value, char text[TEXT_MAX])
{
    if (value == 0) {
        return "nothing";
    }
    snprintf(text, TEXT_MAX, "v%" PRIu64 ".%" PRIu64, value / 1000000000,
             value % 1000000000);
    return text;
}

static const char *key_text(const struct story *story, uint32_t key, char text[TEXT_MAX])
{
    struct slice name = chronicle_name(&story->chronicle, key);

    snprintf(text, TEXT_MAX, "%.*s", (int)name.len, (const char *)name.ptr);
    return text;
}

/* ---- one operation ---- */

static void what_text(const struct op *op, char text[TEXT_MAX])
{
    char value[TEXT_MAX];
    char expected[TEXT_MAX];
    const char *conditions = op->group != 0 ? " with others" : "";

    switch (op->kind) {
    case OP_READ:
        snprintf(text, TEXT_MAX, "%sread%s", op->serializable ? "serializable " : "",
                 conditions);
        if (op->at != 0) {
            snprintf(text, TEXT_MAX, "read of revision %" PRId64, op->at);
        }
        return;
    case OP_WRITE:
        snprintf(text, TEXT_MAX, "put %.40s%s", value_text(op->value, value), conditions);
        return;
    case OP_DELETE:
        snprintf(text, TEXT_MAX, "delete%s", conditions);
        return;
    case OP_CAS:
        snprintf(text, TEXT_MAX, "if it is %.40s, put %.40s%s",
                 op->unconditional ? "as others are" : value_text(op->expected, expected),
                 value_text(op->value, value), conditions);
        return;
    case OP_GUARD:
        snprintf(text, TEXT_MAX, "if it is %.40s%s", value_text(op->expected, expected),
                 conditions);
        return;
    case OP_NKINDS:
        break;
    }
    text[0] = '\0';
}

static void answer_text(const struct op *op, char text[TEXT_MAX])
{
    char seen[TEXT_MAX];

    if (op->outcome == OP_PENDING || op->outcome == OP_UNKNOWN) {
        snprintf(text, TEXT_MAX, "outcome not known");
    } else if (op->outcome == OP_REFUSED) {
        snprintf(text, TEXT_MAX, "refused");
    } else if (op_saw(op)) {
        snprintf(text, TEXT_MAX, "%s %.40s",
                 op->kind == OP_READ ? "returned"
                 : op->tells_before  ? "replaced"
                                     : "failed, returned",
                 value_text(op->seen, seen));
    } else {
        snprintf(text, TEXT_MAX, "acknowledged");
    }
}

/* "client 7's read at 12.345 s on member b returned v3.17" */
static void tell_op(FILE *out, const struct story *story, const struct op *op)
{
    char what[TEXT_MAX];
    char answer[TEXT_MAX];

    what_text(op, what);
    answer_text(op, answer);
    fprintf(out, "%s at %.3f s by client %" PRIu32, what, seconds(op->invoked),
            op->client);
    if (op->outcome == OP_DONE) {
        fprintf(out, " on member %s %s at %.3f s (revision %" PRId64 ")",
                story_member(story, op->member), answer, seconds(op->answered),
                op->revision);
    } else {
        fprintf(out, " (%s)", answer);
    }
}

/* ---- tables ---- */

static void table(FILE *out, const struct story *story, const size_t *places, size_t n)
{
    uint64_t from = UINT64_MAX;

    for (size_t i = 0; i < n; i++) {
        uint64_t invoked = story->history.ops[places[i]].invoked;

        from = invoked < from ? invoked : from;
    }
    fprintf(out, "  %10s %10s  %-6s %-18s %-40s %-28s %s\n", "from ms", "to ms", "client",
            "member", "operation", "answer", "revision");
    for (size_t i = 0; i < n && i < ROWS_MAX; i++) {
        const struct op *op = &story->history.ops[places[i]];
        char what[TEXT_MAX];
        char answer[TEXT_MAX];
        char to[32] = "open";

        what_text(op, what);
        answer_text(op, answer);
        if (op->answered != UINT64_MAX) {
            snprintf(to, sizeof(to), "%.3f", (double)(op->answered - from) / 1e6);
        }
        fprintf(out, "  %10.3f %10s  %-6" PRIu32 " %-18s %-40s %-28s %" PRId64 "\n",
                (double)(op->invoked - from) / 1e6, to, op->client,
                op->outcome == OP_DONE ? story_member(story, op->member) : "", what,
                answer, op->revision);
    }
    if (n > ROWS_MAX) {
        fprintf(out, "  and %zu more\n", n - ROWS_MAX);
    }
}

static size_t find_writer(const struct story *story, uint32_t key, uint64_t value)
{
    for (size_t i = 0; i < story->history.n && value != 0; i++) {
        const struct op *op = &story->history.ops[i];

        if (op->key == key && op->kind != OP_READ && op->kind != OP_GUARD &&
            op_value_after(op) == value) {
            return i;
        }
    }
    return SIZE_MAX;
}

static int by_beginning(const void *a, const void *b, void *owner)
{
    const struct story *story = owner;
    uint64_t x = story->history.ops[*(const size_t *)a].invoked;
    uint64_t y = story->history.ops[*(const size_t *)b].invoked;

    return x < y ? -1 : x > y;
}

static size_t add(size_t *places, size_t n, size_t place)
{
    for (size_t i = 0; i < n; i++) {
        if (places[i] == place) {
            return n;
        }
    }
    if (place != SIZE_MAX) {
        places[n++] = place;
    }
    return n;
}

void report_order(FILE *out, const struct story *story, const struct order_fault *fault,
                  const char *why)
{
    const struct op *op = fault->op != SIZE_MAX ? &story->history.ops[fault->op] : NULL;
    size_t places[3];
    size_t n = 0;
    char key[TEXT_MAX];

    fprintf(out, "order of revisions: key %s: ", key_text(story, fault->key, key));
    if (op == NULL) {
        fprintf(out, "%s\n", why);
        return;
    }
    tell_op(out, story, op);
    fprintf(out, ", which %s", why);
    if (fault->other != SIZE_MAX) {
        fprintf(out, "; against it stands: ");
        tell_op(out, story, &story->history.ops[fault->other]);
    }
    fprintf(out, "\n");
    n = add(places, n, fault->op);
    n = add(places, n, fault->other);
    n = add(places, n, op_saw(op) ? find_writer(story, op->key, op->seen) : SIZE_MAX);
    qsort_r(places, n, sizeof(*places), by_beginning, (void *)story);
    table(out, story, places, n);
}

/* Of those that no order explains: the one that ended last, of those that saw something,
 * and the newest write that was acknowledged before it began. */
static void tell_contradiction(FILE *out, const struct story *story, const size_t *places,
                               size_t n)
{
    const struct op *reader = NULL;
    const struct op *writer = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct op *op = &story->history.ops[places[i]];

        if (op_saw(op) && (reader == NULL || op->answered > reader->answered)) {
            reader = op;
        }
    }
    for (size_t i = 0; i < n && reader != NULL; i++) {
        const struct op *op = &story->history.ops[places[i]];

        if (op_wrote(op) && op->answered < reader->invoked &&
            op_value_after(op) != reader->seen &&
            (writer == NULL || op->answered > writer->answered)) {
            writer = op;
        }
    }
    if (reader != NULL) {
        fprintf(out, ": ");
        tell_op(out, story, reader);
    }
    if (writer != NULL) {
        fprintf(out, ", although ");
        tell_op(out, story, writer);
    }
}

void report_linear(FILE *out, const struct story *story, uint32_t key)
{
    size_t n;
    size_t *places = linear_shrink(&story->history, key, &n);
    char name[TEXT_MAX];

    fprintf(out, "not linearizable: key %s", key_text(story, key, name));
    tell_contradiction(out, story, places, n);
    fprintf(out, "; no order explains these %zu:\n", n);
    table(out, story, places, n);
    free(places);
}
