#include "tests/sim/raftlog_group.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/link.h"
#include "tests/sim/sim_net.h"

#define LATE_MAX       (1500 * SIM_MS)
#define DOUBLE_MAX     (300 * SIM_MS)
#define DELAY_LOW      (50 * SIM_US)
#define DELAY_HIGH     (1 * SIM_MS)
#define ARENA_MAX      (32 * MIB)
#define DURABLE_CHANCE 50000 /* per million turns: the state machine's own sync */

struct frame {
    struct list link;
    struct raftlog_group *group;
    uint32_t from;
    uint32_t to;
    size_t len;
    uint8_t bytes[];
};

void raftlog_group_fail(struct raftlog_group *group, const char *format, ...)
{
    va_list arguments;
    int at;

    if (group->failure[0] != '\0') {
        return;
    }
    at = snprintf(group->failure, sizeof(group->failure),
                  "at %.3f s: ", (double)(sim_world_now(group->world) - SIM_S) / 1e9);
    va_start(arguments, format);
    (void)vsnprintf(group->failure + at, sizeof(group->failure) - (size_t)at, format,
                    arguments);
    va_end(arguments);
}

static void check_member(struct raftlog_member *member)
{
    const char *failure =
        raftlog_check_state(member->group->check, member->number, member->log);

    if (failure != NULL) {
        raftlog_group_fail(member->group, "%s", failure);
    }
}

/* ---- the network ---- */

static void on_frame(void *owner, uint64_t number);

static struct frame *frame_new(struct raftlog_group *group, uint32_t from, uint32_t to,
                               struct slice bytes)
{
    struct frame *frame = mem_alloc(sizeof(*frame) + bytes.len);

    *frame = (struct frame){.group = group, .from = from, .to = to, .len = bytes.len};
    memcpy(frame->bytes, bytes.ptr, bytes.len);
    return frame;
}

static void launch(struct raftlog_group *group, uint32_t from, uint32_t to,
                   struct slice bytes, uint64_t delay)
{
    struct frame *frame = frame_new(group, from, to, bytes);

    list_add_tail(&group->frames, &frame->link);
    sim_world_at(group->world, sim_world_now(group->world) + delay, on_frame, frame, 0);
}

static void send_by_chance(struct raftlog_group *group, uint32_t from, uint32_t to,
                           struct slice bytes)
{
    struct sim_rng *rng = &group->rng;
    uint64_t delay = sim_rng_between(rng, group->delay_low, group->delay_high);

    if (group->cut[from][to] || sim_rng_chance(rng, group->drop_per_million)) {
        return;
    }
    if (sim_rng_chance(rng, group->late_per_million)) {
        delay += sim_rng_between(rng, 0, LATE_MAX);
    }
    if (sim_rng_chance(rng, group->double_per_million)) {
        launch(group, from, to, bytes, delay + sim_rng_between(rng, 0, DOUBLE_MAX));
    }
    launch(group, from, to, bytes, delay);
}

static void send_frame(void *owner, uint64_t to, struct slice bytes)
{
    struct raftlog_member *member = owner;
    struct raftlog_group *group = member->group;
    const struct raftlog_group_events *events = &group->events;

    CHECK(to >= 1 && to <= group->options.n_members && to != member->number);
    if (events->fate == NULL) {
        send_by_chance(group, member->number, (uint32_t)to, bytes);
        return;
    }
    if (events->fate(events->fate_owner, member->number, (uint32_t)to, bytes) ==
        FRAME_PASS) {
        launch(group, member->number, (uint32_t)to, bytes, DELAY_LOW);
    }
}

static size_t link_backlog(void *owner, uint64_t to)
{
    (void)owner;
    (void)to;
    return 0;
}

static const struct raftlog_events log_events = {send_frame, link_backlog};

void raftlog_group_deliver(struct raftlog_group *group, uint32_t from, uint32_t to,
                           struct slice bytes)
{
    struct raftlog_member *member = &group->members[to];
    struct buf in = BUF_INIT(LIMIT_PEER_FRAME);
    struct link_frame frame;
    struct err err;

    if (member->log == NULL || group->failure[0] != '\0') {
        return;
    }
    CHECK(buf_append(&in, bytes.ptr, bytes.len) == 0);
    if (link_next(&in, &group->arena, &frame, &err) == 1) {
        raftlog_receive(member->log, from, &frame);
        raftlog_member_touched(member);
    } else {
        raftlog_group_fail(group, "a frame from %u to %u cannot be decoded: %s", from, to,
                           err.text);
    }
    buf_close(&in);
    arena_reset(&group->arena);
}

static void on_frame(void *owner, uint64_t number)
{
    struct frame *frame = owner;
    struct raftlog_group *group = frame->group;
    struct raftlog_member *member = &group->members[frame->to];

    (void)number;
    if (member->log != NULL && sim_host_frozen(member->host)) {
        sim_world_at(group->world, sim_host_thaw(member->host), on_frame, frame, 0);
        return;
    }
    group->n_frames++;
    sim_world_note(group->world, (uint64_t)frame->from << 32 | frame->to);
    sim_world_note(group->world, frame->len);
    raftlog_group_deliver(group, frame->from, frame->to,
                          slice_of(frame->bytes, frame->len));
    list_del(&frame->link);
    free(frame);
}

static void free_frames(struct list *frames)
{
    while (!list_empty(frames)) {
        struct frame *frame = container_of(frames->next, struct frame, link);

        list_del(&frame->link);
        free(frame);
    }
}

void raftlog_group_heal(struct raftlog_group *group)
{
    memset(group->cut, 0, sizeof(group->cut));
    group->delay_low = DELAY_LOW;
    group->delay_high = DELAY_HIGH;
    group->drop_per_million = 0;
    group->double_per_million = 0;
    group->late_per_million = 0;
}

/* ---- the program of a host ---- */

static void apply(struct raftlog_member *member)
{
    struct raftlog_group *group = member->group;
    struct raftlog_entry entry;
    uint64_t before = member->applied.index;

    while (raftlog_next(member->log, &entry)) {
        const char *failure =
            raftlog_check_taken(group->check, member->number, member->log, &entry);

        if (failure != NULL) {
            raftlog_group_fail(group, "%s", failure);
            return;
        }
        member->applied = (struct raftlog_state){
            .index = entry.index, .term = entry.term, .cluster_ms = entry.cluster_ms};
        if (group->events.taken != NULL) {
            group->events.taken(group->events.taken_owner, member, &entry);
        }
    }
    if (member->applied.index > before) {
        raftlog_applied(member->log, member->applied.index);
        sim_world_note(group->world, member->applied.index);
    }
    if (sim_rng_chance(&group->rng, DURABLE_CHANCE)) {
        member->durable = member->applied;
        raftlog_durable(member->log, member->durable.index);
    }
}

static void program_turn(void *owner)
{
    struct raftlog_member *member = owner;

    if (member->group->failure[0] == '\0') {
        raftlog_turn(member->log);
        check_member(member);
        apply(member);
        raftlog_fetch_turn(member);
    }
}

static uint64_t program_deadline(void *owner)
{
    struct raftlog_member *member = owner;

    return member->group->failure[0] != '\0' ? UINT64_MAX
                                             : raftlog_deadline_ms(member->log);
}

static void program_fatal(void *owner, const char *text)
{
    struct raftlog_member *member = owner;

    raftlog_group_fail(member->group, "member %u: %s", member->number, text);
}

static const struct sim_program program = {program_turn, program_deadline, program_fatal};

void raftlog_member_touched(struct raftlog_member *member)
{
    check_member(member);
    sim_host_wake(member->host);
}

/* ---- life of a member ---- */

void raftlog_member_start(struct raftlog_member *member)
{
    struct raftlog_group *group = member->group;
    struct raftlog_voter voters[RAFTLOG_GROUP_MAX];
    struct raftlog_options options = {
        .env = sim_host_env(member->host),
        .dir = "/m",
        .id = member->number,
        .voters = voters,
        .n_voters = group->options.n_members,
        .applied = member->durable.index,
        .applied_term = member->durable.term,
        .applied_cluster_ms = member->durable.cluster_ms,
        .installed = member->installed.index,
        .installed_term = member->installed.term,
        .heartbeat_ms = group->options.heartbeat_ms,
        .election_ms = group->options.election_ms,
        .keep_entries = group->options.keep_entries,
        .hold_entries = group->options.hold_entries,
        .plants = group->options.plants,
        .events = &log_events,
        .owner = member,
    };
    const char *failure;
    struct err err;

    CHECK(member->log == NULL);
    for (uint32_t i = 0; i < group->options.n_members; i++) {
        voters[i].id = i + 1;
    }
    group->starts++;
    member->life++;
    member->applied = member->durable;
    sim_host_run(member->host, &program, member); /* the start writes already */
    if (raftlog_open(&member->log, &options, &err) != 0) {
        member->log = NULL;
        sim_host_run(member->host, NULL, NULL);
        raftlog_group_fail(group, "member %u does not start: %s", member->number,
                           err.text);
        return;
    }
    failure = raftlog_check_opened(group->check, member->number, member->log);
    if (failure != NULL) {
        raftlog_group_fail(group, "%s", failure);
    }
}

void raftlog_member_kill(struct raftlog_member *member, bool half)
{
    struct raftlog_status status;

    CHECK(member->log != NULL);
    raftlog_get_status(member->log, &status);
    member->group->elections += status.elections;
    member->group->kills++;
    member->frozen_until = 0;
    raftlog_fetch_forget(member);
    sim_host_kill(member->host, true);
    if (half) {
        sim_disk_die_soon(member->disk);
        sim_host_run_half(member->host);
    }
    sim_disk_crash(member->disk);
    sim_disk_set_dead(member->disk, true);
    sim_host_abandon(member->host);
    raftlog_close(member->log);
    member->log = NULL;
    sim_disk_set_dead(member->disk, false);
}

/* The others' logs begin no later than where that one's state does, which is durable: so
 * it stays, for no log is truncated beyond its own member's durable state. */
bool raftlog_member_lose_state(struct raftlog_member *member)
{
    const struct raftlog_group *group = member->group;
    uint64_t highest = raftlog_check_anchor(group->check);

    CHECK(member->log == NULL);
    for (uint32_t i = 1; i <= group->options.n_members; i++) {
        const struct raftlog_member *other = &group->members[i];

        if (other != member && other->durable.index >= highest) {
            member->durable = (struct raftlog_state){0};
            member->installed = (struct raftlog_state){0};
            return true;
        }
    }
    return false;
}

void raftlog_member_freeze(struct raftlog_member *member, uint64_t until)
{
    member->frozen_until = until;
    sim_host_freeze(member->host, until);
}

void raftlog_member_links_up(struct raftlog_member *member)
{
    for (uint32_t i = 1; member->log != NULL && i <= member->group->options.n_members;
         i++) {
        raftlog_link_changed(member->log, i, true);
    }
    sim_host_wake(member->host);
}

static void add_member(struct raftlog_group *group, uint32_t number)
{
    struct raftlog_member *member = &group->members[number];
    struct disk *disk;

    member->group = group;
    member->number = number;
    member->disk = sim_disk_new(sim_rng_next(sim_world_rng(group->world)));
    sim_disk_set_capacity(member->disk, 16 * MIB); /* small segments: the log rolls */
    disk = sim_disk_as_disk(member->disk);
    member->host = sim_host_new(group->world, number, disk);
    CHECK(disk->ops->mkdir(disk, "/m") == 0);
    CHECK(disk->ops->sync_dir(disk, "/") == 0);
}

void raftlog_group_open(struct raftlog_group *group, struct sim_world *world,
                        const struct raftlog_group_options *options)
{
    CHECK(options->n_members > 0 && options->n_members <= RAFTLOG_GROUP_MAX);
    *group = (struct raftlog_group){.world = world, .options = *options};
    group->rng = sim_rng_split(sim_world_rng(world));
    group->check = raftlog_check_new(options->n_members);
    arena_init(&group->arena, ARENA_MAX);
    list_init(&group->frames);
    raftlog_group_heal(group);
    for (uint32_t i = 1; i <= options->n_members; i++) {
        add_member(group, i);
    }
}

void raftlog_group_close(struct raftlog_group *group)
{
    for (uint32_t i = 1; i <= group->options.n_members; i++) {
        if (group->members[i].log != NULL) {
            raftlog_member_kill(&group->members[i], false);
        }
        sim_disk_free(group->members[i].disk);
    }
    free_frames(&group->frames);
    arena_close(&group->arena);
    raftlog_check_free(group->check);
}

struct raftlog_member *raftlog_group_leader(struct raftlog_group *group)
{
    struct raftlog_member *leader = NULL;
    uint64_t highest = 0;

    for (uint32_t i = 1; i <= group->options.n_members; i++) {
        struct raftlog_status status;

        if (group->members[i].log == NULL) {
            continue;
        }
        raftlog_get_status(group->members[i].log, &status);
        if (status.role == RAFTLOG_LEADER && status.term > highest) {
            leader = &group->members[i];
            highest = status.term;
        }
    }
    return leader;
}

uint64_t raftlog_group_elections(const struct raftlog_group *group)
{
    uint64_t sum = group->elections;

    for (uint32_t i = 1; i <= group->options.n_members; i++) {
        struct raftlog_status status;

        if (group->members[i].log != NULL) {
            raftlog_get_status(group->members[i].log, &status);
            sum += status.elections;
        }
    }
    return sum;
}
