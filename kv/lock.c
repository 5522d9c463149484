/* Nothing here can fail. A change costs a look-up of the line, in a tree of lines by
 * name, and of the hold, in a map; grants are told as they come about. */
#include "kv/lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/kv.h"
#include "kv/lease.h"
#include "kv/state.h"

#define HEX_MAX 18 /* "-" and 16 digits and the NUL */

static const char shared_suffix[] = ".shared";
static const char slots_suffix[] = ".slots-";

/* ---- names ---- */

/* As etcd's clients write a lease: in hex, a negative one with a sign. Returns the
 * length.
 */
static size_t write_lease(int64_t lease, char out[HEX_MAX])
{
    uint64_t magnitude = lease < 0 ? -(uint64_t)lease : (uint64_t)lease;

    return (size_t)snprintf(out, HEX_MAX, "%s%" PRIx64, lease < 0 ? "-" : "", magnitude);
}

static bool take(struct slice *from, const char *bytes, size_t len)
{
    if (from->len < len || memcmp(from->ptr, bytes, len) != 0) {
        return false;
    }
    *from = slice_of(from->ptr + len, from->len - len);
    return true;
}

/* "N.<hold>" */
static bool parse_slots(struct slice rest, struct lock_place *out)
{
    uint32_t slots = 0;
    size_t at = 0;

    while (at < rest.len && rest.ptr[at] >= '0' && rest.ptr[at] <= '9' &&
           slots <= LIMIT_LOCK_SLOTS) {
        slots = 10 * slots + (uint32_t)(rest.ptr[at++] - '0');
    }
    if (slots == 0 || slots > LIMIT_LOCK_SLOTS || rest.ptr[0] == '0' || at >= rest.len ||
        rest.ptr[at] != '.') {
        return false;
    }
    out->mode = KVD__V1__LOCK_MODE__SLOTS;
    out->slots = slots;
    out->hold = slice_of(rest.ptr + at + 1, rest.len - at - 1);
    return kv_lock_hold_valid(out->hold);
}

bool lock_parse(struct slice key, int64_t lease, struct lock_place *out)
{
    const uint8_t *slash = memrchr(key.ptr, '/', key.len);
    struct lock_place place = {0};
    struct slice rest;
    char hex[HEX_MAX];

    if (slash == NULL) {
        return false;
    }
    place.name = slice_of(key.ptr, (size_t)(slash - key.ptr));
    rest = slice_of(slash + 1, key.len - place.name.len - 1);
    if (!take(&rest, hex, write_lease(lease, hex))) {
        return false;
    }
    place.mode = KVD__V1__LOCK_MODE__EXCLUSIVE;
    if (slice_eq(rest, slice_str(shared_suffix))) {
        place.mode = KVD__V1__LOCK_MODE__SHARED;
    } else if (take(&rest, slots_suffix, sizeof(slots_suffix) - 1)) {
        if (!parse_slots(rest, &place)) {
            return false;
        }
    } else if (rest.len > 0) {
        return false;
    }
    *out = place;
    return true;
}

size_t lock_key_max(size_t name_len)
{
    return name_len + 1 + HEX_MAX + sizeof(slots_suffix) + 12 + LIMIT_LOCK_HOLD_NAME;
}

size_t lock_write_key(const struct lock_place *place, int64_t lease, uint8_t *out)
{
    char tail[HEX_MAX + sizeof(slots_suffix) + 12 + LIMIT_LOCK_HOLD_NAME];
    size_t len = write_lease(lease, tail);

    if (place->mode == KVD__V1__LOCK_MODE__SHARED) {
        len += (size_t)snprintf(tail + len, sizeof(tail) - len, "%s", shared_suffix);
    } else if (place->mode == KVD__V1__LOCK_MODE__SLOTS) {
        len += (size_t)snprintf(tail + len, sizeof(tail) - len, "%s%" PRIu32 ".%.*s",
                                slots_suffix, place->slots, (int)place->hold.len,
                                (const char *)place->hold.ptr);
    }
    if (place->name.len > 0) {
        memcpy(out, place->name.ptr, place->name.len);
    }
    out[place->name.len] = '/';
    memcpy(out + place->name.len + 1, tail, len);
    return place->name.len + 1 + len;
}

/* ---- the tree of lines: a treap (Seidel and Aragon, 1996) ---- */

/* Priorities must look random and be no one's choice: a scrambled counter (the finalizer
 * of splitmix64) that begins where the table lies. */
static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static void tree_add(struct locks *locks, struct lock_line *line)
{
    struct slice name = lock_line_name(line);
    struct lock_line **at = &locks->root;
    struct lock_line **left = &line->left;
    struct lock_line **right = &line->right;
    struct lock_line *rest;

    while (*at != NULL && (*at)->priority >= line->priority) {
        at = slice_cmp(name, lock_line_name(*at)) < 0 ? &(*at)->left : &(*at)->right;
    }
    rest = *at;
    *at = line;
    while (rest != NULL) {
        if (slice_cmp(lock_line_name(rest), name) < 0) {
            *left = rest;
            left = &rest->right;
            rest = rest->right;
        } else {
            *right = rest;
            right = &rest->left;
            rest = rest->left;
        }
    }
    *left = NULL;
    *right = NULL;
}

static void tree_remove(struct locks *locks, struct lock_line *line)
{
    struct slice name = lock_line_name(line);
    struct lock_line **at = &locks->root;
    struct lock_line *left = line->left;
    struct lock_line *right = line->right;

    while (*at != line) {
        CHECK(*at != NULL);
        at = slice_cmp(name, lock_line_name(*at)) < 0 ? &(*at)->left : &(*at)->right;
    }
    while (left != NULL && right != NULL) {
        if (left->priority >= right->priority) {
            *at = left;
            at = &left->right;
            left = left->right;
        } else {
            *at = right;
            at = &right->left;
            right = right->left;
        }
    }
    *at = left != NULL ? left : right;
}

/* The first line whose name is not before the given one, or, strictly, is behind it. */
static struct lock_line *tree_from(const struct locks *locks, struct slice name,
                                   bool strictly)
{
    struct lock_line *line = locks->root;
    struct lock_line *found = NULL;

    while (line != NULL) {
        int rc = slice_cmp(lock_line_name(line), name);

        if (rc > 0 || (rc == 0 && !strictly)) {
            found = line;
            line = line->left;
        } else {
            line = line->right;
        }
    }
    return found;
}

struct lock_line *lock_line_from(const struct kv *kv, struct slice name)
{
    return tree_from(&kv->locks, name, false);
}

struct lock_line *lock_line_after(const struct kv *kv, struct slice name)
{
    return tree_from(&kv->locks, name, true);
}

struct lock_line *lock_find_line(const struct kv *kv, struct slice name)
{
    struct lock_line *line = lock_line_from(kv, name);

    return line != NULL && slice_eq(lock_line_name(line), name) ? line : NULL;
}

static struct lock_line *line_of(struct kv *kv, struct slice name)
{
    struct lock_line *line = lock_find_line(kv, name);

    if (line == NULL) {
        line = mem_zero(sizeof(*line) + name.len);
        list_init(&line->holds);
        line->next = &line->holds;
        line->priority = scramble((uintptr_t)&kv->locks + kv->locks.n_made++);
        line->len = name.len;
        memcpy(line->name, name.ptr, name.len);
        tree_add(&kv->locks, line);
    }
    return line;
}

/* ---- grants ---- */

static void tell(struct kv *kv, const struct lock_hold *hold)
{
    if (kv->lock_changed != NULL) {
        kv->lock_changed(kv->lock_owner, lock_line_name(hold->line), key_name(hold->key),
                         hold->token);
    }
}

/* Of the first hold that is not granted. */
static bool may_be_granted(const struct lock_line *line, const struct lock_hold *hold)
{
    const struct lock_hold *first = lock_first(line);

    if (hold == first) {
        return true;
    }
    if (hold->mode != first->mode || hold->slots != first->slots) {
        return false;
    }
    return hold->mode == KVD__V1__LOCK_MODE__SHARED || line->n_granted < hold->slots;
}

static void grant(struct kv *kv, struct lock_line *line)
{
    while (line->next != &line->holds) {
        struct lock_hold *hold = lock_hold_at(line->next);

        if (!may_be_granted(line, hold)) {
            break;
        }
        hold->granted = true;
        line->n_granted++;
        line->next = hold->place.next;
        tell(kv, hold);
    }
}

/* A hold came in before others: whoever is granted is found out anew. */
static void grant_anew(struct kv *kv, struct lock_line *line)
{
    LIST_FOREACH (pos, &line->holds) {
        struct lock_hold *hold = lock_hold_at(pos);

        if (hold->granted) {
            hold->granted = false;
            tell(kv, hold);
        }
    }
    line->next = line->holds.next;
    line->n_granted = 0;
    grant(kv, line);
}

/* ---- the maps of holds ---- */

static uint64_t hash_of_key(const struct locks *locks, const struct key *key)
{
    return map_hash_number(&locks->by_key, (uintptr_t)key);
}

static uint64_t hash_of_token(const struct locks *locks, struct slice name, int64_t token)
{
    return map_hash_bytes(&locks->by_token, name) ^
           map_hash_number(&locks->by_token, (uint64_t)token);
}

static bool same_token(const struct lock_hold *hold, struct list *neighbour)
{
    return neighbour != &hold->line->holds &&
           lock_hold_at(neighbour)->token == hold->token;
}

/* A txn can make many holds with one token. Only the first one of each line is looked
 * for, so only that one is in the map: else which of them is found would depend on the
 * order in which they came, and finding it would take a while. */
static void token_add(struct locks *locks, struct lock_hold *hold)
{
    if (same_token(hold, hold->place.prev)) {
        return;
    }
    if (same_token(hold, hold->place.next)) {
        map_remove(&locks->by_token, &lock_hold_at(hold->place.next)->by_token);
    }
    map_add(&locks->by_token, &hold->by_token,
            hash_of_token(locks, lock_line_name(hold->line), hold->token));
}

/* While it is in its line. */
static void token_remove(struct locks *locks, struct lock_hold *hold)
{
    if (same_token(hold, hold->place.prev)) {
        return;
    }
    map_remove(&locks->by_token, &hold->by_token);
    if (same_token(hold, hold->place.next)) {
        map_add(&locks->by_token, &lock_hold_at(hold->place.next)->by_token,
                hold->by_token.hash);
    }
}

/* ---- holds ---- */

static bool is_before(const struct lock_hold *a, const struct lock_hold *b)
{
    return a->token != b->token ? a->token < b->token
                                : slice_cmp(key_name(a->key), key_name(b->key)) < 0;
}

/* New keys have the newest create revision and go to the end, or a few places before when
 * one txn made several. */
static void hold_add(struct kv *kv, struct key *key, const struct lock_place *place)
{
    struct locks *locks = &kv->locks;
    struct lock_line *line = line_of(kv, place->name);
    struct lock_hold *hold = mem_zero(sizeof(*hold));
    struct list *before = line->holds.prev;

    hold->line = line;
    hold->key = key;
    hold->token = key->created;
    hold->mode = place->mode;
    hold->slots = place->slots;
    line->mixed |= line->n > 0 && lock_first(line)->slots != hold->slots;
    map_add(&locks->by_key, &hold->by_key, hash_of_key(locks, key));
    while (before != &line->holds && is_before(hold, lock_hold_at(before))) {
        before = before->prev;
    }
    list_add_head(before, &hold->place);
    token_add(locks, hold);
    line->n++;
    if (hold->place.next != &line->holds) {
        grant_anew(kv, line);
        return;
    }
    if (line->next == &line->holds) {
        line->next = &hold->place;
    }
    grant(kv, line);
}

static void hold_remove(struct kv *kv, struct lock_hold *hold)
{
    struct lock_line *line = hold->line;

    if (line->next == &hold->place) {
        line->next = hold->place.next;
    }
    token_remove(&kv->locks, hold);
    list_del(&hold->place);
    map_remove(&kv->locks.by_key, &hold->by_key);
    line->n--;
    line->n_granted -= hold->granted;
    tell(kv, hold);
    free(hold);
    if (line->n == 0) {
        tree_remove(&kv->locks, line);
        free(line);
    } else {
        grant(kv, line);
    }
}

struct lock_hold *lock_of_key(const struct kv *kv, const struct key *key)
{
    const struct locks *locks = &kv->locks;
    struct map_link *link = map_first(&locks->by_key, hash_of_key(locks, key));

    for (; link != NULL; link = map_next(link)) {
        struct lock_hold *hold = container_of(link, struct lock_hold, by_key);

        if (hold->key == key) {
            return hold;
        }
    }
    return NULL;
}

void lock_note(struct kv *kv, struct key *key)
{
    struct lock_hold *hold = lock_of_key(kv, key);
    struct lock_place place;
    bool holds = key_is_live(key) && key->lease != 0 &&
                 lock_parse(key_name(key), key->lease, &place);

    if (hold != NULL && holds) {
        tell(kv, hold); /* its value may be another */
    } else if (hold != NULL) {
        hold_remove(kv, hold);
    } else if (holds) {
        hold_add(kv, key, &place);
    }
}

/* What a token found once: of those that share it the one that came last into its lease,
 * which is another one after a restart. */
static struct lock_hold *last_of_token(struct lock_hold *first)
{
    struct lock_hold *found = first;

    for (struct list *pos = first->place.next; pos != &first->line->holds;
         pos = pos->next) {
        struct lock_hold *hold = lock_hold_at(pos);

        if (hold->token == first->token && hold->key->attached > found->key->attached) {
            found = hold;
        }
    }
    return found;
}

struct lock_hold *lock_of_token(const struct kv *kv, struct slice name, int64_t token)
{
    const struct locks *locks = &kv->locks;
    struct map_link *link =
        map_first(&locks->by_token, hash_of_token(locks, name, token));

    for (; link != NULL; link = map_next(link)) {
        struct lock_hold *hold = container_of(link, struct lock_hold, by_token);

        if (hold->token == token && slice_eq(lock_line_name(hold->line), name)) {
            return kv->plants & KV_PLANT_ANY_OF_TOKEN ? last_of_token(hold) : hold;
        }
    }
    return NULL;
}

bool lock_holds(const struct kv *kv, const struct lock_hold *hold)
{
    return hold->granted && lease_lives(kv, hold->key->lease);
}

/* ---- open, close ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = *(struct key *const *)a;
    const struct key *y = *(struct key *const *)b;

    return x->created != y->created ? (x->created < y->created ? -1 : 1)
                                    : slice_cmp(key_name(x), key_name(y));
}

/* Sorted first, so that each key comes in at the end of its line. */
void locks_load(struct kv *kv)
{
    const struct span all = {.from = slice_str(""), .unbounded = true};
    struct index_place at;
    struct lock_place place;
    struct key **keys = NULL;
    size_t n = 0;
    size_t room = 0;

    for (struct key *key = index_first(&kv->index, &all, all.from, &at); key != NULL;
         key = index_next(&kv->index, &all, &at)) {
        if (!key_is_live(key) || key->lease == 0 ||
            !lock_parse(key_name(key), key->lease, &place)) {
            continue;
        }
        if (n == room) {
            room = room > 0 ? 2 * room : 64;
            keys = mem_grow(keys, room * sizeof(keys[0]));
        }
        keys[n++] = key;
    }
    if (n > 0) {
        qsort(keys, n, sizeof(keys[0]), compare_keys);
    }
    for (size_t i = 0; i < n; i++) {
        lock_note(kv, keys[i]);
    }
    free(keys);
}

void locks_close(struct locks *locks)
{
    struct lock_line *line;

    while ((line = locks->root) != NULL) {
        tree_remove(locks, line);
        while (!list_empty(&line->holds)) {
            struct lock_hold *hold = lock_first(line);

            list_del(&hold->place);
            free(hold);
        }
        free(line);
    }
    map_close(&locks->by_key);
    map_close(&locks->by_token);
}
