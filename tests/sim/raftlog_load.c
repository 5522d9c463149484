#include "tests/sim/raftlog_load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define SMALL_MAX          120
#define LARGE_MAX          60000
#define LARGE_PER_MILLION  5000
#define BURST_PER_MILLION  20000 /* operations that come as a burst of ... */
#define BURST_MAX          40
#define STORM_PER_MILLION  1000 /* and as a storm: one each millisecond */
#define STORM_MAX          500
#define CANCEL_PER_MILLION 20000

struct load_read {
    struct raftlog_read read;
    struct list link;
    struct raftlog_load *load;
    struct raftlog_member *member;
    uint64_t floor; /* when it began */
    bool *allowed;
};

/* ---- proposals ---- */

/* The value, then bytes that follow from it. */
static size_t fill_payload(struct raftlog_load *load, uint8_t *bytes, uint64_t value)
{
    uint64_t max = sim_rng_chance(&load->rng, LARGE_PER_MILLION) ? LARGE_MAX : SMALL_MAX;
    size_t len = sizeof(value) + sim_rng_between(&load->rng, 0, max);

    memset(bytes, (int)(value & 0xff), len);
    memcpy(bytes, &value, sizeof(value));
    return len;
}

bool raftlog_load_propose(struct raftlog_load *load, struct raftlog_member *member,
                          struct load_proposal *out)
{
    static uint8_t bytes[LARGE_MAX + sizeof(uint64_t)];
    struct load_pending *pending = &load->pending[member->number];
    struct load_proposal proposal = {.value = ++load->next_value};
    struct raftlog_status status;
    size_t len = fill_payload(load, bytes, proposal.value);

    if (pending->n == LOAD_PENDING_MAX ||
        raftlog_propose(member->log, slice_of(bytes, len), &proposal.index) != 0) {
        return false;
    }
    raftlog_get_status(member->log, &status);
    proposal.term = status.term;
    pending->items[pending->n++] = proposal;
    load->proposed++;
    raftlog_member_touched(member);
    if (out != NULL) {
        *out = proposal;
    }
    return true;
}

static void acknowledge(struct raftlog_load *load, struct raftlog_member *member,
                        const struct load_proposal *proposal,
                        const struct raftlog_entry *entry)
{
    uint64_t value = 0;

    if (entry->payload.len >= sizeof(value)) {
        memcpy(&value, entry->payload.ptr, sizeof(value));
    }
    if (value != proposal->value) {
        raftlog_group_fail(load->group,
                           "member %u: entry %" PRIu64 " of term %" PRIu64
                           " holds another proposal",
                           member->number, entry->index, entry->term);
        return;
    }
    load->acknowledged++;
    if (entry->index > load->floor) {
        load->floor = entry->index;
    }
}

static void on_taken(void *owner, struct raftlog_member *member,
                     const struct raftlog_entry *entry)
{
    struct raftlog_load *load = owner;
    struct load_pending *pending = &load->pending[member->number];
    uint32_t kept = 0;

    for (uint32_t i = 0; i < pending->n; i++) {
        const struct load_proposal *proposal = &pending->items[i];

        if (proposal->index > entry->index) {
            pending->items[kept++] = *proposal;
        } else if (proposal->index == entry->index && proposal->term == entry->term) {
            acknowledge(load, member, proposal, entry);
        }
    }
    pending->n = kept;
}

/* ---- reads ---- */

static void free_read(struct load_read *read)
{
    list_del(&read->link);
    free(read);
}

static void on_read(struct raftlog_read *raft_read, int rc)
{
    struct load_read *read = container_of(raft_read, struct load_read, read);
    struct raftlog_load *load = read->load;
    uint64_t seen = read->member->applied.index;

    sim_world_note(load->group->world, (uint64_t)-rc);
    if (rc != 0) {
        load->reads_failed++;
    } else if (seen < read->floor) {
        raftlog_group_fail(load->group,
                           "stale read: member %u reads at %" PRIu64 ", but %" PRIu64
                           " was acknowledged before the read began",
                           read->member->number, seen, read->floor);
    } else {
        load->reads_allowed++;
        load->floor = seen > load->floor ? seen : load->floor;
        if (read->allowed != NULL) {
            *read->allowed = true;
        }
    }
    free_read(read);
}

void raftlog_load_read(struct raftlog_load *load, struct raftlog_member *member,
                       bool *allowed)
{
    struct load_read *read = mem_zero(sizeof(*read));

    read->read.done = on_read;
    read->load = load;
    read->member = member;
    read->floor = load->floor;
    read->allowed = allowed;
    list_add_tail(&load->reads, &read->link);
    raftlog_read(member->log, &read->read);
    raftlog_member_touched(member);
}

static void cancel_one(struct raftlog_load *load)
{
    if (!list_empty(&load->reads)) {
        struct load_read *read = container_of(load->reads.next, struct load_read, link);

        if (read->member->log != NULL && read->allowed == NULL) {
            raftlog_read_cancel(read->member->log, &read->read);
            free_read(read);
        }
    }
}

/* ---- both ---- */

static struct raftlog_member *some_member(struct raftlog_load *load)
{
    struct raftlog_group *group = load->group;
    uint64_t number = sim_rng_between(&load->rng, 1, group->options.n_members);
    struct raftlog_member *member = &group->members[number];

    return member->log != NULL && sim_world_now(group->world) >= member->frozen_until
               ? member
               : NULL;
}

static void operate(struct raftlog_load *load)
{
    struct raftlog_member *member = some_member(load);
    bool read = sim_rng_chance(&load->rng, load->reads_per_million);

    if (member == NULL) {
        return;
    }
    if (read) {
        raftlog_load_read(load, member, NULL);
        return;
    }
    /* Where proposals are refused, clients go to the leader. */
    if (!raftlog_load_propose(load, member, NULL)) {
        member = raftlog_group_leader(load->group);
        if (member != NULL && sim_world_now(load->group->world) >= member->frozen_until) {
            (void)raftlog_load_propose(load, member, NULL);
        }
    }
}

static void on_storm(void *owner, uint64_t left)
{
    struct raftlog_load *load = owner;

    if (left > 0 && !load->stopped) {
        operate(load);
        sim_world_at(load->group->world, sim_world_now(load->group->world) + SIM_MS,
                     on_storm, load, left - 1);
    }
}

static void on_operation(void *owner, uint64_t number)
{
    struct raftlog_load *load = owner;
    uint64_t n = sim_rng_chance(&load->rng, BURST_PER_MILLION)
                     ? sim_rng_between(&load->rng, 2, BURST_MAX)
                     : 1;

    (void)number;
    if (load->stopped) {
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        operate(load);
    }
    if (sim_rng_chance(&load->rng, STORM_PER_MILLION)) {
        on_storm(load, sim_rng_between(&load->rng, 2, STORM_MAX));
    }
    if (sim_rng_chance(&load->rng, CANCEL_PER_MILLION)) {
        cancel_one(load);
    }
    sim_world_at(load->group->world,
                 sim_world_now(load->group->world) +
                     sim_rng_between(&load->rng, 0, load->pause_max),
                 on_operation, load, 0);
}

void raftlog_load_open(struct raftlog_load *load, struct raftlog_group *group)
{
    *load = (struct raftlog_load){.group = group};
    load->rng = sim_rng_split(sim_world_rng(group->world));
    load->pause_max = 70 * SIM_MS;
    load->reads_per_million = 400000;
    list_init(&load->reads);
    group->events.taken = on_taken;
    group->events.taken_owner = load;
}

void raftlog_load_start(struct raftlog_load *load)
{
    sim_world_at(load->group->world, sim_world_now(load->group->world), on_operation,
                 load, 0);
}

void raftlog_load_forget(struct raftlog_load *load, const struct raftlog_member *member)
{
    load->pending[member->number].n = 0;
    LIST_FOREACH (item, &load->reads) { /* closing the log has ended its reads */
        CHECK(container_of(item, struct load_read, link)->member != member);
    }
}

void raftlog_load_close(struct raftlog_load *load)
{
    CHECK(list_empty(&load->reads));
}
