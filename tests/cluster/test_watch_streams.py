#!/usr/bin/python3
"""Watchers on all members through many leader kills, each compared with the log.

At the end the log is read revision by revision: no watcher may have a gap, a duplicate, a
revision out of order or in parts. A watcher whose member dies goes on elsewhere, where it
left off, as clients do. The variable KILLS says how often the leader dies: a third of it.
"""

import os
import random
import threading
import time
import unittest

import grpc

import report
from api import Api, Stream, methods
from client import CHANNEL_OPTIONS, Client, Failed, op_delete, op_put
from cluster import Cluster, eventually
from history import History, Seen, current_revision

KILLS = max(2, int(os.environ.get("KILLS", "30")) // 3)
SEED = int(os.environ.get("SEED", str(int(time.time()))))
WATCH = "etcdserverpb.Watch/Watch"
PREFIX, PREFIX_END = b"w/", b"w0"
KEYS = [b"w/%02d" % number for number in range(30)]
VALUE_BYTES, LARGE_VALUE_BYTES = 1000, 30000
WRITERS = 3
PACE_SECONDS = 0.01
PROGRESS_SECONDS = 0.3
CATCH_UP_SECONDS = 30
NEW_LEADER_SECONDS = 20


class Writer(threading.Thread):
    """Puts, transactions and deletes through any member, well mixed; outcomes do not matter."""

    def __init__(self, endpoints, number, value_bytes):
        super().__init__(daemon=True)
        self.random = random.Random(SEED * 10 + number)
        self.value_bytes = value_bytes
        self.endpoints = endpoints
        self.stopping = threading.Event()
        self.writes = 0

    def run(self):
        clients = [Client(endpoint, timeout=2) for endpoint in self.endpoints]
        while not self.stopping.wait(PACE_SECONDS):
            try:
                self.write(self.random.choice(clients))
                self.writes += 1
            except Failed:
                pass
        for client in clients:
            client.close()

    def value(self):
        return self.random.randbytes(self.random.randint(0, self.value_bytes))

    def write(self, client):
        key = self.random.choice(KEYS)
        kind = self.random.randrange(10)
        if kind < 6:
            client.put(key, self.value())
        elif kind < 8:
            chosen = self.random.sample(KEYS, self.random.randint(2, 6))
            client.txn(success=[op_put(one, self.value()) for one in chosen[1:]] +
                       [op_delete(chosen[0])])
        elif kind < 9:
            client.delete(key)
        else:
            client.delete(key, self.random.choice(KEYS))


class Watcher(threading.Thread):
    """One watcher that goes on through every end of its stream."""

    def __init__(self, endpoints, seen, key, range_end=b"", options=None):
        super().__init__(daemon=True)
        self.endpoints = list(endpoints)  # the first one as long as it answers
        self.seen = seen
        self.create = dict(key=key, range_end=range_end, prev_kv=seen.prev_kv)
        self.options = options or CHANNEL_OPTIONS
        self.stopping = threading.Event()
        self.awake = threading.Event()    # cleared: it reads nothing
        self.awake.set()

    def run(self):
        while not self.stopping.is_set():
            with grpc.insecure_channel(self.endpoints[0], options=self.options) as channel:
                self.watch(Stream(channel, methods[WATCH], eager=False))
            self.endpoints.append(self.endpoints.pop(0))
            time.sleep(0.02)

    def watch(self, stream):
        self.seen.begin_stream()
        stream.send(create_request=dict(self.create, start_revision=self.seen.next))
        asker = threading.Thread(target=self.ask, args=(stream,), daemon=True)
        asker.start()
        try:
            for response in stream.replies():
                self.seen.note(response)
                if response.canceled or self.stopping.is_set():
                    break
                self.awake.wait()
        except Failed:
            pass
        stream.cancel()
        asker.join()

    def ask(self, stream):
        """Progress, now and then: what it promises is checked."""
        while not stream.ended.wait(PROGRESS_SECONDS):
            stream.send(progress_request={})

    def finish(self, revision):
        """Waits until it knows all up to a revision, then ends it."""
        self.awake.set()
        eventually("%s is told of revision %d (it is at %d)" % (
            self.seen.name, revision, self.seen.next),
                   lambda: self.seen.next > revision, CATCH_UP_SECONDS)
        self.stopping.set()
        self.join(10)


def slow_options():
    """A connection that takes little before its reader reads on."""
    return CHANNEL_OPTIONS + (("grpc.http2.bdp_probe", 0),
                              ("grpc.http2.lookahead_bytes", 65536))


class WatchStreams(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.watchers = []

    def add(self, cluster, name, matches, key, range_end=b"", first=2, **more):
        endpoints = [member.endpoint for member in cluster.members]
        home = len(self.watchers) % len(endpoints)
        prev_kv = len(self.watchers) % 2 == 0
        watcher = Watcher(endpoints[home:] + endpoints[:home],
                          Seen(name, first, matches, prev_kv), key, range_end, **more)
        self.watchers.append(watcher)
        watcher.start()
        return watcher

    def add_all(self, cluster):
        for number in range(3):
            self.add(cluster, "prefix %d" % number, lambda key: True, PREFIX, PREFIX_END)
            self.add(cluster, "key %d" % number,
                     lambda key, mine=KEYS[number]: key == mine, KEYS[number])
            self.add(cluster, "half %d" % number, lambda key: key >= KEYS[15],
                     KEYS[15], PREFIX_END)

    def check(self, history, last):
        order = {}
        told = 0
        for watcher in self.watchers:
            watcher.finish(last)
        for watcher in self.watchers:
            told += watcher.seen.check(history, last, order)
        problems = [text for watcher in self.watchers for text in watcher.seen.problems]
        self.assertEqual(problems[:5], [], "%d problems, SEED=%d" % (len(problems), SEED))
        print("%d revisions, told %d times over %d streams, " % (
            len(history.changes), told,
            sum(watcher.seen.streams for watcher in self.watchers)), end="", flush=True)

    def writers(self, cluster, value_bytes=VALUE_BYTES):
        found = [Writer([member.endpoint for member in cluster.members], number, value_bytes)
                 for number in range(WRITERS)]
        for writer in found:
            writer.start()
        return found

    def wait_writes(self, writers, more):
        goal = sum(writer.writes for writer in writers) + more
        eventually("%d more writes" % more,
                   lambda: sum(writer.writes for writer in writers) >= goal,
                   NEW_LEADER_SECONDS)

    def stop(self, writers):
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join(30)

    def test_streams_tell_the_log_through_leader_kills(self):
        history = History(PREFIX, PREFIX_END)
        with Cluster("watch-kills") as cluster:
            cluster.start_and_wait()
            clients = [member.client for member in cluster.members]
            self.add_all(cluster)
            writers = self.writers(cluster)
            for number in range(KILLS):
                self.wait_writes(writers, 30)
                leader = cluster.leader()
                leader.kill()
                self.wait_writes(writers, 10)
                if number % 4 == 0:
                    self.add(cluster, "late %d" % number, lambda key: True, PREFIX, PREFIX_END)
                cluster.start(leader)
                cluster.wait_ready()
            self.wait_writes(writers, 30)
            self.stop(writers)
            cluster.wait_ready()
            last = current_revision(cluster.members[0].client)
            history.read_to(clients, last)
            self.check(history, last)

    def test_a_slow_reader_and_a_compaction(self):
        """Who reads too slowly gets all, or is told what was compacted; others notice nothing."""
        history = History(PREFIX, PREFIX_END)
        with Cluster("watch-slow") as cluster:
            cluster.start_and_wait()
            clients = [member.client for member in cluster.members]
            self.add_all(cluster)
            slow = [self.add(cluster, "slow %d" % number, lambda key: True, PREFIX, PREFIX_END,
                             options=slow_options()) for number in range(3)]
            writers = self.writers(cluster, LARGE_VALUE_BYTES)
            self.wait_writes(writers, 50)
            for one in slow:
                one.awake.clear()
            self.wait_writes(writers, 300)
            slow[0].awake.set()
            for _ in range(2):
                self.wait_writes(writers, 150)
                revision = current_revision(clients[0])
                history.read_to(clients, revision)
                cluster.members[1].client.compact(revision)
            self.wait_writes(writers, 50)
            self.stop(writers)
            last = current_revision(clients[0])
            history.read_to(clients, last)
            self.check(history, last)
            compacted = [watcher.seen.compacted for watcher in self.watchers]
            self.assertEqual(compacted[:10], [0] * 10)
            self.assertGreater(min(compacted[10:]), 0)

    def test_all_members_restart_under_watchers(self):
        history = History(PREFIX, PREFIX_END)
        with Cluster("watch-restart") as cluster:
            cluster.start_and_wait()
            self.add_all(cluster)
            writers = self.writers(cluster)
            for harm in (lambda member: member.kill(), lambda member: member.terminate()):
                self.wait_writes(writers, 50)
                for member in cluster.members:
                    harm(member)
                cluster.start()
                cluster.wait_ready()
            self.wait_writes(writers, 50)
            self.stop(writers)
            last = current_revision(cluster.members[0].client)
            history.read_to([member.client for member in cluster.members], last)
            self.check(history, last)


if __name__ == "__main__":
    print("seed %d" % SEED, flush=True)
    report.main()
