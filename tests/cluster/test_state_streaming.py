#!/usr/bin/python3
"""Members that lack more than the others' logs hold, or have lost their database, get the state
from another member over a stream: while writes go on, through kills of either side at any
moment, changes of leader and compactions; with watchers and waiters of locks on them.

The variable KILLS says how often a stream is cut: a fifth of it.
"""

import glob
import os
import random
import time
import unittest
import urllib.error

import report
from api import Api
from client import op_put
from cluster import Cluster, eventually
from ledger import Ledger
from test_pages import fetch

KILLS = max(4, int(os.environ.get("KILLS", "30")) // 5)
SEED = int(os.environ.get("SEED", str(int(time.time()))))
WATCH = "etcdserverpb.Watch/Watch"
ACQUIRE = "kvd.v1.Lock/Acquire"
SHORT_LOG = {"--snapshot-count": "50", "--snapshot-catchup-entries": "20",
             "--log-hold-entries": "20"}
# So that a stream of some MB lasts for seconds.
SLOW_STREAM = {"--state-stream-rate": "1MiB"}
ENTRIES = 120  # more than such a log holds
ENTRY_KEYS = 10
VALUE = b"x" * 1000
CATCH_UP_SECONDS = 60
LINK_SILENCE_SECONDS = 3  # after which a member gives up a link that says nothing


def metric(member, name):
    text = fetch(member, "/metrics")[1]
    return next(float(line.split()[1]) for line in text.splitlines()
                if line.startswith(name + " "))


def fetched(member):
    return metric(member, "kvd_state_fetches_completed_total")


def log_of(member):
    with open(member.log_path, encoding="utf-8", errors="replace") as log:
        return log.read()


def write(member, name, entries=ENTRIES):
    """Many entries of the log, of some KB each."""
    for entry in range(entries):
        member.client.txn(success=[op_put(b"%s/%04d/%02d" % (name, entry, key), VALUE)
                                   for key in range(ENTRY_KEYS)])


def databases(member):
    return sorted(glob.glob(os.path.join(member.data_dir, "state-*.db")))


def lose_database(member):
    for path in glob.glob(os.path.join(member.data_dir, "state-*")):
        os.remove(path)


class StateStreaming(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)

    def check_equal(self, cluster):
        copy = cluster.wait_equal(CATCH_UP_SECONDS)
        for member in cluster.members:
            self.assertEqual(metric(member, "kvd_diverged"), 0, member.log_tail())
            self.assertEqual(len(databases(member)), 1, databases(member))
        return copy

    def wait_ready(self, cluster, *members):
        cluster.wait_ready(*members, seconds=CATCH_UP_SECONDS)

    def wait_fetching(self, member):
        """Until it gets bytes of a state; what its page says then."""
        def has_begun():
            try:
                return metric(member, "kvd_state_stream_received_bytes_total") > 0
            except urllib.error.URLError:
                return False  # it does not listen yet

        eventually("%s fetches the state" % member.name, has_begun, CATCH_UP_SECONDS)
        return fetch(member, "/readyz")

    def test_a_member_behind_the_log_gets_the_state(self):
        with Cluster("stream-away", options=SHORT_LOG) as cluster:
            cluster.start_and_wait()
            away, = self.random.sample(cluster.members, 1)
            away.kill()
            writer = cluster.running()[0]
            cluster.wait_writable(writer)
            write(writer, b"while away")
            cluster.start(away)
            self.wait_ready(cluster)
            self.assertEqual(fetched(away), 1)
            self.check_equal(cluster)
            # It is as good as any other: it leads, and gives the state away itself.
            away.kill()
            cluster.start(away)
            self.wait_ready(cluster)
            self.assertEqual(fetched(away), 0, "a restart fetched the state again")
            self.check_equal(cluster)

    def test_lost_and_damaged_databases_are_replaced(self):
        with Cluster("stream-lost", options=SHORT_LOG) as cluster:
            cluster.start_and_wait()
            member = cluster.followers()[0]
            # All of the log is there yet: it is enough.
            member.kill()
            lose_database(member)
            cluster.start(member)
            self.wait_ready(cluster)
            self.assertEqual(fetched(member), 0)
            self.assertIn("the state of this member is missing", log_of(member))
            write(cluster.leader(), b"before")
            # Two at once, and one of them may have led.
            both = self.random.sample(cluster.members, 2)
            for one in both:
                one.kill()
                lose_database(one)
            cluster.start(*both)
            self.wait_ready(cluster)
            self.assertEqual([fetched(one) for one in both], [1, 1])
            self.check_equal(cluster)
            self.damage_and_replace(cluster, member)

    def damage_and_replace(self, cluster, member):
        member.terminate()
        with open(databases(member)[0], "r+b") as database:
            database.seek(os.path.getsize(database.name) // 2)
            byte = database.read(1)
            database.seek(-1, os.SEEK_CUR)
            database.write(bytes([byte[0] ^ 1]))
        cluster.start(member)
        self.wait_ready(cluster)
        self.assertIn("the state of this member is damaged", log_of(member))
        self.check_equal(cluster)
        eventually("the damaged database is gone", lambda: not glob.glob(
            os.path.join(member.data_dir, "damaged-*")))

    def test_streams_are_cut_at_any_moment(self):
        options = dict(SHORT_LOG, **{"--state-stream-rate": "4MiB"})
        with Cluster("stream-kills", options=options) as cluster:
            cluster.start_and_wait()
            write(cluster.leader(), b"before", 4 * ENTRIES)
            victim = cluster.members[2]
            with Ledger([member.endpoint for member in cluster.members[:2]]) as ledger:
                for number in range(KILLS):
                    self.cut(cluster, victim, number)
                self.wait_ready(cluster)
                ledger.wait_progress(50, CATCH_UP_SECONDS)
            ledger.check(self.check_equal(cluster))
            print("%s, SEED=%d, " % (ledger.summary(), SEED), end="", flush=True)

    def cut(self, cluster, victim, number):
        """The receiver is killed, or now and then a sender, some time after it began."""
        victim.kill()
        if number % 3 == 0:
            lose_database(victim)
        cluster.start(victim)
        time.sleep(self.random.random() * 1.2)
        if number % 4 == 3:
            sender = self.random.choice(cluster.members[:2])
            sender.kill()
            time.sleep(self.random.random() * 0.3)
            cluster.start(sender)
            self.wait_ready(cluster)

    def test_a_change_of_leader_and_a_compaction_in_the_middle(self):
        with Cluster("stream-leader", options=dict(SHORT_LOG, **SLOW_STREAM)) as cluster:
            cluster.start_and_wait()
            leader = cluster.leader()
            member = cluster.followers()[0]
            write(leader, b"before", 2 * ENTRIES)
            member.kill()
            lose_database(member)
            cluster.start(member)
            status, text = self.wait_fetching(member)
            self.assertEqual(status, 503)
            self.assertRegex(text, r"linearizable_read failed: fetching the state: [0-9]+%")
            revision = leader.client.put(b"during", b"1")
            leader.client.compact(revision)
            write(leader, b"during", ENTRIES // 2)
            leader.kill()
            other, = [one for one in cluster.running() if one is not member]
            cluster.wait_writable(other, seconds=CATCH_UP_SECONDS)
            cluster.start(leader)
            self.wait_ready(cluster)
            self.assertEqual(fetched(member), 1)
            self.check_equal(cluster)

    def test_watchers_and_waiters_go_on(self):
        with Cluster("stream-watch", options=SHORT_LOG) as cluster:
            cluster.start_and_wait()
            leader, member = cluster.leader(), cluster.followers()[0]
            with Api(member.endpoint) as there, Api(leader.endpoint) as api:
                watch = there.stream(WATCH)
                watch.send(create_request=dict(key=b"w/", range_end=b"w0"))
                self.assertTrue(watch.read().created)
                leases = [api.call("etcdserverpb.Lease/LeaseGrant", TTL=600).ID
                          for _ in range(2)]
                api.call(ACQUIRE, name=b"lock", lease=leases[0], hold="one")
                waiting = there.begin(ACQUIRE, name=b"lock", lease=leases[1], hold="two",
                                      wait_ms=-1)
                eventually("the other one waits", lambda: len(
                    leader.client.prefix(b"lock/").kvs) == 2)

                self.pause(member)
                revisions = [leader.client.put(b"w/%d" % number, b"v") for number in range(5)]
                write(leader, b"w-not/")
                api.call("etcdserverpb.Lease/LeaseRevoke", ID=leases[0])
                member.resume()

                events = []
                while len(events) < len(revisions):
                    reply = watch.read(CATCH_UP_SECONDS)
                    self.assertIsNotNone(reply, "the watch fell silent")
                    events += reply.events
                self.assertEqual([event.kv.mod_revision for event in events], revisions)
                self.assertGreater(waiting.wait(CATCH_UP_SECONDS).token, 0)
                self.assertEqual(fetched(member), 1)
                if KILLS > 10:
                    self.compacted_is_told(leader, member, watch)
            self.check_equal(cluster)

    def pause(self, member):
        """Until the others gave its links up: no bytes wait for it in a socket."""
        member.pause()
        time.sleep(LINK_SILENCE_SECONDS + 1)

    def compacted_is_told(self, leader, member, watch):
        """What is compacted before the watcher was told of it is no silent gap."""
        self.pause(member)
        leader.client.put(b"w/gone", b"1")
        leader.client.compact(leader.client.put(b"w/gone", b"2"))
        write(leader, b"again")
        member.resume()
        reply = watch.read(CATCH_UP_SECONDS)
        self.assertIsNotNone(reply, "the watch fell silent")
        self.assertTrue(reply.canceled)
        self.assertGreater(reply.compact_revision, 0)


if __name__ == "__main__":
    report.main()
