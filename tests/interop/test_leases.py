#!/usr/bin/python3
"""The lease service, call by call, against kvd and against Debian's etcd."""

import time

import etcdctl  # noqa: F401  (makes the cluster library importable)
import report
from client import Failed
from pair import PairTest

LEASE = "etcdserverpb.Lease/"
KV = "etcdserverpb.KV/"
LARGEST = (1 << 63) - 1
GONE_SECONDS = 2 + 1 + 3  # the least TTL, an election timeout, and what kvd promises on top


def keep_alive(side, *leases, note=True):
    """One stream, one renewal after the other; returns the replies."""
    stream = side.api.stream(LEASE + "LeaseKeepAlive")
    replies = []
    for lease in leases:
        stream.send(ID=lease)
        replies.append(stream.read(10))
        if note:
            side.note("keep-alive", replies[-1])
    stream.send_all()
    error = stream.wait_end()
    side.note("end", error and (error.code.name, error.text))
    return replies


def time_to_live(side, lease, keys=True):
    """Notes what is left, roughly: whole seconds pass while a test runs."""
    reply = side.api.call(LEASE + "LeaseTimeToLive", ID=lease, keys=keys)
    left = reply.grantedTTL - reply.TTL
    side.note("time to live", reply.ID, reply.grantedTTL,
              "about all" if 0 <= left <= 2 else reply.TTL, sorted(reply.keys))
    return reply


class Leases(PairTest):
    def test_ids_chosen_by_the_client(self):
        def scenario(side):
            side.call(LEASE + "LeaseGrant", TTL=60, ID=5)
            side.call(LEASE + "LeaseGrant", TTL=60, ID=5)
            side.call(LEASE + "LeaseGrant", TTL=100, ID=5)
            side.call(LEASE + "LeaseGrant", TTL=60, ID=-3)
            side.call(LEASE + "LeaseGrant", TTL=60, ID=LARGEST)
            side.call(LEASE + "LeaseGrant", TTL=60, ID=-LARGEST - 1)
            for lease in (5, -3, LARGEST, -LARGEST - 1):
                time_to_live(side, lease)
            reply = side.api.call(LEASE + "LeaseLeases")
            side.note("leases", sorted(row.ID for row in reply.leases))
            side.call(LEASE + "LeaseRevoke", ID=5)
            side.call(LEASE + "LeaseGrant", TTL=70, ID=5)
            time_to_live(side, 5)

        self.same(scenario)

    def test_ids_chosen_by_the_server(self):
        def scenario(side):
            granted = [side.api.call(LEASE + "LeaseGrant", TTL=60) for _ in range(20)]
            ids = {reply.ID for reply in granted}
            side.note("different and positive", len(ids), min(ids) > 0)
            side.note("ttl", [reply.TTL for reply in granted], [one.error for one in granted])

        self.same(scenario)

    def test_times_to_live_from_nothing_to_too_much(self):
        def scenario(side):
            for number, ttl in enumerate((0, -1, 1, 2, 3, -LARGEST, 9000000000, 9000000001,
                                          LARGEST)):
                side.call(LEASE + "LeaseGrant", TTL=ttl, ID=100 + number)
            time_to_live(side, 106)

        self.same(scenario)

    def test_unknown_leases(self):
        def scenario(side):
            side.call(LEASE + "LeaseRevoke", ID=404)
            side.call(LEASE + "LeaseRevoke", ID=0)
            side.call(LEASE + "LeaseTimeToLive", ID=404)
            side.call(LEASE + "LeaseTimeToLive", ID=404, keys=True)
            side.call(LEASE + "LeaseTimeToLive", ID=0)
            keep_alive(side, 404, 0, -1)
            side.call(KV + "Put", key=b"k", value=b"v", lease=404)
            side.call(KV + "Put", key=b"k", value=b"v", lease=-404)
            side.call(KV + "Txn", success=[
                dict(request_put=dict(key=b"other", value=b"v")),
                dict(request_put=dict(key=b"k", value=b"v", lease=404))])
            side.call(KV + "Range", key=b"\0", range_end=b"\0")

        self.same(scenario)

    def test_a_failing_branch_that_is_not_taken_is_no_matter(self):
        def scenario(side):
            side.call(KV + "Txn", success=[dict(request_put=dict(key=b"k", value=b"v"))],
                      failure=[dict(request_put=dict(key=b"k", value=b"v", lease=404))])

        self.same(scenario)

    def test_keep_alives_are_answered_in_order(self):
        def scenario(side):
            for lease, ttl in ((1, 10), (2, 20), (3, 30)):
                side.call(LEASE + "LeaseGrant", TTL=ttl, ID=lease)
            keep_alive(side, 1, 3, 2, 404, 1, 1)
            stream = side.api.stream(LEASE + "LeaseKeepAlive")
            for number in range(200):
                stream.send(ID=1 + number % 4)
            for number in range(200):
                side.note("of many", stream.read())
            stream.send_all()
            side.note("end", stream.wait_end())

        self.same(scenario)

    def test_keep_alive_starts_the_time_again(self):
        def scenario(side):
            side.call(LEASE + "LeaseGrant", TTL=10, ID=1)
            time.sleep(3)
            reply = side.api.call(LEASE + "LeaseTimeToLive", ID=1)
            side.note("some time has passed", 5 <= reply.TTL <= 7)
            keep_alive(side, 1)
            time_to_live(side, 1)

        self.same(scenario)

    def test_keys_belong_to_the_lease_of_their_last_put(self):
        def scenario(side):
            one, other = side.grant(lease=11), side.grant(lease=12)
            side.put(b"a", b"1", one)
            side.put(b"b", b"1", one)
            side.put(b"c", b"1", one)
            side.put(b"b", b"2", other)
            side.put(b"c", b"2")
            side.call(KV + "Put", key=b"a", ignore_value=True, lease=other)
            side.call(KV + "Put", key=b"a", value=b"kept", ignore_lease=True)
            side.call(KV + "Put", key=b"a", value=b"both", ignore_lease=True, lease=one)
            side.call(KV + "Put", key=b"new", value=b"x", ignore_lease=True)
            time_to_live(side, one)
            time_to_live(side, other)
            time_to_live(side, other, keys=False)
            side.call(KV + "Range", key=b"\0", range_end=b"\0")
            side.delete(b"b")
            time_to_live(side, other)
            side.call(LEASE + "LeaseRevoke", ID=one)
            side.call(LEASE + "LeaseRevoke", ID=other)
            side.call(KV + "Range", key=b"\0", range_end=b"\0")

        self.same(scenario)

    def test_a_transaction_attaches_and_detaches(self):
        def scenario(side):
            one, other = side.grant(lease=21), side.grant(lease=22)
            side.call(KV + "Txn", compare=[dict(key=b"k", target="LEASE", result="EQUAL", lease=0)],
                      success=[dict(request_put=dict(key=b"k", value=b"1", lease=one))])
            side.call(KV + "Txn",
                      compare=[dict(key=b"k", target="LEASE", result="EQUAL", lease=one)],
                      success=[dict(request_put=dict(key=b"k", value=b"2", lease=other)),
                               dict(request_put=dict(key=b"l", value=b"2", lease=one)),
                               dict(request_range=dict(key=b"k"))],
                      failure=[dict(request_delete_range=dict(key=b"k"))])
            side.call(KV + "Txn",
                      compare=[dict(key=b"k", target="LEASE", result="GREATER", lease=one)])
            time_to_live(side, one)
            time_to_live(side, other)

        self.same(scenario)

    def test_a_revoke_deletes_its_keys_in_one_revision(self):
        def scenario(side):
            lease = side.grant(lease=31)
            for key in (b"z", b"a", b"m"):
                side.put(key, b"v", lease)
            stream = side.api.stream("etcdserverpb.Watch/Watch")
            stream.send(create_request=dict(key=b"\0", range_end=b"\0", prev_kv=True))
            stream.read()
            side.call(LEASE + "LeaseRevoke", ID=lease)
            side.note("events", stream.read())
            stream.cancel()
            side.call(LEASE + "LeaseRevoke", ID=lease)
            empty = side.grant(lease=32)
            side.call(LEASE + "LeaseRevoke", ID=empty)

        self.same(scenario)

    def test_an_abandoned_lease_ends_with_its_keys_in_time(self):
        def scenario(side):
            granted = time.monotonic()
            lease = side.grant(ttl=2, lease=41)
            stream = side.api.stream("etcdserverpb.Watch/Watch")
            stream.send(create_request=dict(key=b"e/", range_end=b"e0"))
            stream.read()
            for key in (b"e/2", b"e/1", b"e/3"):
                side.put(key, b"v", lease)
            events = []
            while len(events) < 6:
                reply = stream.read(GONE_SECONDS)
                if reply is None:
                    break
                events += reply.events
            lasted = time.monotonic() - granted
            stream.cancel()
            side.note("events", events)
            side.note("in time", 2 <= lasted <= GONE_SECONDS, round(lasted, 3)
                      if not 2 <= lasted <= GONE_SECONDS else "")
            side.call(LEASE + "LeaseTimeToLive", ID=lease)
            keep_alive(side, lease)
            side.call(LEASE + "LeaseRevoke", ID=lease)
            side.call(KV + "Put", key=b"e/1", value=b"late", lease=lease)
            side.call(LEASE + "LeaseGrant", TTL=60, ID=lease)

        self.same(scenario)

    def test_a_kept_lease_outlives_its_time(self):
        def scenario(side):
            lease = side.grant(ttl=2, lease=51)
            side.put(b"kept", b"v", lease)
            stream = side.api.stream(LEASE + "LeaseKeepAlive")
            for _ in range(8):
                time.sleep(0.5)
                stream.send(ID=lease)
                side.note("kept", stream.read())
            side.note("still there", side.get(b"kept").count)
            stream.cancel()

        self.same(scenario)

    def test_a_keep_alive_that_is_no_message(self):
        def scenario(side):
            stream = side.api.stream(LEASE + "LeaseKeepAlive", raw=True)
            stream.send_raw(b"\x08")
            side.note("ended with an error", stream.wait_end() is not None)
            stream.cancel()
            for method in ("LeaseGrant", "LeaseRevoke", "LeaseTimeToLive"):
                try:
                    side.api.raw(LEASE + method, b"\x08")
                    side.note(method, "answered")
                except Failed:
                    side.note(method, "refused")

        self.same(scenario)


if __name__ == "__main__":
    report.main()
