#!/usr/bin/python3
"""A disk that does not answer: its leader hands over, and writes go on through the others.

The build with failpoints delays one fdatasync of the log. The same build shows that failpoints
can be armed from outside, and the ordinary one that they are not there.
"""

import os
import subprocess
import time
import unittest

import report
from client import Failed
from cluster import ROOT, Cluster, eventually

ORDINARY = os.path.join(ROOT, "build", "kvd")
BREAKABLE = os.path.join(ROOT, "build", "fail", "kvd")
STALL_MS = 4000
GOES_ON_SECONDS = 2.0  # one election timeout, on a busy machine
FAILPOINTS_MIN = 40


def metric(member, name):
    for line in member.page("/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError("no metric " + name)


class Breakable(Cluster):
    """Members whose failpoints the test arms while they run."""

    def __init__(self, name, size=3):
        super().__init__(name, size=size, server=BREAKABLE)
        for member in self.members:
            member.variables["KVD_FAILPOINT_FILE"] = self.file_of(member)

    def file_of(self, member):
        return os.path.join(self.folder, member.name + ".failpoints")

    def arm(self, member, text):
        draft = self.file_of(member) + ".draft"
        with open(draft, "w", encoding="ascii") as file:
            file.write(text + "\n")
        os.rename(draft, self.file_of(member))


class DiskStall(unittest.TestCase):
    def test_a_leader_whose_disk_does_not_answer_hands_over(self):
        with Breakable("disk-stall") as cluster:
            cluster.start_and_wait()
            leader = cluster.leader()
            other = cluster.followers()[0]
            cluster.arm(leader, "log-sync=delay:%d@1" % STALL_MS)
            eventually("the failpoint acts", lambda: self.stalls(leader, other))
            began = time.monotonic()
            cluster.wait_writable(other)
            gap = time.monotonic() - began
            eventually("another one leads", lambda: self.others_lead(cluster, leader))
            handed = time.monotonic() - began
            self.assertLess(gap, GOES_ON_SECONDS)
            self.assertLess(handed, STALL_MS / 1000, "only when the disk answered again")
            cluster.wait_writable(leader)
            self.assertEqual(metric(leader, "kvd_disk_stalls_total"), 1)
            cluster.wait_equal()
            print("writes went on after %d ms, leadership was gone after %d ms, " % (
                gap * 1000, handed * 1000), end="", flush=True)

    @staticmethod
    def stalls(leader, other):
        try:
            other.client.put(b"stall", b"x", timeout=1)
        except Failed:
            pass
        return '"msg":"failpoint"' in leader.log_text()

    @staticmethod
    def others_lead(cluster, old):
        named = {member.client.status(timeout=1).leader for member in cluster.members
                 if member is not old}
        return len(named) == 1 and named != {old.client.status(timeout=1).header.member_id}


class Failpoints(unittest.TestCase):
    def test_the_ordinary_build_has_none(self):
        symbols = subprocess.run(["nm", ORDINARY], capture_output=True, text=True, check=True)
        self.assertNotIn("failpoint", symbols.stdout)
        with open(ORDINARY, "rb") as program:
            self.assertNotIn(b"KVD_FAILPOINTS", program.read())
        listed = subprocess.run([ORDINARY, "--failpoints"], capture_output=True, check=False)
        self.assertEqual(listed.returncode, 2)

    def test_the_breakable_build_lists_them_and_refuses_nonsense(self):
        listed = subprocess.run([BREAKABLE, "--failpoints"], capture_output=True, text=True,
                                check=True)
        self.assertGreaterEqual(len(listed.stdout.splitlines()), FAILPOINTS_MIN)
        refused = subprocess.run([BREAKABLE], capture_output=True, text=True, check=False,
                                 env=dict(os.environ, KVD_FAILPOINTS="log-sync=explode"))
        self.assertEqual(refused.returncode, 2)
        self.assertIn("no action explode", refused.stderr)

    def test_an_error_of_the_disk_ends_the_member_with_one_line(self):
        for point in ("log-sync", "state-sync"):
            with Breakable("disk-error", size=1) as cluster:
                member = cluster.members[0]
                cluster.extra["--snapshot-count"] = "10"
                cluster.start_and_wait()
                cluster.arm(member, point + "=error:EIO@1")
                self.write_until_it_ends(member)
                self.assertEqual(member.process.wait(10), 1)
                self.assertIn("Input/output error", member.log_tail(1))
                cluster.arm(member, "")
                cluster.start_and_wait()

    @staticmethod
    def write_until_it_ends(member):
        for number in range(100):
            try:
                member.client.put(b"key", b"%d" % number, timeout=1)
            except Failed:
                return
            time.sleep(0.02)

    def test_short_reads_and_writes_do_no_harm(self):
        with Breakable("disk-short", size=1) as cluster:
            member = cluster.members[0]
            member.variables["KVD_FAILPOINTS"] = "disk-read=short%0.5;disk-write=short%0.5"
            del member.variables["KVD_FAILPOINT_FILE"]
            for life in range(2):
                cluster.start_and_wait()
                for number in range(20):
                    member.client.put(b"%d/%d" % (life, number), os.urandom(3000))
                member.kill()
            cluster.start_and_wait()
            self.assertEqual(member.client.everything().count, 40)


if __name__ == "__main__":
    report.main()
