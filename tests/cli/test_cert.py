#!/usr/bin/python3
"""kvctl cert from the outside: what it makes, what it says, and what it leaves alone."""

import os
import shutil
import ssl
import stat
import sys
import tempfile
import time
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "cluster"))
sys.path.insert(0, os.path.join(TESTS, "interop"))

import report  # noqa: E402
import tls_side  # noqa: E402

OK, INPUT, CONDITION, ARGUMENTS = 0, 3, 4, 128
DAY = 86400


class Cert(unittest.TestCase):
    def setUp(self):
        self.parent = tempfile.mkdtemp(prefix="kvctl-cert-",
                                       dir=os.path.join(tls_side.ROOT, "build"))
        self.addCleanup(shutil.rmtree, self.parent)
        self.folder = os.path.join(self.parent, "certs")

    def run_cert(self, *arguments, code=OK, days=0):
        ended = tls_side.kvctl("cert", *arguments, days=days)
        self.assertEqual(ended.returncode, code, ended.stderr)
        return (ended.stdout if code == OK else ended.stderr).decode()

    def facts(self, name):
        # What python's own tests use; nothing else in its library reads a certificate.
        return ssl._ssl._test_decode_cert(os.path.join(self.folder, name + ".crt"))

    def subject(self, name):
        return dict(pair[0] for pair in self.facts(name)["subject"])["commonName"]

    def ends_in_days(self, name):
        return (ssl.cert_time_to_seconds(self.facts(name)["notAfter"]) - time.time()) / DAY

    def test_a_cluster(self):
        said = self.run_cert("init", self.folder, "--hosts", "10.0.0.1,kvd.example.com",
                             "--members", "a,b", "--days", "90")

        self.assertEqual(sorted(os.listdir(self.folder)), sorted(
            name + suffix for name in ("ca", "a", "b", "root") for suffix in (".crt", ".key")))
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)
        for name in ("ca", "a", "b", "root"):
            path = os.path.join(self.folder, name + ".key")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(self.facts("a")["subjectAltName"], (
            ("DNS", "localhost"), ("IP Address", "127.0.0.1"),
            ("IP Address", "0:0:0:0:0:0:0:1"), ("IP Address", "10.0.0.1"),
            ("DNS", "kvd.example.com")))
        self.assertEqual((self.subject("a"), self.subject("root")), ("a", "root"))
        self.assertNotIn("subjectAltName", self.facts("root"))
        self.assertAlmostEqual(self.ends_in_days("a"), 90, delta=0.1)
        self.assertAlmostEqual(self.ends_in_days("ca"), 3650, delta=0.1)
        for word in ("--cert-file %s/a.crt" % self.folder, "--peer-trusted-ca-file",
                     "KVCTL_CACERT=%s/ca.crt" % self.folder):
            self.assertIn(word, said)

    def test_one_more_of_each(self):
        self.run_cert("init", self.folder)
        self.assertIn("alice.key", self.run_cert("client", self.folder, "alice"))
        self.run_cert("member", self.folder, "m4", "--hosts", "10.0.0.4")

        self.assertEqual(self.subject("alice"), "alice")
        self.assertIn(("IP Address", "10.0.0.4"), self.facts("m4")["subjectAltName"])

    def test_what_exists_is_left_alone(self):
        self.run_cert("init", self.folder, "--members", "m1")
        before = {}
        for name in os.listdir(self.folder):
            with open(os.path.join(self.folder, name), "rb") as file:
                before[name] = file.read()

        said = self.run_cert("init", self.folder, "--members", "m9", code=CONDITION)
        self.assertIn("/ca.crt exists; certificates and keys are never overwritten", said)
        self.run_cert("member", self.folder, "m1", code=CONDITION)
        self.run_cert("client", self.folder, "ca", code=CONDITION)

        self.assertEqual(sorted(os.listdir(self.folder)), sorted(before))
        for name, content in before.items():
            with open(os.path.join(self.folder, name), "rb") as file:
                self.assertEqual(file.read(), content)

    def test_no_certificate_outlives_its_ca(self):
        self.run_cert("init", self.folder, days=-3600)
        self.run_cert("client", self.folder, "late", "--days", "365")
        self.assertLess(self.ends_in_days("late"), 51)
        self.assertIn("has expired", self.run_cert("client", self.folder, "later", days=60,
                                                   code=INPUT))

    def test_mistakes_on_the_command_line(self):
        for arguments, why in (
                (("init", self.folder, "--hosts", "http://10.0.0.1"), "neither an address"),
                (("init", self.folder, "--members", "m1,m1"), "there twice"),
                (("init", self.folder, "--members", "root"), "name the member differently"),
                (("init", self.folder, "--members", "../m1"), "cannot be the name"),
                (("init", self.folder, "--days", "0"), "from 1 to 3650"),
                (("init",), "usage: kvctl cert init DIR")):
            self.assertIn(why, self.run_cert(*arguments, code=ARGUMENTS))
        self.assertIn("kvctl cert init", self.run_cert("client", self.parent, "alice",
                                                       code=CONDITION))
        self.assertFalse(os.path.exists(self.folder))

    def test_files_that_cannot_be_used(self):
        self.run_cert("init", self.folder)
        certs = os.path.join(self.folder, "")
        for options, why in (
                (("--cacert", certs + "none"), "cannot read"),
                (("--cert", certs + "m1.crt", "--key", certs + "m2.key"), "does not belong to"),
                (("--key", certs + "m1.key"), "of no use without its certificate")):
            ended = tls_side.kvctl("get", "x", *options)
            self.assertEqual(ended.returncode, INPUT)
            self.assertIn("Error: TLS: ", ended.stderr.decode())
            self.assertIn(why, ended.stderr.decode())


if __name__ == "__main__":
    report.main()
