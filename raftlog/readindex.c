#include "raftlog/readindex.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "peer.pb-c.h"
#include "raftlog/core.h"

static struct raftlog_read *first_of(const struct list *list)
{
    return container_of(list->next, struct raftlog_read, link);
}

void readindex_open(struct readindex *readindex, uint64_t random)
{
    *readindex = (struct readindex){.round = random >> 1 | 1};
    readindex->answered = readindex->round;
    list_init(&readindex->fresh);
    list_init(&readindex->asked);
    list_init(&readindex->confirmed);
    list_init(&readindex->canceled);
    list_init(&readindex->lost);
}

/* Ends every read of a list; done may add and cancel reads. */
static void finish_all(struct list *list, int rc)
{
    while (!list_empty(list)) {
        struct raftlog_read *read = first_of(list);

        list_del(&read->link);
        read->done(read, rc);
    }
}

void readindex_close(struct raftlog *log)
{
    struct readindex *readindex = &log->readindex;

    finish_all(&readindex->confirmed, ERR_CANCELED);
    finish_all(&readindex->asked, ERR_CANCELED);
    finish_all(&readindex->fresh, ERR_CANCELED);
    finish_all(&readindex->canceled, ERR_CANCELED);
    finish_all(&readindex->lost, ERR_NOT_LEADER);
}

void raftlog_read(struct raftlog *log, struct raftlog_read *read)
{
    CHECK(read->done != NULL);
    read->index = 0;
    read->sequence = 0;
    read->started_ms = env_mono_ms(log->env);
    list_add_tail(&log->readindex.fresh, &read->link);
    log->dirty = true;
}

void raftlog_read_cancel(struct raftlog *log, struct raftlog_read *read)
{
    (void)log;
    list_del(&read->link);
}

/* ---- confirmed: by index ---- */

static void confirm(struct readindex *readindex, struct raftlog_read *read,
                    uint64_t index)
{
    struct list *at = readindex->confirmed.prev;

    list_del(&read->link);
    read->index = index;
    while (at != &readindex->confirmed &&
           container_of(at, struct raftlog_read, link)->index > index) {
        at = at->prev;
    }
    list_add_head(at, &read->link);
}

/* ---- the leader ---- */

void readindex_lead(struct raftlog *log)
{
    for (size_t i = 0; i < log->n_peers; i++) {
        log->peers[i].confirmed_round = 0;
    }
    log->readindex.answered = log->readindex.round;
}

void readindex_probe_answered(struct raftlog *log, struct peer *peer, uint64_t term,
                              uint64_t round)
{
    /* A member in an earlier term has not taken part in the election of a later leader.
     */
    if (log->role == RAFTLOG_LEADER && term <= log->lead_term &&
        round <= log->readindex.round && round > peer->confirmed_round) {
        peer->confirmed_round = round;
        log->dirty = true;
    }
}

void readindex_remote(struct raftlog *log, uint64_t from, uint64_t sequence)
{
    struct readindex *readindex = &log->readindex;
    Kvd__Peer__ReadIndexResult refusal = KVD__PEER__READ_INDEX_RESULT__INIT;
    unsigned at = (readindex->remote_first + readindex->n_remote) % LIMIT_REMOTE_READS;

    log->dirty = true;
    if (log->role != RAFTLOG_LEADER) {
        refusal.sequence = sequence;
        refusal.not_leader = true;
        outbox_put(&log->outbox, from, LINK_READ_INDEX_RESULT, &refusal.base);
        return;
    }
    if (readindex->n_remote < LIMIT_REMOTE_READS) {
        readindex->remote[at] = (struct remote_read){.from = from, .sequence = sequence};
        readindex->n_remote++;
    }
}

/* The latest round that a majority, this member included, has answered. */
static uint64_t confirmed_round(const struct raftlog *log)
{
    uint64_t rounds[LIMIT_MEMBERS];
    size_t needed = (log->n_peers + 1) / 2; /* answers of others */

    if (needed == 0 || log->plants & RAFTLOG_PLANT_READ_WITHOUT_ROUND) {
        return log->readindex.round;
    }
    for (size_t i = 0; i < log->n_peers; i++) {
        size_t at = i;

        for (; at > 0 && rounds[at - 1] < log->peers[i].confirmed_round; at--) {
            rounds[at] = rounds[at - 1];
        }
        rounds[at] = log->peers[i].confirmed_round;
    }
    return rounds[needed - 1];
}

static void send_probes(struct raftlog *log)
{
    Kvd__Peer__TermProbe probe = KVD__PEER__TERM_PROBE__INIT;

    probe.term = log->lead_term;
    probe.round = log->readindex.round;
    for (size_t i = 0; i < log->n_peers; i++) {
        outbox_put(&log->outbox, log->peers[i].id, LINK_TERM_PROBE, &probe.base);
    }
    log->readindex.sent_ms = env_mono_ms(log->env);
}

static bool start_round(struct raftlog *log)
{
    struct readindex *readindex = &log->readindex;
    bool started = false;

    for (unsigned i = readindex->n_remote; i > 0; i--) {
        struct remote_read *remote =
            &readindex->remote[(readindex->remote_first + i - 1) % LIMIT_REMOTE_READS];

        if (remote->round != 0) {
            break;
        }
        remote->round = readindex->round + 1;
        remote->index = log->commit;
        started = true;
    }
    LIST_FOREACH (at, &readindex->fresh) {
        struct raftlog_read *read = container_of(at, struct raftlog_read, link);

        read->sequence = readindex->round + 1;
        read->index = log->commit;
        started = true;
    }
    list_splice_tail(&readindex->asked, &readindex->fresh);
    if (started) {
        FAILPOINT(READ_ROUND);
        readindex->round++;
        readindex->n_rounds++;
    }
    return started;
}

static void end_rounds(struct raftlog *log, uint64_t confirmed)
{
    struct readindex *readindex = &log->readindex;

    while (!list_empty(&readindex->asked) &&
           first_of(&readindex->asked)->sequence <= confirmed) {
        struct raftlog_read *read = first_of(&readindex->asked);

        confirm(readindex, read, read->index);
    }
    while (readindex->n_remote > 0) {
        struct remote_read *remote = &readindex->remote[readindex->remote_first];
        Kvd__Peer__ReadIndexResult result = KVD__PEER__READ_INDEX_RESULT__INIT;

        if (remote->round == 0 || remote->round > confirmed) {
            break;
        }
        result.sequence = remote->sequence;
        result.index = remote->index;
        outbox_put(&log->outbox, remote->from, LINK_READ_INDEX_RESULT, &result.base);
        readindex->remote_first = (readindex->remote_first + 1) % LIMIT_REMOTE_READS;
        readindex->n_remote--;
    }
}

static void note_answers(struct raftlog *log)
{
    uint64_t confirmed = confirmed_round(log);

    if (confirmed > log->readindex.answered) {
        log->readindex.answered = confirmed;
    }
    end_rounds(log, log->readindex.answered);
}

static void turn_leader(struct raftlog *log)
{
    struct readindex *readindex = &log->readindex;

    if (!core_settled(log)) {
        return;
    }
    note_answers(log);
    if (readindex->round - readindex->answered < LIMIT_READ_ROUNDS && start_round(log)) {
        send_probes(log);
        note_answers(log); /* where no round is needed */
    } else if (readindex->round > readindex->answered &&
               env_mono_ms(log->env) >= readindex->sent_ms + log->heartbeat_ms) {
        send_probes(log);
    }
}

/* ---- a follower ---- */

void readindex_remote_answered(struct raftlog *log, uint64_t from, uint64_t sequence,
                               uint64_t index, bool not_leader)
{
    struct readindex *readindex = &log->readindex;

    if (from != readindex->asked_leader || sequence > readindex->round ||
        log->role == RAFTLOG_LEADER) {
        return;
    }
    while (!list_empty(&readindex->asked) &&
           first_of(&readindex->asked)->sequence <= sequence) {
        struct raftlog_read *read = first_of(&readindex->asked);

        if (not_leader) {
            list_del(&read->link);
            list_add_tail(&readindex->canceled, &read->link);
        } else {
            confirm(readindex, read, index);
        }
    }
    if (sequence > readindex->answered) {
        readindex->answered = sequence;
    }
    log->dirty = true;
}

static void send_question(struct raftlog *log)
{
    Kvd__Peer__ReadIndex question = KVD__PEER__READ_INDEX__INIT;

    question.sequence = log->readindex.round;
    outbox_put(&log->outbox, log->readindex.asked_leader, LINK_READ_INDEX,
               &question.base);
    log->readindex.sent_ms = env_mono_ms(log->env);
}

static void turn_follower(struct raftlog *log)
{
    struct readindex *readindex = &log->readindex;
    bool full = !list_empty(&readindex->asked) &&
                readindex->round - readindex->answered >= LIMIT_READ_ROUNDS;

    if (!list_empty(&readindex->fresh) && !full) {
        readindex->round++;
        LIST_FOREACH (at, &readindex->fresh) {
            container_of(at, struct raftlog_read, link)->sequence = readindex->round;
        }
        list_splice_tail(&readindex->asked, &readindex->fresh);
        send_question(log);
    } else if (!list_empty(&readindex->asked) &&
               env_mono_ms(log->env) >= readindex->sent_ms + log->heartbeat_ms) {
        send_question(log);
    }
}

/* ---- both ---- */

/* Reads asked of another leader, or in another term, will not be answered. */
static void cancel_if_changed(struct raftlog *log, uint64_t leader)
{
    struct readindex *readindex = &log->readindex;

    if (readindex->asked_leader == leader &&
        readindex->asked_term == log->raft.current_term) {
        return;
    }
    list_splice_tail(&readindex->canceled, &readindex->asked);
    readindex->n_remote = 0; /* their members learn of the change themselves */
    readindex->answered = readindex->round;
    readindex->asked_leader = leader;
    readindex->asked_term = log->raft.current_term;
}

/* Nobody can or does answer the oldest reads for too long. */
static void give_up(struct raftlog *log, struct list *list, uint64_t patience_ms)
{
    while (!list_empty(list) &&
           env_mono_ms(log->env) >= first_of(list)->started_ms + patience_ms) {
        struct raftlog_read *read = first_of(list);

        list_del(&read->link);
        list_add_tail(&log->readindex.lost, &read->link);
    }
}

static uint64_t patience_ms(const struct raftlog *log, uint64_t leader)
{
    return leader == 0 ? log->election_ms : 2ull * log->election_ms;
}

void readindex_retry(struct raftlog *log)
{
    log->readindex.sent_ms = 0;
    log->dirty = true;
}

void readindex_turn(struct raftlog *log)
{
    uint64_t leader = core_leader(log);

    cancel_if_changed(log, leader);
    if (log->role == RAFTLOG_LEADER) {
        turn_leader(log);
    } else if (leader != 0) {
        turn_follower(log);
    }
    give_up(log, &log->readindex.asked, patience_ms(log, leader));
    give_up(log, &log->readindex.fresh, patience_ms(log, leader));
}

void readindex_deliver(struct raftlog *log)
{
    struct readindex *readindex = &log->readindex;

    finish_all(&readindex->canceled, ERR_CANCELED);
    finish_all(&readindex->lost, ERR_NOT_LEADER);
    while (!list_empty(&readindex->confirmed) &&
           first_of(&readindex->confirmed)->index <= log->applied) {
        struct raftlog_read *read = first_of(&readindex->confirmed);

        list_del(&read->link);
        read->done(read, 0);
    }
}

uint64_t readindex_deadline_ms(const struct raftlog *log)
{
    const struct readindex *readindex = &log->readindex;
    uint64_t deadline = UINT64_MAX;
    uint64_t patience = patience_ms(log, core_leader(log));

    if (readindex->round > readindex->answered) {
        deadline = readindex->sent_ms + log->heartbeat_ms;
    }
    if (!list_empty(&readindex->asked) &&
        first_of(&readindex->asked)->started_ms + patience < deadline) {
        deadline = first_of(&readindex->asked)->started_ms + patience;
    }
    if (!list_empty(&readindex->fresh) &&
        first_of(&readindex->fresh)->started_ms + patience < deadline) {
        deadline = first_of(&readindex->fresh)->started_ms + patience;
    }
    return deadline;
}
