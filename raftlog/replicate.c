#include "raftlog/replicate.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "peer.pb-c.h"
#include "raftlog/core.h"

void replicate_open(struct replicate *replicate)
{
    *replicate = (struct replicate){.frame = BUF_INIT(LIMIT_PEER_FRAME)};
    replicate->borrowed = mem_zero(LIMIT_CHUNK_ENTRIES * sizeof(*replicate->borrowed));
    replicate->entries = mem_zero(LIMIT_CHUNK_ENTRIES * sizeof(*replicate->entries));
    replicate->pointers = mem_zero(LIMIT_CHUNK_ENTRIES * sizeof(*replicate->pointers));
    for (size_t i = 0; i < LIMIT_CHUNK_ENTRIES; i++) {
        kvd__peer__entry__init(&replicate->entries[i]);
        replicate->pointers[i] = &replicate->entries[i];
    }
}

void replicate_close(struct replicate *replicate)
{
    buf_close(&replicate->frame);
    free(replicate->borrowed);
    free(replicate->entries);
    free(replicate->pointers);
    *replicate = (struct replicate){0};
}

/* The log begins behind this entry. */
static uint64_t anchor_of(const struct raftlog *log)
{
    return store_get_anchor(log->store)->index;
}

/* ---- the cursor ---- */

static void cursor_probe(struct cursor *cursor, uint64_t next)
{
    cursor->next = next;
    cursor->probing = true;
    cursor->due = true;
    cursor->hurry = true;
    cursor->n_chunks = 0;
    cursor->inflight_bytes = 0;
}

static void cursor_sent(struct cursor *cursor, uint64_t last, size_t bytes)
{
    unsigned at = (cursor->chunk_first + cursor->n_chunks) % LIMIT_INFLIGHT_CHUNKS;

    cursor->chunks[at] = (struct cursor_chunk){.last = last, .bytes = bytes};
    cursor->n_chunks++;
    cursor->inflight_bytes += bytes;
    cursor->next = last + 1;
}

static void cursor_acknowledged(struct cursor *cursor, uint64_t match)
{
    while (cursor->n_chunks > 0 && cursor->chunks[cursor->chunk_first].last <= match) {
        cursor->inflight_bytes -= cursor->chunks[cursor->chunk_first].bytes;
        cursor->chunk_first = (cursor->chunk_first + 1) % LIMIT_INFLIGHT_CHUNKS;
        cursor->n_chunks--;
    }
    if (cursor->next <= match) {
        cursor->next = match + 1;
    }
}

static bool cursor_has_window(const struct cursor *cursor, uint64_t match)
{
    return cursor->n_chunks < LIMIT_INFLIGHT_CHUNKS &&
           cursor->inflight_bytes < LIMIT_INFLIGHT_BYTES &&
           cursor->next - match <= LIMIT_INFLIGHT_ENTRIES;
}

void replicate_lead(struct raftlog *log)
{
    for (size_t i = 0; i < log->n_peers; i++) {
        log->peers[i].cursor = (struct cursor){0};
        cursor_probe(&log->peers[i].cursor, store_last_index(log->store) + 1);
    }
}

/* New entries go out by themselves. It must hear from us if there are none, or if libraft
 * begins again at an earlier entry since it heard nothing for a while. */
void replicate_ask(struct raftlog *log, uint64_t to, uint64_t prev, unsigned n)
{
    struct peer *peer = core_find_peer(log, to);

    CHECK(peer != NULL);
    if (n == 0 || peer->cursor.probing || prev + 1 < peer->cursor.next) {
        peer->cursor.due = true;
    }
}

void replicate_acknowledged(struct raftlog *log, struct peer *peer, uint64_t index)
{
    struct cursor *cursor = &peer->cursor;
    uint64_t match = raftlog_match(log, peer->id);

    if (cursor->probing && (match >= cursor->next || index + 1 >= cursor->next)) {
        cursor->probing = false;
        cursor->lacking = false;
    }
    cursor_acknowledged(cursor, match);
}

/* The last entry up to index whose term is at most term: the follower cannot agree with
 * any between the two. */
static uint64_t skip_terms(const struct raftlog *log, uint64_t index, uint64_t term)
{
    uint64_t low = anchor_of(log);
    uint64_t high = index;

    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;

        if (store_term_of(log->store, middle) <= term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

void replicate_rejected(struct raftlog *log, struct peer *peer, uint64_t rejected,
                        uint64_t hint_index, uint64_t hint_term)
{
    struct cursor *cursor = &peer->cursor;
    uint64_t match = raftlog_match(log, peer->id);
    uint64_t agreed = hint_index < rejected ? hint_index : rejected - 1;

    if (rejected <= match || (cursor->probing && rejected + 1 != cursor->next)) {
        return; /* late: answers what was sent before */
    }
    if (!cursor->probing) {
        cursor_probe(cursor, match + 1);
        return;
    }
    if (hint_term > 0) {
        agreed = skip_terms(log, agreed, hint_term);
    }
    agreed = u64_max(agreed, u64_max(match, anchor_of(log)));
    if (agreed + 1 < cursor->next) {
        cursor_probe(cursor, agreed + 1);
    } else if (!cursor->lacking) {
        cursor->lacking = true;
        cursor->due = true;
        cursor->hurry = true;
        log_info("a member lacks what the log has dropped: it needs a state",
                 LOG_HEX("member", peer->id), LOG_UINT("index", agreed));
    }
}

void replicate_link_up(struct raftlog *log, struct peer *peer)
{
    uint64_t match = raftlog_match(log, peer->id);

    cursor_probe(&peer->cursor, match > 0 ? match + 1 : peer->cursor.next);
}

/* ---- frames ---- */

/* Borrows the entries of the next chunk: one at least, more while they fit. Their number.
 */
static unsigned gather(struct raftlog *log, uint64_t from, size_t *bytes)
{
    struct replicate *replicate = &log->replicate;
    uint64_t last = store_last_index(log->store);
    unsigned n = 0;

    *bytes = 0;
    while (n < LIMIT_CHUNK_ENTRIES && from + n <= last) {
        struct raftlog_entry *entry = &replicate->borrowed[n];

        store_get(log->store, from + n, entry);
        if (n > 0 && *bytes + entry->payload.len > LIMIT_CHUNK_BYTES) {
            break;
        }
        *bytes += entry->payload.len;
        n++;
    }
    return n;
}

/* Makes the frame for the entries behind prev, unless the last one made is the same. */
static struct slice make_frame(struct raftlog *log, uint64_t prev, unsigned n)
{
    struct replicate *replicate = &log->replicate;
    Kvd__Peer__AppendEntries frame = KVD__PEER__APPEND_ENTRIES__INIT;
    int rc;

    if (buf_len(&replicate->frame) > 0 && replicate->frame_prev == prev &&
        replicate->frame_n == n && replicate->frame_commit == log->commit) {
        return buf_slice(&replicate->frame);
    }
    for (unsigned i = 0; i < n; i++) {
        const struct raftlog_entry *from = &replicate->borrowed[i];
        Kvd__Peer__Entry *to = &replicate->entries[i];

        to->term = from->term;
        to->type = (uint32_t)from->type;
        to->cluster_ms = from->cluster_ms;
        to->wall_ms = from->wall_ms;
        to->payload.data = (uint8_t *)from->payload.ptr;
        to->payload.len = from->payload.len;
    }
    frame.term = log->lead_term;
    frame.prev_log_index = prev;
    frame.prev_log_term = prev > 0 ? store_term_of(log->store, prev) : 0;
    frame.leader_commit = log->commit;
    frame.truncate_to = log->truncate.may_go;
    frame.n_entries = n;
    frame.entries = replicate->pointers;
    CHECK(prev == 0 || frame.prev_log_term > 0);
    buf_clear(&replicate->frame);
    rc = link_encode(&replicate->frame, LINK_APPEND_ENTRIES, &frame.base);
    CHECK(rc == 0);
    replicate->frame_prev = prev;
    replicate->frame_n = n;
    replicate->frame_commit = log->commit;
    return buf_slice(&replicate->frame);
}

static void send_frame(struct raftlog *log, struct peer *peer, uint64_t prev, unsigned n)
{
    uint64_t known = prev + n < log->commit ? prev + n : log->commit;

    log->events->send(log->owner, peer->id, make_frame(log, prev, n));
    peer->cursor.due = false;
    peer->cursor.hurry = false;
    peer->cursor.sent_ms = env_mono_ms(log->env);
    if (known > peer->cursor.announced) {
        peer->cursor.announced = known;
    }
}

static bool silent_for(const struct raftlog *log, const struct cursor *cursor,
                       uint64_t ms)
{
    return env_mono_ms(log->env) >= cursor->sent_ms + ms;
}

/* A follower is told with a heartbeat, at most as often as there ought to be one. */
static void tell_lacking(struct raftlog *log, struct peer *peer)
{
    Kvd__Peer__NeedState need = KVD__PEER__NEED_STATE__INIT;
    uint64_t now_ms = env_mono_ms(log->env);

    if (now_ms < peer->cursor.told_ms + log->heartbeat_ms) {
        return;
    }
    need.term = log->lead_term;
    need.at_least = anchor_of(log);
    outbox_put(&log->outbox, peer->id, LINK_NEED_STATE, &need.base);
    peer->cursor.told_ms = now_ms;
}

static void turn_probing(struct raftlog *log, struct peer *peer, bool room)
{
    struct cursor *cursor = &peer->cursor;
    size_t bytes;

    if (!cursor->due ||
        !(cursor->hurry || silent_for(log, cursor, log->heartbeat_ms / 2))) {
        return;
    }
    room = room && !cursor->lacking;
    send_frame(log, peer, cursor->next - 1, room ? gather(log, cursor->next, &bytes) : 0);
    if (cursor->lacking) {
        tell_lacking(log, peer);
    }
}

static void turn_streaming(struct raftlog *log, struct peer *peer, bool room)
{
    struct cursor *cursor = &peer->cursor;
    uint64_t match = u64_max(raftlog_match(log, peer->id), anchor_of(log));
    uint64_t known = match < log->commit ? match : log->commit;
    size_t bytes;

    while (room && cursor->next <= store_last_index(log->store) &&
           cursor_has_window(cursor, match)) {
        unsigned n = gather(log, cursor->next, &bytes);

        send_frame(log, peer, cursor->next - 1, n);
        cursor_sent(cursor, cursor->next + n - 1, bytes);
    }
    if (cursor->due || silent_for(log, cursor, log->heartbeat_ms)) {
        send_frame(log, peer, cursor->next - 1, 0);
    }
    if (known > cursor->announced) {
        send_frame(log, peer, match, 0);
    }
}

void replicate_turn(struct raftlog *log)
{
    if (log->role != RAFTLOG_LEADER) {
        return;
    }
    for (size_t i = 0; i < log->n_peers; i++) {
        struct peer *peer = &log->peers[i];
        size_t backlog = log->events->backlog(log->owner, peer->id);
        bool room = backlog < LIMIT_PEER_BACKLOG / 2;

        if (backlog >= LIMIT_PEER_BACKLOG) {
            continue; /* no link, or one that takes nothing */
        }
        peer->cursor.next = u64_max(peer->cursor.next, anchor_of(log) + 1);
        if (peer->cursor.probing) {
            turn_probing(log, peer, room);
        } else {
            turn_streaming(log, peer, room);
        }
    }
    buf_clear(&log->replicate.frame);
}
