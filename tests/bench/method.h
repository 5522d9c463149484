/* The calls that the load generator makes. */
#ifndef KVD_TESTS_BENCH_METHOD_H
#define KVD_TESTS_BENCH_METHOD_H

enum method {
    METHOD_PUT,
    METHOD_RANGE,
    METHOD_TXN,
    METHOD_WATCH,
    METHOD_GRANT,
    METHOD_KEEP_ALIVE,
    METHOD_LOCK, /* etcd's service */
    METHOD_UNLOCK,
    METHOD_ACQUIRE, /* kvd's own */
    METHOD_RELEASE,
    METHOD_NMETHODS,
};

/* "/etcdserverpb.KV/Put" */
const char *method_path(enum method method);

#endif
