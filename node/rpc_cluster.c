/* The Cluster service: the members of the configuration, with the names and client URLs
 * that they published themselves. */
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"

static const struct kv_member *published(const struct kv_member *members, size_t n,
                                         uint64_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (members[i].id == id) {
            return &members[i];
        }
    }
    return NULL;
}

static char **urls_of(struct arena *arena, const struct config_urls *urls)
{
    char **texts = arena_alloc(arena, urls->n * sizeof(*texts));

    for (size_t i = 0; i < urls->n; i++) {
        texts[i] = urls->items[i].text;
    }
    return texts;
}

static void fill_member(struct arena *arena, const struct member *member,
                        const struct kv_member *said, Etcdserverpb__Member *out)
{
    etcdserverpb__member__init(out);
    out->id = member->id;
    if (said == NULL) { /* not started yet: nameless, as in etcd */
        out->n_peerurls = member->peer_urls->n;
        out->peerurls = urls_of(arena, member->peer_urls);
        return;
    }
    out->name = (char *)said->name;
    out->n_peerurls = said->n_peer_urls;
    out->peerurls = (char **)said->peer_urls;
    out->n_clienturls = said->n_client_urls;
    out->clienturls = (char **)said->client_urls;
}

static void list_now(struct call *call)
{
    const struct membership *members = &call->node->members;
    Etcdserverpb__MemberListResponse reply = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    Etcdserverpb__Member *items = arena_alloc(&call->arena, members->n * sizeof(*items));
    const struct kv_member *said;
    size_t n_said = kv_members(call->node->kv, &said);

    reply.n_members = members->n;
    reply.members = arena_alloc(&call->arena, members->n * sizeof(*reply.members));
    for (size_t i = 0; i < members->n; i++) {
        fill_member(&call->arena, &members->items[i],
                    published(said, n_said, members->items[i].id), &items[i]);
        reply.members[i] = &items[i];
    }
    call_reply(call, &reply.base);
}

void rpc_member_list(struct call *call)
{
    const Etcdserverpb__MemberListRequest *req =
        (const Etcdserverpb__MemberListRequest *)call->request;

    if (req->linearizable) {
        call_gate(call, list_now);
    } else {
        list_now(call);
    }
}
