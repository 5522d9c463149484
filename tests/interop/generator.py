"""Random requests of the KV and Lease services, and answers in a form that can be compared.

Keys, values and leases come from small sets, so that requests meet each other's effects. What
etcd leaves open is left out: the order of equal elements under a sort, and how much of a TTL
is left; no lease of these ends by itself.
"""

import random

from etcd3 import etcdrpc

KEYS = [b"a", b"a/1", b"a/2", b"b", b"b/1", b"c", b"\0", b"\xff", b"\xff\xff", b"k\0k"]
ENDS = [b"", b"\0", b"a", b"a0", b"b", b"b0", b"c", b"d", b"\xff", b"\xff\xff\xff"]
VALUES = [b"", b"0", b"1", b"2", b"value", bytes(range(200))]
LEASES = [1, 2, 3, -4]
TTL_SECONDS = 100000
SORT_TARGETS = list(etcdrpc.RangeRequest.SortTarget.values())
SORT_ORDERS = list(etcdrpc.RangeRequest.SortOrder.values())
KEY_TARGET = etcdrpc.RangeRequest.KEY
DEPTH_MAX = 2
REVISIONS_AHEAD = 2


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.revision = 1

    def chance(self, percent):
        return self.random.randrange(100) < percent

    def key(self):
        return b"" if self.chance(2) else self.random.choice(KEYS)

    def end(self):
        return b"" if self.chance(50) else self.random.choice(ENDS)

    def some_revision(self):
        return self.random.randint(1, self.revision + REVISIONS_AHEAD)

    def lease(self):
        return self.random.choice(LEASES)

    def put(self, whole=False):
        """A put; a whole one keeps nothing of the pair that was there."""
        request = etcdrpc.PutRequest(key=self.key(), prev_kv=self.chance(30),
                                     value=self.random.choice(VALUES))
        if not whole and self.chance(10):
            request.ignore_value = True
            request.value = b"both" if self.chance(20) else b""
        request.ignore_lease = not whole and self.chance(5)
        if self.chance(25) and (not request.ignore_lease or self.chance(20)):
            request.lease = self.lease()
        return request

    def delete(self):
        return etcdrpc.DeleteRangeRequest(key=self.key(), range_end=self.end(),
                                          prev_kv=self.chance(40))

    def range(self, keys_only=False):
        request = etcdrpc.RangeRequest(key=self.key(), range_end=self.end())
        if self.chance(30):
            request.revision = self.some_revision()
        if self.chance(40):
            request.sort_order = self.random.choice(SORT_ORDERS)
            request.sort_target = self.random.choice(SORT_TARGETS)
        # Which of equal elements a limit cuts off is left open, except in the order of keys.
        if self.chance(30) and request.sort_target == KEY_TARGET:
            request.limit = self.random.randint(0, 5)
        request.keys_only = keys_only
        request.count_only = self.chance(10)
        request.serializable = self.chance(20)
        for field in ("min_mod_revision", "max_mod_revision", "min_create_revision",
                      "max_create_revision"):
            if self.chance(7):
                setattr(request, field, self.some_revision())
        return request

    def compare(self):
        one = etcdrpc.Compare(key=self.key(), range_end=self.end() if self.chance(20) else b"",
                              result=self.random.choice(etcdrpc.Compare.CompareResult.values()))
        target = self.random.choice(("VERSION", "CREATE", "MOD", "VALUE", "LEASE"))
        one.target = etcdrpc.Compare.CompareTarget.Value(target)
        if target == "VALUE":
            one.value = self.random.choice(VALUES)
        elif target == "VERSION":
            one.version = self.random.randint(0, 3)
        elif target == "LEASE":
            one.lease = self.random.choice((0, self.lease()))
        elif target == "CREATE":
            one.create_revision = self.random.choice((0, self.some_revision()))
        else:
            one.mod_revision = self.random.choice((0, self.some_revision()))
        return one

    def op(self, depth, deletes):
        """An operation of a transaction; deletes says whether the transaction may have some.
        One that deletes a key and then keeps its value or lease makes etcd 3.4 crash."""
        kind = self.random.choices(("put", "delete", "range", "txn"),
                                   (4, 3 * deletes, 4, depth))[0]
        if kind == "put":
            return etcdrpc.RequestOp(request_put=self.put(whole=deletes))
        if kind == "delete":
            return etcdrpc.RequestOp(request_delete_range=self.delete())
        if kind == "range":
            return etcdrpc.RequestOp(request_range=self.range())
        return etcdrpc.RequestOp(request_txn=self.txn(depth - 1, deletes))

    def txn(self, depth=DEPTH_MAX, deletes=None):
        if deletes is None:
            deletes = self.chance(60)
        return etcdrpc.TxnRequest(
            compare=[self.compare() for _ in range(self.random.choice((0, 0, 1, 1, 2)))],
            success=[self.op(depth, deletes) for _ in range(self.random.randint(0, 4))],
            failure=[self.op(depth, deletes) for _ in range(self.random.randint(0, 3))])

    def compaction(self):
        return etcdrpc.CompactionRequest(revision=self.some_revision(),
                                         physical=self.chance(50))

    def next(self):
        """A method and a request for it."""
        return self.random.choices((
            lambda: ("KV/Put", self.put()),
            lambda: ("KV/DeleteRange", self.delete()),
            lambda: ("KV/Range", self.range(keys_only=self.chance(10))),
            lambda: ("KV/Txn", self.txn()),
            lambda: ("KV/Compact", self.compaction()),
            lambda: ("Lease/LeaseGrant", etcdrpc.LeaseGrantRequest(ID=self.lease(),
                                                                   TTL=TTL_SECONDS)),
            lambda: ("Lease/LeaseRevoke", etcdrpc.LeaseRevokeRequest(ID=self.lease())),
            lambda: ("Lease/LeaseTimeToLive", etcdrpc.LeaseTimeToLiveRequest(
                ID=self.lease(), keys=self.chance(80)))), (30, 8, 30, 30, 1, 6, 3, 6))[0]()


def comparable(request, reply):
    """A copy without identities and terms, pairs in the order of keys. Keys alone come with
    their lease from etcd up to 3.6, without it from kvd and later ones."""
    copy = type(reply)()
    copy.CopyFrom(reply)
    strip(copy)
    if isinstance(request, etcdrpc.RangeRequest) and request.keys_only:
        for pair in copy.kvs:
            pair.lease = 0
    return copy


def strip(message):
    if message.HasField("header"):
        message.header.cluster_id = message.header.member_id = message.header.raft_term = 0
    if isinstance(message, etcdrpc.RangeResponse):
        pairs = sorted(message.kvs, key=lambda pair: pair.key)
        del message.kvs[:]
        message.kvs.extend(pairs)
    if isinstance(message, etcdrpc.LeaseTimeToLiveResponse):
        message.TTL = min(message.TTL, 0)
        message.keys[:] = sorted(message.keys)
    if isinstance(message, etcdrpc.TxnResponse):
        for response in message.responses:
            strip(getattr(response, response.WhichOneof("response")))


def is_sorted(request, reply):
    """Whether the pairs of a reply are in the order that a Range asked for."""
    field = {etcdrpc.RangeRequest.KEY: "key", etcdrpc.RangeRequest.VALUE: "value",
             etcdrpc.RangeRequest.VERSION: "version", etcdrpc.RangeRequest.MOD: "mod_revision",
             etcdrpc.RangeRequest.CREATE: "create_revision"}[request.sort_target]
    if request.keys_only and field == "value":
        return True
    values = [getattr(pair, field) for pair in reply.kvs]
    return values == sorted(values, reverse=request.sort_order == etcdrpc.RangeRequest.DESCEND)
