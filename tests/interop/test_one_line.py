#!/usr/bin/python3
"""Every kind of client of a lock stands in one line: etcdctl, etcd's Lock and Election services,
transactions that follow etcd's recipe, and kvd's own service. These promises are kvd's."""

import time
import unittest

import etcdctl
import report
from api import Api
from client import Failed, prefix_end
from cluster import Cluster, eventually, is_kvd

LOCK = "v3lockpb.Lock/"
ELECTION = "v3electionpb.Election/"
OURS = "kvd.v1.Lock/"
KV = "etcdserverpb.KV/"
NAME = b"deploy"
TTL_SECONDS = 60


@unittest.skipUnless(is_kvd(), "kvd's own lock service")
class OneLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("one-line")
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_and_wait()

    def setUp(self):
        self.apis = [Api(member.endpoint) for member in self.cluster.members]
        for api in self.apis:
            self.addCleanup(api.close)
        for lease in self.api().call("etcdserverpb.Lease/LeaseLeases").leases:
            self.api().call("etcdserverpb.Lease/LeaseRevoke", ID=lease.ID)
        self.api().call(KV + "DeleteRange", key=b"\0", range_end=b"\0")
        self.turn = 0

    def api(self):
        """Another member each time: who is asked must not matter."""
        self.turn = getattr(self, "turn", 0) + 1
        return self.apis[self.turn % len(self.apis)]

    def lease(self):
        return self.api().call("etcdserverpb.Lease/LeaseGrant", TTL=TTL_SECONDS).ID

    def keys(self):
        reply = self.api().call(KV + "Range", key=NAME + b"/", range_end=prefix_end(NAME + b"/"),
                                sort_target="CREATE", sort_order="ASCEND")
        return [pair.key for pair in reply.kvs]

    def wait_line(self, count):
        eventually("%d in the line" % count, lambda: len(self.keys()) == count, 10)

    # ---- the kinds of clients, each with: wait until granted, release ----

    def by_service(self):
        lease = self.lease()
        pending = self.api().begin(LOCK + "Lock", name=NAME, lease=lease)

        def release():
            self.api().call(LOCK + "Unlock", key=pending.wait().key)

        return pending.done, release

    def by_campaign(self):
        pending = self.api().begin(ELECTION + "Campaign", name=NAME, lease=self.lease(),
                                   value=b"candidate")

        def release():
            self.api().call(ELECTION + "Resign", leader=pending.wait().leader)

        return pending.done, release

    def by_ours(self, hold="one", **more):
        lease = self.lease()
        pending = self.api().begin(OURS + "Acquire", name=NAME, lease=lease, hold=hold,
                                   wait_ms=-1, **more)

        def release():
            self.assertTrue(pending.wait().acquired)
            self.assertTrue(self.api().call(OURS + "Release", name=NAME, lease=lease,
                                            hold=hold).released)

        return pending.done, release

    def by_etcdctl(self):
        running = etcdctl.Running(self.api().endpoint, ["lock", NAME.decode()])
        self.addCleanup(running.__exit__)
        return (lambda: running.out != b""), running.interrupt

    def by_transaction(self):
        """etcd's recipe by hand: create, then look whether nobody is before us."""
        key = NAME + b"/%x" % self.lease()
        mine = self.put_key(key)

        def granted():
            reply = self.api().call(KV + "Range", key=NAME + b"/",
                                    range_end=prefix_end(NAME + b"/"), limit=1,
                                    sort_target="CREATE", sort_order="DESCEND",
                                    max_create_revision=mine - 1)
            return not reply.kvs

        return granted, lambda: self.api().call(KV + "DeleteRange", key=key)

    def put_key(self, key):
        reply = self.api().call(
            KV + "Txn", compare=[dict(key=key, target="CREATE", result="EQUAL",
                                      create_revision=0)],
            success=[dict(request_put=dict(key=key, lease=int(key.rpartition(b"/")[2], 16)))])
        self.assertTrue(reply.succeeded)
        return reply.header.revision

    # ---- tests ----

    def test_all_kinds_are_granted_in_the_order_in_which_they_came(self):
        kinds = (self.by_service, self.by_ours, self.by_etcdctl, self.by_transaction,
                 self.by_campaign, self.by_ours, self.by_etcdctl, self.by_service,
                 self.by_transaction, self.by_campaign)
        line = []
        for number, kind in enumerate(kinds):
            line.append(kind())
            self.wait_line(number + 1)
        for number, (granted, release) in enumerate(line):
            eventually("number %d is granted" % number, granted, 10)
            time.sleep(0.1)
            self.assertEqual([one for one, (later, _) in enumerate(line[number + 1:], number + 1)
                              if later()], [])
            release()
        self.assertEqual(self.keys(), [])

    def test_shared_holders_stand_in_the_line_with_exclusive_ones(self):
        line = []
        for number, kind in enumerate((
                lambda: self.by_ours("a", mode="SHARED"), lambda: self.by_ours("b", mode="SHARED"),
                self.by_service, lambda: self.by_ours("c", mode="SHARED"),
                lambda: self.by_ours("d", mode="SHARED"), self.by_etcdctl)):
            line.append(kind())
            self.wait_line(number + 1)

        def who():
            return [number for number, (granted, _) in enumerate(line) if granted()]

        eventually("both shared ones", lambda: who() == [0, 1], 10)
        line[0][1]()
        time.sleep(0.2)
        self.assertNotIn(2, who())
        line[1][1]()
        eventually("the exclusive one", lambda: who() == [0, 1, 2], 10)
        line[2][1]()
        eventually("the next shared ones", lambda: who() == [0, 1, 2, 3, 4], 10)
        line[4][1]()
        line[3][1]()
        eventually("etcdctl", lambda: who() == [0, 1, 2, 3, 4, 5], 10)

    def test_every_grant_has_a_token_that_fences(self):
        for kind in (self.by_service, self.by_ours, self.by_etcdctl, self.by_campaign):
            with self.subTest(kind.__name__):
                granted, release = kind()
                eventually("granted", granted, 10)
                token = self.api().call(KV + "Range", key=self.keys()[0]).kvs[0].create_revision
                put = dict(key=b"store", value=b"v")
                self.api().call(KV + "Put", fence=dict(name=NAME, token=token), **put)
                self.api().call(KV + "Put", [("kvd-fence", "deploy:%d" % token)], **put)
                for wrong in (token - 1, token + 1):
                    self.refused(dict(name=NAME, token=wrong), None, put)
                    self.refused(None, [("kvd-fence", "deploy:%d" % wrong)], put)
                self.refused(dict(name=b"other", token=token), None, put)
                release()
                self.refused(dict(name=NAME, token=token), None, put)

    def refused(self, fence, metadata, put):
        with self.assertRaises(Failed) as raised:
            self.api().call(KV + "Put", metadata, fence=fence, **put)
        self.assertEqual(raised.exception.code.name, "FAILED_PRECONDITION")
        self.assertIn("not held with this token", raised.exception.text)

    def test_inspect_shows_whoever_made_the_key(self):
        kinds = (self.by_ours, self.by_service, self.by_etcdctl, self.by_campaign)
        line = []  # a call that nobody refers to is canceled
        for kind in kinds:
            line.append(kind())
            self.wait_line(len(line))
        shown = self.api().call(OURS + "Inspect", name=NAME)
        self.assertEqual([hold.key for hold in shown.line], self.keys())
        self.assertEqual([hold.granted for hold in shown.line], [True, False, False, False])
        self.assertEqual([hold.election for hold in shown.line], [False, False, False, True])
        self.assertEqual(shown.line[3].value, b"candidate")
        self.assertEqual(list(shown.line[0].holds), ["one"])
        for hold in shown.line:
            self.assertTrue(0 < hold.ttl_ms <= TTL_SECONDS * 1000)
        listed = self.api().call(OURS + "List")
        self.assertEqual([(row.name, row.holders, row.waiting) for row in listed.locks],
                         [(NAME, 1, 3)])

    def test_an_operator_ends_a_hold_of_any_kind(self):
        for kind in (self.by_service, self.by_etcdctl, self.by_ours, self.by_campaign):
            with self.subTest(kind.__name__):
                granted, _ = kind()
                eventually("granted", granted, 10)
                token = self.api().call(OURS + "Inspect", name=NAME).line[0].token
                granted_next, release = self.by_service()
                self.wait_line(2)
                reply = self.api().call(OURS + "ForceRelease", name=NAME, token=token,
                                        reason="its machine is lost")
                self.assertEqual(reply.released.token, token)
                eventually("the next one is granted", granted_next, 10)
                record = self.api().call(OURS + "Inspect", name=NAME).last_forced
                self.assertEqual((record.token, record.reason), (token, "its machine is lost"))
                self.assertIn("127.0.0.1", record.by)
                release()

    def test_keys_that_are_no_holds_do_not_disturb(self):
        """etcd takes any key under the name for a place in the line; kvd only such as a lease
        made, so that data beside a lock cannot block it."""
        self.api().call(KV + "Put", key=NAME + b"/config", value=b"data")
        granted, release = self.by_ours()
        eventually("granted", granted, 5)
        release()


if __name__ == "__main__":
    report.main()
