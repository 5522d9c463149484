#include "node/hello.h"

#include <inttypes.h>

#include "base/check.h"
#include "raftlog/link.h"

void hello_encode(const struct hello_self *self, uint64_t to, enum hello_purpose purpose,
                  const char *refusal, struct buf *out)
{
    Kvd__Peer__Hello hello = KVD__PEER__HELLO__INIT;

    hello.magic = LINK_MAGIC;
    hello.version_min = LINK_VERSION_MIN;
    hello.version_max = LINK_VERSION_MAX;
    hello.cluster_id = self->members->cluster_id;
    hello.from = self->members->self;
    hello.to = to;
    hello.store_id = self->store_id;
    hello.epoch = self->epoch;
    hello.purpose = purpose;
    if (refusal != NULL) {
        hello.refusal = (char *)refusal;
    }
    CHECK(link_encode(out, LINK_HELLO, &hello.base) == 0);
}

int hello_judge(const struct hello_self *self, const Kvd__Peer__Hello *hello,
                uint64_t from, struct err *err)
{
    const struct membership *m = self->members;

    if (hello->magic != LINK_MAGIC) {
        return err_set(err, ERR_INVALID, "this is the peer port of a kvd, not of that");
    }
    if (hello->version_min > LINK_VERSION_MAX || hello->version_max < LINK_VERSION_MIN) {
        return err_set(err, ERR_INVALID,
                       "peer protocol versions %" PRIu32 " to %" PRIu32
                       " and %d to %d have none in common; upgrade one member at a time, "
                       "no release left out",
                       hello->version_min, hello->version_max, LINK_VERSION_MIN,
                       LINK_VERSION_MAX);
    }
    if (hello->cluster_id != m->cluster_id) {
        return err_set(err, ERR_INVALID,
                       "member %016" PRIx64 " is of cluster %016" PRIx64
                       ", member %016" PRIx64 " of cluster %016" PRIx64
                       "; --initial-cluster and --initial-cluster-token must be the same "
                       "on all members",
                       hello->from, hello->cluster_id, m->self, m->cluster_id);
    }
    if (hello->to != m->self) {
        return err_set(err, ERR_INVALID,
                       "member %016" PRIx64 " was looked for at the address of member "
                       "%016" PRIx64 "; correct the peer URLs",
                       hello->to, m->self);
    }
    if (hello->from == m->self || membership_find(m, hello->from) == NULL) {
        return err_set(err, ERR_INVALID,
                       "member %016" PRIx64 " is no other member of cluster %016" PRIx64,
                       hello->from, m->cluster_id);
    }
    if (from != 0 && hello->from != from) {
        return err_set(err, ERR_INVALID,
                       "member %016" PRIx64
                       " answered at the address of member %016" PRIx64
                       "; correct the peer URLs",
                       hello->from, from);
    }
    if (hello->purpose >= HELLO_NPURPOSES) {
        return err_set(err, ERR_INVALID,
                       "member %016" PRIx64 " wants a connection of kind %" PRIu32
                       ", which this version does not know; upgrade one member at a time",
                       hello->from, hello->purpose);
    }
    if (hello->store_id == 0) {
        return err_set(err, ERR_INVALID, "member %016" PRIx64 " shows no store id",
                       hello->from);
    }
    return 0;
}
