/* Lines about keys and values (kv_client.c). */
#include <stdlib.h>

#include "base/check.h"
#include "tests/chaos/story.h"

static uint64_t number_of(struct slice text)
{
    uint64_t number = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return 0;
        }
        number = number * 10 + (text.ptr[i] - '0');
    }
    return number;
}

static struct slice text_of(const struct json_line *json, const struct json_value *object,
                            const char *name)
{
    const struct json_value *value = json_field(json, object, name);

    return value != NULL ? value->text : slice_of("", 0);
}

static int64_t number_in(const struct json_line *json, const struct json_value *object,
                         const char *name)
{
    const struct json_value *value = json_field(json, object, name);

    return value != NULL ? value->number : 0;
}

static enum op_kind kind_of(struct slice name)
{
    int kind = 0;

    while (kind < OP_NKINDS && !slice_eq(name, slice_str(op_kind_name(kind)))) {
        kind++;
    }
    return (enum op_kind)kind;
}

static void ask(struct story_line *line)
{
    struct story *story = line->story;
    const struct json_line *json = line->json;
    const struct json_value *ops = json_field(json, json->values, "ops");
    uint32_t group = ++story->n_groups;

    line->process->first = story->history.n;
    line->process->n = 0;
    for (const struct json_value *part = ops != NULL ? json_first(json, ops) : NULL;
         part != NULL; part = json_next(json, ops, part)) {
        struct op op = {
            .kind = kind_of(text_of(json, part, "op")),
            .client = line->number,
            .key = chronicle_key(&story->chronicle, text_of(json, part, "key")),
            .group = group,
            .value = number_of(text_of(json, part, "value")),
            .expected = number_of(text_of(json, part, "expected")),
            .at = number_in(json, part, "at"),
            .serializable = json_field(json, part, "serializable") != NULL,
            .invoked = line->time,
        };

        if (op.kind == OP_NKINDS) {
            story_complain(line, "an operation that is not known");
            return;
        }
        op.unconditional =
            op.kind == OP_CAS && json_field(json, part, "expected") == NULL;
        history_invoke(&story->history, &op);
        line->process->n++;
    }
    if (line->process->n == 1) {
        story->history.ops[line->process->first].group = 0;
    }
}

static void take_seen(const struct json_line *json, const struct json_value *part,
                      const struct op *asked, struct op *answer)
{
    const struct json_value *seen = json_field(json, part, "seen");

    if (seen == NULL) {
        return;
    }
    answer->tells_before = asked->kind == OP_WRITE || asked->kind == OP_DELETE;
    if (seen->type == JSON_OBJECT) {
        answer->seen = number_of(text_of(json, seen, "value"));
        answer->seen_mod = number_in(json, seen, "mod");
        answer->seen_create = number_in(json, seen, "create");
        answer->seen_version = number_in(json, seen, "version");
    }
}

static void answer_part(struct story_line *line, const struct json_value *part,
                        size_t place)
{
    struct op *asked = &line->story->history.ops[place];
    struct op answer = {.outcome = line->outcome,
                        .revision = json_number(line->json, "revision")};
    const struct json_value *succeeded =
        json_field(line->json, line->json->values, "succeeded");

    asked->member = story_member_number(line->story, json_text(line->json, "member"));
    if (part != NULL) {
        take_seen(line->json, part, asked, &answer);
        answer.succeeded = asked->kind == OP_DELETE
                               ? number_in(line->json, part, "deleted") > 0
                               : succeeded == NULL || succeeded->number != 0;
    }
    history_answer(&line->story->history, place, line->time, &answer);
}

static void sign(struct story_line *line, const struct op *ops, size_t n)
{
    struct sign sign = {.invoked = line->process->invoked,
                        .answered = line->time,
                        .revision = json_number(line->json, "revision"),
                        .term = (uint64_t)json_number(line->json, "term"),
                        .fresh = !ops[0].serializable};

    for (size_t i = 0; i < n; i++) {
        sign.wrote = sign.wrote || op_wrote(&ops[i]);
    }
    story_sign(line->story, &sign);
}

void story_take_kv(struct story_line *line)
{
    struct story_process *process = line->process;
    const struct json_value *parts;
    const struct json_value *part;

    if (line->outcome == OP_PENDING) {
        ask(line);
        return;
    }
    if (process->n == 0) {
        story_complain(line, "an answer without a question");
        return;
    }
    parts = json_field(line->json, line->json->values, "parts");
    part = parts != NULL ? json_first(line->json, parts) : NULL;
    for (size_t i = 0; i < process->n; i++) {
        answer_part(line, part, process->first + i);
        part = part != NULL ? json_next(line->json, parts, part) : NULL;
    }
    if (line->outcome == OP_DONE) {
        sign(line, &line->story->history.ops[process->first], process->n);
    }
    process->n = 0;
}
