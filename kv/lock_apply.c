/* Acquire, release, leave, and release by force.
 *
 * All of a lease's exclusive and shared holds on a lock share one key, whose record lists
 * their ids: it goes when the last one is released. Each hold of slots is a key of its
 * own. So what a retried command finds tells what the first one did. What can fail: the
 * checks of lock_check.c, again; the lease is gone; or the hold could never be granted,
 * or would mix with others that it cannot stand in line with. Then nothing is written. */
#include "kv/lock_apply.h"

#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "kv/auth.h"
#include "kv/kv.h"
#include "kv/lease.h"
#include "kv/lock.h"
#include "kv/lock_cycle.h"
#include "kv/lock_record.h"
#include "kv/span.h"
#include "kv/state.h"
#include "kv/write.h"

/* ---- what a lease has in a line ---- */

/* A hold, by the key that a lease would have there; NULL when there is none. */
static struct lock_hold *hold_at(struct kv *kv, const struct lock_place *place,
                                 int64_t lease)
{
    uint8_t *bytes = arena_alloc(&kv->command, lock_key_max(place->name.len));
    size_t len = lock_write_key(place, lease, bytes);
    struct key *key = index_find(&kv->index, slice_of(bytes, len));

    return key != NULL && key_is_live(key) ? lock_of_key(kv, key) : NULL;
}

static struct lock_hold *hold_of_mode(struct kv *kv, struct slice name, int64_t lease,
                                      Kvd__V1__LockMode mode)
{
    const struct lock_place place = {.name = name, .mode = mode};

    return hold_at(kv, &place, lease);
}

/* Of slots, whatever their number, among all the keys NAME/<lease>.slots-N.<hold> that
 * there ever were. */
static struct lock_hold *search_slots(struct kv *kv, struct slice name, int64_t lease,
                                      const char *hold)
{
    const struct lock_place first = {.name = name,
                                     .mode = KVD__V1__LOCK_MODE__SLOTS,
                                     .slots = 1,
                                     .hold = slice_of("", 0)};
    uint8_t *from = arena_alloc(&kv->command, lock_key_max(name.len));
    uint8_t *to = arena_alloc(&kv->command, lock_key_max(name.len));
    size_t len = lock_write_key(&first, lease, from) - 2; /* "1." */
    struct span span = {.from = slice_of(from, len), .to = slice_of(to, len)};
    struct index_place at;

    memcpy(to, from, len);
    to[len - 1]++;
    for (struct key *key = index_first(&kv->index, &span, span.from, &at); key != NULL;
         key = index_next(&kv->index, &span, &at)) {
        struct lock_hold *found = key_is_live(key) ? lock_of_key(kv, key) : NULL;
        struct lock_place place;

        if (found != NULL && lock_parse(key_name(key), lease, &place) &&
            slice_eq(place.hold, slice_str(hold))) {
            return found;
        }
    }
    return NULL;
}

/* All in one line have the same number of slots, but for those made by hand. */
static struct lock_hold *hold_of_slots(struct kv *kv, struct slice name, int64_t lease,
                                       const char *hold)
{
    const struct lock_line *line = lock_find_line(kv, name);
    struct lock_place place = {
        .name = name, .mode = KVD__V1__LOCK_MODE__SLOTS, .hold = slice_str(hold)};

    if (line == NULL) {
        return NULL;
    }
    if (line->mixed) {
        return search_slots(kv, name, lease, hold);
    }
    place.slots = lock_first(line)->slots;
    return place.slots > 0 ? hold_at(kv, &place, lease) : NULL;
}

/* The hold of that id, and its record when the record lists it. */
static struct lock_hold *find_hold(struct kv *kv, struct slice name, int64_t lease,
                                   const char *id, Kvd__V1__LockRecord **record)
{
    static const Kvd__V1__LockMode modes[] = {KVD__V1__LOCK_MODE__EXCLUSIVE,
                                              KVD__V1__LOCK_MODE__SHARED};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct lock_hold *hold = hold_of_mode(kv, name, lease, modes[i]);

        *record = hold != NULL ? lock_record(kv, hold, &kv->command) : NULL;
        if (*record != NULL && lock_record_has(*record, id)) {
            return hold;
        }
    }
    *record = NULL;
    return hold_of_slots(kv, name, lease, id);
}

/* ---- answers ---- */

/* How many are before it. Counted from both ends at once: those who come stand at the
 * end, and those who leave mostly at the front. */
static uint32_t place_of(const struct lock_hold *hold)
{
    const struct list *end = &hold->line->holds;
    const struct list *before = hold->place.prev;
    const struct list *after = hold->place.next;
    uint64_t n = 0;

    while (before != end && after != end) {
        before = before->prev;
        after = after->next;
        n++;
    }
    return (uint32_t)(before == end ? n : hold->line->n - 1 - n);
}

static void show_first(struct kv *kv, struct slice name, struct reply *reply,
                       Kvd__V1__AcquireResponse *answer)
{
    const struct lock_line *line = lock_find_line(kv, name);

    if (line != NULL) {
        answer->holder = lock_show(kv, lock_first(line), reply);
    }
}

static Kvd__V1__AcquireResponse *answer_new(struct kv *kv, struct reply *reply)
{
    Kvd__V1__AcquireResponse *answer =
        reply_message(reply, &kvd__v1__acquire_response__descriptor);

    if (answer != NULL) {
        answer->header = reply_header(reply, kv->meta.revision);
    }
    return answer;
}

/* Of a hold that is in the line, after holds of its lease under the same key. */
static Kvd__V1__AcquireResponse *answer_hold(struct kv *kv, const struct lock_hold *hold,
                                             size_t holds, struct reply *reply)
{
    Kvd__V1__AcquireResponse *answer = answer_new(kv, reply);

    if (answer == NULL) {
        return NULL;
    }
    answer->key = reply_bytes(reply, key_name(hold->key));
    if (lock_holds(kv, hold)) {
        answer->acquired = true;
        answer->token = hold->token;
        answer->holds = (uint32_t)holds;
    } else {
        answer->place = place_of(hold);
        show_first(kv, lock_line_name(hold->line), reply, answer);
    }
    return answer;
}

/* Of one that is not, or no longer, in the line. */
static Kvd__V1__AcquireResponse *answer_none(struct kv *kv, struct slice name,
                                             uint64_t place, struct reply *reply)
{
    Kvd__V1__AcquireResponse *answer = answer_new(kv, reply);

    if (answer != NULL) {
        answer->place = (uint32_t)place;
        show_first(kv, name, reply, answer);
    }
    return answer;
}

static Kvd__Command__LockOutcome *outcome(struct reply *reply,
                                          Kvd__V1__AcquireResponse *answer, int64_t token)
{
    Kvd__Command__LockOutcome *out =
        reply_message(reply, &kvd__command__lock_outcome__descriptor);

    if (out != NULL) {
        out->answer = answer;
        out->token = token;
    }
    return out;
}

void lock_hide_holder(struct kv *kv, const char *user, struct slice name,
                      Kvd__V1__AcquireResponse *answer)
{
    if (answer != NULL && kv_auth_may_lock(kv, user, KV_AUTH_READ, name) != API_OK) {
        answer->holder = NULL;
    }
}

/* ---- acquire ---- */

static void put_record(struct kv *kv, struct slice key, int64_t lease,
                       Kvd__V1__LockRecord *record)
{
    struct write write = write_begin(kv);
    struct reply none = reply_for(NULL);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;

    put.key = (ProtobufCBinaryData){.len = key.len, .data = (uint8_t *)key.ptr};
    put.value = lock_record_encode(record, &kv->command);
    put.lease = lease;
    write_put(&write, &put, &none);
    write_end(&write);
}

/* One more under a key that the lease has: the mode asked for is granted with it. */
static enum api_status join(struct kv *kv, const Kvd__V1__AcquireRequest *req,
                            struct lock_hold *hold, struct reply *reply,
                            Kvd__Command__LockOutcome **out)
{
    Kvd__V1__LockRecord *record = lock_record(kv, hold, &kv->command);

    if (record == NULL) {
        return kv->dead ? API_CORRUPT : API_LOCK_FOREIGN;
    }
    if (!lock_record_has(record, req->hold) &&
        (req->wait_ms != 0 || lock_holds(kv, hold))) {
        char **holds =
            arena_alloc(&kv->command, (record->n_holds + 1) * sizeof(holds[0]));

        if (record->n_holds >= LIMIT_LOCK_HOLDS) {
            return API_LOCK_HOLDS;
        }
        if (record->n_holds > 0) {
            memcpy(holds, record->holds, record->n_holds * sizeof(holds[0]));
        }
        holds[record->n_holds++] = req->hold;
        record->holds = holds;
        put_record(kv, key_name(hold->key), req->lease, record);
    }
    *out = outcome(reply, answer_hold(kv, hold, record->n_holds, reply), hold->token);
    return API_OK;
}

/* Whether one more at the end of the line is granted at once. */
static bool is_free(const struct lock_line *line, const Kvd__V1__AcquireRequest *req)
{
    const struct lock_hold *first = line != NULL ? lock_first(line) : NULL;

    if (line == NULL) {
        return true;
    }
    if (line->n_granted < line->n || req->mode != first->mode ||
        req->slots != first->slots) {
        return false;
    }
    return req->mode == KVD__V1__LOCK_MODE__SHARED || line->n_granted < first->slots;
}

/* Exclusive and shared go together; slots with the same number of slots. */
static bool kind_differs(const struct lock_line *line, const Kvd__V1__AcquireRequest *req)
{
    return line != NULL && lock_first(line)->slots != req->slots;
}

static enum api_status enter(struct kv *kv, const Kvd__V1__AcquireRequest *req,
                             struct reply *reply, Kvd__Command__LockOutcome **out)
{
    const struct lock_place place = {.name = api_slice(req->name),
                                     .mode = req->mode,
                                     .slots = req->slots,
                                     .hold = slice_str(req->hold)};
    uint8_t *bytes = arena_alloc(&kv->command, lock_key_max(place.name.len));
    struct slice name = slice_of(bytes, lock_write_key(&place, req->lease, bytes));
    Kvd__V1__LockRecord record = KVD__V1__LOCK_RECORD__INIT;
    const struct key *key = index_find(&kv->index, name);

    if (key != NULL && key_is_live(key)) {
        return API_LOCK_KEY_TAKEN;
    }
    record.mode = req->mode;
    record.slots = req->slots;
    record.n_holds = 1;
    record.holds = (char **)&req->hold;
    record.owner = req->owner;
    record.since_ms = kv->wall_ms;
    put_record(kv, name, req->lease, &record);
    if (!kv->dead) {
        struct lock_hold *hold = hold_at(kv, &place, req->lease);

        CHECK(hold != NULL);
        *out = outcome(reply, answer_hold(kv, hold, 1, reply), hold->token);
    }
    return API_OK;
}

static enum api_status acquire_new(struct kv *kv, const Kvd__V1__AcquireRequest *req,
                                   struct reply *reply, Kvd__Command__LockOutcome **out)
{
    struct slice name = api_slice(req->name);
    struct lock_line *line = lock_find_line(kv, name);
    const char *cycle;

    if (kind_differs(line, req)) {
        return API_LOCK_KIND;
    }
    if (is_free(line, req)) {
        return enter(kv, req, reply, out);
    }
    if (req->wait_ms == 0) {
        *out = outcome(reply, answer_none(kv, name, line->n, reply), 0);
        return API_OK;
    }
    cycle = lock_cycle(kv, line, req);
    if (cycle != NULL) {
        *out = outcome(reply, NULL, 0);
        if (*out != NULL) {
            (*out)->refused =
                (char *)reply_bytes(reply, slice_of(cycle, strlen(cycle) + 1)).data;
        }
        return API_OK;
    }
    return enter(kv, req, reply, out);
}

enum api_status lock_acquire(struct kv *kv, const Kvd__V1__AcquireRequest *req,
                             struct reply *reply, Kvd__Command__LockOutcome **out)
{
    struct slice name = api_slice(req->name);
    enum api_status status = kv_check_acquire(req);
    struct lock_hold *hold;

    if (status != API_OK) {
        return status;
    }
    if (!lease_lives(kv, req->lease)) {
        return API_LEASE_NOT_FOUND;
    }
    if (req->mode == KVD__V1__LOCK_MODE__SLOTS) {
        hold = hold_of_slots(kv, name, req->lease, req->hold);
        if (hold == NULL) {
            return acquire_new(kv, req, reply, out);
        }
        if (hold->slots != req->slots) {
            return API_LOCK_KIND;
        }
        *out = outcome(reply, answer_hold(kv, hold, 1, reply), hold->token);
        return API_OK;
    }
    hold = hold_of_mode(kv, name, req->lease, KVD__V1__LOCK_MODE__EXCLUSIVE);
    if (hold != NULL) {
        return join(kv, req, hold, reply, out);
    }
    hold = hold_of_mode(kv, name, req->lease, KVD__V1__LOCK_MODE__SHARED);
    if (hold == NULL) {
        return acquire_new(kv, req, reply, out);
    }
    return req->mode == KVD__V1__LOCK_MODE__SHARED ? join(kv, req, hold, reply, out)
                                                   : API_LOCK_UPGRADE;
}

/* ---- release, leave ---- */

/* Takes the id out of the record, and the key away with the last one; returns how many
 * are left. */
static size_t drop(struct kv *kv, struct lock_hold *hold, Kvd__V1__LockRecord *record,
                   const char *id)
{
    size_t n = 0;

    for (size_t i = 0; record != NULL && i < record->n_holds; i++) {
        if (strcmp(record->holds[i], id) != 0) {
            record->holds[n++] = record->holds[i];
        }
    }
    if (n > 0) {
        record->n_holds = n;
        put_record(kv, key_name(hold->key), hold->key->lease, record);
    } else {
        struct write write = write_begin(kv);

        write_delete_key(&write, hold->key);
        write_end(&write);
    }
    return n;
}

enum api_status lock_release(struct kv *kv, const Kvd__V1__ReleaseRequest *req,
                             struct reply *reply, Kvd__V1__ReleaseResponse **out)
{
    enum api_status status = kv_check_release(req);
    Kvd__V1__LockRecord *record;
    struct lock_hold *hold;
    size_t left = 0;

    if (status != API_OK) {
        return status;
    }
    hold = find_hold(kv, api_slice(req->name), req->lease, req->hold, &record);
    if (hold != NULL) {
        left = drop(kv, hold, record, req->hold);
    }
    *out = reply_message(reply, &kvd__v1__release_response__descriptor);
    if (*out != NULL) {
        (*out)->header = reply_header(reply, kv->meta.revision);
        (*out)->released = hold != NULL;
        (*out)->holds = (uint32_t)left;
    }
    return API_OK;
}

enum api_status lock_leave(struct kv *kv, const Kvd__Command__LockLeave *req,
                           struct reply *reply, Kvd__Command__LockOutcome **out)
{
    struct slice name = api_slice(req->name);
    Kvd__V1__LockRecord *record;
    struct lock_hold *hold = find_hold(kv, name, req->lease, req->hold, &record);
    uint32_t place;

    if (hold == NULL) {
        return API_LOCK_LEFT;
    }
    if (lock_holds(kv, hold)) {
        size_t holds = record != NULL ? record->n_holds : 1;

        *out = outcome(reply, answer_hold(kv, hold, holds, reply), hold->token);
        return API_OK;
    }
    place = place_of(hold);
    drop(kv, hold, record, req->hold);
    *out = outcome(reply, answer_none(kv, name, place, reply), 0);
    return API_OK;
}

/* ---- by force ---- */

static char *operator_of(struct kv *kv, const Kvd__Command__Client *client)
{
    const char *user = client != NULL ? client->user : "";
    const char *address = client != NULL ? client->address : "";
    size_t size = strlen(user) + strlen(address) + 5;
    char *by = arena_alloc(&kv->command, size);

    snprintf(by, size, "%s%s%s", user, user[0] != '\0' ? " at " : "", address);
    return by;
}

/* The record goes in at the revision at which the key goes. */
static void write_forced(struct kv *kv, const Kvd__V1__ForceReleaseRequest *req,
                         const Kvd__Command__Client *client, struct lock_hold *hold,
                         Kvd__V1__LockHold *shown)
{
    struct write write = write_begin(kv);
    struct reply none = reply_for(NULL);
    struct slice key = kv_lock_forced_key(&kv->command, api_slice(req->name));
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Kvd__V1__ForcedRelease forced = KVD__V1__FORCED_RELEASE__INIT;

    forced.token = req->token;
    forced.by = operator_of(kv, client);
    forced.reason = req->reason;
    forced.at_ms = kv->wall_ms;
    forced.hold = shown;
    put.key = (ProtobufCBinaryData){.len = key.len, .data = (uint8_t *)key.ptr};
    put.value.len = kvd__v1__forced_release__get_packed_size(&forced);
    put.value.data = arena_alloc(&kv->command, put.value.len);
    kvd__v1__forced_release__pack(&forced, put.value.data);
    write_delete_key(&write, hold->key);
    write_put(&write, &put, &none);
    write_end(&write);
}

enum api_status lock_force_release(struct kv *kv, const Kvd__V1__ForceReleaseRequest *req,
                                   const Kvd__Command__Client *client,
                                   struct reply *reply,
                                   Kvd__V1__ForceReleaseResponse **out)
{
    enum api_status status = kv_check_force_release(req);
    struct reply own = reply_for(&kv->command);
    struct lock_hold *hold;
    Kvd__V1__LockHold *shown;

    if (status != API_OK) {
        return status;
    }
    hold = lock_of_token(kv, api_slice(req->name), req->token);
    if (hold == NULL) {
        return API_LOCK_NO_HOLD;
    }
    shown = lock_show(kv, hold, &own);
    *out = reply_message(reply, &kvd__v1__force_release_response__descriptor);
    if (*out != NULL) {
        (*out)->released = lock_show(kv, hold, reply);
    }
    write_forced(kv, req, client, hold, shown);
    if (*out != NULL) {
        (*out)->header = reply_header(reply, kv->meta.revision);
    }
    return API_OK;
}

/* ---- as a waiting call sees it ---- */

static struct lock_hold *find_asked(struct kv *kv, const Kvd__V1__AcquireRequest *req,
                                    Kvd__V1__LockRecord **record)
{
    arena_reset(&kv->command); /* outside of kv_apply nobody else uses it */
    return find_hold(kv, api_slice(req->name), req->lease, req->hold, record);
}

bool kv_lock_has(struct kv *kv, const Kvd__V1__AcquireRequest *req)
{
    Kvd__V1__LockRecord *record;

    return find_asked(kv, req, &record) != NULL;
}

enum api_status kv_lock_answer(struct kv *kv, const char *user,
                               const Kvd__V1__AcquireRequest *req, struct arena *arena,
                               Kvd__V1__AcquireResponse **out)
{
    struct reply reply = reply_for(arena);
    Kvd__V1__LockRecord *record;
    struct lock_hold *hold = find_asked(kv, req, &record);

    if (kv->dead) {
        return API_CORRUPT;
    }
    if (hold == NULL) {
        return API_LOCK_LEFT;
    }
    *out = answer_hold(kv, hold, record != NULL ? record->n_holds : 1, &reply);
    lock_hide_holder(kv, user, api_slice(req->name), *out);
    return API_OK;
}
