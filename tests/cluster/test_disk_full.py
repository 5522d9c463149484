#!/usr/bin/python3
"""Disks that fill up: members stop taking part before they break, and come back by themselves.

Each member has a small ext4 of its own, in an image file, which another process fills and frees.
They are mounted in a namespace of this test's own and are gone when it ends.
"""

import os
import subprocess
import sys
import threading
import time
import unittest

import report
from client import Failed
from cluster import Cluster, eventually, is_kvd

IMAGE_BYTES = 400 << 20
LEFT_BYTES = 4 << 20      # less than the reserve, as if something big had been copied there
VALUE = os.urandom(2000)
INSIDE = "KVD_TEST_NAMESPACE"


def may_mount():
    return INSIDE in os.environ or subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


class Disk:
    """A small file system in an image file."""

    def __init__(self, folder):
        self.image = folder + ".img"
        self.folder = folder
        self.filler = os.path.join(folder, "something-big")
        os.makedirs(folder)
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", self.image], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", self.image, folder],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            raise unittest.SkipTest("no loop device: " + mounted.stderr.strip())

    def fill(self):
        """From one moment to the next."""
        room = os.statvfs(self.folder)
        with open(self.filler, "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, room.f_bavail * room.f_frsize - LEFT_BYTES)

    def free(self):
        os.unlink(self.filler)

    def close(self):
        subprocess.run(["umount", "--lazy", self.folder], check=False)
        os.unlink(self.image)


class Writer(threading.Thread):
    """Writes through one member all the time, and knows what was acknowledged."""

    def __init__(self, member, name):
        super().__init__(daemon=True)
        self.client = type(member.client)(member.endpoint, timeout=2)
        self.name = name
        self.acked = {}
        self.errors = []
        self.stopping = threading.Event()

    def run(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            key = b"%s/%05d" % (self.name.encode(), number)
            try:
                self.acked[key] = self.client.put(key, VALUE)
            except Failed as error:
                self.errors.append(str(error))
                time.sleep(0.02)

    def finish(self):
        self.stopping.set()
        self.join()
        self.client.close()


def is_full(member):
    return "\nkvd_disk_full 1\n" in member.page("/metrics")


@unittest.skipUnless(may_mount(), "mounting a small disk is not allowed here")
@unittest.skipUnless(is_kvd(), "how a full disk is told is kvd's")
class DiskFull(unittest.TestCase):
    def setUp(self):
        self.disks = {}
        self.writers = []

    def tearDown(self):
        for disk in self.disks.values():
            disk.close()

    def start(self, cluster):
        for member in cluster.members:
            disk = Disk(os.path.join(cluster.folder, "disk-" + member.name))
            self.disks[member] = disk
            member.data_dir = os.path.join(disk.folder, member.name)
        return cluster.start_and_wait()

    def write_through(self, *members):
        self.writers = [Writer(member, member.name) for member in members]
        for writer in self.writers:
            writer.start()
        time.sleep(0.3)

    def fill(self, *members):
        for member in members:
            self.disks[member].fill()
        for member in members:
            eventually("%s is full" % member.name, lambda m=member: is_full(m))

    def free(self, *members):
        for member in members:
            self.disks[member].free()
        for member in members:
            eventually("%s has room" % member.name, lambda m=member: not is_full(m))

    def check(self, cluster):
        """Nobody was restarted, nothing that was acknowledged is lost, all are equal."""
        for writer in self.writers:
            writer.finish()
        self.assertTrue(all(member.running() for member in cluster.members))
        for member in cluster.members:
            cluster.wait_writable(member)
        found = {pair.key: pair.mod_revision for pair in cluster.wait_equal().kvs}
        for writer in self.writers:
            self.assertGreater(len(writer.acked), 0, writer.errors[:3])
            for key, revision in writer.acked.items():
                self.assertEqual(found.get(key), revision)
        print("%d writes kept, " % sum(len(w.acked) for w in self.writers), end="", flush=True)

    def test_a_full_follower_then_a_full_leader_costs_the_others_nothing(self):
        with Cluster("disk-full-one") as cluster:
            self.start(cluster)
            for full in (cluster.followers()[0], cluster.leader()):
                others = [member for member in cluster.members if member is not full]
                self.write_through(*others)
                self.fill(full)
                self.assertIn("[-]disk failed: the disk is full", full.page("/readyz"))
                with self.assertRaisesRegex(Failed, "the disk is full"):
                    full.client.put(b"refused", b"x")
                eventually("another one leads", lambda: cluster.leader() is not full)
                for member in others:
                    cluster.wait_writable(member)
                self.free(full)
                cluster.wait_writable(full)
                self.check(cluster)

    def test_all_are_full_and_reads_go_on(self):
        with Cluster("disk-full-all") as cluster:
            self.start(cluster)
            self.write_through(cluster.leader(), cluster.followers()[0])
            cluster.leader().client.put(b"kept", b"x")
            self.fill(*cluster.members)
            for member in cluster.members:
                with self.assertRaisesRegex(Failed, "the disk is full"):
                    member.client.put(b"refused", b"x")
            eventually("reads go on", lambda: cluster.leader().client.get(b"kept", timeout=1))
            self.free(*cluster.members)
            self.check(cluster)

    def test_a_lone_member_refuses_writes_until_there_is_room(self):
        with Cluster("disk-full-lone", size=1) as cluster:
            member = self.start(cluster).members[0]
            self.write_through(member)
            self.fill(member)
            with self.assertRaisesRegex(Failed, "the disk is full"):
                member.client.put(b"refused", b"x")
            self.assertGreater(member.client.prefix(b"m1/", count_only=True).count, 0)
            self.free(member)
            self.check(cluster)


def main():
    if INSIDE not in os.environ and may_mount():
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    report.main()


if __name__ == "__main__":
    main()
