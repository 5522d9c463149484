#!/usr/bin/python3
"""kvctl and etcdctl over mutual TLS, with kvd and with Debian's etcd: what is whole works, and
for whatever is wrong with a certificate kvctl says it, with the endpoint and the file."""

import os
import subprocess
import time
import unittest

import etcdctl
import report
import tls_side
from cluster import SERVER, eventually, is_kvd

ETCD = etcdctl.oracle()
CONNECTION = 2  # kvctl's exit code: no endpoint could be used


class Matrix:
    """The tests; the classes below say with which server."""

    server = ""

    @classmethod
    def setUpClass(cls):
        if not cls.server:
            raise unittest.SkipTest("no etcd to compare with")
        cls.side = tls_side.Secured(cls.__name__.lower(), cls.server)
        cls.addClassCleanup(cls.side.close)
        cls.side.start()

    def setUp(self):
        self.addCleanup(self.side.serve, "ca", "m1")

    def refused(self, why, *arguments, **trust):
        """kvctl must end with a sentence that holds these words."""
        def said():
            ended = self.side.ask("get", "x", *arguments, **trust)
            return ended if why in ended.stderr.decode() else None

        try:
            ended = eventually("kvctl says: " + why, said, 10, 0.2)
        except AssertionError as error:
            ended = self.side.ask("get", "x", *arguments, **trust)
            raise AssertionError("%s, but: %s" % (error, ended.stderr.decode())) from None
        self.assertEqual(ended.returncode, CONNECTION)
        self.assertIn("Error: https://", ended.stderr.decode())
        self.assertIn("TLS handshake: ", ended.stderr.decode())

    # ---- what works ----

    def ask(self, *arguments, stdin=b""):
        ended = self.side.ask(*arguments, stdin=stdin)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout

    def test_keys_transactions_and_leases(self):
        self.ask("put", "k", "v")
        self.assertEqual(self.ask("get", "k"), b"k\nv\n")
        self.assertIn(b"SUCCESS", self.ask("txn", stdin=b'value("k") = "v"\n\nput k w\n\n\n'))
        lease = self.ask("lease", "grant", "60").split()[1].decode()
        self.assertIn(b"keepalived", self.ask("lease", "keep-alive", "--once", lease))

    def test_values_of_many_records(self):
        value = os.urandom(700000).hex().encode()
        self.ask("put", "large", stdin=value)
        self.assertEqual(self.ask("get", "large", "-w", "raw"), value)

    def test_a_watch(self):
        command = [tls_side.KVCTL, "--endpoints", self.side.url(), *self.side.options(),
                   "watch", "w", "--rev", "1"]
        self.ask("put", "w", "seen")
        with subprocess.Popen(command, stdout=subprocess.PIPE) as watch:
            lines = [watch.stdout.readline() for _ in range(3)]
            watch.kill()
        self.assertEqual(lines, [b"PUT\n", b"w\n", b"seen\n"])

    def test_the_endpoint_may_lack_a_scheme(self):
        ended = tls_side.kvctl("--endpoints", self.side.member.endpoint, *self.side.options(),
                              "get", "x")
        self.assertEqual(ended.returncode, 0, ended.stderr)

    def test_status_and_health(self):
        self.assertIn(self.side.url().encode(), self.ask("endpoint", "status", "--cluster"))
        self.assertIn(b"is healthy", self.ask("endpoint", "health", "--cluster"))

    def test_etcdctl_takes_the_same_certificates(self):
        answer = etcdctl.run(self.side.url(), self.side.options() + ["put", "e", "1"])
        self.assertEqual((answer.code, answer.out), (0, b"OK\n"), answer.err)
        self.assertEqual(self.ask("get", "e"), b"e\n1\n")

    # ---- the server's certificate ----

    def test_expired_by_the_clients_clock(self):
        self.refused("the certificate of the server (CN = m1) expired at", days=400)

    def test_not_yet_valid_by_the_clients_clock(self):
        self.refused("is not valid before", days=-60)

    def test_of_another_ca(self):
        self.side.serve("other", "m1")
        self.refused("from an unknown CA (CN = kvd cluster CA), which is not in ")

    def test_without_a_ca_file(self):
        self.refused("which the system does not have", ca=None)

    def test_for_another_host(self):
        self.refused("not for 127.0.0.2; it is for localhost, 127.0.0.1, ::1",
                     host=tls_side.OTHER_LOOPBACK)

    def test_every_server_is_believed_by_those_who_ask_for_it(self):
        ended = self.side.ask("get", "x", "--insecure-skip-tls-verify", ca=None,
                              host=tls_side.OTHER_LOOPBACK)
        self.assertEqual(ended.returncode, 0, ended.stderr)

    # ---- the client's certificate ----

    def test_none(self):
        self.refused("wants a certificate of the client", client=None)

    def test_of_a_client_of_another_ca(self):
        self.refused("other/root.crt", client=("other", "root"))

    def test_of_a_client_that_expired(self):
        tls_side.cert("client", self.side.path("ca"), "old", "--days", "30", days=-60)
        self.refused("ca/old.crt", client=("ca", "old"))

    # ---- plain text ----

    def test_plain_text_where_tls_is_spoken(self):
        url = self.side.url().replace("https", "http")
        ended = tls_side.kvctl("--endpoints", url, "get", "x")
        self.assertEqual(ended.returncode, CONNECTION)
        self.assertIn("https://", ended.stderr.decode())

    def test_tls_where_plain_text_is_spoken(self):
        url = self.side.member.peer_url.replace("http", "https")
        ended = tls_side.kvctl("--endpoints", url, *self.side.options(), "get", "x")
        self.assertEqual(ended.returncode, CONNECTION)
        self.assertIn("TLS handshake: the server ", ended.stderr.decode())


class Etcd(Matrix, unittest.TestCase):
    """It serves whatever certificate it is given."""

    server = ETCD

    def test_expired(self):
        tls_side.cert("member", self.side.path("ca"), "expired", "--days", "30", days=-60)
        self.side.serve("ca", "expired")
        self.refused("the certificate of the server (CN = expired) expired at")

    def test_not_yet_valid(self):
        tls_side.cert("member", self.side.path("ca"), "future", days=30)
        self.side.serve("ca", "future")
        self.refused("is not valid before")

    def test_for_clients_only(self):
        self.side.serve("ca", "root")
        self.refused("is not one for servers")


@unittest.skipUnless(is_kvd(), "SERVER is not kvd")
class Kvd(Matrix, unittest.TestCase):
    """It goes on with the certificate that it has when it is given one of no use."""

    server = SERVER

    def test_a_certificate_of_no_use_is_not_served(self):
        tls_side.cert("member", self.side.path("ca"), "late", "--days", "30", days=-60)
        for folder, name in (("ca", "late"), ("ca", "root")):
            self.side.serve(folder, name)
            time.sleep(0.5)  # it was told; a wrong decision would take no longer
            self.ask("get", "x")


if __name__ == "__main__":
    report.main()
