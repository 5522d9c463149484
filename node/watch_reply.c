#include "node/watch_reply.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/varint.h"
#include "node/node_parts.h"

#define TAG_WATCH_ID 0x10 /* field 2 of WatchResponse, varint */
#define TAG_FRAGMENT 0x38 /* field 7, varint */
#define OWN_MAX      16   /* bytes of the two */

static Etcdserverpb__ResponseHeader header_of(const struct node *node, int64_t revision)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    header.cluster_id = node->members.cluster_id;
    header.member_id = node->members.self;
    header.raft_term = node->status.term;
    header.revision = revision;
    return header;
}

/* ---- without events ---- */

static void send(struct watch_stream *stream, int64_t revision,
                 Etcdserverpb__WatchResponse *res)
{
    Etcdserverpb__ResponseHeader header = header_of(stream->node, revision);

    res->header = &header;
    call_send(stream->call, &res->base);
}

void watch_reply_created(struct watch_stream *stream, int64_t id)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    res.watch_id = id;
    res.created = true;
    send(stream, kv_revision(stream->node->kv), &res);
}

void watch_reply_refused(struct watch_stream *stream, const char *reason)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    res.watch_id = WATCH_ID_NONE;
    res.created = true;
    res.canceled = true;
    res.cancel_reason = (char *)reason;
    send(stream, kv_revision(stream->node->kv), &res);
}

void watch_reply_canceled(struct watch_stream *stream, int64_t id, const char *reason)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    res.watch_id = id;
    res.canceled = true;
    res.cancel_reason = (char *)reason;
    send(stream, kv_revision(stream->node->kv), &res);
}

/* As etcd, without a revision: nothing was told up to there. */
void watch_reply_compacted(struct watch_stream *stream, int64_t id)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    res.watch_id = id;
    res.canceled = true;
    res.compact_revision = kv_compact_revision(stream->node->kv);
    send(stream, 0, &res);
}

void watch_reply_progress(struct watch_stream *stream, int64_t id)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    res.watch_id = id;
    send(stream, kv_revision(stream->node->kv), &res);
}

/* ---- with events ---- */

static const struct watch_head *head_of(struct node *node, int64_t revision)
{
    struct watch_head *head = &node->watching.head;

    if (head->len == 0 || head->revision != revision || head->term != node->status.term) {
        Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;
        Etcdserverpb__ResponseHeader header = header_of(node, revision);

        res.header = &header;
        head->revision = revision;
        head->term = node->status.term;
        head->len = etcdserverpb__watch_response__get_packed_size(&res);
        CHECK(head->len <= sizeof(head->bytes));
        etcdserverpb__watch_response__pack(&res, head->bytes);
    }
    return head;
}

/* What is the watcher's own: id and fragment. Defaults are left out. */
static size_t write_own(int64_t id, bool fragment, uint8_t *to)
{
    uint8_t *at = to;

    if (id != 0) {
        *at++ = TAG_WATCH_ID;
        at = varint_write((uint64_t)id, at);
    }
    if (fragment) {
        *at++ = TAG_FRAGMENT;
        *at++ = 1;
    }
    return (size_t)(at - to);
}

/* One response with n events that take so many bytes. */
static size_t send_events(struct watcher *watcher, const struct watch_head *head,
                          const struct watch_event *events, size_t n, size_t bytes,
                          bool fragment)
{
    uint8_t own[OWN_MAX];
    size_t own_len = write_own(watcher->id, fragment, own);
    size_t size = head->len + own_len + bytes;
    uint8_t *at = call_send_begin(watcher->stream->call, size);
    uint8_t *end = at + size;

    if (at == NULL) {
        return 0;
    }
    memcpy(at, head->bytes, head->len);
    memcpy(at + head->len, own, own_len);
    at += head->len + own_len;
    for (size_t i = 0; i < n; i++) {
        at = watch_write_event(&events[i], at);
    }
    CHECK(at == end);
    return size;
}

/* Events from the first on that one part has room for, at least one. */
static size_t part_of(const struct watch_event *events, size_t n, size_t room,
                      size_t *bytes)
{
    size_t k = 0;

    *bytes = 0;
    while (k < n) {
        size_t more = watch_event_size(&events[k]);

        if (k > 0 && *bytes + more >= room) {
            break;
        }
        *bytes += more;
        k++;
    }
    return k;
}

size_t watch_reply_events(struct watcher *watcher, const struct watch_batch *batch)
{
    struct node *node = watcher->stream->node;
    const struct watch_head *head = head_of(node, batch->revision);
    size_t part_max = node->config->max_request_bytes + LIMIT_REQUEST_OVERHEAD;
    size_t sent = 0;

    if (!watcher->fragment || head->len + OWN_MAX + batch->bytes < part_max) {
        return send_events(watcher, head, batch->events, batch->n, batch->bytes, false);
    }
    for (size_t i = 0, n = 0; i < batch->n && watcher->stream->call != NULL; i += n) {
        size_t bytes = 0;

        n = part_of(batch->events + i, batch->n - i, part_max - head->len - OWN_MAX,
                    &bytes);
        sent += send_events(watcher, head, batch->events + i, n, bytes, i + n < batch->n);
    }
    return sent;
}
