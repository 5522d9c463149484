/* The choice of format, and what several formats share. */
#include "cli/print.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/print_ops.h"

static const struct {
    const char *name;
    const struct print_ops *ops;
} formats[] = {
    [PRINT_SIMPLE] = {"simple", &print_simple_ops},
    [PRINT_TABLE] = {"table", &print_table_ops},
    [PRINT_JSON] = {"json", &print_json_ops},
    [PRINT_JSON_BASE64] = {"json-base64", &print_json_ops},
    [PRINT_FIELDS] = {"fields", &print_fields_ops},
    [PRINT_RAW] = {"raw", &print_raw_ops},
};

static const struct print_ops *ops_of(struct printer *p)
{
    p->json.out = p->out;
    return formats[p->format].ops;
}

bool print_format_parse(const char *name, enum print_format *out)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(name, formats[i].name) == 0) {
            *out = (enum print_format)i;
            return true;
        }
    }
    return false;
}

void print_range_begin(struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    ops_of(p)->range_begin(p, header);
}

void print_range_kvs(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n)
{
    ops_of(p)->range_kvs(p, kvs, n);
}

void print_range_end(struct printer *p, bool more, int64_t count)
{
    ops_of(p)->range_end(p, more, count);
}

void print_range(struct printer *p, const Etcdserverpb__RangeResponse *res)
{
    print_range_begin(p, res->header);
    print_range_kvs(p, res->kvs, res->n_kvs);
    print_range_end(p, res->more, res->count);
}

void print_put(struct printer *p, const Etcdserverpb__PutResponse *res)
{
    ops_of(p)->put(p, res);
}

void print_del(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res)
{
    ops_of(p)->del(p, res);
}

void print_txn(struct printer *p, const Etcdserverpb__TxnResponse *res)
{
    ops_of(p)->txn(p, res);
}

void print_members(struct printer *p, const Etcdserverpb__MemberListResponse *res)
{
    ops_of(p)->members(p, res);
}

void print_statuses(struct printer *p, const struct endpoint_status *list, size_t n)
{
    ops_of(p)->statuses(p, list, n);
}

void print_healths(struct printer *p, const struct endpoint_health *list, size_t n)
{
    ops_of(p)->healths(p, list, n);
}

void print_watch(struct printer *p, const Etcdserverpb__WatchResponse *res)
{
    ops_of(p)->watch(p, res);
}

void print_lease_grant(struct printer *p, const Etcdserverpb__LeaseGrantResponse *res)
{
    ops_of(p)->lease_grant(p, res);
}

void print_lease_revoke(struct printer *p, int64_t id,
                        const Etcdserverpb__LeaseRevokeResponse *res)
{
    ops_of(p)->lease_revoke(p, id, res);
}

void print_lease_keep_alive(struct printer *p,
                            const Etcdserverpb__LeaseKeepAliveResponse *res)
{
    ops_of(p)->lease_keep_alive(p, res);
}

void print_lease_ttl(struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *res,
                     bool keys)
{
    ops_of(p)->lease_ttl(p, res, keys);
}

void print_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *res)
{
    ops_of(p)->leases(p, res);
}

void print_locks(struct printer *p, const Kvd__V1__LockListResponse *res)
{
    ops_of(p)->locks(p, res);
}

void print_lock_line(struct printer *p, const char *name,
                     const Kvd__V1__LockInspectResponse *res)
{
    ops_of(p)->lock_line(p, name, res);
}

void size_text(int64_t bytes, char out[SIZE_TEXT_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1000;
        unit++;
    }
    value = (double)(int64_t)(value * 10 + 0.5) / 10;
    snprintf(out, SIZE_TEXT_MAX, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value,
             units[unit]);
}

void duration_text(int64_t ns, char out[DURATION_TEXT_MAX])
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "µs"}, {1, "ns"}};
    size_t u = 0;
    char fraction[12];
    size_t len;

    while (u + 1 < ARRAY_LEN(units) && ns < units[u].ns) {
        u++;
    }
    len = (size_t)snprintf(fraction, sizeof(fraction), ".%0*d", (int)(9 - 3 * u),
                           (int)(ns % units[u].ns));
    while (len > 0 && (fraction[len - 1] == '0' || fraction[len - 1] == '.')) {
        fraction[--len] = '\0';
    }
    snprintf(out, DURATION_TEXT_MAX, "%" PRId64 "%s%s", ns / units[u].ns,
             units[u].ns == 1 ? "" : fraction, units[u].name);
}

char *join_texts(char *const *texts, size_t n)
{
    char *joined = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&joined, &len);

    CHECK(out != NULL);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "%s%s", i > 0 ? ", " : "", texts[i]);
    }
    fclose(out);
    return joined;
}
