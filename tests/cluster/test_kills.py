#!/usr/bin/python3
"""SIGKILL again and again under load: no acknowledged write may be lost.

The variable KILLS says how often (default 30).
"""

import os
import random
import time
import unittest

import report
from cluster import Cluster
from ledger import Ledger

KILLS = int(os.environ.get("KILLS", "30"))
SEED = int(os.environ.get("SEED", str(int(time.time()))))
WRITES_BETWEEN = 20
RECOVERY_SECONDS = 20


def victims(cluster, choice):
    """Whom to kill this time: mostly the leader, else a follower, a majority, or all."""
    leader = cluster.leader()
    others = [member for member in cluster.members if member is not leader]
    return choice.choices(
        [[leader], [choice.choice(others)], [leader, choice.choice(others)], cluster.members],
        weights=[4, 2, 1, 2])[0]


class Kills(unittest.TestCase):
    def test_acknowledged_writes_survive_every_kill(self):
        choice = random.Random(SEED)
        print("seed %d, " % SEED, end="", flush=True)
        with Cluster("kills") as cluster:
            cluster.start_and_wait()
            killed = 0
            with Ledger([member.endpoint for member in cluster.members]) as ledger:
                while killed < KILLS:
                    ledger.wait_progress(WRITES_BETWEEN, RECOVERY_SECONDS)
                    time.sleep(choice.random() * 0.1)
                    chosen = victims(cluster, choice)
                    for member in chosen:
                        member.kill()
                    killed += len(chosen)
                    if len(chosen) == 1:
                        ledger.wait_progress(WRITES_BETWEEN, RECOVERY_SECONDS)
                    cluster.start(*chosen)
                ledger.wait_progress(WRITES_BETWEEN, RECOVERY_SECONDS)
            cluster.wait_ready()
            ledger.check(cluster.wait_equal())
            print("%d kills, %s, " % (killed, ledger.summary()), end="", flush=True)

    def test_the_last_acknowledged_write_survives_a_kill_of_all(self):
        with Cluster("kill-all") as cluster:
            cluster.start_and_wait()
            for attempt in range(3):
                member = cluster.members[attempt]
                revision = cluster.wait_writable(member, b"last")
                for one in cluster.members:
                    one.kill()
                cluster.start()
                cluster.wait_ready()
                self.assertEqual(member.client.get(b"last").mod_revision, revision)

    def test_one_member_alone_keeps_what_it_acknowledged(self):
        with Cluster("kill-single", size=1) as cluster:
            cluster.start_and_wait()
            with Ledger([cluster.members[0].endpoint], writers=2) as ledger:
                for _ in range(5):
                    ledger.wait_progress(WRITES_BETWEEN, RECOVERY_SECONDS)
                    cluster.members[0].kill()
                    cluster.start()
                ledger.wait_progress(WRITES_BETWEEN, RECOVERY_SECONDS)
            ledger.check(cluster.wait_equal())


if __name__ == "__main__":
    report.main()
