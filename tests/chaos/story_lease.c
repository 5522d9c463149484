/* Lines about leases (lease_calls.c), gathered by lease. */
#include <stdlib.h>

#include "api/status.h"
#include "base/mem.h"
#include "tests/chaos/story.h"

static const struct {
    const char *function;
    enum lease_verb verb;
} verbs[] = {{"grant", LEASE_GRANT},
             {"keep_alive", LEASE_KEEP},
             {"time_to_live", LEASE_READ},
             {"lease_put", LEASE_PUT},
             {"revoke", LEASE_REVOKE}};

static enum lease_verb verb_of(const struct json_line *json)
{
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(verbs) && !json_is(json, "f", verbs[i].function)) {
        i++;
    }
    if (verbs[i].verb == LEASE_PUT && json_number(json, "attached") == 0) {
        return LEASE_FREE;
    }
    return verbs[i].verb;
}

/* Places of lives by lease id: open addressing, half full at most. */
static size_t *find_place(struct story *story, int64_t id)
{
    size_t at = ((uint64_t)id * 0x9e3779b97f4a7c15ull) & (story->lease_room - 1);

    while (story->lease_places[at] != 0 &&
           story->lives[story->lease_places[at] - 1].id != id) {
        at = (at + 1) & (story->lease_room - 1);
    }
    return &story->lease_places[at];
}

static void grow_places(struct story *story)
{
    story->lease_room = story->lease_room > 0 ? story->lease_room * 2 : 1024;
    free(story->lease_places);
    story->lease_places = mem_zero(story->lease_room * sizeof(*story->lease_places));
    for (size_t i = 0; i < story->n_lives; i++) {
        *find_place(story, story->lives[i].id) = i + 1;
    }
}

static struct lease_life *find_life(struct story_line *line, int64_t id)
{
    struct story *story = line->story;
    size_t *place;

    if (story->n_lives * 2 >= story->lease_room) {
        grow_places(story);
    }
    place = find_place(story, id);
    if (*place == 0) {
        if (story->n_lives == story->life_room) {
            story->life_room = story->life_room > 0 ? story->life_room * 2 : 256;
            story->lives =
                mem_grow(story->lives, story->life_room * sizeof(*story->lives));
        }
        story->lives[story->n_lives++] =
            (struct lease_life){.id = id, .client = line->number};
        *place = story->n_lives;
    }
    return &story->lives[*place - 1];
}

static void ask(struct story_line *line)
{
    const struct json_line *json = line->json;
    struct lease_life *life = find_life(line, json_number(json, "lease"));
    size_t place = lease_life_ask(life, verb_of(json), line->time);
    struct lease_ask *added = &life->asks[place];

    line->process->life = life->id;
    line->process->first = place;
    if (added->verb == LEASE_GRANT) {
        life->ttl = json_number(json, "ttl");
    } else if (added->verb == LEASE_PUT || added->verb == LEASE_FREE) {
        added->key = chronicle_key(&line->story->chronicle, json_text(json, "key"));
    }
}

/* Which of the attempts has made the lease is not known: it lives since the first was
 * sent, at the earliest, and until the last was answered, at the latest. */
static void granted(struct story_line *line, struct lease_life *life)
{
    int64_t ttl = json_number(line->json, "ttl");

    for (size_t i = 0; i < life->n_asks; i++) {
        if (life->asks[i].verb == LEASE_GRANT) {
            life->asks[i].sent = life->asks[0].sent;
            life->asks[i].ttl = line->outcome == OP_DONE ? ttl : 0;
            lease_life_answer(life, i, line->time, LEASE_DONE);
        }
    }
    life->ttl = line->outcome == OP_DONE && ttl > 0 ? ttl : life->ttl;
}

static void sign(struct story_line *line, enum lease_verb verb)
{
    story_sign(line->story,
               &(struct sign){.invoked = line->process->invoked,
                              .answered = line->time,
                              .revision = json_number(line->json, "revision"),
                              .term = (uint64_t)json_number(line->json, "term"),
                              .fresh = verb != LEASE_READ && verb != LEASE_KEEP,
                              .wrote = verb != LEASE_READ});
}

/* The answer to the grant was heard, and so the TTL. */
static bool is_told(const struct lease_life *life)
{
    for (size_t i = 0; i < life->n_asks; i++) {
        if (life->asks[i].verb == LEASE_GRANT && life->asks[i].ttl > 0) {
            return true;
        }
    }
    return false;
}

/* Members grant more than a very short TTL that is asked for; when no grant was answered,
 * a read is the first to tell. */
static void answer_read(struct story_line *line, struct lease_life *life,
                        struct lease_ask *ask)
{
    const struct json_value *keys = json_field(line->json, line->json->values, "keys");
    int64_t ttl = json_number(line->json, "granted");

    ask->n_keys = keys != NULL ? keys->number : -1;
    if (ask->ttl < 0 || ttl == life->ttl) {
        return;
    }
    if (ttl > life->ttl && !is_told(life)) {
        life->ttl = ttl;
    } else {
        story_complain(line, "a lease has another TTL than was granted");
    }
}

static void answer(struct story_line *line, struct lease_life *life, size_t place)
{
    struct lease_ask *ask = &life->asks[place];
    int64_t code = json_number(line->json, "code");
    bool gone;

    if (line->outcome != OP_DONE) {
        if (code == GRPC_NOT_FOUND) {
            lease_life_answer(life, place, line->time, LEASE_GONE);
        } else if (code == GRPC_FAILED_PRECONDITION && ask->verb == LEASE_GRANT) {
            granted(line, life);
        }
        return;
    }
    sign(line, ask->verb);
    if (ask->verb == LEASE_GRANT) {
        granted(line, life);
        return;
    }
    ask->ttl = json_number(line->json, "ttl");
    gone = (ask->verb == LEASE_READ && ask->ttl < 0) ||
           (ask->verb == LEASE_KEEP && ask->ttl <= 0);
    lease_life_answer(life, place, line->time, gone ? LEASE_GONE : LEASE_DONE);
    if (ask->verb == LEASE_READ && !gone) {
        answer_read(line, life, ask);
    }
}

void story_take_lease(struct story_line *line)
{
    if (line->outcome == OP_PENDING) {
        ask(line);
    } else if (line->process->life != 0) {
        answer(line, find_life(line, line->process->life), line->process->first);
        line->process->life = 0;
    } else {
        story_complain(line, "an answer without a question");
    }
}
