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
};

extern const struct print_ops print_simple_ops;
extern const struct print_ops print_table_ops;
extern const struct print_ops print_json_ops;
extern const struct print_ops print_fields_ops;
extern const struct print_ops print_raw_ops;

/* A range that came whole, inside a transaction. */
void print_range(struct printer *p, const Etcdserverpb__RangeResponse *res);

static inline struct slice slice_of_binary(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
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
