/* The parser of transactions. A line is split into words, quotes taken away; an
 * operation's words then go through the option tables of get, put and del. */
#include "cli/txn_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/key_range.h"
#include "cli/quote.h"
#include "cli/txn_words.h"

/* ---- compares ---- */

struct target {
    const char *names[2];
    Etcdserverpb__Compare__CompareTarget target;
    Etcdserverpb__Compare__TargetUnionCase operand;
    int base; /* of the number; 0: bytes */
};

static const struct target targets[] = {
    {{"ver", "version"},
     ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
     ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION,
     10},
    {{"c", "create"},
     ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION,
     10},
    {{"m", "mod"},
     ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
     ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION,
     10},
    {{"val", "value"},
     ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE,
     0},
    {{"lease", "lease"},
     ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE,
     16},
};

static const struct {
    const char *text;
    Etcdserverpb__Compare__CompareResult result;
} operators[] = {
    {"=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL},
    {"!=", ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL},
    {">", ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER},
    {"<", ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS},
};

static const struct target *find_target(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        if (txn_word_is(name, targets[i].names[0]) ||
            txn_word_is(name, targets[i].names[1])) {
            return &targets[i];
        }
    }
    return NULL;
}

static bool find_operator(struct slice text, Etcdserverpb__Compare__CompareResult *result)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (txn_word_is(text, operators[i].text)) {
            *result = operators[i].result;
            return true;
        }
    }
    return false;
}

static int malformed(struct slice line, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "malformed comparison: %.*s (%s; an example: mod(\"key\") > \"0\")",
                   (int)(line.len < 200 ? line.len : 200), (const char *)line.ptr, why);
}

static bool set_operand(const struct target *target, struct slice text,
                        struct arena *arena, Etcdserverpb__Compare *compare)
{
    struct slice copy = arena_dup(arena, slice_of(text.ptr, text.len));
    char number[32];
    char *end;

    compare->target = target->target;
    compare->target_union_case = target->operand;
    if (target->base == 0) {
        compare->value = binary_of(copy);
        return true;
    }
    if (text.len == 0 || text.len >= sizeof(number)) {
        return false;
    }
    memcpy(number, text.ptr, text.len);
    number[text.len] = '\0';
    compare->version =
        strtoll(number, &end, target->base); /* one union for all numbers */
    return *end == '\0';
}

int txn_text_compare(struct slice line, struct arena *arena, Etcdserverpb__Compare **out,
                     struct err *err)
{
    Etcdserverpb__Compare *compare = arena_alloc(arena, sizeof(*compare));
    struct slice rest = txn_skip_spaces(line);
    const uint8_t *paren = memchr(rest.ptr, '(', rest.len);
    const struct target *target;
    struct slice key, word;
    size_t len;

    etcdserverpb__compare__init(compare);
    if (paren == NULL) {
        return malformed(line, "no parenthesis", err);
    }
    target = find_target(slice_of(rest.ptr, (size_t)(paren - rest.ptr)));
    if (target == NULL) {
        return malformed(line, "the target is ver, c, mod, val or lease", err);
    }
    rest = txn_skip(rest, (size_t)(paren - rest.ptr) + 1);
    if (quote_read(rest, arena, &key, &len, err) != 0) {
        return malformed(line, "the key is not quoted", err);
    }
    rest = txn_skip(rest, len);
    if (rest.len == 0 || rest.ptr[0] != ')') {
        return malformed(line, "no closing parenthesis", err);
    }
    rest = txn_skip(rest, 1);
    if (txn_take_word(&rest, arena, &word, err) != 0 ||
        !find_operator(word, &compare->result)) {
        return malformed(line, "the operator is =, !=, < or >", err);
    }
    if (txn_skip_spaces(rest).len == 0 || txn_take_word(&rest, arena, &word, err) != 0 ||
        !set_operand(target, word, arena, compare)) {
        return malformed(line, "what it compares with cannot be read", err);
    }
    if (txn_skip_spaces(rest).len > 0) {
        return malformed(line, "there is more behind it", err);
    }
    compare->key = binary_of(key);
    *out = compare;
    return 0;
}

/* ---- the whole text ---- */

struct reader {
    FILE *in;
    struct arena *arena;
    char *line; /* getline's */
    size_t room;
    size_t number; /* of the line */
};

/* The next line without its end; empty ends a section. ERR_INVALID at the end of input.
 */
static int read_line(struct reader *reader, const char *section, struct slice *line,
                     struct err *err)
{
    ssize_t len = getline(&reader->line, &reader->room, reader->in);

    if (len < 0) {
        return err_set(err, ERR_INVALID,
                       "the input ends within the %s; each of the three sections ends "
                       "with an empty line",
                       section);
    }
    if ((size_t)len > LIMIT_LINE_BYTES) {
        return err_set(err, ERR_TOO_BIG, "line %zu is longer than %llu bytes",
                       reader->number, LIMIT_LINE_BYTES);
    }
    reader->number++;
    while (len > 0 && (reader->line[len - 1] == '\n' || reader->line[len - 1] == '\r')) {
        len--;
    }
    *line =
        arena_dup(reader->arena, txn_skip_spaces(slice_of(reader->line, (size_t)len)));
    return 0;
}

struct items {
    void **items;
    size_t n;
};

/* Adds an item, doubling the array. */
static void append(struct items *list, struct arena *arena, void *item)
{
    if ((list->n & (list->n - 1)) == 0) { /* full at powers of two */
        void **more = arena_alloc(arena, (list->n > 0 ? 2 * list->n : 1) * sizeof(*more));

        if (list->n > 0) {
            memcpy(more, list->items, list->n * sizeof(*more));
        }
        list->items = more;
    }
    list->items[list->n++] = item;
}

/* The parsed line, or NULL with the reason in err. */
typedef void *(*line_cb)(struct slice line, struct arena *arena, struct err *err);

static void *line_to_compare(struct slice line, struct arena *arena, struct err *err)
{
    Etcdserverpb__Compare *compare = NULL;

    txn_text_compare(line, arena, &compare, err);
    return compare;
}

static void *line_to_op(struct slice line, struct arena *arena, struct err *err)
{
    Etcdserverpb__RequestOp *op = NULL;

    txn_text_op(line, arena, &op, err);
    return op;
}

static int read_section(struct reader *reader, const char *section, line_cb parse,
                        struct items *items, struct err *err)
{
    for (;;) {
        struct slice line;
        void *item;
        int rc = read_line(reader, section, &line, err);

        if (rc != 0 || line.len == 0) {
            return rc;
        }
        item = parse(line, reader->arena, err);
        if (item == NULL) {
            return err_prefix(err, ERR_INVALID, "line %zu", reader->number);
        }
        append(items, reader->arena, item);
    }
}

enum section { SECTION_COMPARES, SECTION_SUCCESS, SECTION_FAILURE, SECTION_COUNT };

/* Arrays of one pointer type into arrays of another. */
static void fill_request(const struct items *items, struct arena *arena,
                         Etcdserverpb__TxnRequest *out)
{
    struct slice copies[SECTION_COUNT];

    for (size_t i = 0; i < SECTION_COUNT; i++) {
        copies[i] =
            arena_dup(arena, slice_of(items[i].items, items[i].n * sizeof(void *)));
    }
    etcdserverpb__txn_request__init(out);
    out->n_compare = items[SECTION_COMPARES].n;
    out->compare = (void *)copies[SECTION_COMPARES].ptr;
    out->n_success = items[SECTION_SUCCESS].n;
    out->success = (void *)copies[SECTION_SUCCESS].ptr;
    out->n_failure = items[SECTION_FAILURE].n;
    out->failure = (void *)copies[SECTION_FAILURE].ptr;
}

int txn_text_read(FILE *in, FILE *prompt, struct arena *arena,
                  Etcdserverpb__TxnRequest *out, struct err *err)
{
    static const struct {
        const char *name;
        line_cb parse;
    } sections[SECTION_COUNT] = {
        [SECTION_COMPARES] = {"compares", line_to_compare},
        [SECTION_SUCCESS] = {"success requests (get, put, del)", line_to_op},
        [SECTION_FAILURE] = {"failure requests (get, put, del)", line_to_op},
    };
    struct reader reader = {.in = in, .arena = arena};
    struct items items[SECTION_COUNT] = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < SECTION_COUNT; i++) {
        if (prompt != NULL) {
            fprintf(prompt, "%s:\n", sections[i].name);
            fflush(prompt);
        }
        rc = read_section(&reader, sections[i].name, sections[i].parse, &items[i], err);
    }
    free(reader.line);
    if (rc == 0) {
        fill_request(items, arena, out);
    }
    return rc;
}
