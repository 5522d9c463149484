#include "tests/bench/method.h"

const char *method_path(enum method method)
{
    static const char *const paths[METHOD_NMETHODS] = {
        [METHOD_PUT] = "/etcdserverpb.KV/Put",
        [METHOD_RANGE] = "/etcdserverpb.KV/Range",
        [METHOD_TXN] = "/etcdserverpb.KV/Txn",
        [METHOD_WATCH] = "/etcdserverpb.Watch/Watch",
        [METHOD_GRANT] = "/etcdserverpb.Lease/LeaseGrant",
        [METHOD_KEEP_ALIVE] = "/etcdserverpb.Lease/LeaseKeepAlive",
        [METHOD_LOCK] = "/v3lockpb.Lock/Lock",
        [METHOD_UNLOCK] = "/v3lockpb.Lock/Unlock",
        [METHOD_ACQUIRE] = "/kvd.v1.Lock/Acquire",
        [METHOD_RELEASE] = "/kvd.v1.Lock/Release",
    };

    return paths[method];
}
