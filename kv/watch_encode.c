#include "kv/watch_encode.h"

#include "base/check.h"
#include "base/varint.h"
#include "kv.pb-c.h"
#include "kv/watch.h"

#define TAG_EVENTS 0x5a /* field 11 of WatchResponse, length-delimited */

static ProtobufCBinaryData binary(struct slice bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)bytes.ptr};
}

/* A deleted pair has its key and the revision of the delete only. */
static Mvccpb__KeyValue pair_of(const struct row *row)
{
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;

    kv.key = binary(row->key);
    kv.value = binary(row->value);
    kv.create_revision = row->created;
    kv.mod_revision = row->rev;
    kv.version = row->number;
    kv.lease = row->lease;
    return kv;
}

static Mvccpb__Event body_of(const struct row *row, Mvccpb__KeyValue *kv)
{
    Mvccpb__Event event = MVCCPB__EVENT__INIT;

    event.type = row->number == 0 ? MVCCPB__EVENT__EVENT_TYPE__DELETE
                                  : MVCCPB__EVENT__EVENT_TYPE__PUT;
    event.kv = kv;
    return event;
}

static Mvccpb__Event prev_of(Mvccpb__KeyValue *kv)
{
    Mvccpb__Event event = MVCCPB__EVENT__INIT;

    event.prev_kv = kv;
    return event;
}

size_t encode_body_size(const struct row *row)
{
    Mvccpb__KeyValue kv = pair_of(row);
    Mvccpb__Event event = body_of(row, &kv);

    return mvccpb__event__get_packed_size(&event);
}

void encode_body(const struct row *row, uint8_t *to)
{
    Mvccpb__KeyValue kv = pair_of(row);
    Mvccpb__Event event = body_of(row, &kv);

    mvccpb__event__pack(&event, to);
}

size_t encode_prev_size(const struct row *row)
{
    Mvccpb__KeyValue kv = pair_of(row);
    Mvccpb__Event event = prev_of(&kv);

    return mvccpb__event__get_packed_size(&event);
}

void encode_prev(const struct row *row, uint8_t *to)
{
    Mvccpb__KeyValue kv = pair_of(row);
    Mvccpb__Event event = prev_of(&kv);

    mvccpb__event__pack(&event, to);
}

/* ---- events of a response ---- */

size_t watch_event_size(const struct watch_event *event)
{
    size_t len = event->body.len + event->prev.len;

    return 1 + varint_size(len) + len;
}

uint8_t *watch_write_event(const struct watch_event *event, uint8_t *to)
{
    size_t len = event->body.len + event->prev.len;

    *to++ = TAG_EVENTS;
    to = varint_write(len, to);
    memcpy(to, event->body.ptr, event->body.len);
    to += event->body.len;
    if (event->prev.len > 0) {
        memcpy(to, event->prev.ptr, event->prev.len);
    }
    return to + event->prev.len;
}
