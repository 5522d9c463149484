#!/usr/bin/python3
"""Wall clocks that jump by an hour, on one member at a time: no lease notices.

libfaketime gives each member a wall clock of its own, which follows a file; the monotonic
clock stays this machine's.
"""

import glob
import json
import os
import shutil
import time
import unittest

import report
from cluster import Cluster, eventually, is_kvd
from leases import LeaseTest

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
HOUR = 3600


def last_logged(member):
    """The wall clock of the member when it last wrote to its log."""
    return json.loads(member.log_tail(1))["ts"]


@unittest.skipUnless(LIBRARIES and is_kvd(), "needs the package libfaketime, and kvd's log")
class ClockJumps(LeaseTest):
    def setUp(self):
        self.cluster = Cluster("clock-" + self.id().rsplit(".", 1)[-1][5:30])
        self.addCleanup(self.cluster.close)
        for member in self.cluster.members:
            self.set_clock(member, 0)
            member.variables = {
                "LD_PRELOAD": LIBRARIES[0], "FAKETIME_TIMESTAMP_FILE": self.file_of(member),
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.cluster.start_and_wait()
        self.cluster.leader()

    def file_of(self, member):
        return os.path.join(self.cluster.folder, member.name + ".clock")

    def set_clock(self, member, seconds):
        """The wall clock of a member becomes ours and so much."""
        path = self.file_of(member)
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write("%+d" % seconds)
        shutil.move(path + ".new", path)

    def jumps(self, choose):
        for seconds in (HOUR, -HOUR, 0):
            self.set_clock(choose(), seconds)
            time.sleep(1)
        for member in self.cluster.members:
            self.set_clock(member, 0)

    def test_the_leaders_clock_jumps(self):
        self.run_with(lambda: self.jumps(self.cluster.leader))

    def test_a_followers_clock_jumps(self):
        follower = self.cluster.followers()[0]
        self.run_with(lambda: self.jumps(lambda: follower))

    def test_a_leader_with_a_wrong_clock_is_followed_by_one_with_another(self):
        def harm():
            for number, member in enumerate(self.cluster.members):
                self.set_clock(member, (number - 1) * HOUR)
            for _ in range(2):
                leader = self.cluster.leader()
                leader.kill()
                time.sleep(1)
                self.cluster.start(leader)
                self.cluster.wait_ready()

        self.run_with(harm)

    def test_the_clocks_really_jump(self):
        """What a member writes to its log shows its wall clock."""
        member = self.cluster.followers()[0]
        before = last_logged(member)
        self.set_clock(member, 30 * 24 * HOUR)
        self.cluster.leader().kill()
        eventually("the member logs another month",
                   lambda: last_logged(member)[:7] > before[:7])


if __name__ == "__main__":
    report.main()
