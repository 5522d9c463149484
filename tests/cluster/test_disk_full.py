#!/usr/bin/python3
"""A disk that fills up: no acknowledged write is lost, and with room again it goes on.

The disk is a small tmpfs, so this needs the right to mount; it is mounted in a namespace of its
own and gone when the test ends.
"""

import os
import subprocess
import sys
import unittest

import report
from client import Failed
from cluster import Cluster, eventually, is_kvd

SMALL, LARGE = "size=350m", "size=800m"
VALUE = os.urandom(512 * 1024)
WRITES_MAX = 1200
INSIDE = "KVD_TEST_NAMESPACE"


def may_mount():
    return INSIDE in os.environ or subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


def mount(folder, size, *more):
    subprocess.run(["mount", *more, "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)


@unittest.skipUnless(may_mount(), "mounting a small disk is not allowed here")
@unittest.skipUnless(is_kvd(), "how a full disk is told is kvd's")
class DiskFull(unittest.TestCase):
    def fill(self, member):
        """Writes until a write fails; returns what was acknowledged, key: revision."""
        acked = {}
        for number in range(WRITES_MAX):
            key = b"fill/%04d" % number
            try:
                acked[key] = member.client.put(key, VALUE)
            except Failed:
                return acked
        self.fail("the disk never filled up")

    def test_a_full_disk_costs_no_acknowledged_write(self):
        with Cluster("disk-full", size=1, options={"--quota-backend-bytes": "-1"}) as cluster:
            disk = os.path.join(cluster.folder, "disk")
            os.makedirs(disk)
            mount(disk, SMALL)
            member = cluster.members[0]
            member.data_dir = os.path.join(disk, member.name)
            cluster.start_and_wait()
            acked = self.fill(member)
            self.assertGreater(len(acked), 50)
            if not member.running():
                self.assertGreater(member.process.returncode, 0)
                self.assertIn("disk is full", member.log_tail(1))
            mount(disk, LARGE, "-o", "remount")
            if not member.running():
                cluster.start()
            eventually("writes go on", lambda: member.client.put(b"after", b"x"))
            for key, revision in acked.items():
                found = member.client.get(key)
                self.assertEqual((found.value, found.mod_revision), (VALUE, revision))
            member.kill()
            cluster.start()
            cluster.wait_ready()
            kept = member.client.prefix(b"fill/", count_only=True).count
            self.assertGreaterEqual(kept, len(acked))
            print("%d writes acknowledged, " % len(acked), end="", flush=True)


def main():
    if INSIDE not in os.environ and may_mount():
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    report.main()


if __name__ == "__main__":
    main()
