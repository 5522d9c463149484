/* Lines about locks (lock_calls.c). */
#include "api/status.h"
#include "tests/chaos/story.h"

static bool is_way(const struct json_line *json, const char *way)
{
    return json_is(json, "way", way);
}

static enum lock_verb verb_of(const struct json_line *json)
{
    if (json_is(json, "f", "release")) {
        return LOCK_RELEASE;
    }
    if (json_is(json, "f", "fenced_write")) {
        return LOCK_WRITE;
    }
    return is_way(json, "etcd_lock")  ? LOCK_ETCD_LOCK
           : is_way(json, "campaign") ? LOCK_ETCD_CAMPAIGN
                                      : LOCK_ACQUIRE;
}

static void ask(struct story_line *line)
{
    const struct json_line *json = line->json;
    struct lock_ask ask = {
        .verb = verb_of(json),
        .client = line->number,
        .name = (uint32_t)json_number(json, "lock"),
        .mode = is_way(json, "shared")  ? LOCK_SHARED
                : is_way(json, "slots") ? LOCK_SLOTS
                                        : LOCK_EXCLUSIVE,
        .slots = (uint32_t)json_number(json, "slots"),
        .lease = json_number(json, "lease"),
        .key = chronicle_key(&line->story->chronicle, json_text(json, "key")),
        .try = json_number(json, "try") != 0,
        .sent = line->time,
        .token = json_number(json, "token"),
    };

    line->process->first = lock_log_add(&line->story->locks, &ask);
    line->process->n = 1;
}

static bool speaks_of_circle(struct slice why)
{
    static const char word[] = "deadlock";

    return memmem(why.ptr, why.len, word, sizeof(word) - 1) != NULL;
}

static enum lock_outcome outcome_of(struct story_line *line, const struct lock_ask *ask)
{
    const struct json_line *json = line->json;
    int64_t code = json_number(json, "code");

    if (line->outcome != OP_DONE) {
        if (code != GRPC_FAILED_PRECONDITION) {
            return LOCK_OPEN;
        }
        if (ask->verb == LOCK_WRITE) {
            return LOCK_NOT;
        }
        return speaks_of_circle(json_text(json, "why")) ? LOCK_CIRCLE : LOCK_OPEN;
    }
    switch (ask->verb) {
    case LOCK_WRITE:
        return json_number(json, "written") != 0 ? LOCK_DONE : LOCK_NOT;
    case LOCK_RELEASE:
        /* etcd's services do not tell what there was. */
        if (json_field(json, json->values, "released") == NULL) {
            return LOCK_OPEN;
        }
        return json_number(json, "released") != 0 ? LOCK_DONE : LOCK_NOT;
    default:
        return json_number(json, "acquired") != 0 ? LOCK_DONE : LOCK_NOT;
    }
}

static void answer(struct story_line *line)
{
    const struct json_line *json = line->json;
    struct lock_ask *ask = &line->story->locks.asks[line->process->first];

    ask->outcome = outcome_of(line, ask);
    if (line->outcome != OP_DONE) {
        ask->answered = ask->outcome != LOCK_OPEN ? line->time : UINT64_MAX;
        return;
    }
    ask->answered = line->time;
    ask->revision = json_number(json, "revision");
    if (json_text(json, "key").len > 0) {
        ask->key = chronicle_key(&line->story->chronicle, json_text(json, "key"));
    }
    ask->token = ask->verb == LOCK_WRITE ? ask->token : json_number(json, "token");
    ask->holds = (uint32_t)json_number(json, "holds");
    ask->place = (uint32_t)json_number(json, "place");
    story_sign(line->story, &(struct sign){.answered = line->time,
                                           .invoked = line->process->invoked,
                                           .revision = ask->revision,
                                           .term = (uint64_t)json_number(json, "term"),
                                           .wrote = ask->verb == LOCK_WRITE &&
                                                    ask->outcome == LOCK_DONE});
}

void story_take_lock(struct story_line *line)
{
    if (line->outcome == OP_PENDING) {
        ask(line);
    } else if (line->process->n > 0) {
        answer(line);
        line->process->n = 0;
    } else {
        story_complain(line, "an answer without a question");
    }
}
