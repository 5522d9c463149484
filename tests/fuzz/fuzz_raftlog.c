/* One member of three whose two others say anything: messages that decode, in any order,
 * from members and strangers, while time passes, the disk works and this member proposes.
 * No crash; what was taken is never taken again or taken back. */
#include <stdlib.h>

#include "api/decode.h"
#include "base/arena.h"
#include "base/limits.h"
#include "raftlog/link.h"
#include "raftlog/raftlog.h"
#include "tests/fuzz/fuzz_world.h"

#define MEMBERS   3
#define STEPS_MAX 200

struct member {
    struct fuzz_world world;
    struct raftlog *log;
    struct arena arena;
    uint64_t applied;
    uint64_t applied_term;
};

static void on_send(void *owner, uint64_t to, struct slice frame)
{
    (void)owner;
    CHECK(to >= 1 && to <= MEMBERS && frame.len >= LINK_HEADER_SIZE);
}

static size_t backlog_of(void *owner, uint64_t to)
{
    (void)owner;
    (void)to;
    return 0;
}

static const struct raftlog_events events = {on_send, backlog_of};

static void open_log(struct member *m)
{
    static const struct raftlog_voter voters[MEMBERS] = {{1}, {2}, {3}};
    struct raftlog_options options = {
        .env = m->world.env,
        .dir = FUZZ_DIR,
        .id = 1,
        .voters = voters,
        .n_voters = MEMBERS,
        .applied = m->applied,
        .applied_term = m->applied_term,
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .events = &events,
        .owner = m,
    };
    struct err err = {0};

    CHECK(raftlog_open(&m->log, &options, &err) == 0);
}

static void turn(struct member *m)
{
    struct raftlog_entry entry;

    raftlog_turn(m->log);
    while (raftlog_next(m->log, &entry)) {
        CHECK(entry.index == m->applied + 1);
        CHECK(entry.term >= m->applied_term);
        m->applied = entry.index;
        m->applied_term = entry.term;
    }
    raftlog_applied(m->log, m->applied);
}

static void pass(struct member *m, uint64_t ms)
{
    uint64_t until = sim_world_now(m->world.world) + ms * SIM_MS;

    while (sim_world_step(m->world.world, until)) {
        turn(m);
    }
    turn(m);
}

static void hear(struct member *m, struct fuzz *in)
{
    uint64_t from = 1 + fuzz_byte(in) % (MEMBERS + 1);
    struct link_frame frame = {.type = (enum link_type)fuzz_byte(in)};
    const ProtobufCMessageDescriptor *type = link_descriptor(frame.type);
    struct slice body = fuzz_part(in);

    if (type == NULL) {
        return;
    }
    frame.message = api_decode_own(type, body, &m->arena, NULL);
    if (frame.message != NULL) {
        raftlog_receive(m->log, from, &frame);
    }
    arena_reset(&m->arena);
}

static void restart(struct member *m)
{
    while (!raftlog_idle(m->log)) {
        CHECK(sim_world_step(m->world.world, UINT64_MAX));
    }
    raftlog_close(m->log);
    open_log(m);
}

static void step(struct member *m, struct fuzz *in)
{
    uint64_t index;

    switch (fuzz_byte(in) % 8) {
    case 0:
        pass(m, fuzz_byte(in));
        break;
    case 1:
        pass(m, 1500); /* an election timeout */
        break;
    case 2:
        raftlog_propose(m->log, fuzz_part(in), &index);
        break;
    case 3:
        turn(m);
        break;
    case 4:
        if (fuzz_byte(in) % 4 == 0) {
            restart(m);
        }
        break;
    default:
        hear(m, in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    struct member m = {.applied = 0};

    fuzz_world_open(&m.world);
    arena_init(&m.arena, 64 * MIB);
    open_log(&m);
    for (int i = 0; i < STEPS_MAX && fuzz_more(&in) && m.world.fatals == 0; i++) {
        step(&m, &in);
    }
    restart(&m);
    pass(&m, 10);
    while (!raftlog_idle(m.log)) {
        CHECK(sim_world_step(m.world.world, UINT64_MAX));
    }
    raftlog_close(m.log);
    arena_close(&m.arena);
    CHECK(m.world.fatals == 0 || m.world.contradicted);
    fuzz_world_close(&m.world);
    return 0;
}
