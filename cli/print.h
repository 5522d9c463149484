/* What commands put on stdout, in the format of -w: simple, table, json, json-base64,
 * fields, raw. One table of functions per format; the functions here choose it.
 *
 * simple, fields and json-base64 are etcdctl's, byte for byte. json has the same
 * structure, but keys and values are text under `key` and `value` when they are UTF-8,
 * else base64 under `key_base64` and `value_base64`. raw is the bytes of one value. */
#ifndef KVD_CLI_PRINT_H
#define KVD_CLI_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/json.h"
#include "lock.pb-c.h"
#include "rpc.pb-c.h"

enum print_format {
    PRINT_SIMPLE,
    PRINT_TABLE,
    PRINT_JSON,
    PRINT_JSON_BASE64,
    PRINT_FIELDS,
    PRINT_RAW,
};

struct printer {
    FILE *out;
    enum print_format format;
    bool hex;                     /* keys and values as \x61 */
    bool value_only;              /* simple: no keys */
    bool count_only;              /* simple, table: the count instead of pairs */
    struct json json;             /* private */
    bool in_kvs;                  /* private: json, inside the array of a range */
    struct libscols_table *table; /* private: a range in progress */
};

struct endpoint_status {
    const char *endpoint;
    const Etcdserverpb__StatusResponse *status;
};

struct endpoint_health {
    const char *endpoint;
    bool healthy;
    int64_t took_ns;
    const char *error; /* "" when healthy */
};

/* False when there is no such format. */
bool print_format_parse(const char *name, enum print_format *out);

/* A range, in pages: begin, any number of kvs, end. */
void print_range_begin(struct printer *p, const Etcdserverpb__ResponseHeader *header);
void print_range_kvs(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n);
void print_range_end(struct printer *p, bool more, int64_t count);

void print_put(struct printer *p, const Etcdserverpb__PutResponse *res);
void print_del(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res);
void print_txn(struct printer *p, const Etcdserverpb__TxnResponse *res);
void print_members(struct printer *p, const Etcdserverpb__MemberListResponse *res);
void print_statuses(struct printer *p, const struct endpoint_status *list, size_t n);
void print_healths(struct printer *p, const struct endpoint_health *list, size_t n);

void print_watch(struct printer *p, const Etcdserverpb__WatchResponse *res);

void print_lease_grant(struct printer *p, const Etcdserverpb__LeaseGrantResponse *res);
void print_lease_revoke(struct printer *p, int64_t id,
                        const Etcdserverpb__LeaseRevokeResponse *res);
void print_lease_keep_alive(struct printer *p,
                            const Etcdserverpb__LeaseKeepAliveResponse *res);
void print_lease_ttl(struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *res,
                     bool keys);
void print_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *res);

void print_locks(struct printer *p, const Kvd__V1__LockListResponse *res);
void print_lock_line(struct printer *p, const char *name,
                     const Kvd__V1__LockInspectResponse *res);

#endif
