#include "node/fitness.h"

#include "base/log.h"
#include "node/node_parts.h"
#include "peer.pb-c.h"

#define LOOK_MS 10   /* between two looks at the room: a transaction is open that long */
#define FULL_MS 100  /* the same, while there is none */
#define TELL_MS 1000 /* who lacks something repeats it */

/* Disks of the same size fill up at the same time, and a leader whose followers are full
 * cannot begin: before one hands over, it hears from the others. */
#define HEAR_HEARTBEATS 3

/* Disks of one machine are slow at the same time: leadership does not go round and round.
 * In election timeouts. */
#define HAND_ELECTIONS 5

void fitness_init(struct fitness *fitness)
{
    *fitness = (struct fitness){.space = INT64_MAX};
}

/* ---- this member ---- */

static void note_room(struct node *node, uint64_t now_ms)
{
    struct fitness *fitness = &node->fitness;
    struct disk *disk = node->env->disk;
    bool full = fitness->lacks & FITNESS_FULL;
    int64_t need = DISK_RESERVE + (int64_t)node->status.segment_bytes;
    int64_t space;

    if (now_ms < fitness->look_ms) {
        return;
    }
    space = disk->ops->space(disk, node->dir.path);
    fitness->space = space >= 0 ? space : fitness->space;
    if (!full && fitness->space < need) {
        fitness->lacks |= FITNESS_FULL;
        fitness->handed_ms = now_ms + HEAR_HEARTBEATS * node->config->heartbeat_ms;
        log_error("the disk is full: this member takes no writes until there is room",
                  LOG_TEXT("data_dir", node->dir.path), LOG_INT("free", fitness->space),
                  LOG_INT("needed", need + DISK_RESERVE / 2));
    } else if (full && fitness->space >= need + DISK_RESERVE / 2) {
        fitness->lacks &= ~FITNESS_FULL;
        log_info("there is room on the disk again", LOG_INT("free", fitness->space));
    }
    fitness->look_ms = now_ms + (fitness->lacks & FITNESS_FULL ? FULL_MS : LOOK_MS);
}

/* A disk that was slow must be quick for an election timeout before it counts as well:
 * one that is slow all the time shall not change that with each write. */
static void note_speed(struct node *node, uint64_t now_ms)
{
    struct fitness *fitness = &node->fitness;
    uint64_t limit_ms = node->config->election_ms / 2;
    uint64_t writing_ms = node->status.writing_ms;

    if (writing_ms >= limit_ms / 2) {
        fitness->slow_ms = now_ms;
    }
    if (!(fitness->lacks & FITNESS_STALLED) && writing_ms >= limit_ms) {
        fitness->lacks |= FITNESS_STALLED;
        fitness->stalled_ms = now_ms - writing_ms;
        metrics_add(&node->metrics, METRIC_DISK_STALLS, 1);
        log_error("the disk does not answer: a write of the log is under way",
                  LOG_TEXT("data_dir", node->dir.path), LOG_UINT("for_ms", writing_ms));
    } else if (fitness->lacks & FITNESS_STALLED &&
               now_ms >= fitness->slow_ms + node->config->election_ms) {
        fitness->lacks &= ~FITNESS_STALLED;
        log_info("the disk answers again",
                 LOG_UINT("after_ms", fitness->slow_ms - fitness->stalled_ms));
    }
}

static void hand_over(struct node *node, uint64_t now_ms)
{
    struct fitness *fitness = &node->fitness;
    uint64_t next;

    if (fitness->lacks == 0 || node->status.role != RAFTLOG_LEADER ||
        now_ms < fitness->handed_ms) {
        return;
    }
    next = fitness_successor(node, false);
    if (next != 0 && raftlog_transfer(node->log, next) == 0) {
        fitness->handed_ms =
            now_ms + HAND_ELECTIONS * (uint64_t)node->config->election_ms;
        log_warn("handing leadership over, since this member cannot do its part",
                 LOG_HEX("to", next));
    }
}

/* ---- all of them ---- */

static void tell(struct node *node, uint64_t now_ms)
{
    Kvd__Peer__Fitness frame = KVD__PEER__FITNESS__INIT;

    frame.lacks = node->fitness.lacks;
    node->fitness.tell_ms = now_ms + TELL_MS;
    peers_send_all(node->peers, LINK_FITNESS, &frame.base);
}

static size_t n_full(const struct node *node)
{
    size_t n = (node->fitness.lacks & FITNESS_FULL) != 0;

    for (size_t i = 0; i < node->members.n; i++) {
        n += (node->fitness.others[i] & FITNESS_FULL) != 0;
    }
    return n;
}

/* Where this member leads and no majority has room, nothing could be committed. */
static bool may_write(const struct node *node)
{
    return node->status.role != RAFTLOG_LEADER ||
           node->members.n - n_full(node) >= membership_quorum(&node->members);
}

void fitness_turn(struct node *node, uint64_t now_ms)
{
    struct fitness *fitness = &node->fitness;
    unsigned before = fitness->lacks;

    note_room(node, now_ms);
    note_speed(node, now_ms);
    fitness->lacks &= ~FITNESS_STATELESS;
    fitness->lacks |= reseed_needed(node) ? FITNESS_STATELESS : 0;
    if (fitness->lacks != before || (fitness->lacks != 0 && now_ms >= fitness->tell_ms)) {
        tell(node, now_ms);
    }
    raftlog_rest(node->log, fitness->lacks & FITNESS_FULL
                                ? RAFTLOG_REST_VOTES | RAFTLOG_REST_ENTRIES
                            : fitness->lacks != 0 ? RAFTLOG_REST_VOTES
                                                  : 0);
    kv_rest(node->kv, fitness->lacks & FITNESS_FULL);
    machine_observe_room(node->machine, !(fitness->lacks & FITNESS_FULL),
                         may_write(node));
    hand_over(node, now_ms);
}

static unsigned *lacks_of(struct node *node, uint64_t member)
{
    for (size_t i = 0; i < node->members.n; i++) {
        if (node->members.items[i].id == member && member != node->members.self) {
            return &node->fitness.others[i];
        }
    }
    return NULL;
}

void fitness_heard(struct node *node, uint64_t member, uint64_t lacks)
{
    unsigned *known = lacks_of(node, member);

    if (known != NULL) {
        *known = (unsigned)lacks;
    }
}

void fitness_met(struct node *node, uint64_t member)
{
    fitness_heard(node, member, 0);
    node->fitness.tell_ms = 0;
}

bool fitness_is_full(const struct node *node, uint64_t member)
{
    const unsigned *known = lacks_of((struct node *)node, member);

    return known != NULL && *known & FITNESS_FULL;
}

uint64_t fitness_successor(const struct node *node, bool must)
{
    uint64_t best = 0;
    uint64_t best_match = 0;
    bool best_well = false;

    for (size_t i = 0; i < node->members.n; i++) {
        uint64_t id = node->members.items[i].id;
        uint64_t match = raftlog_match(node->log, id);
        bool well = node->fitness.others[i] == 0;

        if (peers_up_since(node->peers, id) == 0 || (!well && !must)) {
            continue;
        }
        if (best == 0 || well > best_well || (well == best_well && match > best_match)) {
            best = id;
            best_match = match;
            best_well = well;
        }
    }
    return best;
}

bool fitness_may_apply(const struct node *node)
{
    return !(node->fitness.lacks & FITNESS_FULL) ||
           kv_wal_left(node->kv) >= DISK_TRANSACTION;
}

uint64_t fitness_deadline_ms(const struct fitness *fitness)
{
    return fitness->lacks & FITNESS_FULL ? fitness->look_ms : UINT64_MAX;
}
