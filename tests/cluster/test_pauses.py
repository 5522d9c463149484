#!/usr/bin/python3
"""SIGSTOP: a member that slept must neither answer from the past nor hold up the others."""

import random
import threading
import time
import unittest

import report
from api import Api
from client import Client, Failed
from cluster import Cluster, eventually
from ledger import Ledger

ROUNDS = 3
NEW_LEADER_SECONDS = 15


class Asker(threading.Thread):
    """Asks one member for one key, so that the question waits while the member sleeps."""

    def __init__(self, member, key):
        super().__init__(daemon=True)
        self.client = Client(member.endpoint, timeout=10)
        self.client.get(b"ready")
        self.key = key
        self.value = None

    def run(self):
        try:
            self.value = self.client.get(self.key).value
        except Failed:
            pass
        self.client.close()


class Pauses(unittest.TestCase):
    def test_a_leader_that_slept_gives_no_stale_read(self):
        with Cluster("pause-leader") as cluster:
            cluster.start_and_wait()
            for number in range(ROUNDS):
                old, new = b"old %d" % number, b"new %d" % number
                leader = cluster.leader()
                leader.client.put(b"read me", old)
                askers = [Asker(leader, b"read me") for _ in range(4)]
                leader.pause()
                for asker in askers:
                    asker.start()
                other = cluster.running()[0]
                eventually("the others elect a leader and write",
                           lambda m=other, v=new: m.client.put(b"read me", v, timeout=1),
                           NEW_LEADER_SECONDS)
                leader.resume()
                for asker in askers:
                    asker.join()
                    self.assertIn(asker.value, (None, new))
                cluster.wait_ready()
            cluster.wait_equal()

    def test_a_follower_that_slept_reads_the_latest_write(self):
        with Cluster("pause-follower") as cluster:
            cluster.start_and_wait()
            for number in range(ROUNDS):
                follower = cluster.followers()[0]
                follower.pause()
                writer = cluster.running()[0]
                for step in range(50):
                    writer.client.put(b"read me", b"%d %d" % (number, step))
                follower.resume()
                found = eventually("the follower answers",
                                   lambda m=follower: m.client.get(b"read me", timeout=2))
                self.assertEqual(found.value, b"%d 49" % number)
            cluster.wait_equal()

    def test_without_a_majority_nothing_is_acknowledged(self):
        with Cluster("pause-majority") as cluster:
            cluster.start_and_wait()
            cluster.members[0].client.put(b"before", b"1")
            survivor, *sleepers = cluster.members
            cluster.wait_equal()
            for member in sleepers:
                member.pause()
            with self.assertRaises(Failed):
                survivor.client.put(b"during", b"1", timeout=2)
            with self.assertRaises(Failed):
                survivor.client.get(b"before", timeout=2)
            self.assertEqual(survivor.client.get(b"before", serializable=True).value, b"1")
            for member in sleepers:
                member.resume()
            cluster.wait_writable(survivor)
            cluster.wait_equal()

    def test_streams_that_want_a_leader_end_when_there_is_none(self):
        wanted = (("hasleader", "true"),)
        with Cluster("pause-no-leader") as cluster:
            cluster.start_and_wait()
            survivor, *sleepers = cluster.members
            with Api(survivor.endpoint) as api:
                lease = api.call("etcdserverpb.Lease/LeaseGrant", TTL=60).ID
                patient, strict = (api.stream("etcdserverpb.Watch/Watch", metadata)
                                   for metadata in (None, wanted))
                keeper = api.stream("etcdserverpb.Lease/LeaseKeepAlive", wanted)
                for stream in (patient, strict):
                    stream.send(create_request=dict(key=b"k"))
                    self.assertTrue(stream.read().created)
                keeper.send(ID=lease)
                self.assertEqual(keeper.read().TTL, 60)
                for member in sleepers:
                    member.pause()
                for stream in (strict, keeper):
                    error = stream.wait_end(NEW_LEADER_SECONDS)
                    self.assertEqual((error.code.name, error.text),
                                     ("UNAVAILABLE", "etcdserver: no leader"))
                with self.assertRaisesRegex(Failed, "etcdserver: no leader"):
                    api.call("etcdserverpb.KV/Put", wanted, key=b"k", value=b"no")
                self.assertFalse(patient.ended.is_set())
                for member in sleepers:
                    member.resume()
                cluster.wait_writable(survivor, b"k")
                self.assertEqual(patient.read(NEW_LEADER_SECONDS).events[0].kv.key, b"k")
                patient.cancel()

    def test_writes_survive_pauses_under_load(self):
        choice = random.Random(int(time.time()))
        with Cluster("pause-load") as cluster:
            cluster.start_and_wait()
            with Ledger([member.endpoint for member in cluster.members]) as ledger:
                for _ in range(ROUNDS * 2):
                    ledger.wait_progress(20, NEW_LEADER_SECONDS)
                    sleeper = choice.choice(cluster.members)
                    sleeper.pause()
                    time.sleep(choice.choice([0.1, 0.5, 1.5, 3]))
                    sleeper.resume()
                ledger.wait_progress(20, NEW_LEADER_SECONDS)
            cluster.wait_ready()
            ledger.check(cluster.wait_equal())
            print("%s, " % ledger.summary(), end="", flush=True)


if __name__ == "__main__":
    report.main()
