#!/usr/bin/python3
"""Users: the same etcdctl commands against kvd and against Debian's etcd give the same answers;
tokens are taken by every member; passwords and tokens are found in no file."""

import concurrent.futures
import os
import subprocess
import unittest

import etcdctl
import report
import secure
from cluster import ROOT, SERVER, Cluster, eventually, is_kvd

ETCD = etcdctl.oracle()
KVCTL = os.path.join(ROOT, "build", "kvctl")
QUICK = {"--bcrypt-cost": "4"}

ROOT_USER = ["--user", "root:toor-secret"]
ALICE = ["--user", "alice:alice-secret"]
BOB = ["--user", "bob:bob-secret"]
NEW_ALICE = ["--user", "alice:changed-secret"]

# From an empty store on, one after the other; a pair is a command and its standard input.
COMMANDS = [
    ["auth", "enable"],
    ["user", "add", "root:toor-secret"],
    ["user", "add", "root:again"],
    ["auth", "enable"],
    ["user", "grant-role", "root", "root"],
    ["role", "add", "root"],
    ["role", "get", "root"],
    ["user", "add", "alice:alice-secret"],
    (["user", "add", "bob", "--interactive=false"], b"bob-secret\n"),
    ["user", "add", "carol", "--no-password"],
    ["user", "list"],
    ["user", "get", "nobody"],
    ["role", "add", "readers"],
    ["role", "add", "readers"],
    ["role", "add", "writers"],
    ["role", "list"],
    ["role", "get", "nothing"],
    ["role", "grant-permission", "readers", "read", "/app/", "--prefix"],
    ["role", "grant-permission", "readers", "read", "/one"],
    ["role", "grant-permission", "writers", "readwrite", "/app/a", "/app/m"],
    ["role", "grant-permission", "writers", "write", "/app/m", "/app/z"],
    ["role", "grant-permission", "writers", "read", "/log/", "--from-key"],
    ["role", "grant-permission", "nothing", "read", "/one"],
    ["role", "get", "readers"],
    ["role", "get", "writers", "-w", "json"],
    ["role", "revoke-permission", "readers", "/two"],
    ["user", "grant-role", "alice", "readers"],
    ["user", "grant-role", "alice", "readers"],
    ["user", "grant-role", "alice", "nothing"],
    ["user", "grant-role", "nobody", "readers"],
    ["user", "grant-role", "bob", "writers"],
    ["user", "revoke-role", "alice", "writers"],
    ["user", "get", "alice"],
    ["user", "get", "alice", "--detail"],
    ["user", "get", "bob", "-w", "json"],
    ["put", "/app/b", "1"],
    ["put", "/app/p", "2"],
    ["put", "/one", "3"],
    ["put", "/secret", "4"],
    ALICE + ["get", "/one"],
    ["auth", "enable"],
    ["get", "/one"],
    ["put", "/one", "1"],
    ["--user", "alice:wrong", "get", "/one"],
    ["--user", "nobody:wrong", "get", "/one"],
    ["--user", "carol:any", "get", "/one"],
    ALICE + ["get", "/one"],
    ALICE + ["get", "/app/", "--prefix"],
    ALICE + ["get", "/app/b", "/app/c"],
    ALICE + ["get", "/", "--prefix"],
    ALICE + ["get", "/secret"],
    ALICE + ["get", "/secret", "--consistency=s"],
    ALICE + ["put", "/one", "x"],
    ALICE + ["del", "/app/", "--prefix"],
    ALICE + ["user", "get", "alice"],
    ALICE + ["user", "get", "bob"],
    ALICE + ["role", "get", "readers"],
    ALICE + ["role", "get", "writers"],
    ALICE + ["user", "list"],
    ALICE + ["role", "add", "mine"],
    ALICE + ["user", "grant-role", "alice", "root"],
    ALICE + ["auth", "disable"],
    (ALICE + ["txn"], b"\n\nget /one\nget /app/b\n\n"),
    (ALICE + ["txn"], b"\n\nget /one\nput /one 2\n\n"),
    (ALICE + ["txn"], b'value("/secret") = "4"\n\nget /one\n\n\n'),
    BOB + ["put", "/app/b", "9"],
    BOB + ["put", "/app/p", "9"],
    BOB + ["put", "/app/b", "8", "--prev-kv"],
    BOB + ["put", "/app/p", "8", "--prev-kv"],
    BOB + ["put", "/app/z", "9"],
    BOB + ["get", "/app/b"],
    BOB + ["get", "/app/p"],
    BOB + ["get", "/x", "--from-key"],
    BOB + ["get", "/a", "--from-key"],
    BOB + ["del", "/app/a", "/app/z"],
    BOB + ["del", "/app/a", "/app/zz"],
    (BOB + ["txn"], b"\n\nput /app/c 1\n\nput /app/zz 1\n\n"),
    ROOT_USER + ["get", "/", "--prefix", "-w", "json"],
    ROOT_USER + ["user", "delete", "root"],
    ROOT_USER + ["role", "delete", "root"],
    ROOT_USER + ["user", "revoke-role", "root", "root"],
    (ROOT_USER + ["user", "passwd", "alice", "--interactive=false"], b"changed-secret\n"),
    ALICE + ["get", "/one"],
    NEW_ALICE + ["get", "/one"],
    ROOT_USER + ["role", "revoke-permission", "readers", "/one"],
    NEW_ALICE + ["get", "/one"],
    ROOT_USER + ["role", "delete", "readers"],
    NEW_ALICE + ["get", "/app/b"],
    NEW_ALICE + ["user", "get", "alice"],
    ROOT_USER + ["user", "delete", "alice"],
    NEW_ALICE + ["get", "/app/b"],
    ROOT_USER + ["user", "list"],
    ROOT_USER + ["auth", "disable"],
    ["get", "/secret"],
    ["user", "list"],
]


def line_of(command):
    return (command, b"") if isinstance(command, list) else command


class Same(unittest.TestCase):
    maxDiff = None

    @unittest.skipUnless(ETCD, "no etcd to compare with")
    def test_etcdctl_sees_no_difference(self):
        with Cluster("auth-kvd", size=1, options=QUICK) as ours, \
                Cluster("auth-etcd", size=1, options=QUICK, server=ETCD) as theirs:
            for cluster in (ours, theirs):
                cluster.start()
            for cluster in (ours, theirs):
                cluster.wait_ready()
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for command in COMMANDS:
                    arguments, stdin = line_of(command)
                    answers = list(pool.map(
                        lambda cluster, a=arguments, s=stdin: etcdctl.run(
                            cluster.members[0].endpoint, a, s).comparable(), (ours, theirs)))
                    self.assertEqual(answers[0], answers[1], " ".join(arguments))


@unittest.skipUnless(is_kvd(), "kvctl's and kvd's own promises")
class Members(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("auth-three", options=QUICK)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_and_wait()
        for words in (["user", "add", "root:toor-secret"], ["user", "grant-role", "root", "root"],
                      ["user", "add", "alice:alice-secret"], ["role", "add", "readers"],
                      ["role", "grant-permission", "readers", "read", "/app/", "--prefix"],
                      ["user", "grant-role", "alice", "readers"], ["auth", "enable"]):
            cls.kvctl(cls.cluster.members, *words)

    @classmethod
    def kvctl(cls, members, *words, code=0, user=None):
        command = [KVCTL, "--endpoints", ",".join(member.endpoint for member in members)]
        command += ["--user", user] if user else []
        ended = subprocess.run(command + list(words), capture_output=True, timeout=30, check=False)
        assert ended.returncode == code, "%s: %s" % (words, ended.stderr)
        return ended.stdout

    @staticmethod
    def serves(member):
        try:
            return member.page("/readyz").startswith("ok")
        except OSError:
            return False

    def test_a_token_of_one_member_is_taken_at_once_by_the_others(self):
        from etcd3 import etcdrpc  # pylint: disable=import-outside-toplevel
        for _ in range(20):
            for issuer in self.cluster.members:
                token = issuer.client.call("Auth/Authenticate", etcdrpc.AuthenticateRequest(
                    name="alice", password="alice-secret")).token
                self.assertRegex(token, r"^[A-Za-z]{16}\.\d+$")
                for member in self.cluster.members:
                    read = member.client.channel.unary_unary(
                        "/etcdserverpb.KV/Range", etcdrpc.RangeRequest.SerializeToString,
                        etcdrpc.RangeResponse.FromString)
                    read(etcdrpc.RangeRequest(key=b"/app/x", serializable=True), timeout=5,
                         metadata=(("token", token),))

    def test_users_outlive_a_restart_and_clients_sign_in_anew(self):
        member = self.cluster.members[1]
        command = [KVCTL, "--endpoints", member.endpoint, "--user", "alice:alice-secret", "watch",
                   "/app/", "--prefix"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch:
            self.kvctl([member], "get", "/app/x", user="alice:alice-secret")
            self.kvctl([member], "get", "/app/x", code=1)
            member.kill()
            self.cluster.start(member)
            eventually("it answers", lambda: self.serves(member))
            self.kvctl([member], "put", "/app/x", "1", user="root:toor-secret")
            self.assertEqual(watch.stdout.readline(), b"PUT\n")
            watch.kill()
        self.kvctl([member], "get", "/app/x", user="alice:wrong", code=1)
        self.assertEqual(self.kvctl([member], "get", "/app/x", user="alice:alice-secret"),
                         b"/app/x\n1\n")

    def test_a_grant_can_be_tried(self):
        root = "root:toor-secret"
        check = ("auth", "check", "alice")
        self.assertIn(b"by role readers: [/app/, /app0) (prefix /app/)", self.kvctl(
            self.cluster.members, *check, "get", "/app/x", user=root))
        self.kvctl(self.cluster.members, *check, "put", "/app/x", user=root, code=4)
        self.kvctl(self.cluster.members, *check, "get", "/", "--prefix", user=root, code=4)

    def test_no_file_holds_a_password_or_a_token(self):
        from etcd3 import etcdrpc  # pylint: disable=import-outside-toplevel
        member = self.cluster.members[0]
        token = member.client.call("Auth/Authenticate", etcdrpc.AuthenticateRequest(
            name="alice", password="alice-secret")).token
        self.kvctl([member], "put", "/app/x", "found", user="root:toor-secret")
        self.kvctl([member], "get", "/app/x", user="alice:not-the-secret", code=1)
        found = {}
        for folder, _, names in os.walk(self.cluster.folder):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    text = file.read()
                for secret in (b"toor-secret", b"alice-secret", b"not-the-secret",
                               token.split(".")[0].encode(), b"found"):
                    if secret in text:
                        found.setdefault(secret, []).append(name)
        self.assertEqual(list(found), [b"found"], found)


@unittest.skipUnless(is_kvd(), "kvctl makes the certificates")
class Certificates(unittest.TestCase):
    """With --client-cert-auth the common name is the user, where no token is shown."""

    def test_a_certificate_is_as_good_as_a_password(self):
        with secure.SecureCluster("auth-certificates", size=1, options=QUICK) as cluster:
            cluster.members[0].variables = {"KVD_CLIENT_CERT_AUTH": "true"}
            for name in ("alice", "mallory"):
                secure.cert("client", cluster.pki, name)
            cluster.start_and_wait()
            for words in (["user", "add", "root", "--no-password"],
                          ["user", "grant-role", "root", "root"],
                          ["user", "add", "alice", "--no-password"], ["role", "add", "readers"],
                          ["user", "add", "bob:bob-secret"],
                          ["role", "grant-permission", "readers", "read", "/app/", "--prefix"],
                          ["user", "grant-role", "alice", "readers"], ["auth", "enable"],
                          ["put", "/app/x", "1"]):
                self.tool(cluster, "kvctl", "root", *words)
            for tool in ("kvctl", "etcdctl"):
                self.tool(cluster, tool, "alice", "get", "/app/x")
                self.tool(cluster, tool, "alice", "put", "/app/x", "2", refused="permission denied")
                self.tool(cluster, tool, "alice", "get", "/app/x", user="bob:bob-secret",
                          refused="permission denied")
                self.tool(cluster, tool, "alice", "user", "list", refused="permission denied")
                self.tool(cluster, tool, "mallory", "get", "/app/x", refused="permission denied")
                self.tool(cluster, tool, "mallory", "member", "list", refused="permission denied")
                self.tool(cluster, tool, "mallory", "user", "get", "bob", user="bob:bob-secret")
                self.tool(cluster, tool, "root", "user", "list")

    def tool(self, cluster, tool, certificate, *words, user=None, refused=None):
        command = [KVCTL if tool == "kvctl" else tool, "--endpoints",
                   cluster.members[0].client_url]
        for option, name in (("--cacert", "ca.crt"), ("--cert", certificate + ".crt"),
                             ("--key", certificate + ".key")):
            command += [option, os.path.join(cluster.pki, name)]
        command += ["--user", user] if user else []
        ended = subprocess.run(command + list(words), capture_output=True, timeout=30, check=False,
                               text=True, env=etcdctl.etcdctl_environment())
        if refused:
            self.assertNotEqual(ended.returncode, 0, words)
            self.assertIn(refused, ended.stderr)
        else:
            self.assertEqual(ended.returncode, 0, ended.stderr)


if __name__ == "__main__":
    report.main()
