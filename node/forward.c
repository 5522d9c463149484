/* Commands of members that do not lead.
 *
 * Happy path: this member sends what is queued to the leader, one frame a turn; the
 * leader checks each command and adds it to its own turn's batch. What can fail: the
 * leader did not submit them and says so (LINK_FORWARD_REFUSED), then they are queued
 * again; the link breaks, then nobody knows, and they wait for their own apply or their
 * time. A command that could stop the appliers is never let into the log: it is decoded
 * before. */
#include <inttypes.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/machine_parts.h"

#define HOLD_MS      50 /* after "not the leader", unless the leader changes */
#define COMMANDS_MAX 4096

/* ---- to the leader ---- */

/* Sends the batch as one frame; its ops are then the leader's. */
static bool send_batch(struct machine *m, uint64_t leader)
{
    Kvd__Peer__Forward frame = KVD__PEER__FORWARD__INIT;
    ProtobufCBinaryData commands[COMMANDS_MAX];
    uint64_t sequences[COMMANDS_MAX];
    const struct batch *batch = &m->batch;
    uint8_t *bytes = (uint8_t *)buf_slice(&batch->bytes).ptr;
    bool sent;

    CHECK(batch->n <= COMMANDS_MAX);
    FAILPOINT(FORWARD);
    for (size_t i = 0; i < batch->n; i++) {
        commands[i].data = bytes + batch->items[i].at;
        commands[i].len = batch->items[i].size;
        sequences[i] = batch->items[i].sequence;
    }
    frame.n_commands = batch->n;
    frame.commands = commands;
    frame.n_sequences = batch->n;
    frame.sequences = sequences;
    sent = peers_send_message(m->options.peers, leader, LINK_FORWARD, &frame.base);
    for (size_t i = 0; sent && i < batch->n; i++) {
        machine_move(m, batch->items[i].op, MACHINE_FORWARDED);
    }
    if (sent) {
        metrics_add(m->options.metrics, METRIC_FORWARDED, batch->n);
        metrics_add(m->options.metrics, METRIC_PROPOSALS, batch->n);
    }
    batch_clear(&m->batch);
    return sent;
}

void forward_queued(struct machine *m, uint64_t leader)
{
    bool sent = true;

    CHECK(m->batch.n == 0);
    if (list_empty(&m->queued) ||
        peers_backlog(m->options.peers, leader) > LIMIT_PEER_BACKLOG / 2) {
        return;
    }
    LIST_FOREACH_SAFE (pos, &m->queued) {
        struct machine_op *op = container_of(pos, struct machine_op, place);

        if (m->batch.n == COMMANDS_MAX || batch_is_full(&m->batch, op->size)) {
            sent = send_batch(m, leader);
            if (!sent) {
                return;
            }
        }
        batch_add(&m->batch, op, op->command, op->size);
    }
    if (m->batch.n > 0) {
        send_batch(m, leader);
    }
}

/* Before those that came later: a command that takes another back must follow it. from:
 * where to look on. */
static struct list *queue_again(struct machine *m, struct machine_op *op,
                                struct list *from)
{
    while (from != &m->queued &&
           container_of(from, struct machine_op, place)->command->sequence <
               op->command->sequence) {
        from = from->next;
    }
    machine_move(m, op, MACHINE_QUEUED);
    list_del(&op->place);
    list_add_tail(from, &op->place);
    return from;
}

void machine_refused(struct machine *m, const Kvd__Peer__ForwardRefused *frame)
{
    struct list *from = m->queued.next;

    for (size_t i = 0; i < frame->n_sequences; i++) {
        struct machine_op *op = machine_find(m, frame->sequences[i]);

        if (op == NULL || op->state != MACHINE_FORWARDED) {
            continue;
        }
        if (frame->reason == REASON_NOT_LEADER) {
            from = queue_again(m, op, from);
            m->send_by_ms = 0;
        } else {
            metrics_add(m->options.metrics, METRIC_PROPOSALS_FAILED, 1);
            machine_decide(m, op,
                           frame->reason == REASON_DISK_FULL ? API_DISK_FULL
                                                             : API_TOO_MANY_REQUESTS,
                           NULL);
        }
    }
    m->hold_until_ms = env_mono_ms(m->options.env) + HOLD_MS;
}

/* ---- at the leader ---- */

static void refuse(struct machine *m, uint64_t to, uint64_t *sequences, size_t n,
                   enum forward_reason reason)
{
    Kvd__Peer__ForwardRefused frame = KVD__PEER__FORWARD_REFUSED__INIT;

    frame.n_sequences = n;
    frame.sequences = sequences;
    frame.reason = reason;
    peers_send_message(m->options.peers, to, LINK_FORWARD_REFUSED, &frame.base);
}

void forward_refuse_batch(struct machine *m, enum forward_reason reason)
{
    const struct batch *batch = &m->batch;
    size_t i = 0;

    /* One frame for each run of one member's commands. */
    while (i < batch->n) {
        uint64_t sequences[COMMANDS_MAX];
        uint64_t from = batch->items[i].from;
        size_t n = 0;

        while (i < batch->n && n < COMMANDS_MAX && batch->items[i].from == from) {
            sequences[n++] = batch->items[i++].sequence;
        }
        if (from != 0) {
            refuse(m, from, sequences, n, reason);
        }
    }
}

/* May this go into the log, as a command of that member? */
static bool acceptable(struct machine *m, uint64_t from, uint64_t sequence,
                       struct slice bytes)
{
    const Kvd__Command__Command *command;
    struct err err = {0};
    bool ok = false;

    if (bytes.len <= MACHINE_COMMAND_MAX) {
        command = (const Kvd__Command__Command *)api_decode_own(
            &kvd__command__command__descriptor, bytes, &m->arena, &err);
        ok = command != NULL && command->origin == from &&
             command->sequence == sequence &&
             command->request_case != KVD__COMMAND__COMMAND__REQUEST__NOT_SET;
        arena_reset(&m->arena);
    }
    if (!ok) {
        log_error("dropped a forwarded command that makes no sense",
                  LOG_HEX("from", from), LOG_UINT("sequence", sequence),
                  LOG_TEXT("why", err.text));
    }
    return ok;
}

void machine_forwarded(struct machine *m, uint64_t from, const Kvd__Peer__Forward *frame)
{
    struct raftlog_status log;
    enum forward_reason reason = REASON_NOT_LEADER;

    if (frame->n_commands != frame->n_sequences || frame->n_commands > COMMANDS_MAX) {
        log_error("dropped a malformed frame of forwarded commands",
                  LOG_HEX("from", from), LOG_UINT("commands", frame->n_commands),
                  LOG_UINT("sequences", frame->n_sequences));
        return;
    }
    raftlog_get_status(m->options.log, &log);
    if (log.role != RAFTLOG_LEADER || m->full_everywhere || !machine_has_room(m)) {
        if (log.role == RAFTLOG_LEADER) {
            reason = m->full_everywhere ? REASON_DISK_FULL : REASON_TOO_MANY;
        }
        refuse(m, from, frame->sequences, frame->n_sequences, reason);
        return;
    }
    for (size_t i = 0; i < frame->n_commands; i++) {
        struct slice bytes = slice_of(frame->commands[i].data, frame->commands[i].len);

        if (!acceptable(m, from, frame->sequences[i], bytes)) {
            continue;
        }
        if (batch_is_full(&m->batch, bytes.len)) {
            machine_propose_batch(m);
        }
        batch_add_bytes(&m->batch, from, frame->sequences[i], bytes);
    }
}
