#include "tests/sim/raftlog_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/check.h"
#include "base/mem.h"
#include "raftlog/core.h"

/* An entry of some member's log. */
struct known_entry {
    uint64_t index; /* 0: an empty slot */
    uint64_t term;
    uint64_t prev_term;
    uint64_t hash;
    uint64_t cluster_ms;
};

struct known_leader {
    uint64_t term;
    uint32_t member;
    uint32_t life;
};

/* A member's log as it was when last looked at. */
struct shadow {
    uint64_t *terms; /* by index */
    uint64_t room;
    uint64_t last;
    uint64_t stored;
    uint64_t commit;
    uint64_t anchor;
    uint32_t life; /* counts its starts */
};

struct raftlog_check {
    uint32_t n_members;
    struct shadow members[RAFTLOG_GROUP_MAX + 1];
    struct known_entry *entries; /* hash table of (index, term) */
    uint64_t n_entries;
    uint64_t room; /* a power of two */
    struct known_leader *leaders;
    uint64_t n_leaders;
    uint64_t *committed;    /* terms of entries by index ... */
    uint64_t *commit_terms; /* ... and those of the leaders that committed them */
    uint64_t n_committed;
    uint64_t committed_room;
    uint64_t commit_terms_room;
    uint64_t anchor; /* the highest of all */
    char failure[256];
};

static const char *fail(struct raftlog_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const char *fail(struct raftlog_check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(check->failure, sizeof(check->failure), format, arguments);
    va_end(arguments);
    return check->failure;
}

/* An array of at least need elements by index; new ones are zero. */
static void grow(uint64_t **array, uint64_t *room, uint64_t need)
{
    if (need >= *room) {
        uint64_t bigger = need * 2 + 256;

        *array = mem_grow(*array, bigger * sizeof(**array));
        memset(*array + *room, 0, (bigger - *room) * sizeof(**array));
        *room = bigger;
    }
}

struct raftlog_check *raftlog_check_new(uint32_t n_members)
{
    struct raftlog_check *check = mem_zero(sizeof(*check));

    CHECK(n_members > 0 && n_members <= RAFTLOG_GROUP_MAX);
    check->n_members = n_members;
    check->room = 1024;
    check->entries = mem_zero(check->room * sizeof(*check->entries));
    return check;
}

void raftlog_check_free(struct raftlog_check *check)
{
    for (uint32_t i = 1; i <= RAFTLOG_GROUP_MAX; i++) {
        free(check->members[i].terms);
    }
    free(check->entries);
    free(check->leaders);
    free(check->committed);
    free(check->commit_terms);
    free(check);
}

/* ---- entries of all logs ---- */

static struct known_entry *slot_of(struct known_entry *entries, uint64_t room,
                                   uint64_t index, uint64_t term)
{
    uint64_t at = (index * 0x9e3779b97f4a7c15u ^ term * 0xbf58476d1ce4e5b9u) >> 20;

    for (;; at++) {
        struct known_entry *slot = &entries[at & (room - 1)];

        if (slot->index == 0 || (slot->index == index && slot->term == term)) {
            return slot;
        }
    }
}

static struct known_entry *find_entry(struct raftlog_check *check, uint64_t index,
                                      uint64_t term)
{
    return slot_of(check->entries, check->room, index, term);
}

static void grow_entries(struct raftlog_check *check)
{
    uint64_t room = check->room * 2;
    struct known_entry *entries = mem_zero(room * sizeof(*entries));

    for (uint64_t i = 0; i < check->room; i++) {
        const struct known_entry *old = &check->entries[i];

        if (old->index != 0) {
            *slot_of(entries, room, old->index, old->term) = *old;
        }
    }
    free(check->entries);
    check->entries = entries;
    check->room = room;
}

static struct known_entry describe(const struct raftlog_entry *entry, uint64_t prev_term)
{
    return (struct known_entry){
        .index = entry->index,
        .term = entry->term,
        .prev_term = prev_term,
        .hash = XXH3_64bits_withSeed(entry->payload.ptr, entry->payload.len,
                                     (uint64_t)entry->wall_ms * 8 + entry->type),
        .cluster_ms = entry->cluster_ms,
    };
}

static bool same(const struct known_entry *a, const struct known_entry *b)
{
    return a->prev_term == b->prev_term && a->hash == b->hash &&
           a->cluster_ms == b->cluster_ms;
}

/* A new entry of a member's log. */
static const char *check_entry(struct raftlog_check *check, uint32_t member,
                               struct raftlog *log, uint64_t index)
{
    uint64_t prev_term = index > 1 ? store_term_of(log->store, index - 1) : 0;
    struct raftlog_entry entry;
    struct known_entry found;
    struct known_entry *known;

    store_get(log->store, index, &entry);
    found = describe(&entry, prev_term);
    known = find_entry(check, index, entry.term);
    if (known->index != 0) {
        return same(known, &found)
                   ? NULL
                   : fail(check,
                          "log matching: entry %" PRIu64 " of term %" PRIu64
                          " of member %u differs from another member's",
                          index, entry.term, member);
    }
    if (index > 1 && prev_term != 0) {
        const struct known_entry *prev = find_entry(check, index - 1, prev_term);

        if (prev->index != 0 && prev->cluster_ms > found.cluster_ms) {
            return fail(check,
                        "cluster time: %" PRIu64 " ms at entry %" PRIu64
                        " follows %" PRIu64 " ms",
                        found.cluster_ms, index, prev->cluster_ms);
        }
    }
    *known = found;
    if (++check->n_entries * 2 > check->room) {
        grow_entries(check);
    }
    return NULL;
}

/* Looks at where the log begins. What a state took the place of counts as held. */
static const char *check_anchor(struct raftlog_check *check, uint32_t member,
                                struct raftlog *log)
{
    struct shadow *shadow = &check->members[member];
    const struct store_anchor *anchor = store_get_anchor(log->store);

    if (anchor->index == shadow->anchor) {
        return NULL;
    }
    if (anchor->index > check->n_committed ||
        anchor->term != check->committed[anchor->index]) {
        return fail(check,
                    "the log of member %u begins behind entry %" PRIu64
                    " of term %" PRIu64 ", which is not committed",
                    member, anchor->index, anchor->term);
    }
    grow(&shadow->terms, &shadow->room, anchor->index);
    for (uint64_t i = shadow->anchor + 1; i <= anchor->index; i++) {
        shadow->terms[i] = check->committed[i];
    }
    shadow->anchor = anchor->index;
    if (anchor->index > check->anchor) {
        check->anchor = anchor->index;
    }
    return NULL;
}

/* Looks at the entries that were not there before. */
static const char *check_log(struct raftlog_check *check, uint32_t member,
                             struct raftlog *log)
{
    struct shadow *shadow = &check->members[member];
    uint64_t anchor = store_get_anchor(log->store)->index;
    uint64_t last = store_last_index(log->store);
    uint64_t from = last;

    grow(&shadow->terms, &shadow->room, last);
    while (from > anchor && (from > shadow->last ||
                             shadow->terms[from] != store_term_of(log->store, from))) {
        from--;
    }
    for (uint64_t i = from + 1; i <= last; i++) {
        const char *failure = check_entry(check, member, log, i);

        if (failure != NULL) {
            return failure;
        }
        shadow->terms[i] = store_term_of(log->store, i);
    }
    shadow->last = last;
    shadow->stored = store_stored_index(log->store);
    return NULL;
}

/* ---- commits and leaders ---- */

static bool durable_on_majority(const struct raftlog_check *check, uint64_t index,
                                uint64_t term)
{
    uint32_t holders = 0;

    for (uint32_t i = 1; i <= check->n_members; i++) {
        const struct shadow *shadow = &check->members[i];

        if (shadow->stored >= index && shadow->terms[index] == term) {
            holders++;
        }
    }
    return holders > check->n_members / 2;
}

static const char *check_commit(struct raftlog_check *check, uint32_t member,
                                const struct raftlog *log)
{
    struct shadow *shadow = &check->members[member];
    uint64_t commit = log->commit;
    uint64_t seen = check->n_committed;

    if (commit == shadow->commit) {
        return NULL;
    }
    if (commit < shadow->commit) {
        return fail(check, "commit index of member %u fell from %" PRIu64 " to %" PRIu64,
                    member, shadow->commit, commit);
    }
    if (commit > shadow->last) {
        return fail(check, "commit index %" PRIu64 " of member %u is behind its log",
                    commit, member);
    }
    grow(&check->committed, &check->committed_room, commit);
    grow(&check->commit_terms, &check->commit_terms_room, commit);
    for (uint64_t i = seen + 1; i <= commit; i++) {
        check->committed[i] = shadow->terms[i];
        check->commit_terms[i] = log->raft.current_term;
        check->n_committed = i;
    }
    if (check->committed[commit] != shadow->terms[commit]) {
        return fail(check,
                    "entry %" PRIu64 " was committed with term %" PRIu64
                    ", but member %u has it with term %" PRIu64 " and calls it committed",
                    commit, check->committed[commit], member, shadow->terms[commit]);
    }
    /* Entry 1 makes the cluster: every member has the same one from the start. */
    if (commit > seen && commit > 1 &&
        !durable_on_majority(check, commit, shadow->terms[commit])) {
        return fail(check,
                    "entry %" PRIu64
                    " is committed on member %u, but not on the disks of "
                    "a majority",
                    commit, member);
    }
    shadow->commit = commit;
    return NULL;
}

static const char *check_completeness(struct raftlog_check *check, uint32_t member,
                                      const struct raftlog *log)
{
    const struct shadow *shadow = &check->members[member];
    uint64_t index = check->n_committed;

    while (index > 0 && check->commit_terms[index] >= log->lead_term) {
        index--;
    }
    if (index > 0 &&
        (index > shadow->last || shadow->terms[index] != check->committed[index])) {
        return fail(check,
                    "leader completeness: member %u leads term %" PRIu64
                    " without entry %" PRIu64 ", committed in term %" PRIu64,
                    member, log->lead_term, index, check->commit_terms[index]);
    }
    return NULL;
}

static const char *check_role(struct raftlog_check *check, uint32_t member,
                              const struct raftlog *log)
{
    return log->role == RAFTLOG_FOLLOWER || install_needs(log) == 0
               ? NULL
               : fail(check, "member %u asks for votes though it needs a state", member);
}

static const char *check_leader(struct raftlog_check *check, uint32_t member,
                                const struct raftlog *log)
{
    uint32_t life = check->members[member].life;

    if (log->role != RAFTLOG_LEADER) {
        return NULL;
    }
    for (uint64_t i = check->n_leaders; i > 0; i--) {
        const struct known_leader *known = &check->leaders[i - 1];

        if (known->term == log->lead_term) {
            return known->member == member && known->life == life
                       ? NULL
                       : fail(check, "two leaders in term %" PRIu64 ": members %u and %u",
                              known->term, known->member, member);
        }
    }
    check->leaders =
        mem_grow(check->leaders, (check->n_leaders + 1) * sizeof(*check->leaders));
    check->leaders[check->n_leaders++] =
        (struct known_leader){.term = log->lead_term, .member = member, .life = life};
    return check_completeness(check, member, log);
}

/* ---- public ---- */

/* Entries may be gone for a state in whose place the log had another one: those behind it
 * were never committed. */
static bool gave_way(const struct shadow *shadow, const struct raftlog *log)
{
    const struct store_anchor *anchor = store_get_anchor(log->store);

    return anchor->index == store_last_index(log->store) && anchor->index > 0 &&
           (anchor->index >= shadow->room ||
            shadow->terms[anchor->index] != anchor->term);
}

const char *raftlog_check_opened(struct raftlog_check *check, uint32_t member,
                                 struct raftlog *log)
{
    struct shadow *shadow = &check->members[member];
    uint64_t last = store_last_index(log->store);
    uint64_t stored = shadow->stored;

    shadow->life++;
    if (gave_way(shadow, log)) {
        stored = store_get_anchor(log->store)->index;
    }
    if (last < stored) {
        return fail(check,
                    "member %u had stored entry %" PRIu64 ", but restarts with %" PRIu64,
                    member, stored, last);
    }
    if (stored > store_get_anchor(log->store)->index &&
        store_term_of(log->store, stored) != shadow->terms[stored]) {
        return fail(check,
                    "member %u had stored entry %" PRIu64 " of term %" PRIu64
                    ", but restarts with term %" PRIu64,
                    member, stored, shadow->terms[stored],
                    store_term_of(log->store, stored));
    }
    shadow->last = stored;
    shadow->commit = 0;
    shadow->anchor = 0;
    return raftlog_check_state(check, member, log);
}

const char *raftlog_check_state(struct raftlog_check *check, uint32_t member,
                                struct raftlog *log)
{
    const char *failure = check_anchor(check, member, log);

    if (failure == NULL) {
        failure = check_log(check, member, log);
    }
    if (failure == NULL) {
        failure = check_role(check, member, log);
    }
    if (failure == NULL) {
        failure = check_commit(check, member, log);
    }
    if (failure == NULL) {
        failure = check_leader(check, member, log);
    }
    return failure;
}

const char *raftlog_check_taken(struct raftlog_check *check, uint32_t member,
                                struct raftlog *log, const struct raftlog_entry *entry)
{
    struct known_entry found;
    const struct known_entry *known;

    if (entry->index > check->n_committed) {
        return fail(check,
                    "member %u gives out entry %" PRIu64 ", which is not committed",
                    member, entry->index);
    }
    if (entry->index > store_stored_index(log->store)) {
        return fail(check,
                    "member %u gives out entry %" PRIu64 ", which it has not stored",
                    member, entry->index);
    }
    if (entry->term != check->committed[entry->index]) {
        return fail(check,
                    "member %u gives out entry %" PRIu64 " of term %" PRIu64
                    ", but it was committed with term %" PRIu64,
                    member, entry->index, entry->term, check->committed[entry->index]);
    }
    known = find_entry(check, entry->index, entry->term);
    found = describe(entry, known->prev_term);
    if (known->index == 0 || !same(known, &found)) {
        return fail(check, "member %u gives out entry %" PRIu64 " with other content",
                    member, entry->index);
    }
    return NULL;
}

uint64_t raftlog_check_committed(const struct raftlog_check *check)
{
    return check->n_committed;
}

uint64_t raftlog_check_anchor(const struct raftlog_check *check)
{
    return check->anchor;
}

uint64_t raftlog_check_term(const struct raftlog_check *check, uint64_t index)
{
    return index <= check->n_committed ? check->committed[index] : 0;
}
