/* Between print.c and the formats: the table that each format fills. */
#ifndef KVD_CLI_PRINT_OPS_H
#define KVD_CLI_PRINT_OPS_H

#include "cli/print.h"

#include "base/slice.h"

struct print_ops {
    void (*range_begin)(struct printer *p, const Etcdserverpb__ResponseHeader *header);
    void (*range_kvs)(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n);
    void (*range_end)(struct printer *p, bool more, int64_t count);
    void (*put)(struct printer *p, const Etcdserverpb__PutResponse *res);
    void (*del)(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res);
    void (*txn)(struct printer *p, const Etcdserverpb__TxnResponse *res);
    void (*members)(struct printer *p, const Etcdserverpb__MemberListResponse *res);
    void (*statuses)(struct printer *p, const struct endpoint_status *list, size_t n);
    void (*healths)(struct printer *p, const struct endpoint_health *list, size_t n);
    void (*watch)(struct printer *p, const Etcdserverpb__WatchResponse *res);
    void (*lease_grant)(struct printer *p, const Etcdserverpb__LeaseGrantResponse *res);
    void (*lease_revoke)(struct printer *p, int64_t id,
                         const Etcdserverpb__LeaseRevokeResponse *res);
    void (*lease_keep_alive)(struct printer *p,
                             const Etcdserverpb__LeaseKeepAliveResponse *res);
    void (*lease_ttl)(struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *res,
                      bool keys);
    void (*leases)(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *res);
    void (*locks)(struct printer *p, const Kvd__V1__LockListResponse *res);
    void (*lock_line)(struct printer *p, const char *name,
                      const Kvd__V1__LockInspectResponse *res);
};

extern const struct print_ops print_simple_ops;
extern const struct print_ops print_table_ops;
extern const struct print_ops print_json_ops;
extern const struct print_ops print_fields_ops;
extern const struct print_ops print_raw_ops;

/* json: the member "header"; a key or a value, where name_base64 is the name when it is
 * not text. Nothing for what is not there. */
void print_json_header(struct json *j, const Etcdserverpb__ResponseHeader *header);
void print_json_bytes(struct printer *p, const char *name, const char *name_base64,
                      ProtobufCBinaryData binary);

/* A range that came whole, inside a transaction. */
void print_range(struct printer *p, const Etcdserverpb__RangeResponse *res);

static inline struct slice slice_of_binary(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}

static inline const char *event_type_name(const Mvccpb__Event *event)
{
    return event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE ? "DELETE" : "PUT";
}

/* Bytes as they are; there may be none. */
static inline void write_bytes(FILE *out, ProtobufCBinaryData bytes)
{
    if (bytes.len > 0) {
        fwrite(bytes.data, 1, bytes.len, out);
    }
}

/* Bytes for people: "20 kB". */
#define SIZE_TEXT_MAX 32
void size_text(int64_t bytes, char out[SIZE_TEXT_MAX]);

/* A duration as Go prints it: "1.380754ms". */
#define DURATION_TEXT_MAX 32
void duration_text(int64_t ns, char out[DURATION_TEXT_MAX]);

/* Strings joined with ", ". The caller frees. */
char *join_texts(char *const *texts, size_t n);

#endif
