/* The cluster as an entry, and hand-overs. */
#include "tests/unit/raftlog/log_rig.h"

static struct log_rig rig;

static void tear_down(void)
{
    rig_close(&rig);
}

TestSuite(member);
TestSuite(transfer, .fini = tear_down);

static struct slice encoded(struct raft_buffer *buf)
{
    static const struct raftlog_voter voters[] = {
        {0x1111}, {0x2222}, {0xffffffffffffffff}};

    *buf = member_encode(voters, ARRAY_LEN(voters));
    return slice_of(buf->base, buf->len);
}

Test(member, a_configuration_comes_back_as_it_was)
{
    struct raft_configuration configuration;
    struct raft_buffer buf;

    cr_assert(member_decode(encoded(&buf), &configuration));
    cr_assert_eq(configuration.n, 3);
    cr_assert_eq(configuration.servers[1].id, 0x2222);
    cr_assert_eq(configuration.servers[1].role, RAFT_VOTER);
    cr_assert_str_eq(configuration.servers[2].address, "ffffffffffffffff");
    raft_configuration_close(&configuration);
    raft_free(buf.base);
}

Test(member, equal_members_make_equal_bytes)
{
    struct raft_buffer one;
    struct raft_buffer two;

    cr_assert(slice_eq(encoded(&one), encoded(&two)));
    raft_free(one.base);
    raft_free(two.base);
}

/* A copy whose end is the end of its memory: a read beyond it is noticed. */
static bool decodes(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = mem_dup(bytes, len);
    struct raft_configuration configuration;
    bool good = member_decode(slice_of(copy, len), &configuration);

    if (good) {
        raft_configuration_close(&configuration);
    }
    free(copy);
    return good;
}

Test(member, cut_bytes_are_no_configuration)
{
    struct raft_buffer buf;
    struct slice bytes = encoded(&buf);
    size_t used = 9 + 3 * (8 + 17 + 1);

    for (size_t len = 0; len < used; len++) {
        cr_assert_not(decodes(bytes.ptr, len), "%zu bytes", len);
    }
    cr_assert(decodes(bytes.ptr, used));
    raft_free(buf.base);
}

Test(member, damaged_bytes_do_no_harm)
{
    struct raft_buffer buf;
    struct slice bytes = encoded(&buf);

    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t *bad = mem_dup(bytes.ptr, bytes.len);

            bad[i] = (uint8_t)value;
            (void)decodes(bad, bytes.len);
            free(bad);
        }
    }
    raft_free(buf.base);
}

static int check(const uint64_t *ids, size_t n, uint64_t id)
{
    struct raftlog_voter voters[LIMIT_MEMBERS + 1];
    struct err err = {0};

    for (size_t i = 0; i < n; i++) {
        voters[i].id = ids[i];
    }
    return member_check_voters(voters, n, id, &err);
}

Test(member, voters_must_be_sorted_distinct_and_include_us)
{
    cr_assert_eq(check((uint64_t[]){3, 5, 9}, 3, 5), 0);
    cr_assert_eq(check((uint64_t[]){3, 5, 9}, 3, 4), ERR_INVALID);
    cr_assert_eq(check((uint64_t[]){5, 3, 9}, 3, 5), ERR_INVALID);
    cr_assert_eq(check((uint64_t[]){3, 3, 9}, 3, 3), ERR_INVALID);
    cr_assert_eq(check((uint64_t[]){0, 3, 9}, 3, 3), ERR_INVALID);
    cr_assert_eq(check(NULL, 0, 3), ERR_INVALID);
    cr_assert_eq(check((uint64_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10, 1), ERR_INVALID);
}

/* ---- hand-over ---- */

Test(transfer, leadership_goes_to_the_member_named)
{
    uint64_t leader;
    uint64_t other;

    rig_open(&rig, "named", 3);
    leader = rig_elect(&rig);
    other = rig_other(&rig, leader);
    rig_propose(&rig, leader, "before");
    rig_run(&rig, 5);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, other), 0);
    rig_run(&rig, 10);

    cr_assert_eq(rig_status(&rig, other).role, RAFTLOG_LEADER);
    cr_assert(rig_status(&rig, other).ready);
    cr_assert_eq(rig_status(&rig, leader).leader, other);
}

Test(transfer, without_a_name_the_one_furthest_along_takes_over)
{
    uint64_t leader;
    uint64_t behind;

    rig_open(&rig, "furthest", 3);
    leader = rig_elect(&rig);
    behind = rig_other(&rig, leader);
    rig.members[behind].disk_stopped = true;
    rig_propose(&rig, leader, "not on every disk");
    rig_run(&rig, 5);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, 0), 0);
    rig_run(&rig, 10);

    cr_assert_eq(rig_status(&rig, rig_other(&rig, behind)).role, RAFTLOG_LEADER);
}

Test(transfer, refusals_say_why)
{
    uint64_t leader;
    uint64_t other;

    rig_open(&rig, "refusals", 3);
    leader = rig_elect(&rig);
    other = rig_other(&rig, leader);

    cr_assert_eq(raftlog_transfer(rig.members[other].log, 0), ERR_NOT_LEADER);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, 77), ERR_NOT_FOUND);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, leader), ERR_NOT_FOUND);
    rig_isolate(&rig, leader, true);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, other), 0);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, other), ERR_BUSY);
}

Test(transfer, a_sole_member_has_nobody_to_hand_over_to)
{
    rig_open(&rig, "sole", 1);
    rig_elect(&rig);

    cr_assert_eq(raftlog_transfer(rig.members[1].log, 0), ERR_UNSUPPORTED);
}

Test(transfer, one_that_does_not_come_about_ends_after_an_election_timeout)
{
    uint64_t leader;
    uint64_t other;
    uint64_t index;

    rig_open(&rig, "abort", 3);
    leader = rig_elect(&rig);
    other = rig_other(&rig, leader);
    rig_isolate(&rig, other, true);
    cr_assert_eq(raftlog_transfer(rig.members[leader].log, other), 0);
    cr_assert_eq(raftlog_propose(rig.members[leader].log, slice_str("x"), &index),
                 ERR_NOT_LEADER);
    rig_run(&rig, RIG_ELECTION_MS + 2 * RIG_HEARTBEAT_MS);

    cr_assert_eq(raftlog_propose(rig.members[leader].log, slice_str("x"), &index), 0);
}
