#!/usr/bin/python3
"""How long the cluster takes no writes when its leader goes: killed, or stopped in good order."""

import statistics
import threading
import time
import unittest

import report
from client import Client, Failed
from cluster import Cluster, is_kvd

KILLS = 10
STOPS = 5
KILLED_SECONDS = 5.0         # three election timeouts and the start of a busy machine
KILLED_MEDIAN_SECONDS = 0.3  # a third of an election timeout
STOPPED_SECONDS = 2.0
PAUSE_SECONDS = 0.005


class Gap(threading.Thread):
    """Writes through one member now and then and keeps the longest time without a success."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.client = Client(endpoint, timeout=0.1)
        self.stopping = threading.Event()
        self.longest = 0.0

    def run(self):
        last = time.monotonic()
        while not self.stopping.is_set():
            try:
                self.client.put(b"gap", b"x")
            except Failed:
                time.sleep(0.005)
                continue
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            last = now
            time.sleep(PAUSE_SECONDS)
        self.client.close()

    def finish(self):
        self.stopping.set()
        self.join()
        return self.longest


class Failover(unittest.TestCase):
    def gaps(self, name, rounds, harm):
        """The gap seen through a follower, for each of some times that the leader goes."""
        seen = []
        with Cluster(name) as cluster:
            cluster.start_and_wait()
            for _ in range(rounds):
                leader = cluster.leader()
                gap = Gap(cluster.followers()[0].endpoint)
                gap.start()
                time.sleep(0.3)
                harm(leader)
                others = [member for member in cluster.members if member is not leader]
                for member in others:
                    cluster.wait_writable(member)
                time.sleep(0.3)
                seen.append(gap.finish())
                cluster.start(leader)
                cluster.wait_ready()
            cluster.wait_equal()
        print("gap %d ms median, %d ms longest of %d, " % (
            statistics.median(seen) * 1000, max(seen) * 1000, rounds), end="", flush=True)
        return seen

    def test_writes_go_on_after_the_leader_is_killed(self):
        gaps = self.gaps("failover-killed", KILLS, lambda leader: leader.kill())
        self.assertLess(max(gaps), KILLED_SECONDS)
        if is_kvd():
            self.assertLess(statistics.median(gaps), KILLED_MEDIAN_SECONDS)

    def test_writes_go_on_after_the_leader_is_stopped(self):
        gaps = self.gaps("failover-stopped", STOPS, lambda leader: leader.terminate())
        self.assertLess(max(gaps), STOPPED_SECONDS)


if __name__ == "__main__":
    report.main()
