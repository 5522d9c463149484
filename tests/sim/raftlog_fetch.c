#include "tests/sim/raftlog_fetch.h"

#include "raftlog/core.h"
#include "tests/sim/raftlog_group.h"
#include "tests/sim/sim_net.h"

#define PAUSE_LOW  (1 * SIM_MS)
#define PAUSE_HIGH (600 * SIM_MS) /* for one fetch, and before one begins */

static uint64_t some_time(struct raftlog_group *group)
{
    return sim_world_now(group->world) +
           sim_rng_between(&group->rng, PAUSE_LOW, PAUSE_HIGH);
}

static bool may_give(const struct raftlog_member *source,
                     const struct raftlog_member *member, uint64_t at_least)
{
    return source != member && source->log != NULL && source->applied.index >= at_least &&
           install_needs(source->log) == 0;
}

/* The leader as the member knows it, else any that has enough; NULL: nobody has. */
static struct raftlog_member *find_source(struct raftlog_member *member,
                                          uint64_t at_least)
{
    struct raftlog_group *group = member->group;
    uint32_t n = group->options.n_members;
    uint64_t first = sim_rng_between(&group->rng, 1, n);
    struct raftlog_status status;

    raftlog_get_status(member->log, &status);
    if (status.leader != 0 &&
        may_give(&group->members[status.leader], member, at_least)) {
        return &group->members[status.leader];
    }
    for (uint32_t i = 0; i < n; i++) {
        struct raftlog_member *source = &group->members[(first + i - 1) % n + 1];

        if (may_give(source, member, at_least)) {
            return source;
        }
    }
    return NULL;
}

/* Whoever is asked for a state learns what is committed. */
static void tell_committed(struct raftlog_member *member, uint64_t needed)
{
    struct raftlog_group *group = member->group;
    uint64_t term = raftlog_committed_term(member->log, needed);

    for (uint32_t i = 1; i <= group->options.n_members; i++) {
        struct raftlog_member *other = &group->members[i];
        struct raftlog_status before;
        struct raftlog_status after;

        if (other == member || other->log == NULL || sim_host_frozen(other->host)) {
            continue;
        }
        raftlog_get_status(other->log, &before);
        raftlog_learn_commit(other->log, needed, term);
        raftlog_get_status(other->log, &after);
        if (after.commit_index != before.commit_index) {
            raftlog_member_touched(other);
        }
    }
}

/* True when it still lives. */
static bool survives(struct raftlog_member *member)
{
    const struct raftlog_group_events *events = &member->group->events;

    if (events->stage != NULL) {
        events->stage(events->stage_owner, member);
    }
    return member->log != NULL;
}

static void install(struct raftlog_member *member)
{
    const struct raftlog_fetch *fetch = &member->fetch;

    if (!survives(member)) {
        return;
    }
    raftlog_enter_term(member->log, fetch->log_term);
    if (!survives(member)) {
        return;
    }
    member->installed = fetch->copy;
    member->durable = fetch->copy;
    if (!survives(member)) {
        return;
    }
    member->applied = fetch->copy;
    raftlog_install(member->log, fetch->copy.index, fetch->copy.term,
                    fetch->copy.cluster_ms);
    member->group->installs++;
    raftlog_member_touched(member);
}

static void end_hold(struct raftlog_member *source, uint32_t life)
{
    if (source->log != NULL && source->life == life) {
        raftlog_hold(source->log, 0);
    }
}

static void on_fetched(void *owner, uint64_t number)
{
    struct raftlog_member *member = owner;
    struct raftlog_group *group = member->group;
    struct raftlog_fetch *fetch = &member->fetch;
    struct raftlog_member *source = &group->members[fetch->from];
    uint64_t needed;

    if (!fetch->busy || fetch->number != number || group->failure[0] != '\0') {
        return;
    }
    if (sim_host_frozen(member->host)) {
        sim_world_at(group->world, sim_host_thaw(member->host), on_fetched, member,
                     number);
        return;
    }
    fetch->busy = false;
    if (source->log == NULL || source->life != fetch->from_life) {
        return; /* the copy went with it */
    }
    end_hold(source, fetch->from_life);
    needed = install_needs(member->log);
    sim_world_note(group->world, needed);
    if (needed > 0 && fetch->copy.index >= needed &&
        fetch->copy.index >= member->applied.index) {
        install(member);
    }
}

void raftlog_fetch_turn(struct raftlog_member *member)
{
    struct raftlog_fetch *fetch = &member->fetch;
    uint64_t needed = install_needs(member->log);
    struct raftlog_member *source;
    struct raftlog_status status;

    if (needed == 0 || fetch->busy) {
        return;
    }
    source = find_source(member, needed);
    if (source == NULL) {
        tell_committed(member, needed);
        return;
    }
    raftlog_get_status(source->log, &status);
    fetch->busy = true;
    fetch->number++;
    fetch->from = source->number;
    fetch->from_life = source->life;
    fetch->copy = source->applied;
    fetch->log_term = status.term;
    raftlog_hold(source->log, fetch->copy.index);
    sim_world_at(member->group->world, some_time(member->group), on_fetched, member,
                 fetch->number);
}

void raftlog_fetch_forget(struct raftlog_member *member)
{
    struct raftlog_fetch *fetch = &member->fetch;

    if (fetch->busy) {
        fetch->busy = false;
        end_hold(&member->group->members[fetch->from], fetch->from_life);
    }
}
