/* The durable log under power cuts and failing calls: whatever was reported stored is
 * there afterwards, nothing that was cut off comes back behind newer entries, the vote
 * never goes back, and an unfinished write is never taken for damage. */
#include "raftlog/store.h"

#include <errno.h>
#include <inttypes.h>

#include "tests/unit/raftlog/store_rig.h"

#define INDEX_MAX  4096
#define STATES_MAX 256

/* What the log was at some moment, as its user sees it. */
struct state {
    uint64_t anchor;
    uint64_t anchor_term;
    uint64_t last;
    uint64_t terms[INDEX_MAX];
};

/* The states since everything was known to be durable, the newest last. */
struct model {
    struct rig rig;
    struct state states[STATES_MAX];
    size_t n;
    uint64_t term;
    uint64_t vote;
    uint64_t old_term; /* before the last change of the vote */
    uint64_t old_vote;
    uint64_t next_term; /* for new entries: a term never comes twice at an index */
    struct sim_rng rng;
    bool waited; /* for room on the disk */
};

static struct model m;

static struct state *newest(void)
{
    return &m.states[m.n - 1];
}

/* A copy of the newest state, to be changed. */
static struct state *next_state(void)
{
    cr_assert_lt(m.n, STATES_MAX);
    m.states[m.n] = m.states[m.n - 1];
    return &m.states[m.n++];
}

static void forget_states(void)
{
    m.states[0] = m.states[m.n - 1];
    m.n = 1;
}

static bool dead(void)
{
    return m.rig.fatal[0] != '\0';
}

/* ---- what the user of the store does ---- */

static void append(uint64_t n)
{
    for (uint64_t i = 0; i < n && newest()->last + 1 < INDEX_MAX && !dead(); i++) {
        struct state *state = next_state();

        state->terms[++state->last] = m.next_term;
        rig_append(&m.rig, state->last, m.next_term);
    }
}

static void settle(void)
{
    if (dead()) {
        return;
    }
    store_flush(m.rig.store);
    rig_settle(&m.rig);
    m.waited |= rig_wait_for_room(&m.rig);
    if (!dead()) {
        cr_assert_eq(store_stored_index(m.rig.store), newest()->last);
        forget_states();
    }
}

static void cut_suffix(uint64_t index)
{
    struct state *state;

    if (dead()) {
        return;
    }
    state = next_state();
    state->last = index - 1;
    m.next_term++;
    store_truncate_suffix(m.rig.store, index);
}

/* A configuration over several sectors, another one for each anchor. */
static struct slice configuration(uint64_t index, uint64_t term)
{
    static uint8_t bytes[2000];

    rig_payload(bytes, sizeof(bytes), index, term);
    return slice_of(bytes, sizeof(bytes));
}

static void cut_prefix(uint64_t index, uint64_t term)
{
    struct state *state;
    struct store_anchor anchor = {
        .index = index, .term = term, .configuration = configuration(index, term)};

    if (dead()) {
        return;
    }
    state = next_state();
    if (index > state->last || state->terms[index] != term) {
        state->last = index;
        m.next_term = m.next_term < term ? term : m.next_term;
    }
    state->anchor = index;
    state->anchor_term = term;
    store_truncate_prefix(m.rig.store, &anchor);
}

static void vote(uint64_t term, uint64_t candidate)
{
    if (dead()) {
        return;
    }
    m.old_term = m.term;
    m.old_vote = m.vote;
    m.term = term;
    m.vote = candidate;
    store_set_vote(m.rig.store, term, candidate);
    if (!dead()) {
        m.old_term = m.term;
        m.old_vote = m.vote;
    }
}

/* ---- what must be there after a start ---- */

static bool is_prefix_of(const struct state *state)
{
    const struct store_anchor *anchor = store_get_anchor(m.rig.store);

    if (anchor->index != state->anchor || store_last_index(m.rig.store) > state->last) {
        return false;
    }
    for (uint64_t i = state->anchor + 1; i <= store_last_index(m.rig.store); i++) {
        if (store_term_of(m.rig.store, i) != state->terms[i]) {
            return false;
        }
    }
    return true;
}

static void check_vote(void)
{
    uint64_t term = store_term(m.rig.store);
    uint64_t voted = store_vote(m.rig.store);

    cr_assert((term == m.term && voted == m.vote) ||
              (term == m.old_term && voted == m.old_vote));
    m.term = term;
    m.vote = voted;
    m.old_term = term;
    m.old_vote = voted;
}

/* stored is what was reported before the crash. */
static void check_log(uint64_t stored)
{
    struct store *store = m.rig.store;
    uint64_t first = store_first_index(store);
    uint64_t last = store_last_index(store);
    size_t match = m.n;

    cr_assert_eq(store_stored_index(store), last);
    cr_assert_geq(last, stored, "%" PRIu64 " was stored, the log ends at %" PRIu64,
                  stored, last);
    while (match > 0 && !is_prefix_of(&m.states[match - 1])) {
        match--;
    }
    cr_assert(match > 0, "the log up to %" PRIu64 " never was", last);
    if (first > 1) {
        cr_assert(slice_eq(store_get_anchor(store)->configuration,
                           configuration(first - 1, store_get_anchor(store)->term)));
    }
    for (uint64_t i = first; i <= last; i++) {
        if (i <= stored) {
            cr_assert_eq(store_term_of(store, i), newest()->terms[i]);
        }
        rig_check(&m.rig, i, m.states[match - 1].terms[i]);
    }
    m.states[0] = m.states[match - 1];
    m.states[0].last = last;
    m.n = 1;
}

static void recover_after(uint64_t stored)
{
    cr_assert_eq(rig_open(&m.rig), 0, "%s", m.rig.err.text);
    check_vote();
    check_log(stored);
    m.next_term++;
}

static void begin(uint64_t seed)
{
    m.n = 1;
    m.waited = false;
    memset(&m.states[0], 0, sizeof(m.states[0]));
    m.term = m.vote = m.old_term = m.old_vote = 0;
    m.next_term = 1;
    m.rng.state = seed;
    rig_init(&m.rig, seed);
    m.rig.payload_len = 30;
    m.rig.extra_len = seed % 5 == 0 ? 70000 : 6000; /* 70000: more than a segment */
}

/* ---- one script, interrupted at every call ---- */

static void script(void)
{
    append(3);
    settle();
    vote(1, 1);
    append(2);
    store_flush(m.rig.store);
    append(30); /* rolls while the first two are written */
    settle();
    vote(2, 0);
    vote(2, 3);
    cut_suffix(28);
    append(1);
    settle();
    append(40);
    settle();
    cut_suffix(7); /* across segments */
    append(2);
    settle();
    append(60);
    settle();
    cut_prefix(50, newest()->terms[50]);
    append(2);
    settle();
    cut_suffix(60);
    cut_prefix(59, newest()->terms[59]);
    append(4);
    settle();
    cut_prefix(80, m.next_term); /* a snapshot beyond the log */
    append(2);
    settle();
    append(3);
    cut_prefix(84, m.next_term + 1); /* of another term */
    append(1);
    settle();
}

/* Runs the script until arm's failure strikes; false when it got through without. */
static bool interrupted(uint64_t seed, uint64_t calls, bool power, int error)
{
    uint64_t stored = 0;
    bool struck;

    begin(seed);
    if (power) {
        sim_disk_die_after(m.rig.sim, calls);
    } else {
        sim_disk_fail_after(m.rig.sim, calls, error);
    }
    if (rig_open(&m.rig) == 0) {
        script();
        stored = store_stored_index(m.rig.store);
        struck = dead() || m.waited;
    } else {
        struck = true;
    }
    if (power) {
        rig_crash(&m.rig);
    } else {
        rig_close_store(&m.rig);
        sim_disk_fail_after(m.rig.sim, UINT64_MAX / 2, 0);
    }
    recover_after(stored);
    append(2);
    settle();
    rig_close(&m.rig);
    return struck;
}

/* Some calls fail without harm, those of the segment made ahead: so a script that got
 * through is not yet the end. */
static void interrupt_everywhere(bool power, int error)
{
    unsigned through = 0;
    uint64_t calls = 0;

    while (through < 40) {
        through = interrupted(calls + 1, calls, power, error) ? 0 : through + 1;
        calls++;
    }
    cr_assert_gt(calls, 150, "%" PRIu64, calls);
}

Test(store_crash, power_may_go_at_every_call, .timeout = 60)
{
    interrupt_everywhere(true, 0);
}

Test(store_crash, every_call_may_fail, .timeout = 60)
{
    interrupt_everywhere(false, -EIO);
}

Test(store_crash, disk_may_be_full_at_every_call, .timeout = 60)
{
    interrupt_everywhere(false, -ENOSPC);
}

/* ---- random lives ---- */

static uint64_t draw(uint64_t low, uint64_t high)
{
    return sim_rng_between(&m.rng, low, high);
}

static void vote_somehow(void)
{
    if (m.vote == 0 && m.term > 0 && draw(0, 1) == 0) {
        vote(m.term, draw(1, 3));
    } else {
        vote(m.term + 1, draw(0, 3));
    }
}

static void act(void)
{
    const struct state *state = newest();

    switch (draw(0, 15)) {
    case 0:
        settle();
        break;
    case 1:
    case 2:
    case 3:
        store_flush(m.rig.store);
        break;
    case 4:
        if (state->last > state->anchor) {
            cut_suffix(draw(state->anchor + 1, state->last));
        }
        break;
    case 5:
        if (state->last > state->anchor) {
            uint64_t index = draw(state->anchor + 1, state->last);

            cut_prefix(index, state->terms[index]);
        }
        break;
    case 6:
        vote_somehow();
        break;
    case 7:
        if (draw(0, 4) == 0 && state->last + 20 < INDEX_MAX) {
            cut_prefix(draw(state->anchor + 1, state->last + 10), ++m.next_term);
        }
        break;
    case 8:
    case 9:
    case 10:
        sim_world_step(m.rig.world, UINT64_MAX);
        store_release(m.rig.store);
        break;
    default:
        append(draw(1, 12));
    }
}

/* One life of the process: ends by a power cut or in order. */
static void live(void)
{
    bool cut = draw(0, 4) > 0;
    uint64_t stored;

    if (cut) {
        sim_disk_die_after(m.rig.sim, draw(0, 150));
    }
    for (unsigned acts = 0; acts < 100 && !dead() && m.n < STATES_MAX - 20; acts++) {
        act();
    }
    rig_settle(&m.rig);
    stored = store_stored_index(m.rig.store);
    if (cut) {
        rig_crash(&m.rig);
        if (draw(0, 1) == 0) {
            sim_disk_die_after(m.rig.sim, draw(0, 30));
            if (rig_open(&m.rig) != 0) {
                sim_disk_crash(m.rig.sim);
            } else {
                rig_crash(&m.rig);
            }
        }
    } else {
        rig_close_store(&m.rig);
    }
    recover_after(stored);
}

Test(store_crash, random_lives_lose_nothing, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        begin(seed * 7919);
        sim_disk_set_short(m.rig.sim, seed % 3 == 0 ? 100000 : 0);
        rig_must_open(&m.rig);
        for (unsigned lives = 0; lives < 8; lives++) {
            live();
        }
        rig_close(&m.rig);
    }
}
