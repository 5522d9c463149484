/* The version of SQLite in use. */
#ifndef KVD_KV_VERSION_H
#define KVD_KV_VERSION_H

const char *kv_sqlite_version(void);

#endif
