#!/usr/bin/python3
"""Bad requests to kvd's own lock service and bad fences: a status, and a sentence that helps.

What etcd's services refuse is held against etcd itself, in tests/interop.
"""

import unittest

import report
from api import Api
from client import Failed
from cluster import Cluster, is_kvd

OURS = "kvd.v1.Lock/"
KV = "etcdserverpb.KV/"
GOOD = dict(name=b"n", lease=1, hold="h")
OTHER = 2

# Method, fields, status, words of the sentence.
REFUSED = (
    ("Acquire", dict(GOOD, name=b""), "INVALID_ARGUMENT", "needs a name"),
    ("Acquire", dict(GOOD, name=b"n" * 4097), "INVALID_ARGUMENT", "1 to 4096 bytes"),
    ("Acquire", dict(GOOD, name=b"n/"), "INVALID_ARGUMENT", "slash"),
    ("Acquire", dict(GOOD, name=b"_kvd/x"), "INVALID_ARGUMENT", "choose another"),
    ("Acquire", dict(GOOD, lease=0), "INVALID_ARGUMENT", "grant one first"),
    ("Acquire", dict(GOOD, lease=404), "NOT_FOUND", "requested lease not found"),
    ("Acquire", dict(GOOD, hold=""), "INVALID_ARGUMENT", "1 to 64 letters"),
    ("Acquire", dict(GOOD, hold="h" * 65), "INVALID_ARGUMENT", "1 to 64 letters"),
    ("Acquire", dict(GOOD, hold="a b"), "INVALID_ARGUMENT", "1 to 64 letters"),
    ("Acquire", dict(GOOD, hold="a/b"), "INVALID_ARGUMENT", "1 to 64 letters"),
    ("Acquire", dict(GOOD, mode=7), "INVALID_ARGUMENT", "0 for exclusive"),
    ("Acquire", dict(GOOD, mode="SLOTS"), "INVALID_ARGUMENT", "slots must be"),
    ("Acquire", dict(GOOD, mode="SLOTS", slots=1000001), "INVALID_ARGUMENT", "slots must be"),
    ("Acquire", dict(GOOD, slots=3), "INVALID_ARGUMENT", "slots must be"),
    ("Acquire", dict(GOOD, wait_ms=-2), "INVALID_ARGUMENT", "wait_ms"),
    ("Acquire", dict(GOOD, owner=dict(owner="o" * 257)), "INVALID_ARGUMENT", "256 bytes"),
    ("Acquire", dict(GOOD, owner=dict(host="o" * 257)), "INVALID_ARGUMENT", "256 bytes"),
    ("Release", dict(GOOD, name=b""), "INVALID_ARGUMENT", "needs a name"),
    ("Release", dict(GOOD, lease=0), "INVALID_ARGUMENT", "grant one first"),
    ("Release", dict(GOOD, hold=""), "INVALID_ARGUMENT", "1 to 64 letters"),
    ("ForceRelease", dict(name=b"", token=5, reason="r"), "INVALID_ARGUMENT", "needs a name"),
    ("ForceRelease", dict(name=b"n", reason="r"), "INVALID_ARGUMENT", "token"),
    ("ForceRelease", dict(name=b"n", token=-1, reason="r"), "INVALID_ARGUMENT", "token"),
    ("ForceRelease", dict(name=b"n", token=5), "INVALID_ARGUMENT", "reason"),
    ("ForceRelease", dict(name=b"n", token=5, reason="r" * 257), "INVALID_ARGUMENT", "reason"),
    ("ForceRelease", dict(name=b"n", token=5, reason="r"), "NOT_FOUND", "Inspect shows"),
)

BAD_FENCES = (
    (dict(name=b"", token=5), None, "INVALID_ARGUMENT", "name of a lock"),
    (dict(name=b"n"), None, "INVALID_ARGUMENT", "token of a grant"),
    (dict(name=b"n", token=-5), None, "INVALID_ARGUMENT", "token of a grant"),
    ({}, None, "INVALID_ARGUMENT", "name of a lock"),
    (None, "n", "INVALID_ARGUMENT", "NAME:TOKEN"),
    (None, "", "INVALID_ARGUMENT", "NAME:TOKEN"),
    (None, ":5", "INVALID_ARGUMENT", ""),
    (None, "n:", "INVALID_ARGUMENT", "NAME:TOKEN"),
    (None, "n:x", "INVALID_ARGUMENT", "NAME:TOKEN"),
    (None, "n:5x", "INVALID_ARGUMENT", "NAME:TOKEN"),
    (None, "n:99999999999999999999", "INVALID_ARGUMENT", "NAME:TOKEN"),
    (None, "n:-5", "INVALID_ARGUMENT", ""),
    (dict(name=b"n", token=5), "n:5", "INVALID_ARGUMENT", "leave one out"),
    (dict(name=b"n", token=5), None, "FAILED_PRECONDITION", "acquire it again"),
    (None, "n:5", "FAILED_PRECONDITION", "acquire it again"),
    (None, "n:9223372036854775807", "FAILED_PRECONDITION", "acquire it again"),
)

WRITES = (
    ("Put", dict(key=b"store", value=b"v")),
    ("DeleteRange", dict(key=b"store")),
    ("Txn", dict(success=[dict(request_put=dict(key=b"store", value=b"v"))])),
    ("Txn", dict(success=[dict(request_range=dict(key=b"store"))])),
)


@unittest.skipUnless(is_kvd(), "these sentences are kvd's")
class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("bad-input")
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_and_wait()
        cls.leader = cls.cluster.leader()
        cls.follower = cls.cluster.followers()[0]
        with Api(cls.leader.endpoint) as api:
            for lease in (GOOD["lease"], OTHER):
                api.call("etcdserverpb.Lease/LeaseGrant", TTL=3600, ID=lease)
            api.call(KV + "Put", key=b"store", value=b"before")

    def apis(self):
        for member in (self.leader, self.follower):
            with Api(member.endpoint) as api:
                yield api

    def setUp(self):
        with Api(self.leader.endpoint) as api:
            api.call(KV + "DeleteRange", key=b"n/", range_end=b"n0")
            self.revision = api.call(KV + "Range", key=b"store").header.revision

    def refused(self, api, path, metadata, fields, code, words):
        with self.assertRaises(Failed, msg=(path, metadata, fields)) as raised:
            api.call(path, metadata, **fields)
        error = raised.exception
        self.assertEqual(error.code.name, code, (path, metadata, fields, error.text))
        self.assertIn(words, error.text)
        self.assertRegex(error.text, r"^(kvd|etcdserver): ")

    def unchanged(self):
        with Api(self.leader.endpoint) as api:
            reply = api.call(KV + "Range", key=b"store")
            self.assertEqual(reply.header.revision, self.revision)
            self.assertEqual(reply.kvs[0].value, b"before")

    def test_requests_that_are_refused(self):
        for api in self.apis():
            for method, fields, code, words in REFUSED:
                with self.subTest(method=method, fields=str(fields)[:100]):
                    self.refused(api, OURS + method, None, fields, code, words)
        self.unchanged()

    def test_fences_that_are_refused(self):
        for api in self.apis():
            for fence, header, code, words in BAD_FENCES:
                for method, fields in WRITES:
                    with self.subTest(method=method, fence=str(fence), header=header):
                        metadata = None if header is None else [("kvd-fence", header)]
                        self.refused(api, KV + method, metadata, dict(fields, fence=fence),
                                     code, words)
        self.unchanged()

    def test_a_fence_given_twice(self):
        for api in self.apis():
            self.refused(api, KV + "Put", [("kvd-fence", "n:5"), ("kvd-fence", "n:5")],
                         dict(key=b"store", value=b"v"), "INVALID_ARGUMENT", "once")
        self.unchanged()

    def test_a_token_of_another_lock(self):
        for api in self.apis():
            one = api.call(OURS + "Acquire", **GOOD)
            other = api.call(OURS + "Acquire", **dict(GOOD, name=b"other"))
            self.assertTrue(one.acquired and other.acquired)
            for fence in (dict(name=b"n", token=other.token),
                          dict(name=b"other", token=one.token)):
                self.refused(api, KV + "Put", None, dict(key=b"k", value=b"v", fence=fence),
                             "FAILED_PRECONDITION", "acquire it again")
            for name in (b"n", b"other"):
                api.call(OURS + "Release", **dict(GOOD, name=name))

    def test_holds_that_could_never_be_granted(self):
        for api in self.apis():
            api.call(OURS + "Acquire", **dict(GOOD, mode="SHARED"))
            self.refused(api, OURS + "Acquire", None, dict(GOOD, hold="x", wait_ms=-1),
                         "FAILED_PRECONDITION", "release that hold first")
            self.refused(api, OURS + "Acquire", None,
                         dict(GOOD, lease=OTHER, mode="SLOTS", slots=2, wait_ms=-1),
                         "FAILED_PRECONDITION", "number of slots")
            api.call(OURS + "Release", **GOOD)
            api.call("v3lockpb.Lock/Lock", name=b"n", lease=OTHER)
            self.refused(api, OURS + "Acquire", None, dict(GOOD, lease=OTHER),
                         "FAILED_PRECONDITION", "use another lease")
            api.call("v3lockpb.Lock/Unlock", key=b"n/%x" % OTHER)

    def test_deadlocks_are_refused_with_the_cycle(self):
        for api in self.apis():
            for lease, name in ((1, b"x"), (OTHER, b"y")):
                api.call(OURS + "Acquire", name=name, lease=lease, hold="h")
            waiting = api.begin(OURS + "Acquire", name=b"y", lease=1, hold="h", wait_ms=-1)
            while len(api.call(OURS + "Inspect", name=b"y").line) < 2:
                pass
            with self.assertRaises(Failed) as raised:
                api.call(OURS + "Acquire", name=b"x", lease=OTHER, hold="h", wait_ms=-1)
            self.assertEqual(raised.exception.code.name, "FAILED_PRECONDITION")
            for word in ("x", "y", "deadlock"):
                self.assertIn(word, raised.exception.text)
            api.call(OURS + "Release", name=b"y", lease=OTHER, hold="h")
            self.assertTrue(waiting.wait().acquired)
            for name in (b"x", b"y"):
                api.call(OURS + "Release", name=name, lease=1, hold="h")

    def test_releases_of_what_is_not_held(self):
        for api in self.apis():
            reply = api.call(OURS + "Release", **GOOD)
            self.assertEqual((reply.released, reply.holds), (False, 0))
            reply = api.call(OURS + "Release", **dict(GOOD, lease=404))
            self.assertFalse(reply.released)

    def test_messages_that_are_none(self):
        for api in self.apis():
            for method in ("Acquire", "Release", "List", "Inspect", "ForceRelease"):
                with self.assertRaises(Failed):
                    api.raw(OURS + method, b"\x0a\x05")
            with self.assertRaises(Failed):
                api.raw(OURS + "Acquire", b"\x1a\x02\xff\xfe")
        self.unchanged()


if __name__ == "__main__":
    report.main()
