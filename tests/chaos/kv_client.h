/* What the clients of keys and values share. */
#ifndef KVD_CHAOS_KV_CLIENT_H
#define KVD_CHAOS_KV_CLIENT_H

#include <stdint.h>

struct kv_group;

/* For so many clients; free(3) takes them away. */
struct kv_group *kv_groups_new(uint32_t n_clients);

#endif
