#!/usr/bin/python3
"""A member that gets no more file descriptors or memory: it works, or it ends; never by half.

Its limits are lowered while it runs. Who was served before goes on being served, the others go
on without it, and afterwards all are equal.
"""

import socket
import subprocess
import time
import unittest

import report
from client import Client, Failed
from cluster import Cluster, eventually, is_kvd

CONNECTIONS = 200
DESCRIPTORS = 48
MORE_MEMORY = 24 << 20  # bytes beyond what it has mapped
VALUE = b"v" * (512 * 1024)
WRITES = 120


def limit(member, what, value):
    subprocess.run(["prlimit", "--pid", str(member.process.pid), "--%s=%d" % (what, value)],
                   check=True)


def mapped_bytes(member):
    with open("/proc/%d/statm" % member.process.pid, encoding="ascii") as sizes:
        return int(sizes.read().split()[0]) * 4096


@unittest.skipUnless(is_kvd(), "how little suffices is kvd's")
class Scarcity(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster("scarcity")
        self.addCleanup(self.cluster.close)
        self.cluster.start_and_wait()

    def test_without_descriptors_who_is_connected_is_served(self):
        member = self.cluster.leader()
        with Client(member.endpoint) as early:
            early.put(b"early", b"before")
            limit(member, "nofile", DESCRIPTORS)
            crowd = [socket.create_connection(("127.0.0.1", member.client_port))
                     for _ in range(CONNECTIONS)]
            end = time.monotonic() + 2
            while time.monotonic() < end:
                early.put(b"early", b"meanwhile")
                self.assertEqual(early.get(b"early").value, b"meanwhile")
                time.sleep(0.05)
            for connection in crowd:
                connection.close()
        self.assertIs(self.cluster.leader(), member, "it went on leading")
        with Client(member.endpoint) as late:
            eventually("it takes clients again", lambda: late.put(b"late", b"v"))
        self.cluster.wait_equal()

    def test_without_memory_it_ends_and_the_others_go_on(self):
        member = self.cluster.leader()
        others = self.cluster.followers()
        limit(member, "as", mapped_bytes(member) + MORE_MEMORY)
        for number in range(WRITES):
            try:
                member.client.put(b"fill/%d" % number, VALUE, timeout=2)
            except Failed:
                pass
            if not member.running():
                break
        if member.running():  # it made do
            member.client.put(b"still", b"there")
        else:
            self.assertNotEqual(member.process.returncode, 0)
            self.assertIn("memory", member.log_tail(3))
        self.cluster.wait_writable(others[0])
        member.kill()
        self.cluster.start(member)
        self.cluster.wait_ready()
        self.cluster.wait_equal()


if __name__ == "__main__":
    report.main()
