#include "node/machine.h"

#include <assert.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/machine_parts.h"

#define TIMEOUT_BASE_MS 5000
#define BUCKETS         LIMIT_PENDING_CALLS
#define EPOCH_SHIFT     24 /* 40 random bits begin the sequences of a start */

static_assert((BUCKETS & (BUCKETS - 1)) == 0, "sequences map to buckets by masking");

static const unsigned machine_next[MACHINE_NSTATES] = {
    [MACHINE_QUEUED] =
        1u << MACHINE_PROPOSED | 1u << MACHINE_FORWARDED | 1u << MACHINE_DECIDED,
    [MACHINE_PROPOSED] = 1u << MACHINE_DECIDED,
    [MACHINE_FORWARDED] = 1u << MACHINE_QUEUED | 1u << MACHINE_DECIDED,
    [MACHINE_DECIDED] = 0,
};

struct machine *machine_open(const struct machine_options *options)
{
    struct machine *m = mem_zero(sizeof(*m));

    CHECK(options->epoch != 0);
    m->options = *options;
    /* A late refusal of an earlier start's command must not name one of this start: that
     * would be submitted twice. */
    m->last_sequence = options->epoch >> EPOCH_SHIFT;
    m->buckets = mem_zero(BUCKETS * sizeof(*m->buckets));
    list_init(&m->queued);
    m->send_by_ms = UINT64_MAX;
    list_init(&m->proposed);
    list_init(&m->forwarded);
    list_init(&m->decided);
    list_init(&m->ages);
    batch_init(&m->batch);
    arena_init(&m->arena, LIMIT_CALL_ARENA);
    return m;
}

/* ---- the table of commands on their way ---- */

static struct machine_op **bucket_of(const struct machine *m, uint64_t sequence)
{
    return &m->buckets[sequence & (BUCKETS - 1)];
}

struct machine_op *machine_find(const struct machine *m, uint64_t sequence)
{
    struct machine_op *op = *bucket_of(m, sequence);

    while (op != NULL && op->command->sequence != sequence) {
        op = op->next;
    }
    return op;
}

static struct list *place_of(struct machine *m, enum machine_state state)
{
    switch (state) {
    case MACHINE_QUEUED:
        return &m->queued;
    case MACHINE_PROPOSED:
        return &m->proposed;
    case MACHINE_FORWARDED:
        return &m->forwarded;
    case MACHINE_DECIDED:
        return &m->decided;
    case MACHINE_NSTATES:
        break;
    }
    UNREACHABLE();
}

void machine_move(struct machine *m, struct machine_op *op, enum machine_state to)
{
    CHECK(machine_next[op->state] & 1u << to);
    op->state = to;
    list_del(&op->place);
    list_add_tail(place_of(m, to), &op->place);
}

void machine_decide(struct machine *m, struct machine_op *op, enum api_status status,
                    ProtobufCMessage *response)
{
    struct machine_op **at = bucket_of(m, op->command->sequence);

    while (*at != op) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = op->next;
    list_del(&op->age);
    m->n_ops--;
    m->bytes -= op->size;
    op->status = status;
    op->response = response;
    machine_move(m, op, MACHINE_DECIDED);
}

/* ---- in ---- */

bool machine_has_room(const struct machine *m)
{
    return m->n_ops <= LIMIT_PENDING_CALLS && m->bytes <= LIMIT_PENDING_BYTES &&
           !m->lagging && !m->wal_is_large;
}

static void want_sent(struct machine *m, uint64_t by_ms)
{
    m->send_by_ms = by_ms < m->send_by_ms ? by_ms : m->send_by_ms;
}

void machine_submit(struct machine *m, struct machine_op *op)
{
    Kvd__Command__Command *command = op->command;
    struct machine_op **bucket;
    enum api_status status;

    CHECK(command->request_case != KVD__COMMAND__COMMAND__REQUEST__NOT_SET);
    command->origin = m->options.members->self;
    command->epoch = m->options.epoch;
    command->sequence = ++m->last_sequence;
    op->size = protobuf_c_message_get_packed_size(&command->base);
    op->state = MACHINE_QUEUED;
    m->submitted = true;
    op->started_ms = env_mono_ms(m->options.env);
    op->index = 0;
    bucket = bucket_of(m, command->sequence);
    op->next = *bucket;
    *bucket = op;
    m->n_ops++;
    m->bytes += op->size;
    list_add_tail(&m->queued, &op->place);
    want_sent(m, op->started_ms + op->patience_ms);
    list_add_tail(&m->ages, &op->age);
    status = op->size > m->options.request_max    ? API_REQUEST_TOO_LARGE
             : m->full_here || m->full_everywhere ? API_DISK_FULL
             : machine_has_room(m)                ? API_OK
                                                  : API_TOO_MANY_REQUESTS;
    if (status != API_OK) {
        metrics_add(m->options.metrics, METRIC_PROPOSALS_FAILED, 1);
        machine_decide(m, op, status, NULL);
    }
}

bool machine_submitted(const struct machine *m)
{
    return m->submitted;
}

/* What was in the batch and not taken by the log. */
static void give_back(struct machine *m, int rc)
{
    bool too_many = rc != ERR_NOT_LEADER;

    for (size_t i = 0; i < m->batch.n; i++) {
        struct machine_op *op = m->batch.items[i].op;

        if (op != NULL && too_many) {
            metrics_add(m->options.metrics, METRIC_PROPOSALS_FAILED, 1);
            machine_decide(m, op, API_TOO_MANY_REQUESTS, NULL);
        }
    }
    forward_refuse_batch(m, too_many ? REASON_TOO_MANY : REASON_NOT_LEADER);
}

void machine_propose_batch(struct machine *m)
{
    uint64_t index;
    int rc;

    if (m->batch.n == 0) {
        return;
    }
    rc = raftlog_propose(m->options.log, buf_slice(&m->batch.bytes), &index);
    if (rc != 0) {
        give_back(m, rc);
    }
    for (size_t i = 0; rc == 0 && i < m->batch.n; i++) {
        struct machine_op *op = m->batch.items[i].op;

        if (op != NULL) {
            op->index = index;
            machine_move(m, op, MACHINE_PROPOSED);
        }
    }
    if (rc == 0) {
        metrics_add(m->options.metrics, METRIC_PROPOSALS, m->batch.n);
    }
    batch_clear(&m->batch);
}

static void propose_queued(struct machine *m)
{
    LIST_FOREACH_SAFE (pos, &m->queued) {
        struct machine_op *op = container_of(pos, struct machine_op, place);

        if (batch_is_full(&m->batch, op->size)) {
            machine_propose_batch(m);
        }
        batch_add(&m->batch, op, op->command, op->size);
    }
    machine_propose_batch(m);
}

static void note_leader(struct machine *m, uint64_t leader, uint64_t term,
                        uint64_t now_ms)
{
    if (leader == m->leader) {
        return;
    }
    if (leader != 0) {
        m->leader_since_ms = now_ms;
        metrics_add(m->options.metrics, METRIC_LEADER_CHANGES, 1);
        log_info(leader == m->options.members->self ? "leading the cluster"
                                                    : "following a leader",
                 LOG_HEX("leader", leader), LOG_UINT("term", term));
    } else {
        log_warn("lost the leader", LOG_HEX("leader", m->leader), LOG_UINT("term", term));
    }
    m->leader = leader;
    m->hold_until_ms = 0;
}

/* Committed entries wait to be applied, too many. */
static void look_for_lag(struct machine *m, const struct raftlog_status *log)
{
    m->lagging = log->commit_index > kv_applied_index(m->options.kv) + LIMIT_APPLY_LAG;
}

void machine_propose(struct machine *m, uint64_t now_ms)
{
    struct raftlog_status log;

    raftlog_get_status(m->options.log, &log);
    note_leader(m, log.leader, log.term, now_ms);
    m->submitted = false;
    look_for_lag(m, &log);
    if (m->hold_until_ms <= now_ms) {
        m->hold_until_ms = 0;
    }
    /* Company is what others forwarded, or a command that is urgent. */
    m->patient = m->batch.n == 0 && !list_empty(&m->queued) && m->send_by_ms > now_ms;
    if (m->patient) {
        return;
    }
    if (log.role == RAFTLOG_LEADER) {
        propose_queued(m);
    } else {
        machine_propose_batch(m); /* others' commands go back to them */
        if (log.leader != 0 && log.leader != log.id && m->hold_until_ms == 0) {
            forward_queued(m, log.leader);
        }
    }
    if (list_empty(&m->queued)) {
        m->send_by_ms = UINT64_MAX;
    }
}

/* ---- through ---- */

static struct machine_op *op_of(struct machine *m, const Kvd__Command__Command *command)
{
    if (command->origin != m->options.members->self ||
        command->epoch != m->options.epoch) {
        return NULL;
    }
    return machine_find(m, command->sequence);
}

static struct arena *on_find(void *owner, const Kvd__Command__Command *command)
{
    struct machine_op *op = op_of(owner, command);

    return op != NULL ? op->arena : NULL;
}

static void on_applied(void *owner, const Kvd__Command__Command *command,
                       enum api_status status, ProtobufCMessage *response)
{
    struct machine *m = owner;
    struct machine_op *op = op_of(m, command);

    metrics_add(m->options.metrics, METRIC_PROPOSALS_APPLIED, 1);
    if (op != NULL) {
        machine_decide(m, op, status, response);
    }
}

/* An entry was applied at the index where a command was put, and did not bring it:
 * another leader's entry took its place, and it will never be applied. */
static void decide_lost(struct machine *m, uint64_t applied)
{
    while (!list_empty(&m->proposed)) {
        struct machine_op *op = container_of(m->proposed.next, struct machine_op, place);

        if (op->index > applied) {
            break;
        }
        metrics_add(m->options.metrics, METRIC_PROPOSALS_FAILED, 1);
        machine_decide(m, op, API_LEADER_CHANGED, NULL);
    }
}

/* False: the state machine failed, has said so, and does nothing more. */
static bool apply_one(struct machine *m, const struct raftlog_entry *entry)
{
    const struct kv_waiters waiters = {
        .find = on_find,
        .applied = on_applied,
        .owner = m,
    };
    const struct kv_entry kv_entry = {
        .index = entry->index,
        .term = entry->term,
        .cluster_ms = entry->cluster_ms,
        .wall_ms = entry->wall_ms,
        .payload = entry->type == RAFTLOG_COMMAND ? entry->payload : (struct slice){0},
    };

    CHECK(entry->index == kv_applied_index(m->options.kv) + 1);
    FAILPOINT(APPLY);
    kv_apply(m->options.kv, &kv_entry, &waiters);
    FAILPOINT(APPLIED);
    if (kv_applied_index(m->options.kv) != entry->index) {
        return false;
    }
    diverge_record(m->options.diverge, entry->index, kv_state_hash(m->options.kv));
    decide_lost(m, entry->index);
    return true;
}

static bool is_large(const struct machine *m)
{
    return m->open_entries >= LIMIT_APPLY_BATCH || m->open_bytes >= LIMIT_APPLY_BYTES;
}

static void commit(struct machine *m)
{
    uint64_t began_ns = env_mono_ns(m->options.env);

    kv_commit(m->options.kv);
    m->open_entries = 0;
    m->open_bytes = 0;
    metrics_time(m->options.metrics, METRIC_TIME_COMMIT, 1,
                 env_mono_ns(m->options.env) - began_ns);
}

bool machine_apply(struct machine *m, uint64_t now_ms)
{
    struct raftlog_entry entry;
    uint64_t index = 0;
    bool late = false;

    while (!is_large(m) && !late && raftlog_next(m->options.log, &entry)) {
        if (m->open_entries == 0) {
            kv_begin(m->options.kv);
            m->open_since_ms = now_ms;
        }
        if (!apply_one(m, &entry)) {
            return false;
        }
        index = entry.index;
        m->open_entries++;
        m->open_bytes += entry.payload.len;
        late = env_mono_ms(m->options.env) >= now_ms + LIMIT_APPLY_TURN_MS;
    }
    if (index != 0) {
        raftlog_applied(m->options.log, index);
    }
    return is_large(m) || late;
}

bool machine_commit(struct machine *m, uint64_t now_ms, bool now)
{
    if (m->open_entries > 0 &&
        (now || is_large(m) || now_ms >= m->open_since_ms + LIMIT_APPLY_MS)) {
        commit(m);
    }
    return m->open_entries == 0;
}

/* ---- out ---- */

/* Was this member connected to a majority all the time since then? */
static bool connected_since(const struct machine *m, uint64_t since_ms)
{
    const struct membership *members = m->options.members;
    size_t n = 1;

    for (size_t i = 0; i < members->n; i++) {
        uint64_t up_ms = peers_up_since(m->options.peers, members->items[i].id);

        n += up_ms != 0 && up_ms <= since_ms;
    }
    return n >= membership_quorum(members);
}

/* Why was nothing heard of a command? As etcd words it. */
static enum api_status timeout_cause(const struct machine *m, const struct machine_op *op)
{
    uint64_t leaderless_ms = 2 * (uint64_t)m->options.election_ms;
    uint64_t up_ms = peers_up_since(m->options.peers, m->leader);

    if (op->started_ms < m->leader_since_ms &&
        op->started_ms + leaderless_ms > m->leader_since_ms) {
        return API_TIMEOUT_LEADER_FAIL;
    }
    if (m->leader == 0) {
        return API_TIMEOUT;
    }
    if (m->leader == m->options.members->self) {
        return connected_since(m, op->started_ms) ? API_TIMEOUT
                                                  : API_TIMEOUT_CONNECTION_LOST;
    }
    return up_ms != 0 && up_ms <= op->started_ms ? API_TIMEOUT
                                                 : API_TIMEOUT_CONNECTION_LOST;
}

static void decide_late(struct machine *m, uint64_t now_ms)
{
    while (!list_empty(&m->ages)) {
        struct machine_op *op = container_of(m->ages.next, struct machine_op, age);

        if (op->started_ms + machine_timeout_ms(m) > now_ms) {
            break;
        }
        metrics_add(m->options.metrics, METRIC_PROPOSALS_FAILED, 1);
        machine_decide(m, op, timeout_cause(m, op), NULL);
    }
}

void machine_replaced(struct machine *m)
{
    struct list *const sent[] = {&m->proposed, &m->forwarded};
    struct raftlog_status log;

    CHECK(m->open_entries == 0);
    raftlog_get_status(m->options.log, &log);
    look_for_lag(m, &log);
    for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
        while (!list_empty(sent[i])) {
            struct machine_op *op = container_of(sent[i]->next, struct machine_op, place);

            metrics_add(m->options.metrics, METRIC_PROPOSALS_FAILED, 1);
            machine_decide(m, op, timeout_cause(m, op), NULL);
        }
    }
}

static void call_back(struct machine *m)
{
    struct list decided;

    list_init(&decided);
    list_splice_tail(&decided, &m->decided);
    while (!list_empty(&decided)) {
        struct machine_op *op = container_of(decided.next, struct machine_op, place);

        list_del(&op->place);
        op->done(op, op->status, op->response); /* op may be gone now */
    }
}

void machine_answer(struct machine *m, uint64_t now_ms)
{
    decide_late(m, now_ms);
    call_back(m);
}

/* What waits to be sent was never submitted: its answer is known. */
static void refuse_queued(struct machine *m)
{
    LIST_FOREACH_SAFE (pos, &m->queued) {
        struct machine_op *op = container_of(pos, struct machine_op, place);

        metrics_add(m->options.metrics, METRIC_PROPOSALS_FAILED, 1);
        machine_decide(m, op, API_DISK_FULL, NULL);
    }
}

void machine_observe_room(struct machine *m, bool here, bool enough)
{
    m->full_here = !here;
    m->full_everywhere = !enough;
    if (m->full_here || m->full_everywhere) {
        refuse_queued(m);
    }
}

void machine_observe_wal(struct machine *m, int64_t wal_bytes, int64_t max)
{
    m->wal_is_large = wal_bytes > max;
}

uint64_t machine_timeout_ms(const struct machine *m)
{
    return TIMEOUT_BASE_MS + 2 * (uint64_t)m->options.election_ms;
}

uint64_t machine_deadline_ms(const struct machine *m)
{
    uint64_t deadline = UINT64_MAX;

    if (!list_empty(&m->decided)) {
        return 0;
    }
    if (!list_empty(&m->ages)) {
        deadline = container_of(m->ages.next, struct machine_op, age)->started_ms +
                   machine_timeout_ms(m);
    }
    if (m->open_entries > 0 && m->open_since_ms + LIMIT_APPLY_MS < deadline) {
        deadline = m->open_since_ms + LIMIT_APPLY_MS;
    }
    if (m->patient && m->send_by_ms < deadline) {
        deadline = m->send_by_ms;
    }
    if (!list_empty(&m->queued) && m->hold_until_ms != 0 && m->hold_until_ms < deadline) {
        deadline = m->hold_until_ms;
    }
    return deadline;
}

size_t machine_pending(const struct machine *m)
{
    return m->n_ops;
}

void machine_close(struct machine *m)
{
    if (m == NULL) {
        return;
    }
    while (!list_empty(&m->ages)) {
        machine_decide(m, container_of(m->ages.next, struct machine_op, age), API_STOPPED,
                       NULL);
    }
    call_back(m);
    if (m->open_entries > 0) {
        commit(m);
    }
    batch_close(&m->batch);
    arena_close(&m->arena);
    free(m->buckets);
    free(m);
}
