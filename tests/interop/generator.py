"""Random requests of the KV and Lease services, and answers in a form that can be compared.

Keys, values and leases come from small sets, so that requests meet each other's effects. What
etcd leaves open is left out: the order of equal elements under a sort, and how much of a TTL
is left; no lease of these ends by itself.
"""

import random

from etcd3 import etcdrpc

import api

LOCK, UNLOCK = (api.message("v3lockpb.%sRequest" % name) for name in ("Lock", "Unlock"))
CAMPAIGN, LEADER = (api.message("v3electionpb.%sRequest" % name)
                    for name in ("Campaign", "Leader"))

KEYS = [b"a", b"a/1", b"a/2", b"b", b"b/1", b"c", b"\0", b"\xff", b"\xff\xff", b"k\0k"]
ENDS = [b"", b"\0", b"a", b"a0", b"b", b"b0", b"c", b"d", b"\xff", b"\xff\xff\xff"]
VALUES = [b"", b"0", b"1", b"2", b"value", bytes(range(200))]
LEASES = [1, 2, 3, -4]
TTL_SECONDS = 100000
SORT_TARGETS = list(etcdrpc.RangeRequest.SortTarget.values())
SORT_ORDERS = list(etcdrpc.RangeRequest.SortOrder.values())
KEY_TARGET = etcdrpc.RangeRequest.KEY
DEPTH_MAX = 2
LOCK_NAMES = [b"lock/a", b"lock/b"]
ELECTION_NAMES = [b"election/a", b"election/b"]
REVISIONS_AHEAD = 2


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.revision = 1
        self.handles = 0
        self.scenarios = 0

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

    def lease_call(self):
        return self.random.choices((
            lambda: ("Lease/LeaseGrant", etcdrpc.LeaseGrantRequest(ID=self.lease(),
                                                                   TTL=TTL_SECONDS)),
            lambda: ("Lease/LeaseRevoke", etcdrpc.LeaseRevokeRequest(ID=self.lease())),
            lambda: ("Lease/LeaseTimeToLive", etcdrpc.LeaseTimeToLiveRequest(
                ID=self.lease(), keys=self.chance(80))),
            lambda: ("Lease/LeaseLeases", etcdrpc.LeaseLeasesRequest())), (6, 3, 6, 1))[0]()

    def cluster_call(self):
        return self.random.choice((
            ("Maintenance/Status", etcdrpc.StatusRequest()),
            ("Maintenance/Alarm", etcdrpc.AlarmRequest()),
            ("Maintenance/Defragment", etcdrpc.DefragmentRequest()),
            ("Cluster/MemberList", etcdrpc.MemberListRequest())))

    def call(self):
        """A method that answers at once, and a request for it."""
        path, request = self.random.choices((
            lambda: ("KV/Put", self.put()),
            lambda: ("KV/DeleteRange", self.delete()),
            lambda: ("KV/Range", self.range(keys_only=self.chance(10))),
            lambda: ("KV/Txn", self.txn()),
            lambda: ("KV/Compact", self.compaction()),
            self.lease_call,
            self.cluster_call), (300, 80, 300, 300, 10, 160, 5))[0]()
        return ("call", "etcdserverpb." + path, request)

    def quiet_call(self):
        """One that takes nothing away from those who wait for a lock."""
        path, request = self.random.choice((
            lambda: ("KV/Put", self.put()),
            lambda: ("KV/Range", self.range())))()
        return ("call", "etcdserverpb." + path, request)

    def handle(self, what):
        self.handles += 1
        return "%s %d" % (what, self.handles)

    def watching(self):
        """A watch, some calls, a look, more calls, and its end."""
        request = etcdrpc.WatchCreateRequest(key=self.random.choice(KEYS), range_end=self.end(),
                                             prev_kv=self.chance(40))
        if self.chance(50):
            request.start_revision = self.some_revision()
        if self.chance(20):
            request.filters.append(self.random.choice((0, 1)))
        handle = self.handle("watch")
        yield ("watch", handle, request)
        for _ in range(self.random.randint(1, 12)):
            yield self.call()
        yield ("look",)
        for _ in range(self.random.randint(0, 6)):
            yield self.call()
        yield ("end", handle)

    def grants(self, n):
        """New leases for one scenario, which ends them itself."""
        self.scenarios += 1
        return [1000 * self.scenarios + one for one in range(n)]

    def locking(self):
        """Some clients take turns with one lock. Only the first of a line ever unlocks, or
        loses its lease: what etcd 3.4 does to those who still wait is not worth copying."""
        leases = self.grants(self.random.randint(1, 4))
        name = self.random.choice(LOCK_NAMES)
        for lease in leases:
            yield self.grant(lease)
        line = []
        for _ in range(self.random.randint(2, 10)):
            free = [lease for lease in leases if lease not in [one for one, _ in line]]
            if free and (not line or self.chance(50)):
                handle = self.handle("lock")
                yield ("begin", handle, "v3lockpb.Lock/Lock",
                       LOCK(name=name, lease=free[0]))
                line.append((free[0], handle))
            elif line:
                lease, handle = line.pop(0)
                yield ("end", handle)
                yield self.leave(lease, "v3lockpb.Lock/Unlock", UNLOCK(
                    key=b"%s/%x" % (name, lease)))
                leases.remove(lease)
                yield ("look",)
            yield self.quiet_call()
        while line:
            lease, handle = line.pop(0)
            yield ("end", handle)
            yield self.revoke(lease)
            yield ("look",)

    def leave(self, lease, path, request):
        return ("call", path, request) if self.chance(70) else self.revoke(lease)

    def electing(self):
        """The same with an election, whose leader may say something else meanwhile."""
        leases = self.grants(self.random.randint(1, 3))
        name = self.random.choice(ELECTION_NAMES)
        for lease in leases:
            yield self.grant(lease)
        line = []
        for lease in leases:
            handle = self.handle("campaign")
            yield ("begin", handle, "v3electionpb.Election/Campaign",
                   CAMPAIGN(name=name, lease=lease, value=self.random.choice(VALUES)))
            line.append((lease, handle))
            yield self.quiet_call()
        while line:
            lease, handle = line.pop(0)
            yield ("look",)
            yield ("call", "v3electionpb.Election/Leader", LEADER(name=name))
            yield ("end", handle)
            yield self.revoke(lease)
        yield ("look",)
        yield ("call", "v3electionpb.Election/Leader", LEADER(name=name))

    def ending(self):
        """A lease with keys that ends by itself."""
        lease = self.grants(1)[0]
        yield self.grant(lease, 1)
        for _ in range(self.random.randint(1, 3)):
            yield ("call", "etcdserverpb.KV/Put", etcdrpc.PutRequest(
                key=b"leased/%d" % self.random.randrange(3), lease=lease))
        yield ("gone", lease)
        yield ("call", "etcdserverpb.KV/Range", etcdrpc.RangeRequest(
            key=b"leased/", range_end=b"leased0"))

    @staticmethod
    def grant(lease, ttl=TTL_SECONDS):
        return ("call", "etcdserverpb.Lease/LeaseGrant",
                etcdrpc.LeaseGrantRequest(ID=lease, TTL=ttl))

    @staticmethod
    def revoke(lease):
        return ("call", "etcdserverpb.Lease/LeaseRevoke", etcdrpc.LeaseRevokeRequest(ID=lease))

    def steps(self):
        """Steps without end: see differential.py. The revision of the last reply is set by who
        takes them, after each."""
        while True:
            draw = self.random.random()
            for below, scenario in SCENARIOS:
                if draw < below:
                    yield from scenario(self)
                    break
            else:
                yield self.call()


# How often, cumulated; a lease that ends costs seconds.
SCENARIOS = ((0.0001, Generator.ending), (0.003, Generator.locking), (0.005, Generator.electing),
             (0.015, Generator.watching))


def without_header(reply):
    copy = type(reply)()
    copy.CopyFrom(reply)
    copy.ClearField("header")
    return copy


def comparable(request, reply):
    """A copy without identities and terms, pairs in the order of keys. Keys alone come with
    their lease from etcd up to 3.6, without it from kvd and later ones. An error as it is."""
    if isinstance(reply, tuple):
        return reply
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
    if isinstance(message, etcdrpc.LeaseLeasesResponse):
        leases = sorted(message.leases, key=lambda lease: lease.ID)
        del message.leases[:]
        message.leases.extend(leases)
    if isinstance(message, (etcdrpc.AlarmResponse, etcdrpc.DefragmentResponse)):
        message.ClearField("header")  # etcd 3.4 tells none
    if isinstance(message, etcdrpc.StatusResponse):
        for field in ("version", "dbSize", "leader", "raftIndex", "raftTerm"):
            message.ClearField(field)
        message.DiscardUnknownFields()  # newer ones: sizes and indexes
    if isinstance(message, etcdrpc.MemberListResponse):
        for member in message.members:
            member.ID = 1
            member.peerURLs[:] = member.clientURLs[:] = []
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
