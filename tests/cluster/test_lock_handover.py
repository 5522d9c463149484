#!/usr/bin/python3
"""A lock handed from client to client while members and clients are stopped and killed.

What the lock guards is a store that checks tokens. A holder that sleeps longer than its lease
wakes up and writes with its old token: no such write may take place. That is checked from the
log, revision by revision: each write carries the token of whoever was first in the line then,
and the counter that it writes is one more than the one before. Clients of kvd's own service
and of etcd's stand in one line, and carry their tokens in every way there is. The variable
KILLS says how often something happens: a third of it.
"""

import os
import random
import signal
import subprocess
import sys
import time
import unittest

import fenced
import report
from cluster import WRAPPER, Cluster, environment, eventually, is_kvd
from history import History, current_revision

EVENTS = max(4, int(os.environ.get("KILLS", "30")) // 3)
SEED = int(os.environ.get("SEED", str(int(time.time()))))
MODES = fenced.MODES if is_kvd() else ("etcd-txn",) * 4
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fenced.py")
PROGRESS_SECONDS = 30


class FencedProcess:
    """A client in a process of its own, and what it has told so far."""

    def __init__(self, folder, endpoints, mode, number):
        self.path = os.path.join(folder, "client-%d.log" % number)
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen(
                WRAPPER + [sys.executable, PROGRAM, mode, str(SEED + number)] + endpoints,
                stdin=subprocess.DEVNULL, stdout=log, env=environment())
        self.mode = mode

    def told(self):
        """Its lines, each as a list of words; a last line that is cut off is left out."""
        with open(self.path, encoding="ascii") as log:
            return [line.split() for line in log.read().split("\n")[:-1]]

    def token(self):
        """Of the lock that it had last."""
        return max((int(words[1]) for words in self.told() if words[0] == "held"), default=0)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(10)


class LockHandover(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.clients = []
        self.history = History(b"h/", b"h0")

    # ---- clients ----

    def add_client(self, mode):
        client = FencedProcess(self.cluster.folder, self.endpoints, mode, len(self.clients))
        self.clients.append(client)
        self.addCleanup(client.kill)
        return client

    def told(self, kind):
        return [words for client in self.clients for words in client.told()
                if words[0] == kind]

    def wait_progress(self, more=5):
        goal = len(self.told("ok")) + more
        eventually("%d more fenced writes" % more, lambda: len(self.told("ok")) >= goal,
                   PROGRESS_SECONDS, 0.1)

    def line(self):
        """Tokens of the lock's line, the holder's first."""
        for member in self.cluster.running():
            found = member.client.range(fenced.NAME + b"/", fenced.NAME + b"0")
            return sorted(pair.create_revision for pair in found.kvs)

    def find_holder(self):
        first = (self.line() or [0])[0]
        return next((client for client in self.clients
                     if client.process.poll() is None and client.token() == first), None)

    # ---- harm ----

    def pause_a_holder(self):
        """Longer than its lease lives: it wakes up in the belief that it has the lock."""
        holder = eventually("somebody has the lock", self.find_holder)
        holder.signal(signal.SIGSTOP)
        token = holder.token()
        eventually("the lock is passed on", lambda: token not in self.line(),
                   PROGRESS_SECONDS)
        self.wait_progress(1)
        holder.signal(signal.SIGCONT)

    def kill_a_holder(self):
        holder = eventually("somebody has the lock", self.find_holder)
        holder.kill()
        self.add_client(holder.mode)

    def kill_the_leader(self):
        leader = self.cluster.leader()
        leader.kill()
        self.wait_progress(2)
        self.cluster.start(leader)
        self.cluster.wait_ready()

    def pause_the_leader(self):
        leader = self.cluster.leader()
        leader.pause()
        time.sleep(self.random.uniform(0.5, 3))
        leader.resume()

    def pause_a_holder_and_the_leader(self):
        holder = eventually("somebody has the lock", self.find_holder)
        holder.signal(signal.SIGSTOP)
        self.pause_the_leader()
        time.sleep(self.random.uniform(0, fenced.TTL_SECONDS))
        holder.signal(signal.SIGCONT)

    # ---- what must hold ----

    def check_history(self):
        """Each write by its token and its count; returns {revision: (count, token)}."""
        writes = {}
        last_count = 0
        for revision, changes in sorted(self.history.changes.items()):
            if fenced.STORE not in changes:
                continue
            count, token = map(int, changes[fenced.STORE][1].value.split())
            line = sorted(pair.create_revision
                          for key, pair in self.history.states[revision - 1].items()
                          if key.startswith(fenced.NAME + b"/"))
            where = "SEED=%d, revision %d" % (SEED, revision)
            self.assertTrue(line, "%s: token %d, and nobody has the lock" % (where, token))
            self.assertEqual(token, line[0], "%s: a stale token was let through" % where)
            self.assertEqual(count, last_count + 1, "%s: a count was lost" % where)
            last_count = count
            writes[revision] = (count, token)
        return writes

    def check_told(self, writes):
        for _, token, count, revision in self.told("ok"):
            self.assertEqual(writes.get(int(revision)), (int(count), int(token)),
                             "SEED=%d, acknowledged at revision %s" % (SEED, revision))
        took_place = set(writes.values())
        for words in self.told("refused"):
            self.assertNotIn((int(words[2]), int(words[1])), took_place,
                             "SEED=%d, refused and there" % SEED)

    def test_no_write_with_a_stale_token(self):
        with Cluster("lock-handover") as self.cluster:
            self.cluster.start_and_wait()
            self.endpoints = [member.endpoint for member in self.cluster.members]
            for mode in MODES:
                self.add_client(mode)
            harms = (self.pause_a_holder, self.kill_the_leader, self.kill_a_holder,
                     self.pause_the_leader, self.pause_a_holder_and_the_leader)
            for number in range(EVENTS):
                self.wait_progress()
                harms[number % len(harms)]()
            self.wait_progress(10)
            for client in self.clients:
                client.kill()
            self.cluster.wait_ready()
            last = current_revision(self.cluster.members[0].client)
            self.history.read_to([member.client for member in self.cluster.members], last)
            writes = self.check_history()
            self.check_told(writes)
            tokens = {token for _, token in writes.values()}
            refused = self.told("refused")
            print("%d writes under %d tokens, %d stale ones refused, " % (
                len(writes), len(tokens), len(refused)), end="", flush=True)
            self.assertGreater(len(tokens), EVENTS)
            self.assertTrue(refused, "nobody tried to write with a stale token")


if __name__ == "__main__":
    print("seed %d" % SEED, flush=True)
    report.main()
