#!/usr/bin/python3
"""Three members that speak TLS only: under load, while the leader is killed and certificates are
replaced, and towards those who do not belong."""

import http.client
import json
import signal
import socket
import time
import unittest

import report
import secure
from client import Failed
from cluster import eventually
from ledger import Ledger
from secure import SecureClient, SecureCluster

WRITES = 20
RECOVERY_SECONDS = 20
FILES = 4  # whose expiry a member shows: certificate and authorities, on both sides


class Tls(unittest.TestCase):
    def test_clients_leader_changes_and_new_certificates(self):
        with SecureCluster("tls") as cluster:
            cluster.start_and_wait()
            stalled = self.begin_a_handshake(cluster.members[0])
            self.check_clients(cluster)
            self.check_strangers(cluster)
            with Ledger([member.endpoint for member in cluster.members],
                        connect=cluster.connect) as ledger:
                ledger.wait_progress(WRITES, RECOVERY_SECONDS)
                self.replace_certificates(cluster, ledger)
                leader = cluster.leader()
                leader.kill()
                ledger.wait_progress(WRITES, RECOVERY_SECONDS)
                cluster.start(leader)
                ledger.wait_progress(WRITES, RECOVERY_SECONDS)
            cluster.wait_ready()
            ledger.check(cluster.wait_equal())
            self.assertEqual(stalled.recv(100), b"", "it is ended after ten seconds")
            stalled.close()

    def begin_a_handshake(self, member):
        """And does not go on with it."""
        stalled = socket.create_connection(("127.0.0.1", member.client_port), 30)
        stalled.sendall(b"\x16\x03\x01\x02\x00\x01")
        return stalled

    def check_clients(self, cluster):
        self.assertEqual(cluster.etcdctl("put", "key", "value"), "OK\n")
        self.assertEqual(cluster.etcdctl("get", "key"), "key\nvalue\n")
        self.assertIn("https://127.0.0.1", cluster.etcdctl("member", "list"))
        for member in cluster.members:
            self.assertEqual(member.client.get(b"key").value, b"value")
            self.assertEqual(json.loads(member.page("/health"))["health"], "true")
            self.assertGreater(member.metric("kvd_tls_handshakes_total"), 0)
            expiries = [line for line in member.page("/metrics").splitlines()
                        if line.startswith("kvd_tls_certificate_expiry_seconds{")]
            self.assertEqual(len(expiries), FILES)
            for line in expiries:
                self.assertGreater(float(line.split()[1]), time.time())

    def check_strangers(self, cluster):
        """Without a certificate nobody comes in, and who speaks in clear is told so."""
        member = cluster.members[0]
        with SecureClient(member.endpoint, cluster.pki, name=None) as client:
            with self.assertRaises(Failed):
                client.get(b"key", timeout=2)
        with socket.create_connection(("127.0.0.1", member.client_port), 5) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"this port speaks TLS", plain.recv(1000))
        self.assertIn("did not return a certificate", member.log_text())

    def replace_certificates(self, cluster, ledger):
        """All members get new ones while writes go on; a connection made before goes on."""
        before = [http.client.HTTPSConnection("127.0.0.1", one.client_port, timeout=20,
                                              context=one.trust()) for one in cluster.members]
        self.ask_all(before)
        sockets = [connection.sock for connection in before]
        for member in cluster.members:
            secure.cert("member", cluster.pki, member.name + "-new")
            member.take_certificate(member.name + "-new")
        cluster.members[0].process.send_signal(signal.SIGHUP)
        for member in cluster.members:
            eventually("%s has read them" % member.name,
                       lambda m=member: m.metric("kvd_tls_reloads_total") >= 2, pause=0.2)
        ledger.wait_progress(WRITES, RECOVERY_SECONDS)
        self.ask_all(before)
        self.assertEqual(sockets, [connection.sock for connection in before])
        for connection in before:
            connection.close()

    def ask_all(self, connections):
        for connection in connections:
            connection.request("GET", "/livez")
            self.assertEqual(connection.getresponse().read(), b"ok\n")

    def test_a_certificate_for_another_host_does_not_start(self):
        with SecureCluster("tls-wrong-host", size=1) as cluster:
            member = cluster.members[0]
            options = cluster.options_of(member)
            elsewhere = "https://127.0.0.9:%d" % member.peer_port
            options.update({"--initial-advertise-peer-urls": elsewhere,
                            "--initial-cluster": "m1=" + elsewhere})
            member.start(options)
            self.assertEqual(member.process.wait(20), 1)
            self.assertIn("is not made out for 127.0.0.9", member.log_text())

    def test_a_cluster_in_clear_becomes_one_with_tls(self):
        """Its data and its identity stay, although its URLs change."""
        with SecureCluster("tls-switch") as cluster:
            plain = ",".join("%s=http://127.0.0.1:%d" % (one.name, one.peer_port)
                             for one in cluster.members)
            for member in cluster.members:
                options = cluster.options_of(member)
                options.update({
                    "--listen-peer-urls": "http://127.0.0.1:%d" % member.peer_port,
                    "--initial-advertise-peer-urls": "http://127.0.0.1:%d" % member.peer_port,
                    "--initial-cluster": plain,
                })
                member.start(options)
            cluster.wait_ready()
            cluster.members[0].client.put(b"key", b"in clear")
            for member in cluster.members:
                self.assertEqual(member.terminate(), 0)
            cluster.start()
            cluster.wait_ready()
            self.assertEqual(cluster.members[1].client.get(b"key").value, b"in clear")


if __name__ == "__main__":
    report.main()
