#!/usr/bin/python3
"""Every method of every service by every kind of caller, against a table (rbac.txt)."""

import os
import time
import unittest

import grpc

import report
from client import CHANNEL_OPTIONS
from cluster import Cluster, is_kvd
from wire import find, message

HERE = os.path.dirname(os.path.abspath(__file__))
KEY, PREFIX, END = b"/a/k", b"/a/", b"/a0"
CALLERS = ("no", "bad", "old", "chg", "nil", "rk", "wk", "rp", "wp", "rr", "root")
ROLES = {"rk": (0, KEY, b""), "wk": (1, KEY, b""), "rp": (0, PREFIX, END), "wp": (1, PREFIX, END),
         "rr": (2, b"/a/a", b"/a/z")}
TTL_SECONDS = 3
REFUSALS = {"user name is empty": "E", "invalid auth token": "T", "permission denied": "D"}


def put(key=KEY, *more):
    return message((1, key), (2, b"v"), *more)


def ops(number, request):
    return message((number, request))


def requests(lease, name, role):
    """What each row of the table asks, by its name."""
    compare = message((1, 0), (2, 3), (3, KEY), (7, b"v"))
    permission = message((1, 0), (2, KEY), (3, END))
    leader = message((1, b"/a/k"), (2, KEY), (3, 7))
    hold = ((1, b"/a/k"), (2, lease))
    return {
        "KV/Range key": message((1, KEY)),
        "KV/Range range": message((1, PREFIX), (2, END)),
        "KV/Range key serializable": message((1, KEY), (7, 1)),
        "KV/Range all": message((1, b"\0"), (2, b"\0")),
        "KV/Put": put(),
        "KV/Put prev_kv": put(KEY, (4, 1)),
        "KV/DeleteRange key": message((1, b"/a/k")),
        "KV/DeleteRange range": message((1, PREFIX), (2, END)),
        "KV/DeleteRange key prev_kv": message((1, KEY), (3, 1)),
        "KV/Txn get": message((2, ops(1, message((1, KEY))))),
        "KV/Txn put": message((2, ops(2, put()))),
        "KV/Txn compare put": message((1, compare), (2, ops(2, put()))),
        "KV/Txn put in failure": message((3, ops(2, put()))),
        "KV/Txn nested put": message((2, ops(4, message((2, ops(2, put())))))),
        "KV/Txn nothing": b"",
        "KV/Compact": message((1, 1)),
        "Watch/Watch key": ops(1, message((1, KEY))),
        "Watch/Watch range": ops(1, message((1, PREFIX), (2, END))),
        "Watch/Watch all": ops(1, message((2, b"\0"))),
        "Lease/LeaseGrant": message((1, 60)),
        "Lease/LeaseRevoke of no key": message((1, 12345)),
        "Lease/LeaseRevoke with key": message((1, lease)),
        "Lease/LeaseKeepAlive with key": message((1, lease)),
        "Lease/LeaseTimeToLive": message((1, lease)),
        "Lease/LeaseTimeToLive keys": message((1, lease), (2, 1)),
        "Maintenance/Alarm activate": message((1, 1), (3, 1)),
        "Maintenance/Alarm deactivate": message((1, 2), (3, 1)),
        "Maintenance/MoveLeader": message((1, 1)),
        "Auth/Authenticate wrong": message((1, "nil"), (2, "wrong")),
        "Auth/UserAdd": message((1, "nil"), (3, message((1, 1)))),
        "Auth/UserGet own": message((1, name)),
        "Auth/UserGet other": message((1, "chg")),
        "Auth/UserDelete": message((1, "nobody")),
        "Auth/UserChangePassword": message((1, "nobody"), (2, "x")),
        "Auth/UserGrantRole": message((1, "nobody"), (2, "rk")),
        "Auth/UserRevokeRole": message((1, "nobody"), (2, "rk")),
        "Auth/RoleAdd": message((1, "rk")),
        "Auth/RoleGet own": message((1, role)),
        "Auth/RoleGet other": message((1, "other")),
        "Auth/RoleDelete": message((1, "nobody")),
        "Auth/RoleGrantPermission": message((1, "nobody"), (2, permission)),
        "Auth/RoleRevokePermission": message((1, "nobody"), (2, KEY)),
        "v3lockpb.Lock/Lock": message((1, b"/a/k"), (2, lease)),
        "v3lockpb.Lock/Unlock": message((1, KEY)),
        "v3electionpb.Election/Proclaim": message((1, leader), (2, b"v")),
        "v3electionpb.Election/Leader": message((1, b"/a")),
        "v3electionpb.Election/Observe": message((1, b"/a")),
        "v3electionpb.Election/Resign": message((1, leader)),
        "kvd.v1.Lock/List prefix": message((1, PREFIX)),
        "kvd.v1.Lock/Inspect": message((1, b"/a/k")),
        "kvd.v1.Lock/Acquire": message(*hold, (3, "h")),
        "kvd.v1.Lock/Release": message(*hold, (3, "h")),
        "kvd.v1.Lock/ForceRelease": message((1, b"/a/k"), (2, 1), (3, "why")),
    }


def rows():
    with open(os.path.join(HERE, "rbac.txt"), encoding="ascii") as table:
        for line in table:
            if line.strip() and not line.startswith("#"):
                cells = line[41:].split()
                assert len(cells) == len(CALLERS), line
                yield line[:41].strip(), dict(zip(CALLERS, cells))


class Caller:
    def __init__(self, endpoint):
        self.channel = grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)

    def close(self):
        self.channel.close()

    def ask(self, method, request, token=None):
        """The reply, or the text of the refusal."""
        path = "/" + method if "." in method.split("/")[0] else "/etcdserverpb." + method
        metadata = (("token", token),) if token else ()
        try:
            if method in ("Watch/Watch", "Lease/LeaseKeepAlive"):
                return self.first(self.channel.stream_stream(path)(
                    iter((request,)), metadata=metadata, timeout=5)), ""
            if method.endswith("/Observe"):
                return self.observe(path, request, metadata)
            return self.channel.unary_unary(path)(request, metadata=metadata, timeout=5), ""
        except grpc.RpcError as error:
            return None, error.details() or str(error.code())

    @staticmethod
    def first(replies):
        for reply in replies:
            replies.cancel()
            return reply
        return b""

    def observe(self, path, request, metadata):
        """Nobody leads, so that silence is permission."""
        replies = self.channel.unary_stream(path)(request, metadata=metadata, timeout=0.3)
        try:
            return self.first(replies), ""
        except grpc.RpcError as error:
            silent = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            return (b"", "") if silent else (None, error.details())

    def token(self, name):
        reply, why = self.ask("Auth/Authenticate", message((1, name), (2, name)))
        assert reply is not None, "%s: %s" % (name, why)
        return find(reply, 2).decode()


def verdict(method, reply, text):
    if method == "Watch/Watch" and reply:
        text = (find(reply, 6) or b"").decode()
    for sentence, letter in REFUSALS.items():
        if sentence in text:
            return letter
    return "+"


@unittest.skipUnless(is_kvd(), "the table has kvd's services, too")
class Rbac(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("rbac", size=1, options={
            "--bcrypt-cost": "4", "--auth-token-ttl": str(TTL_SECONDS)})
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_and_wait()
        cls.caller = Caller(cls.cluster.members[0].endpoint)
        cls.addClassCleanup(cls.caller.close)
        cls.prepare()

    @classmethod
    def must(cls, method, request, token=None):
        reply, why = cls.caller.ask(method, request, token)
        assert reply is not None, "%s: %s" % (method, why)
        return reply

    @classmethod
    def prepare(cls):
        for name in ("root", "chg", "exp", "nil") + tuple(ROLES):
            cls.must("Auth/UserAdd", message((1, name), (2, name)))
        cls.must("Auth/RoleAdd", message((1, "other")))
        cls.must("Auth/UserGrantRole", message((1, "root"), (2, "root")))
        for role, (kind, key, end) in ROLES.items():
            cls.must("Auth/RoleAdd", message((1, role)))
            permission = message((1, kind), (2, key), (3, end))
            cls.must("Auth/RoleGrantPermission", message((1, role), (2, permission)))
            cls.must("Auth/UserGrantRole", message((1, role), (2, role)))
        cls.must("Auth/AuthEnable", b"")
        old, changed = cls.caller.token("exp"), cls.caller.token("chg")
        root = cls.caller.token("root")
        cls.must("Auth/UserChangePassword", message((1, "chg"), (2, "new")), root)
        time.sleep(TTL_SECONDS + 0.5)
        cls.tokens = {"no": None, "bad": "abcdefghijklmnop.1", "old": old, "chg": changed}
        cls.used = {}

    def lease_with_key(self):
        """A new lease that the key hangs on, and that nothing else hangs on."""
        root = self.tokens["root"]
        lease = find(self.must("Lease/LeaseGrant", message((1, 600)), root), 2)
        self.must("KV/Put", put(KEY, (3, lease)), root)
        return lease

    def test_each_cell(self):
        wrong, cells = [], 0
        for row, expected in rows():
            method = row.split(" ")[0]
            for caller in CALLERS:
                found, shown = self.cell(row, method, caller)
                cells += 1
                if found != expected[caller]:
                    wrong.append("%s by %s: %s, not %s (%s)" % (
                        row, caller, found, expected[caller], shown))
        self.assertEqual(wrong, [])
        self.assertGreaterEqual(cells, 500)

    def cell(self, row, method, caller):
        """What it shows, by its letter and in full."""
        lease = 0
        if "ease" in row or ".Lock/" in row:
            lease = self.as_user("root", self.lease_with_key)
        role = caller if caller in ROLES else "rk"
        request = requests(lease, caller, role).get(row, b"")

        def ask():
            reply, text = self.caller.ask(method, request, self.tokens[caller])
            return verdict(method, reply, text), text or reply

        found = self.as_user(caller, ask)
        if lease:  # what this cell may have left goes with it
            self.caller.ask("Lease/LeaseRevoke", message((1, lease)), self.tokens["root"])
        return found

    def as_user(self, name, act):
        """Tokens of users that are not used for seconds expire, also where nobody meant it."""
        if name in CALLERS[4:] and time.monotonic() > self.used.get(name, 0) + TTL_SECONDS / 2:
            self.tokens[name] = self.caller.token(name)
        self.used[name] = time.monotonic()
        return act()

    def test_everybody_may_do_everything_once_it_is_off(self):
        with Cluster("rbac-off", size=1) as cluster:
            cluster.start_and_wait()
            caller = Caller(cluster.members[0].endpoint)
            for row, _ in rows():
                method = row.split(" ")[0]
                reply, text = caller.ask(method, requests(1, "x", "x").get(row, b""))
                self.assertEqual(verdict(method, reply, text), "+", row)
            caller.close()


if __name__ == "__main__":
    report.main()
