#!/usr/bin/python3
"""Members that stop and come back: in good order, all at once, one by one, after a long time."""

import signal
import time
import unittest

import client as kv
import report
from cluster import Cluster, is_kvd
from ledger import Ledger

STOPPED_CODES = (0,) if is_kvd() else (0, -signal.SIGTERM)  # etcd ends by the signal
STOP_SECONDS = 5
BATCHES = 150
BATCH_KEYS = 100
VALUE = b"x" * 100
CATCH_UP_SECONDS = 30


def write_batches(member, first, last):
    """Many keys in few calls."""
    for batch in range(first, last):
        member.client.txn(success=[kv.op_put(b"batch/%04d/%04d" % (batch, key), VALUE)
                                   for key in range(BATCH_KEYS)])


class Restarts(unittest.TestCase):
    def stop(self, member):
        began = time.monotonic()
        code = member.terminate(STOP_SECONDS * 2)
        self.assertIn(code, STOPPED_CODES, member.log_tail())
        self.assertLess(time.monotonic() - began, STOP_SECONDS)

    def test_a_stopped_member_exits_with_0_and_keeps_its_data(self):
        with Cluster("restart-single", size=1) as cluster:
            cluster.start_and_wait()
            member = cluster.members[0]
            revision = member.client.put(b"kept", b"yes")
            self.stop(member)
            cluster.start()
            cluster.wait_ready()
            found = member.client.get(b"kept")
            self.assertEqual((found.value, found.mod_revision), (b"yes", revision))

    def test_all_members_restart_with_the_same_state(self):
        with Cluster("restart-all") as cluster:
            cluster.start_and_wait()
            write_batches(cluster.members[0], 0, 5)
            cluster.members[1].client.delete(b"batch/0002/", b"batch/00020")
            before = cluster.wait_equal()
            for member in cluster.members:
                self.stop(member)
            cluster.start()
            cluster.wait_ready()
            after = cluster.wait_equal()
            self.assertEqual(list(after.kvs), list(before.kvs))
            self.assertEqual(after.header.revision, before.header.revision)

    def test_a_rolling_restart_under_load_loses_nothing(self):
        with Cluster("restart-rolling") as cluster:
            cluster.start_and_wait()
            with Ledger([member.endpoint for member in cluster.members]) as ledger:
                for member in cluster.members:
                    ledger.wait_progress(50, CATCH_UP_SECONDS)
                    self.stop(member)
                    cluster.start(member)
                    cluster.wait_ready(member)
                ledger.wait_progress(50, CATCH_UP_SECONDS)
            ledger.check(cluster.wait_equal())
            print("%s, " % ledger.summary(), end="", flush=True)

    def test_a_member_that_was_away_for_long_catches_up(self):
        with Cluster("restart-lagging", options={"--snapshot-count": "100"}) as cluster:
            cluster.start_and_wait()
            write_batches(cluster.members[0], 0, 10)
            away = cluster.followers()[0]
            away.kill()
            writer = cluster.running()[0]
            cluster.wait_writable(writer)
            write_batches(writer, 10, BATCHES)
            cluster.start(away)
            copy = cluster.wait_equal(CATCH_UP_SECONDS)
            self.assertEqual(len(cluster.running()), 3)
            self.assertGreaterEqual(copy.count, BATCHES * BATCH_KEYS)

    def test_two_followers_away_come_back_to_the_only_one_that_knows(self):
        with Cluster("restart-two-away") as cluster:
            cluster.start_and_wait()
            for number in range(3):
                revision = cluster.wait_writable(cluster.leader(), b"step %d" % number)
                followers = cluster.followers()
                for member in followers:
                    member.kill()
                cluster.start(*followers)
                cluster.wait_ready()
                for member in cluster.members:
                    found = member.client.get(b"step %d" % number)
                    self.assertEqual(found.mod_revision, revision)
            cluster.wait_equal()

    def test_compacted_history_stays_compacted_after_a_restart(self):
        with Cluster("restart-compacted", size=1) as cluster:
            cluster.start_and_wait()
            member = cluster.members[0]
            for number in range(10):
                revision = member.client.put(b"key", b"%d" % number)
            member.client.compact(revision - 2)
            member.kill()
            cluster.start()
            cluster.wait_ready()
            with self.assertRaisesRegex(kv.Refused, "required revision has been compacted"):
                member.client.range(b"key", revision=revision - 3)
            old = member.client.range(b"key", revision=revision - 2)
            self.assertEqual(old.kvs[0].value, b"7")
            self.assertEqual(old.header.revision, revision)


if __name__ == "__main__":
    report.main()
