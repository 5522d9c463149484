/* One seed: a group is started, clients load it while faults strike, then everything
 * heals.
 *
 * After healing, within 10 simulated seconds: a leader takes a proposal, every member is
 * given it, and every member allows a read. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "tests/sim/raftlog_campaign.h"
#include "tests/sim/raftlog_group.h"
#include "tests/sim/raftlog_load.h"
#include "tests/sim/raftlog_nemesis.h"

#define FAULTS_TIME (20 * SIM_S)
#define HEAL_LIMIT  (10 * SIM_S)
#define HEAL_CHECK  (20 * SIM_MS)

struct run {
    struct sim_world *world;
    struct raftlog_group group;
    struct raftlog_load load;
    struct raftlog_nemesis nemesis;
    struct load_proposal last; /* after healing; index 0: none yet */
    bool allowed[RAFTLOG_GROUP_MAX + 1];
    bool asked[RAFTLOG_GROUP_MAX + 1];
};

static bool failed(const struct run *run)
{
    return run->group.failure[0] != '\0';
}

static void run_until(struct run *run, uint64_t time)
{
    while (!failed(run) && sim_world_step(run->world, time)) {
    }
}

/* The last proposal was made by the leader of now, or is committed: it will not be lost.
 */
static bool last_stands(const struct run *run, const struct raftlog_member *leader)
{
    struct raftlog_status status;

    if (run->last.index == 0) {
        return false;
    }
    if (raftlog_check_term(run->group.check, run->last.index) == run->last.term) {
        return true;
    }
    raftlog_get_status(leader->log, &status);
    return status.term == run->last.term;
}

/* The last proposal is committed and every member has it. */
static bool all_have_last(struct run *run)
{
    struct raftlog_member *leader = raftlog_group_leader(&run->group);

    if (leader == NULL) {
        return false;
    }
    if (!last_stands(run, leader)) {
        run->last.index = 0;
        (void)raftlog_load_propose(&run->load, leader, &run->last);
        return false;
    }
    for (uint32_t i = 1; i <= run->group.options.n_members; i++) {
        if (run->group.members[i].applied.index < run->last.index) {
            return false;
        }
    }
    return true;
}

static bool all_allow_reads(struct run *run)
{
    bool all = true;

    for (uint32_t i = 1; i <= run->group.options.n_members; i++) {
        if (!run->allowed[i]) {
            all = false;
            if (!run->asked[i] || list_empty(&run->load.reads)) {
                run->asked[i] = true;
                raftlog_load_read(&run->load, &run->group.members[i], &run->allowed[i]);
            }
        }
    }
    return all;
}

static void heal(struct run *run)
{
    uint64_t start = sim_world_now(run->world);

    run->load.stopped = true;
    raftlog_nemesis_heal(&run->nemesis);
    while (!failed(run)) {
        uint64_t now = sim_world_now(run->world);

        if (all_have_last(run) && all_allow_reads(run)) {
            return;
        }
        if (now > start + HEAL_LIMIT) {
            raftlog_group_fail(&run->group, "10 s after healing: %s",
                               raftlog_group_leader(&run->group) == NULL ? "no leader"
                               : all_have_last(run) ? "a member does not allow reads"
                                                    : "a member lacks the last entry");
            return;
        }
        run_until(run, now + HEAL_CHECK);
    }
}

static uint32_t draw_members(struct sim_rng *rng)
{
    static const uint32_t sizes[] = {1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 6, 7, 3};

    return sizes[sim_rng_next(rng) % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void open_run(struct run *run, const struct raftlog_run_options *options)
{
    struct sim_rng rng = {options->seed ^ 0x6b76640000000000u};
    uint32_t drawn = draw_members(&rng);
    bool hasty = sim_rng_chance(&rng, 500000);
    bool forgetful = sim_rng_chance(&rng, 600000);
    struct raftlog_group_options group_options = {
        .n_members = options->n_members > 0 ? options->n_members : drawn,
        .keep_entries = sim_rng_between(&rng, 1, forgetful ? 20 : 200),
        .hold_entries = forgetful ? sim_rng_between(&rng, 1, 60) : 0,
        .heartbeat_ms = hasty ? 40 : 100,
        .election_ms = hasty ? 300 : 1000,
        .plants = options->plants,
    };

    *run = (struct run){.world = sim_world_new(sim_rng_next(&rng))};
    raftlog_group_open(&run->group, run->world, &group_options);
    raftlog_load_open(&run->load, &run->group);
    raftlog_nemesis_open(&run->nemesis, &run->group, &run->load, options->verbose);
    for (uint32_t i = 1; i <= group_options.n_members; i++) {
        raftlog_member_start(&run->group.members[i]);
    }
    raftlog_load_start(&run->load);
    raftlog_nemesis_start(&run->nemesis);
}

static void print_member(const struct raftlog_member *member)
{
    struct raftlog_status status;

    if (member->log == NULL) {
        printf("  member %u is down, applied %" PRIu64 "\n", member->number,
               member->applied.index);
        return;
    }
    raftlog_get_status(member->log, &status);
    printf("  member %u role %d term %" PRIu64 " leader %" PRIu64 " entries %" PRIu64
           "..%" PRIu64 " stored %" PRIu64 " commit %" PRIu64 " applied %" PRIu64
           " needs %" PRIu64 " dropped %" PRIu64 "\n",
           member->number, (int)status.role, status.term, status.leader,
           status.first_index, status.last_index, status.stored_index,
           status.commit_index, member->applied.index, status.needs_state,
           status.dropped_frames);
}

static void describe(struct run *run, const struct raftlog_run_options *options)
{
    printf("  %u members, heartbeat %u ms, election %u ms, %" PRIu64
           " proposals, %" PRIu64 " acknowledged, %" PRIu64 " reads allowed, %" PRIu64
           " not\n",
           run->group.options.n_members, run->group.options.heartbeat_ms,
           run->group.options.election_ms, run->load.proposed, run->load.acknowledged,
           run->load.reads_allowed, run->load.reads_failed);
    for (uint32_t i = 1; options->verbose && i <= run->group.options.n_members; i++) {
        print_member(&run->group.members[i]);
    }
}

void raftlog_run(const struct raftlog_run_options *options,
                 struct raftlog_run_result *result)
{
    static struct run run;

    open_run(&run, options);
    run_until(&run, SIM_S + FAULTS_TIME);
    heal(&run);
    *result = (struct raftlog_run_result){
        .trace = sim_world_trace(run.world),
        .simulated_ns = sim_world_now(run.world) - SIM_S,
        .steps = sim_world_steps(run.world),
        .frames = run.group.n_frames,
        .elections = raftlog_group_elections(&run.group),
        .kills = run.group.kills,
        .installs = run.group.installs,
        .committed = raftlog_check_committed(run.group.check),
        .acknowledged = run.load.acknowledged,
        .reads = run.load.reads_allowed,
    };
    (void)snprintf(result->failure, sizeof(result->failure), "%s", run.group.failure);
    if (options->verbose) {
        describe(&run, options);
    }
    raftlog_group_close(&run.group);
    raftlog_load_close(&run.load);
    sim_world_free(run.world);
}
