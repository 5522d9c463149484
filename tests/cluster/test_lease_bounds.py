#!/usr/bin/python3
"""Leases against this machine's monotonic clock: never early, gone in time, whatever happens.

What is asserted stands in leases.py. The variable KILLS makes the harm last longer.
"""

import os
import random
import time

import report
from cluster import Cluster
from leases import LeaseTest

ROUNDS = max(1, int(os.environ.get("KILLS", "30")) // 30)
SEED = int(os.environ.get("SEED", str(int(time.time()))))


class LeaseBounds(LeaseTest):
    rounds = ROUNDS

    def setUp(self):
        self.random = random.Random(SEED)
        self.cluster = Cluster("lease-" + self.id().rsplit(".", 1)[-1][5:30])
        self.addCleanup(self.cluster.close)
        self.cluster.start_and_wait()
        self.cluster.leader()

    def test_without_harm(self):
        self.run_with(lambda: time.sleep(1))

    def test_leaders_that_are_killed_again_and_again(self):
        """A TTL that began again with each leader would outlast all of them."""
        def harm():
            for _ in range(5):
                time.sleep(1.2)
                leader = self.cluster.leader()
                leader.kill()
                time.sleep(0.3)
                self.cluster.start(leader)
                self.cluster.wait_ready()

        self.run_with(harm, ttls=(2, 5, 10))

    def test_leaders_that_pause_for_less_than_an_election_timeout(self):
        def harm():
            for _ in range(6):
                time.sleep(0.5)
                leader = self.cluster.leader()
                leader.pause()
                time.sleep(self.random.uniform(0.3, 0.7))
                leader.resume()

        self.run_with(harm)

    def test_leaders_that_pause_for_longer_than_an_election_timeout(self):
        def harm():
            for _ in range(2):
                time.sleep(0.5)
                leader = self.cluster.leader()
                leader.pause()
                time.sleep(self.random.uniform(2, 4))
                leader.resume()

        self.run_with(harm)

    def test_all_members_pause(self):
        """Whoever leads afterwards counts no more than an election timeout of the pause."""
        def harm():
            time.sleep(0.5)
            for member in self.cluster.members:
                member.pause()
            time.sleep(4)
            for member in self.cluster.members:
                member.resume()

        self.run_with(harm)

    def test_all_members_are_killed_and_come_back(self):
        def harm():
            time.sleep(0.5)
            for member in self.cluster.members:
                member.kill()
            time.sleep(2.5)
            self.cluster.start()
            self.cluster.wait_ready()

        self.run_with(harm)


if __name__ == "__main__":
    print("seed %d" % SEED, flush=True)
    report.main()
