#!/usr/bin/python3
"""How long the cluster takes no writes when its leader goes: killed, or stopped in good order."""

import shutil
import statistics
import subprocess
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
RESETS = 8


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


def reset_peers(cluster):
    """Ends every connection between members, as a firewall would; the kernel may refuse that."""
    for member in cluster.members:
        subprocess.run(["ss", "-K", "state", "established", "( sport = :%d or dport = :%d )" % (
            member.peer_port, member.peer_port)], capture_output=True, timeout=10, check=False)


def links_ended(member):
    with open(member.log_path, encoding="utf-8") as log:
        return log.read().count("connection to member ended")


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

    @unittest.skipUnless(shutil.which("ss") and is_kvd(), "needs ss, and kvd's log")
    def test_connections_that_are_only_reset_change_no_term(self):
        with Cluster("failover-reset") as cluster:
            cluster.start_and_wait()
            term = cluster.leader().client.status().raftTerm
            for i in range(RESETS):
                reset_peers(cluster)
                time.sleep(1.2 if i % 2 else 0.3)
            if not all(links_ended(member) for member in cluster.members):
                self.skipTest("this kernel, or this user, cannot reset connections")
            cluster.wait_ready()
            self.assertEqual(cluster.leader().client.status().raftTerm, term)
            cluster.wait_equal()


if __name__ == "__main__":
    report.main()
