/* The simulation of consensus itself: equal seeds are equal runs, and planted bugs are
 * found.
 */
#include "tests/sim/raftlog_campaign.h"

#include <criterion/criterion.h>

#include "base/log.h"
#include "raftlog/raftlog.h"
#include "tests/sim/raftlog_script.h"

static void no_line(void *owner, const char *line)
{
    (void)owner;
    (void)line;
}

static void set_up(void)
{
    log_redirect(no_line, NULL);
}

TestSuite(raftlog_run, .init = set_up);

static struct raftlog_run_result run(uint64_t seed, unsigned plants)
{
    struct raftlog_run_options options = {.seed = seed, .plants = plants};
    struct raftlog_run_result result;

    raftlog_run(&options, &result);
    return result;
}

Test(raftlog_run, the_same_seed_gives_the_same_run)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct raftlog_run_result first = run(seed, 0);
        struct raftlog_run_result second = run(seed, 0);

        cr_assert_str_empty(first.failure, "%s", first.failure);
        cr_assert_eq(first.trace, second.trace);
        cr_assert_eq(first.steps, second.steps);
        cr_assert_eq(first.committed, second.committed);
    }
}

Test(raftlog_run, other_seeds_give_other_runs)
{
    cr_assert_neq(run(1, 0).trace, run(2, 0).trace);
}

static void must_find(unsigned plant)
{
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        if (run(seed, plant).failure[0] != '\0') {
            return;
        }
    }
    cr_assert_fail("1000 seeds did not find it");
}

Test(raftlog_run, an_acknowledgement_before_the_fsync_is_found)
{
    must_find(RAFTLOG_PLANT_ACK_BEFORE_FSYNC);
}

Test(raftlog_run, a_read_without_a_round_is_found)
{
    must_find(RAFTLOG_PLANT_READ_WITHOUT_ROUND);
}

Test(raftlog_run, an_entry_given_out_before_it_is_stored_is_found)
{
    must_find(RAFTLOG_PLANT_APPLY_BEYOND_STORED);
}

Test(raftlog_run, two_leaderships_in_one_term_are_found)
{
    must_find(RAFTLOG_PLANT_NO_R5);
}

Test(raftlog_run, a_read_from_a_leader_that_has_not_settled_is_found)
{
    must_find(RAFTLOG_PLANT_NO_R8);
}

Test(raftlog_run, every_guard_is_needed)
{
    cr_assert_eq(raftlog_scripts_run(false), 0);
}
