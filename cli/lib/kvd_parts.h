/* What the public functions of libkvd share. Each kvd_*.c is one chapter of kvd.h; it
 * translates between its structs and the messages, and leaves the work to client.h,
 * watch.h and keeper.h. */
#ifndef KVD_LIB_KVD_PARTS_H
#define KVD_LIB_KVD_PARTS_H

#include "base/arena.h"
#include "cli/lib/client.h"
#include "cli/lib/dispatch.h"
#include "cli/lib/keeper.h"
#include "cli/lib/kvd.h"
#include "cli/lib/watch.h"
#include "rpc.pb-c.h"

struct kvd_client {
    struct client *inner;
    struct keeper *keeper;
    struct dispatch *news;     /* callbacks of watches, observers, caches */
    struct dispatch *warnings; /* callbacks that tell of a loss */
};

/* What the client stands on, for those who print replies as they come: one connection for
 * both. */
struct client *kvd_inner(struct kvd_client *client);

/* ---- errors: fill *err (may be NULL) and return the code ---- */

int kvd_fail(struct kvd_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From the inner layer's: rc and the message, and the request if a server answered. */
int kvd_fail_from(struct kvd_error *err, const struct err *why,
                  const struct client_request *request);

/* ---- calls ---- */

struct kvd_call {
    const struct client_method *method;
    const ProtobufCMessage *message;
    int64_t timeout_ms; /* 0: the client's */
    bool patient;
    bool fenced; /* a failed precondition is the fence's */
};

int kvd_ask(struct kvd_client *client, const struct kvd_call *call, struct arena *arena,
            void *reply, struct kvd_error *err);

/* ---- between structs and messages ---- */

static inline ProtobufCBinaryData kvd_binary(struct kvd_bytes bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)bytes.ptr};
}

static inline struct kvd_bytes kvd_bytes_in(ProtobufCBinaryData data)
{
    return kvd_bytes_of(data.data, data.len);
}

struct kvd_bytes kvd_copy(struct arena *arena, struct kvd_bytes bytes);

/* The two keys of a range as etcd writes it; made in the arena. False: too large. */
bool kvd_range_of(struct kvd_keys keys, struct arena *arena, ProtobufCBinaryData *key,
                  ProtobufCBinaryData *end);
bool kvd_keys_contain(struct kvd_keys keys, struct kvd_bytes key);
struct kvd_kv kvd_kv_of(const Mvccpb__KeyValue *kv);
const struct kvd_kv *kvd_kvs_of(struct arena *arena, Mvccpb__KeyValue *const *kvs,
                                size_t n);

/* NULL when there is no fence. */
Kvd__V1__Fence *kvd_fence_of(struct arena *arena, struct kvd_fence fence);

/* Messages of single operations; shared with transactions. */
bool kvd_get_message(struct kvd_keys keys, const struct kvd_get_options *options,
                     struct arena *arena, Etcdserverpb__RangeRequest *out);
void kvd_put_message(struct kvd_bytes key, struct kvd_bytes value,
                     const struct kvd_put_options *options,
                     Etcdserverpb__PutRequest *out);
bool kvd_delete_message(struct kvd_keys keys, const struct kvd_delete_options *options,
                        struct arena *arena, Etcdserverpb__DeleteRangeRequest *out);
void kvd_result_of_range(struct arena *arena, const Etcdserverpb__RangeResponse *res,
                         struct kvd_result *out);
void kvd_result_of_put(struct arena *arena, const Etcdserverpb__PutResponse *res,
                       struct kvd_result *out);
void kvd_result_of_delete(struct arena *arena,
                          const Etcdserverpb__DeleteRangeResponse *res,
                          struct kvd_result *out);

/* Memory of a result: a block that holds the arena and, first, the struct that the caller
 * gets. */
void *kvd_new(size_t size, struct arena **arena);
void kvd_free(void *result);

/* The news as the public struct; lives in the news' arena. */
void kvd_news_of(struct watch_news *news, struct kvd_news *out);

/* ---- losses ---- */

/* One who wants to know that a lease is lost. The lease's own callback is the first. */
struct kvd_lease_user {
    struct list link;                                                 /* private */
    void (*lost)(struct kvd_lease_user *user, const struct err *why); /* I/O thread */
};

void kvd_lease_use(struct kvd_lease *lease, struct kvd_lease_user *user);
void kvd_lease_use_no_more(struct kvd_lease *lease, struct kvd_lease_user *user);
bool kvd_lease_is_lost(struct kvd_lease *lease);

/* A warning that is told at most once, by the thread for warnings. */
struct kvd_warning {
    struct dispatch_job job; /* private, as all of it */
    struct kvd_client *client;
    kvd_lost_cb lost;
    void *owner;
    struct kvd_error why;
    bool raised;
    void (*free)(struct kvd_warning *warning);
};

/* free is called instead of the closing function's own end when that is called from
 * inside the callback. */
void kvd_warning_init(struct kvd_warning *warning, struct kvd_client *client,
                      kvd_lost_cb lost, void *owner,
                      void (*free)(struct kvd_warning *warning));
void kvd_warning_raise(struct kvd_warning *warning, const struct err *why); /* I/O */

/* False: inside the callback; free will be called. */
bool kvd_warning_remove(struct kvd_warning *warning);

#endif
