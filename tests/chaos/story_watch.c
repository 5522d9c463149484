/* Lines about watches (watch_stream.c), as what watchers were told and as the log, and
 * about compactions. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/chaos/story.h"

#define DELETE_VALUES 2 /* of an event: key and revision */
#define PAIR_VALUES   5 /* of a pair: see read_pair */

/* mod, create, version, lease, value; returns the value behind them. */
static const struct json_value *read_pair(struct story_line *line,
                                          const struct json_value *array,
                                          const struct json_value *at, struct change *out)
{
    int64_t numbers[4] = {0};

    for (size_t i = 0; i < ARRAY_LEN(numbers) && at != NULL; i++) {
        numbers[i] = at->number;
        at = json_next(line->json, array, at);
    }
    *out = (struct change){.revision = numbers[0],
                           .create_revision = numbers[1],
                           .version = numbers[2],
                           .lease = numbers[3]};
    if (at != NULL) {
        out->value = story_bytes(line->story, at->text);
        at = json_next(line->json, array, at);
    }
    return at;
}

static size_t count(const struct json_line *json, const struct json_value *array)
{
    size_t n = 0;

    for (const struct json_value *at = json_first(json, array); at != NULL;
         at = json_next(json, array, at)) {
        n += at->type != JSON_ARRAY;
    }
    return n;
}

/* [key, mod] or [key, pair], and perhaps [pair]; *prev is NULL when that did not come. */
static bool read_event(struct story_line *line, const struct json_value *array,
                       struct change *out, const struct json_value **prev)
{
    const struct json_value *key = json_first(line->json, array);
    const struct json_value *at;
    size_t n = count(line->json, array);

    if (key == NULL || (n != DELETE_VALUES && n != 1 + PAIR_VALUES)) {
        return false;
    }
    at = json_next(line->json, array, key);
    if (n == DELETE_VALUES) {
        *out = (struct change){.revision = at->number, .deleted = true};
        at = json_next(line->json, array, at);
    } else {
        at = read_pair(line, array, at, out);
    }
    out->key =
        chronicle_key(&line->story->chronicle, story_bytes(line->story, key->text));
    *prev = at;
    return true;
}

/* ---- what a watcher was told ---- */

static void ask(struct story_line *line)
{
    struct story *story = line->story;
    struct story_process *process = line->process;
    struct arena *arena = &story->chronicle.arena;
    const struct json_line *json = line->json;
    struct watch_stretch *stretch;

    if (story->n_stretches == story->stretch_room) {
        story->stretch_room = story->stretch_room > 0 ? story->stretch_room * 2 : 256;
        story->stretches =
            mem_grow(story->stretches, story->stretch_room * sizeof(*story->stretches));
    }
    process->stretches = mem_grow(process->stretches, (process->n_stretches + 1) *
                                                          sizeof(*process->stretches));
    process->stretches[process->n_stretches++] = story->n_stretches;
    stretch = &story->stretches[story->n_stretches++];
    *stretch = (struct watch_stretch){
        .client = line->number,
        .member = story_member_number(story, json_text(json, "member")),
        .want = {.key = arena_dup(arena, json_text(json, "key")),
                 .range_end =
                     arena_dup(arena, story_bytes(story, json_text(json, "range_end"))),
                 .start = json_number(json, "start"),
                 .no_put = json_number(json, "no_put") != 0,
                 .no_delete = json_number(json, "no_delete") != 0,
                 .prev_kv = json_number(json, "prev_kv") != 0,
                 .fragment = json_number(json, "fragment") != 0}};
}

static void hear_event(struct story_line *line, struct watch_stretch *stretch,
                       const struct json_value *array)
{
    const struct json_value *prev;
    struct change change;
    struct watch_heard heard = {.word = WATCH_EVENT, .time = line->time};

    if (!read_event(line, array, &change, &prev)) {
        story_complain(line, "an event that makes no sense");
        return;
    }
    heard.revision = change.revision;
    heard.key = change.key;
    heard.deleted = change.deleted;
    heard.digest = chronicle_digest(&change);
    if (prev != NULL) {
        struct change before;

        read_pair(line, prev, json_first(line->json, prev), &before);
        heard.prev_digest = chronicle_digest(&before);
    }
    watch_stretch_add(stretch, &heard);
    line->story->n_events++;
}

static void hear_events(struct story_line *line, struct watch_stretch *stretch)
{
    const struct json_line *json = line->json;
    const struct json_value *events = json_field(json, json->values, "events");

    for (const struct json_value *at = events != NULL ? json_first(json, events) : NULL;
         at != NULL; at = json_next(json, events, at)) {
        hear_event(line, stretch, at);
    }
}

static const struct {
    const char *name;
    enum watch_word word;
} words[] = {{"created", WATCH_CREATED},
             {"events", WATCH_BATCH},
             {"fragment", WATCH_FRAGMENT},
             {"progress", WATCH_PROGRESS},
             {"compacted", WATCH_COMPACTED}};

void story_take_watch(struct story_line *line)
{
    struct story *story = line->story;
    size_t number = (size_t)json_number(line->json, "watch");
    int64_t revision = json_number(line->json, "revision");
    struct watch_stretch *stretch;

    if (line->outcome == OP_PENDING) {
        ask(line);
        return;
    }
    if (number >= line->process->n_stretches) {
        story_complain(line, "a watcher that nobody asked for was told something");
        return;
    }
    stretch = &story->stretches[line->process->stretches[number]];
    hear_events(line, stretch);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (json_is(line->json, "word", words[i].name)) {
            watch_stretch_add(stretch, &(struct watch_heard){.word = words[i].word,
                                                             .time = line->time,
                                                             .revision = revision});
        }
    }
    if (json_is(line->json, "word", "canceled") ||
        json_is(line->json, "word", "refused")) {
        story_complain(line, "a watcher was canceled for no reason");
    }
    if (!json_is(line->json, "word", "compacted")) {
        story_sign(story, &(struct sign){.answered = line->time, .revision = revision});
    }
}

/* ---- the log ---- */

static void add_to_log(struct story_line *line, const struct json_value *array)
{
    struct chronicle *chronicle = &line->story->chronicle;
    const struct json_value *prev;
    struct change change;

    if (!read_event(line, array, &change, &prev) || change.revision <= chronicle->last) {
        return;
    }
    if (change.revision == chronicle->last + 2 &&
        chronicle->n_changes > chronicle->begun) {
        CHECK(chronicle_end_revision(chronicle, NULL) == 0);
    }
    if (change.revision == chronicle->last + 1) {
        chronicle_add(chronicle, &change);
    }
}

/* Of a file that watches everything: what comes next in the log is taken, what another
 * file has told already, or what is behind a gap, is not. */
void story_take_log(struct story_line *line)
{
    struct chronicle *chronicle = &line->story->chronicle;
    const struct json_line *json = line->json;
    const struct json_value *events = json_field(json, json->values, "events");

    if (line->outcome == OP_PENDING) {
        chronicle_abandon_revision(chronicle); /* what was told in part comes again */
    }
    for (const struct json_value *at = events != NULL ? json_first(json, events) : NULL;
         at != NULL; at = json_next(json, events, at)) {
        add_to_log(line, at);
    }
    if (json_is(json, "word", "events") && chronicle->n_changes > chronicle->begun) {
        CHECK(chronicle_end_revision(chronicle, NULL) == 0);
    }
}

/* ---- compactions ---- */

void story_take_compact(struct story_line *line)
{
    if (line->outcome == OP_PENDING) {
        chronicle_compact(&line->story->chronicle, json_number(line->json, "revision"),
                          line->time);
    } else if (line->outcome == OP_DONE) {
        story_sign(line->story,
                   &(struct sign){.invoked = line->process->invoked,
                                  .answered = line->time,
                                  .revision = json_number(line->json, "revision"),
                                  .term = (uint64_t)json_number(line->json, "term"),
                                  .fresh = true,
                                  .wrote = true});
    }
}
