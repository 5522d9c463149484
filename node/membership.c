#include "node/membership.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "node/identity.h"

static int by_id(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

int membership_init(struct membership *out, const struct config *config, struct err *err)
{
    struct membership m = {.n = config->n_peers};
    uint64_t ids[LIMIT_MEMBERS];

    CHECK(m.n <= LIMIT_MEMBERS);
    for (size_t i = 0; i < m.n; i++) {
        const struct config_peer *peer = &config->peers[i];

        m.items[i] = (struct member){
            .id = identity_member_id(&peer->urls, config->cluster_token),
            .name = peer->name,
            .peer_urls = &peer->urls,
        };
        if (strcmp(peer->name, config->name) == 0) {
            m.self = m.items[i].id;
        }
    }
    if (m.self == 0) {
        return err_set(err, ERR_INVALID,
                       "--initial-cluster does not name this member (--name %s)",
                       config->name);
    }
    qsort(m.items, m.n, sizeof(m.items[0]), by_id);
    for (size_t i = 0; i < m.n; i++) {
        if (i > 0 && m.items[i].id == m.items[i - 1].id) {
            return err_set(err, ERR_INVALID,
                           "--initial-cluster gives %s and %s the same peer URLs",
                           m.items[i - 1].name, m.items[i].name);
        }
        ids[i] = m.items[i].id;
    }
    m.cluster_id = identity_cluster_id(ids, m.n);
    *out = m;
    return 0;
}

const struct member *membership_find(const struct membership *m, uint64_t id)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i].id == id) {
            return &m->items[i];
        }
    }
    return NULL;
}
