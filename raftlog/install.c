#include "raftlog/install.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/minmax.h"
#include "raftlog/core.h"

static bool gap(const struct raftlog *log)
{
    return log->taken < store_get_anchor(log->store)->index;
}

static bool holds(const struct raftlog *log, uint64_t index, uint64_t term)
{
    return store_term_of(log->store, index) == term;
}

/* ---- what is needed ---- */

uint64_t install_needs(const struct raftlog *log)
{
    const struct install *install = &log->install;
    uint64_t told =
        install->needed > u64_max(log->commit, install->index) ? install->needed : 0;

    return gap(log) ? u64_max(store_get_anchor(log->store)->index, told) : told;
}

bool install_pauses(const struct raftlog *log)
{
    return gap(log) || log->install.index != 0 || log->install.writing != 0;
}

bool install_bars(const struct raftlog *log)
{
    return (install_pauses(log) || install_needs(log) != 0) &&
           !(log->plants & RAFTLOG_PLANT_CAMPAIGNS_WITHOUT_STATE);
}

void install_heard(struct raftlog *log)
{
    log->install.heard_term = log->raft.current_term;
    if (log->install.needed <= log->raft.follower_state.match) {
        log->install.needed = 0;
    }
}

void install_told(struct raftlog *log, uint64_t at_least)
{
    struct install *install = &log->install;

    if (install_needs(log) == 0 && at_least > u64_max(log->commit, install->index)) {
        log_info("the leader has truncated what this log lacks: a state is needed",
                 LOG_UINT("at_least", at_least),
                 LOG_UINT("last", store_last_index(log->store)));
    }
    install->needed = at_least;
}

/* ---- what is known to be committed ---- */

uint64_t raftlog_committed_term(const struct raftlog *log, uint64_t index)
{
    const struct store_anchor *anchor = store_get_anchor(log->store);

    return index <= u64_max(log->commit, anchor->index) ? store_term_of(log->store, index)
                                                        : 0;
}

void raftlog_learn_commit(struct raftlog *log, uint64_t index, uint64_t term)
{
    if (log->role == RAFTLOG_LEADER || install_pauses(log) || term == 0 ||
        index <= log->commit || index > store_stored_index(log->store) ||
        !holds(log, index, term)) {
        return;
    }
    log_info("learns from a member that needs a state what is committed",
             LOG_UINT("index", index), LOG_UINT("before", log->commit));
    core_adopt(log, index);
}

/* ---- open ---- */

/* The log lacks the entry of the installed state: it begins anew behind it. No vote of
 * an earlier term than the entry's can matter any more. */
static void install_again(struct raftlog *log, const struct raftlog_options *options)
{
    struct store_anchor anchor =
        core_anchor(log, options->installed, options->installed_term);

    log_info("the log had not taken up the installed state: it does now",
             LOG_UINT("index", anchor.index), LOG_UINT("term", anchor.term));
    if (store_term(log->store) < anchor.term) {
        store_set_vote(log->store, anchor.term, 0);
    }
    store_truncate_prefix(log->store, &anchor);
}

int install_open(struct raftlog *log, const struct raftlog_options *options,
                 struct err *err)
{
    uint64_t first = store_get_anchor(log->store)->index;
    uint64_t last;
    uint64_t term;

    if (options->installed > first &&
        !holds(log, options->installed, options->installed_term)) {
        install_again(log, options);
    }
    last = store_last_index(log->store);
    if (gap(log) && log->n_peers == 0) {
        return err_set(err, ERR_CORRUPT,
                       "%s/log begins behind index %" PRIu64
                       ", but the state ends at %" PRIu64
                       ": entries between are lost; restore this member from a backup",
                       options->dir, first, options->applied);
    }
    if (options->applied > last) {
        return err_set(err, ERR_CORRUPT,
                       "%s/log ends at index %" PRIu64 ", but the state knows %" PRIu64
                       ": the log lost entries; re-seed this member from the others",
                       options->dir, last, options->applied);
    }
    term = options->applied > 0 ? store_term_of(log->store, options->applied) : 0;
    if (options->applied_term != 0 && !gap(log) && term != options->applied_term) {
        return err_set(err, ERR_CORRUPT,
                       "%s/log has term %" PRIu64 " at index %" PRIu64
                       ", but the state has term %" PRIu64
                       " there: they do not belong together; re-seed this member",
                       options->dir, term, options->applied, options->applied_term);
    }
    return 0;
}

/* ---- install ---- */

void raftlog_install(struct raftlog *log, uint64_t index, uint64_t term,
                     uint64_t cluster_ms)
{
    struct install *install = &log->install;

    CHECK(log->role != RAFTLOG_LEADER);
    CHECK(index >= log->taken && index >= install_needs(log));
    CHECK(term > 0 && term <= log->raft.current_term);
    install->index = index;
    install->term = term;
    log->taken = index;
    log->taken_cluster_ms = cluster_ms;
    log->applied = index;
    log->dirty = true;
    raftlog_durable(log, index);
}

static void finish(struct raftlog *log)
{
    struct install *install = &log->install;

    log_info("the log goes on behind the installed state",
             LOG_UINT("index", install->index), LOG_UINT("term", install->term));
    install->index = 0;
}

/* An entry of another term that was committed here: one of the two is wrong. */
static void contradict(struct raftlog *log)
{
    char text[ERR_TEXT_MAX];

    (void)snprintf(text, sizeof(text),
                   "member %016" PRIx64 " stops: the state that it fetched ends with "
                   "entry %" PRIu64 " of term %" PRIu64 ", but term %" PRIu64
                   " was committed there; re-seed it from the others",
                   log->id, log->install.index, log->install.term,
                   store_term_of(log->store, log->install.index));
    env_fatal(log->env, text);
}

static bool knows_leader(const struct raftlog *log)
{
    return log->role == RAFTLOG_FOLLOWER && core_leader(log) != 0 &&
           log->install.heard_term == log->raft.current_term;
}

void install_turn(struct raftlog *log)
{
    struct install *install = &log->install;
    bool held;

    if (install->writing != 0 && store_stored_index(log->store) >= install->writing) {
        core_installed(log, install->writing);
        install->writing = 0;
    }
    if (install->index == 0 || install->writing != 0 || store_is_dead(log->store)) {
        return;
    }
    held = holds(log, install->index, install->term);
    if (log->plants & RAFTLOG_PLANT_INSTALL_KEEPS_SUFFIX) {
        held = held || install->index <= store_last_index(log->store);
    }
    if (held) {
        if (store_stored_index(log->store) >= install->index) {
            core_adopt(log, install->index);
            finish(log);
        }
    } else if (install->index <= log->commit) {
        contradict(log);
    } else if (knows_leader(log)) {
        install->writing = install->index;
        core_install(log, install->index, install->term);
    }
}
