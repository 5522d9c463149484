/* Members as they published themselves. */
#ifndef KVD_KV_MEMBER_H
#define KVD_KV_MEMBER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "command.pb-c.h"
#include "kv/kv.h"

struct members {
    struct kv_member *list; /* sorted by id; strings belong to publishes */
    Kvd__Command__Publish **publishes;
    size_t n;
};

int members_open(struct kv *kv, struct err *err);
void members_close(struct kv *kv);

/* The command: adds a member or replaces what it said before. Inside a batch. */
void members_apply(struct kv *kv, const Kvd__Command__Publish *publish);

/* Sum of the members' hashes, made from what is in memory. */
uint64_t members_sum(const struct kv *kv);

#endif
