#!/usr/bin/python3
"""Hostile bytes on both ports: who behaves is not disturbed, and memory stays bounded."""

import os
import random
import socket
import threading
import time
import unittest

import hostile
import report
from api import Api
from client import Client, Failed
from cluster import SERVER, Cluster, eventually

SLOWEST_SECONDS = 2.0
SANITIZED = os.path.basename(os.path.dirname(SERVER)) == "san"
MEMORY_KIB = (128 if SANITIZED else 64) * 1024
SILENT_CONNECTIONS = 300
CALLS_MIN = 20
FRAMES = int(os.environ.get("PEER_FRAMES", "500"))
FRAMES_SEED = 1


class Bystander(threading.Thread):
    """An honest client that writes and reads all the time; keeps errors and the slowest call."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.client = Client(endpoint, timeout=SLOWEST_SECONDS * 2)
        self.stopping = threading.Event()
        self.slowest = 0.0
        self.calls = 0
        self.errors = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        deadline = time.monotonic() + SLOWEST_SECONDS * 2
        goal = self.calls + CALLS_MIN
        while self.calls < goal and time.monotonic() < deadline:
            time.sleep(0.01)
        self.stopping.set()
        self.join()
        self.client.close()

    def run(self):
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                value = b"%d" % self.calls
                self.client.put(b"bystander", value)
                if self.client.get(b"bystander").value != value:
                    self.errors.append("read something else")
            except Failed as error:
                self.errors.append(str(error))
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.calls += 1
            time.sleep(0.005)


class HostileTest(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster("hostile-" + self.id().rsplit(".", 1)[-1][5:25])
        self.addCleanup(self.cluster.close)
        for member in self.cluster.members:
            # The sanitizer keeps what was freed for a while: here memory is measured.
            member.variables["ASAN_OPTIONS"] = "%s:quarantine_size_mb=8" % os.environ.get(
                "ASAN_OPTIONS", "abort_on_error=1")
        self.cluster.start_and_wait()
        self.target = self.cluster.leader()
        self.before = self.target.resident_kib()

    def settled(self, bystander):
        """After the harm: alive, undisturbed, and not grown."""
        for member in self.cluster.members:
            self.assertTrue(member.running(), member.log_tail())
        self.assertEqual(bystander.errors, [])
        self.assertLess(bystander.slowest, SLOWEST_SECONDS)
        self.assertGreaterEqual(bystander.calls, CALLS_MIN)
        self.assertLess(self.target.resident_kib() - self.before, MEMORY_KIB)


class Hostile(HostileTest):
    def test_floods_of_frames_on_the_client_port(self):
        with Bystander(self.target.endpoint) as bystander:
            for name, payload in hostile.client_floods():
                with self.subTest(name):
                    hostile.send(self.target.client_port, payload)
                    self.assertTrue(self.target.running(), self.target.log_tail())
        self.settled(bystander)

    def test_malformed_frames_on_the_peer_port(self):
        with Bystander(self.target.endpoint) as bystander:
            for name, payload in hostile.peer_floods():
                with self.subTest(name):
                    hostile.send(self.target.peer_port, payload)
                    self.assertTrue(self.target.running(), self.target.log_tail())
        self.settled(bystander)

    def test_many_connections_with_a_malformed_frame_each(self):
        draw = random.Random(FRAMES_SEED)
        with Bystander(self.target.endpoint) as bystander:
            for _ in range(FRAMES):
                with socket.create_connection(("127.0.0.1", self.target.peer_port)) as peer:
                    peer.sendall(hostile.bad_peer_frame(draw))
        self.settled(bystander)

    def test_garbage_on_both_ports(self):
        with Bystander(self.target.endpoint) as bystander:
            for seed in range(20):
                for port in (self.target.client_port, self.target.peer_port):
                    hostile.send(port, hostile.garbage(seed, 20000), 0.05)
                    hostile.send(port, hostile.opening() + hostile.garbage(seed, 20000), 0.05)
        self.settled(bystander)

    def test_messages_that_explode(self):
        messages = (
            ("KV/Txn", hostile.nested_txn(34 * 1024)),
            ("KV/Txn", hostile.nested_txn(1024 * 1024)),
            ("KV/Txn", hostile.empty_ops(2 * 1024 * 1024 - 64)),
            ("KV/Put", hostile.empty_ops(1024 * 1024)),
            ("KV/Put", b"\x0a\xff\xff\xff\xff\x0f"),
            ("KV/Range", hostile.garbage(1, 10000)),
            ("Cluster/MemberAdd", hostile.bad_utf8()),
            ("KV/Put", b"\x0a\x01k\x12\x81\x80\x80\x02" + bytes(4 * 1024 * 1024 + 1)),
        )
        with Bystander(self.target.endpoint) as bystander, \
                Client(self.target.endpoint, timeout=10) as attacker:
            for path, payload in messages:
                for _ in range(5):
                    with self.assertRaises(Failed) as raised:
                        attacker.raw(path, payload)
                    self.assertNotIn(raised.exception.code.name,
                                     ("DEADLINE_EXCEEDED", "UNAVAILABLE"), path)
        self.settled(bystander)

    def test_connections_that_say_nothing(self):
        silent = []
        with Bystander(self.target.endpoint) as bystander:
            for number in range(SILENT_CONNECTIONS):
                port = (self.target.client_port, self.target.peer_port)[number % 2]
                try:
                    silent.append(socket.create_connection(("127.0.0.1", port), timeout=5))
                except ConnectionResetError:
                    continue  # to be shown the door is an answer too
            time.sleep(1)
            for connection in silent:
                connection.close()
        self.settled(bystander)

    def test_clients_that_ask_for_much_and_read_nothing(self):
        with Client(self.target.endpoint) as filler:
            for number in range(20):
                filler.put(b"large/%d" % number, b"v" * (1 << 20))
        # KV/Range of everything, as one gRPC message on each of some connections.
        message = b"\x0a\x01\0\x12\x01\0"
        payload = hostile.opening() + \
            hostile.frame(hostile.HEADERS, hostile.END_HEADERS, 1, hostile.request_headers()) + \
            hostile.frame(hostile.DATA, hostile.END_STREAM, 1,
                          b"\0" + len(message).to_bytes(4, "big") + message)
        deaf = []
        with Bystander(self.target.endpoint) as bystander:
            for _ in range(5):
                connection = socket.create_connection(("127.0.0.1", self.target.client_port))
                connection.sendall(payload)
                deaf.append(connection)
            time.sleep(2)
            for connection in deaf:
                connection.close()
            time.sleep(1)
        self.assertEqual(bystander.errors, [])
        self.assertLess(bystander.slowest, SLOWEST_SECONDS)
        self.assertTrue(self.target.running(), self.target.log_tail())


class HostileStreams(HostileTest):
    """Clients of watches, leases and locks who ask for much, and do not listen or go away."""

    def deaf(self, path, message, count):
        """A connection with a stream of so many requests, whose replies nobody takes."""
        connection = socket.create_connection(("127.0.0.1", self.target.client_port))
        self.addCleanup(connection.close)
        connection.settimeout(hostile.SEND_SECONDS)
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        payload = hostile.opening() + hostile.frame(
            hostile.HEADERS, hostile.END_HEADERS, 1, hostile.request_headers(path))
        for _ in range(count):
            payload += hostile.frame(hostile.DATA, 0, 1, framed)
        try:
            connection.sendall(payload)
        except OSError:
            pass  # it was shown the door, or not listened to any further: both are right
        return connection

    def test_watchers_who_read_nothing(self):
        # WatchRequest.create_request: key "\0", range_end "\0", prev_kv.
        create = hostile.field(1, hostile.field(1, b"\0") + hostile.field(2, b"\0") + b"\x30\x01")
        with Bystander(self.target.endpoint) as bystander, \
                Client(self.target.endpoint, timeout=10) as writer:
            for _ in range(20):
                self.deaf(b"/etcdserverpb.Watch/Watch", create, 200)
            for number in range(100):
                writer.put(b"watched", b"v" * (200 * 1024))
        self.settled(bystander)

    def test_keep_alives_whose_answers_nobody_reads(self):
        with Api(self.target.endpoint) as api:
            api.call("etcdserverpb.Lease/LeaseGrant", ID=7, TTL=60)
        with Bystander(self.target.endpoint) as bystander:
            for _ in range(10):
                self.deaf(b"/etcdserverpb.Lease/LeaseKeepAlive", b"\x08\x07", 20000)
        self.settled(bystander)

    def test_waiters_for_a_lock_who_hang_up(self):
        with Api(self.target.endpoint) as api, Bystander(self.target.endpoint) as bystander:
            api.call("etcdserverpb.Lease/LeaseGrant", ID=1, TTL=60)
            holder = api.call("v3lockpb.Lock/Lock", name=b"n", lease=1)
            for number in range(2, 302):
                api.call("etcdserverpb.Lease/LeaseGrant", ID=number, TTL=60)
            with Api(self.target.endpoint) as crowd:
                waiting = [crowd.begin("v3lockpb.Lock/Lock", name=b"n", lease=number)
                           for number in range(2, 302)]
                eventually("all are in the line", lambda: self.line(api) == 301)
                self.assertFalse(any(one.done() for one in waiting))
            eventually("all have left the line", lambda: self.line(api) == 1)
            api.call("v3lockpb.Lock/Unlock", key=holder.key)
            self.assertEqual(self.line(api), 0)
        self.settled(bystander)

    @staticmethod
    def line(api):
        return api.call("etcdserverpb.KV/Range", key=b"n/", range_end=b"n0",
                        count_only=True).count

    def test_watchers_made_and_canceled_again_and_again(self):
        with Api(self.target.endpoint) as api, Bystander(self.target.endpoint) as bystander:
            for _ in range(5):
                stream = api.stream("etcdserverpb.Watch/Watch")
                stream.send(create_request=dict(key=b"stays"))
                for number in range(2000):
                    stream.send(create_request=dict(key=b"k%d" % number, watch_id=number + 1))
                    stream.send(cancel_request=dict(watch_id=number + 1))
                for _ in range(4001):
                    self.assertIsNotNone(stream.read(10), stream.error)
                stream.cancel()
        self.settled(bystander)


if __name__ == "__main__":
    report.main()
