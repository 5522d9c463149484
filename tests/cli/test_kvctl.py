#!/usr/bin/python3
"""kvctl from the outside, against a real server.

Environment:
  KVCTL           the binary; default build/kvctl
  SERVER          a server binary to start on loopback (kvd or etcd), or else
  KVD_ENDPOINTS   the endpoints of a running cluster; keys under /test-kvctl/ are its own
Tests that stop the server for a while need SERVER. Where etcdctl is installed, outputs are
compared with its outputs. The last line is "N passed, N failed".
"""

import base64
import filecmp
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KVCTL = os.environ.get("KVCTL", os.path.join(ROOT, "build", "kvctl"))
SERVER = os.environ.get("SERVER", "")
ENDPOINTS = os.environ.get("KVD_ENDPOINTS", "")
ETCDCTL = shutil.which("etcdctl")
BASE = "/test-kvctl"
TIMEOUT = 60

OK, ERROR, CONNECTION, INPUT, CONDITION, OUTCOME, ARGUMENTS = 0, 1, 2, 3, 4, 5, 128


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One member, started here, with data below build/."""

    def __init__(self):
        os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="kvctl-test-", dir=os.path.join(ROOT, "build"))
        self.client_port, self.peer_port = free_port(), free_port()
        client = "http://127.0.0.1:%d" % self.client_port
        peer = "http://127.0.0.1:%d" % self.peer_port
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            [SERVER, "--name", "m1", "--data-dir", os.path.join(self.folder, "data"),
             "--listen-client-urls", client, "--advertise-client-urls", client,
             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
             "--initial-cluster", "m1=" + peer],
            stdout=self.log, stderr=self.log)
        self.endpoint = "127.0.0.1:%d" % self.client_port

    def wait(self):
        for _ in range(100):
            if run(["get", "x"], endpoints=self.endpoint).returncode == OK:
                return
            time.sleep(0.1)
        self.stop()
        raise SystemExit("the server does not answer; see " + self.log.name)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)


server = None


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith(("KVCTL_", "ETCDCTL_"))}


def run(args, stdin=b"", endpoints=None, env=None):
    """Runs kvctl; bytes in and out."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    endpoints = ENDPOINTS if endpoints is None else endpoints
    command = [KVCTL] + (["--endpoints", endpoints] if endpoints else []) + list(args)
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=TIMEOUT, env={**clean_environment(), **(env or {})})


def etcdctl(args, stdin=b""):
    return subprocess.run([ETCDCTL, "--endpoints", ENDPOINTS] + list(args), input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                          env={**clean_environment(), "ETCDCTL_API": "3"})


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="kvctl-files-", dir=os.path.join(ROOT, "build"))
        run(["del", "--prefix", BASE])

    def tearDown(self):
        shutil.rmtree(self.folder)

    def expect(self, code, *args, **kwargs):
        """The result of a run that must end with this code; stdout as bytes."""
        result = run(args, **kwargs)
        self.assertEqual(result.returncode, code, (args, result.stdout[:500], result.stderr))
        if code != OK:
            self.assertIn(b"Error: ", result.stderr)
        return result

    def out(self, *args, **kwargs):
        return self.expect(OK, *args, **kwargs).stdout

    def fails(self, code, text, *args, **kwargs):
        self.assertIn(text, self.expect(code, *args, **kwargs).stderr.decode())

    def write(self, path, content=b""):
        full = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(content)

    def path(self, name):
        return os.path.join(self.folder, name)


class Values(Case):
    def test_put_get_del(self):
        self.assertEqual(self.out("put", BASE + "/a", "1"), b"OK\n")
        self.assertEqual(self.out("get", BASE + "/a"), b"/test-kvctl/a\n1\n")
        self.assertEqual(self.out("put", BASE + "/a", "2", "--prev-kv"),
                         b"OK\n/test-kvctl/a\n1\n")
        self.assertEqual(self.out("del", BASE + "/a", "--prev-kv"), b"1\n/test-kvctl/a\n2\n")
        self.assertEqual(self.out("del", BASE + "/a"), b"0\n")
        self.assertEqual(self.out("get", BASE + "/a"), b"")

    def test_a_missing_key_is_an_error_only_on_request(self):
        self.out("get", BASE + "/none")
        self.fails(CONDITION, "no such key", "get", BASE + "/none", "--must-exist")

    def test_values_keep_every_byte(self):
        value = bytes(range(256)) * 3 + b"\n"
        self.out("put", BASE + "/bin", stdin=value)
        self.assertEqual(self.out("get", BASE + "/bin", "-w", "raw"), value)
        self.write("value", value[::-1])
        self.out("put", BASE + "/bin", "--file", self.path("value"))
        self.assertEqual(self.out("get", BASE + "/bin", "-w", "raw"), value[::-1])
        self.out("put", BASE + "/bin", "-", stdin=b"\x00")
        self.assertEqual(self.out("get", BASE + "/bin", "-w", "raw"), b"\x00")
        self.out("put", BASE + "/bin", stdin=b"")
        self.assertEqual(self.out("get", BASE + "/bin", "-w", "raw"), b"")

    def test_values_with_a_dash_go_behind_two(self):
        self.out("put", BASE + "/n", "--", "-5")
        self.assertEqual(self.out("get", BASE + "/n", "--print-value-only"), b"-5\n")

    def test_raw_is_for_one_key(self):
        self.out("put", BASE + "/1", "x")
        self.out("put", BASE + "/2", "x")
        self.fails(INPUT, "2 match", "get", "--prefix", BASE, "-w", "raw")

    def test_ranges(self):
        for key in "abcd":
            self.out("put", BASE + "/" + key, key.upper())
        values = lambda *args: self.out("get", "--print-value-only", *args).split()
        self.assertEqual(values("--prefix", BASE + "/"), [b"A", b"B", b"C", b"D"])
        self.assertEqual(values(BASE + "/b", BASE + "/d"), [b"B", b"C"])
        self.assertEqual(values("--prefix", BASE, "--limit", "2"), [b"A", b"B"])
        self.assertEqual(values("--prefix", BASE, "--order", "DESCEND", "--limit", "1"), [b"D"])
        self.assertEqual(values("--prefix", BASE, "--sort-by", "MODIFY", "--order", "descend"),
                         [b"D", b"C", b"B", b"A"])
        self.assertEqual(self.out("get", "--prefix", BASE, "--count-only"), b"4\n")
        self.assertEqual(values("--prefix=true", "--consistency=s", BASE), [b"A", b"B", b"C", b"D"])

    def test_old_revisions(self):
        self.out("put", BASE + "/a", "old")
        rev = json.loads(self.out("put", BASE + "/a", "new", "-w", "json"))["header"]["revision"]
        self.assertEqual(self.out("get", BASE + "/a", "--rev", str(rev - 1), "-w", "raw"), b"old")
        self.fails(ERROR, "future revision", "get", BASE + "/a", "--rev", str(rev + 1000))

    def test_large_ranges_come_whole_and_in_order(self):
        lines = ["put %s/big/%06d x%s" % (BASE, i, "x" * (i % 50)) for i in range(5000)]
        for i in range(0, 5000, 125):
            self.out("txn", stdin="\n" + "\n".join(lines[i:i + 125]) + "\n\n\n")
        keys = self.out("get", "--prefix", BASE + "/big/").split(b"\n")[0:-1:2]
        self.assertEqual(len(keys), 5000)
        self.assertEqual(keys, sorted(keys))
        result = json.loads(self.out("get", "--prefix", BASE + "/big/", "-w", "json"))
        self.assertEqual(len(result["kvs"]), 5000)
        self.assertEqual(result["count"], 5000)
        result = json.loads(self.out("get", "--prefix", BASE + "/big/", "-w", "json",
                                     "--limit", "3000"))
        self.assertEqual((len(result["kvs"]), result["more"], result["count"]), (3000, True, 5000))

    def test_large_values_come_in_pages(self):
        for i in range(70):
            self.out("put", "%s/mib/%02d" % (BASE, i), stdin=bytes([48 + i]) * 1000000)
        values = self.out("get", "--prefix", BASE + "/mib/", "--print-value-only").split(b"\n")
        self.assertEqual([(v[:1], len(v)) for v in values[10:12]],
                         [(b":", 1000000), (b";", 1000000)])
        self.assertEqual(self.out("del", "--prefix", BASE + "/mib/"), b"70\n")

    def test_json_is_text_where_it_can_be(self):
        self.out("put", BASE + "/t", "ä\n\"")
        kv = json.loads(self.out("get", BASE + "/t", "-w", "json"))["kvs"][0]
        self.assertEqual((kv["key"], kv["value"]), (BASE + "/t", "ä\n\""))
        self.out("put", BASE + "/t", stdin=b"\xff\xfe")
        kv = json.loads(self.out("get", BASE + "/t", "-w", "json"))["kvs"][0]
        self.assertEqual(base64.b64decode(kv["value_base64"]), b"\xff\xfe")
        self.assertNotIn("value", kv)
        kv = json.loads(self.out("get", BASE + "/t", "-w", "json-base64"))["kvs"][0]
        self.assertEqual(base64.b64decode(kv["key"]), (BASE + "/t").encode())

    def test_a_request_that_is_too_large_is_refused(self):
        self.expect(ERROR, "put", BASE + "/x", stdin=b"x" * 1700000)
        self.assertEqual(self.out("get", BASE + "/x"), b"")


class Conditions(Case):
    def revision(self, key):
        return str(json.loads(self.out("get", key, "-w", "json"))["kvs"][0]["mod_revision"])

    def test_put_if_absent(self):
        self.out("put", BASE + "/c", "1", "--if-absent")
        self.fails(CONDITION, "exists, at revision", "put", BASE + "/c", "2", "--if-absent")
        self.fails(CONDITION, "exists, at revision", "put", BASE + "/c", "2", "--if-rev", "0")
        self.assertEqual(self.out("get", BASE + "/c", "-w", "raw"), b"1")

    def test_put_if_rev(self):
        self.fails(CONDITION, "does not exist", "put", BASE + "/c", "1", "--if-rev", "3")
        self.out("put", BASE + "/c", "1")
        rev = self.revision(BASE + "/c")
        self.assertEqual(self.out("put", BASE + "/c", "2", "--if-rev", rev, "--prev-kv"),
                         b"OK\n/test-kvctl/c\n1\n")
        self.fails(CONDITION, "is at revision", "put", BASE + "/c", "3", "--if-rev", rev)
        self.assertEqual(self.out("get", BASE + "/c", "-w", "raw"), b"2")

    def test_put_if_value(self):
        self.fails(CONDITION, "does not exist", "put", BASE + "/c", "1", "--if-value", "x")
        self.out("put", BASE + "/c", "1")
        self.out("put", BASE + "/c", "2", "--if-value", "1")
        self.fails(CONDITION, "another value", "put", BASE + "/c", "3", "--if-value", "1")

    def test_a_conditional_put_prints_what_a_put_prints(self):
        result = json.loads(self.out("put", BASE + "/c", "1", "--if-absent", "-w", "json"))
        self.assertGreater(result["header"]["revision"], 1)
        self.assertIn("cluster_id", result["header"])

    def test_del_on_conditions(self):
        self.out("put", BASE + "/c", "1")
        self.fails(CONDITION, "another value", "del", BASE + "/c", "--if-value", "2")
        self.fails(ARGUMENTS, "single key", "del", "--prefix", BASE, "--if-value", "2")
        self.assertEqual(self.out("del", BASE + "/c", "--if-rev", self.revision(BASE + "/c")),
                         b"1\n")

    def test_deleting_everything_must_be_confirmed(self):
        for args in (["", "--prefix"], ["", "--from-key"]):
            self.fails(ARGUMENTS, "--yes", "del", *args)


class Transactions(Case):
    def test_branches(self):
        self.out("put", BASE + "/t", "v")
        text = 'val("%s/t") = "%s"\n\nput %s/u "a b"\nget %s/t\n\nget %s/none\ndel %s/none\n\n'
        fill = lambda value: text % (BASE, value, BASE, BASE, BASE, BASE)
        self.assertEqual(self.out("txn", stdin=fill("v")), b"SUCCESS\n\nOK\n\n/test-kvctl/t\nv\n")
        self.assertEqual(self.out("txn", stdin=fill("w")), b"FAILURE\n\n\n0\n")
        self.assertEqual(self.out("get", BASE + "/u", "-w", "raw"), b"a b")

    def test_interactive_announces_the_sections(self):
        self.assertEqual(self.out("txn", "-i", stdin="\n\n\n"),
                         b"compares:\nsuccess requests (get, put, del):\n"
                         b"failure requests (get, put, del):\nSUCCESS\n")

    def test_malformed_input_changes_nothing(self):
        self.fails(INPUT, "line 3", "txn", stdin="\nput %s/x 1\nputt\n\n\n" % BASE)
        self.fails(INPUT, "empty line", "txn", stdin="\nput %s/x 1\n" % BASE)
        self.fails(INPUT, "malformed comparison", "txn", stdin="mod(x) = 1\n\n\n\n")
        self.assertEqual(self.out("get", BASE + "/x"), b"")

    def test_the_server_refuses_duplicate_keys(self):
        self.fails(ERROR, "duplicate key", "txn",
                   stdin="\nput %s/x 1\nput %s/x 2\n\n\n" % (BASE, BASE))

    def test_zero_bytes_in_quotes(self):
        self.out("txn", stdin='\nput %s/z "a\\x00b"\n\n\n' % BASE)
        self.assertEqual(self.out("get", BASE + "/z", "-w", "raw"), b"a\x00b")


@unittest.skipUnless(ETCDCTL, "etcdctl is not installed")
class AsEtcdctl(Case):
    """The same bytes on stdout as etcdctl."""

    def same(self, *args, stdin=b"", ours=None):
        theirs = etcdctl(args, stdin)
        mine = run(ours or args, stdin)
        # etcdctl 3.5 writes "response_range" for what 3.4 called "ResponseRange".
        out = re.sub(rb'"response_([a-z_]+)":\{',
                     lambda found: b'"Response%s":{' % found[1].title().replace(b"_", b""),
                     theirs.stdout)
        self.assertEqual(mine.stdout, out, args)
        self.assertEqual(mine.returncode, theirs.returncode, args)

    def same_json(self, *args, stdin=b""):
        self.same(*args, "-w", "json", stdin=stdin, ours=list(args) + ["-w", "json-base64"])

    def test_reads(self):
        run(["put", BASE + "/a", "1"])
        run(["put", BASE + "/b"], stdin=b"\xff\x00\t\xc2\xad\xe2\x82\xac\"\\\n")
        run(["put", BASE + "/b ä"], stdin=b"")
        for args in (["get", BASE + "/a"], ["get", BASE + "/none"], ["get", BASE, "--prefix"],
                     ["get", BASE, "--prefix", "--keys-only"],
                     ["get", BASE, "--prefix", "--print-value-only"],
                     ["get", BASE, "--prefix", "--limit", "2"],
                     ["get", BASE, "--prefix", "--hex"],
                     ["get", BASE + "/a", BASE + "/b"], ["get", BASE + "/a", "--rev", "0"],
                     ["get", BASE, "--prefix", "--order", "DESCEND", "--sort-by=VERSION"]):
            self.same(*args)
            if "--print-value-only" not in args:
                self.same_json(*args)
            if "--hex" not in args and "--print-value-only" not in args:
                self.same(*args, "-w", "fields")

    def test_writes(self):
        # Each command is run by both programs, so only what repeats itself is compared.
        self.same("put", BASE + "/a", "1")
        self.same("put", BASE + "/a", "1", "--prev-kv")
        self.same("put", BASE + "/a", "--ignore-value")
        self.same("put", BASE + "/s", stdin=b"from\nstdin")
        self.same("del", BASE + "/none", "-w", "fields")
        self.same_json("del", BASE + "/none", "--prev-kv")

    def test_transactions(self):
        run(["put", BASE + "/a", "1"])
        text = ('mod("%s/a") > "0"\n\nget %s/a\nget %s --prefix --keys-only\ndel %s/none\n\n\n'
                % ((BASE,) * 4)).encode()
        self.same("txn", stdin=text)
        self.same("txn", "-w", "fields", stdin=text)
        self.same_json("txn", stdin=text)
        self.same("txn", stdin=b"\nput %s/a 1 --prev-kv\n\n\n" % BASE.encode())

    def test_cluster(self):
        self.same("member", "list")
        self.same("member", "list", "-w", "fields")
        self.same_json("member", "list")
        self.same("endpoint", "status")
        # A newer server has fields that etcdctl may not know.
        theirs = json.loads(etcdctl(["endpoint", "status", "-w", "json"]).stdout)[0]["Status"]
        ours = json.loads(self.out("endpoint", "status", "-w", "json-base64"))[0]["Status"]
        self.assertEqual(theirs, {name: ours[name] for name in theirs})

    def test_errors_have_the_same_codes(self):
        self.same("get")
        self.same("get", "a", "--prefix", "--from-key")
        self.same("put", "", "x")
        self.same("get", BASE, "--rev", "100000000")
        self.same("txn", stdin=b"mod(x\n\n\n\n")
        self.same("del", "a", "b", "c")


class Arguments(Case):
    def test_typos_get_suggestions(self):
        self.fails(ARGUMENTS, 'did you mean "get"?', "gte", "x")
        self.fails(ARGUMENTS, "did you mean --prefix?", "get", "--perfix", "x")
        self.fails(ARGUMENTS, 'did you mean "member list"?', "member", "lsit")

    def test_wrong_arguments(self):
        self.fails(ARGUMENTS, "usage: kvctl get", "get")
        self.fails(ARGUMENTS, "formats are", "get", "x", "-w", "yaml")
        self.fails(ARGUMENTS, "--order", "get", "x", "--order", "up")
        self.fails(ARGUMENTS, "not a duration", "get", "x", "--command-timeout", "soon")
        self.fails(ARGUMENTS, "only http://", "get", "x", endpoints="ftp://127.0.0.1")
        self.fails(ARGUMENTS, "not a revision", "compaction", "x")

    def test_help(self):
        for words in (["help"], ["--help"], ["help", "get"], ["get", "--help"], ["help", "formats"],
                      ["help", "endpoint", "status"], ["help", "exit-codes"], ["import", "-h"]):
            self.assertGreater(len(self.out(*words, endpoints="")), 100)
        self.fails(ARGUMENTS, "did you mean", "help", "gte", endpoints="")

    def test_version(self):
        self.assertIn(b"kvctl version: ", self.out("version"))

    def test_the_environment_stands_in_for_options(self):
        dead = "127.0.0.1:1"
        self.out("get", "x", endpoints="", env={"KVCTL_ENDPOINTS": ENDPOINTS})
        self.out("get", "x", endpoints="", env={"ETCDCTL_ENDPOINTS": ENDPOINTS})
        self.out("get", "x", endpoints="",
                 env={"KVCTL_ENDPOINTS": ENDPOINTS, "ETCDCTL_ENDPOINTS": dead})
        self.out("get", "x", env={"KVCTL_ENDPOINTS": dead})
        self.assertTrue(self.out("get", "x", env={"KVCTL_WRITE_OUT": "json"}).startswith(b"{"))
        self.fails(ARGUMENTS, "KVCTL_DIAL_TIMEOUT", "get", "x", env={"KVCTL_DIAL_TIMEOUT": "x"})

    def test_a_closed_stdout_is_reported(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([KVCTL, "version"], stdout=full, stderr=subprocess.PIPE,
                                    timeout=TIMEOUT)
        self.assertEqual(result.returncode, ERROR)
        self.assertIn(b"stdout", result.stderr)

    def test_debug_says_what_is_done_on_stderr(self):
        result = self.expect(OK, "--debug", "get", BASE)
        self.assertIn(b"connecting", result.stderr)
        self.assertEqual(result.stdout, b"")


class Cluster(Case):
    def test_status_and_health(self):
        row = self.out("endpoint", "status").decode().split(", ")
        self.assertEqual(row[0], ENDPOINTS.split(",")[0])
        self.assertIn("is healthy", self.out("endpoint", "health").decode())
        self.out("endpoint", "health", "--cluster")
        status = json.loads(self.out("endpoint", "status", "--cluster", "-w", "json"))
        self.assertIn("raftIndex", status[0]["Status"])
        self.assertIn(b"RAFT TERM", self.out("endpoint", "status", "-w", "table"))

    def test_dead_endpoints_show(self):
        both = ENDPOINTS + ",127.0.0.1:1"
        result = self.expect(CONNECTION, "endpoint", "status", endpoints=both)
        self.assertTrue(result.stdout)
        self.assertIn(b"127.0.0.1:1", result.stderr)
        result = self.expect(ERROR, "endpoint", "health", endpoints=both)
        self.assertIn(b"127.0.0.1:1 is unhealthy", result.stdout)

    def test_compaction(self):
        rev = json.loads(self.out("put", BASE + "/x", "1", "-w", "json"))["header"]["revision"]
        self.out("put", BASE + "/x", "2")
        self.assertEqual(self.out("compaction", str(rev), "--physical"),
                         b"compacted revision %d\n" % rev)
        self.fails(ERROR, "has been compacted", "compaction", str(rev))
        self.fails(ERROR, "has been compacted", "get", BASE + "/x", "--rev", str(rev - 1))

    def test_members(self):
        members = json.loads(self.out("member", "list", "-w", "json"))["members"]
        self.assertTrue(members[0]["clientURLs"])


class Speaker:
    """A port that says something else than a server would."""

    def __init__(self, words):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.words = words
        threading.Thread(target=self.speak, daemon=True).start()

    def speak(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.sendall(self.words)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Connections(Case):
    def port(self, thing):
        """Something with a port that is closed after the test."""
        self.addCleanup(thing.close)
        return thing

    def test_the_failing_step_is_named(self):
        self.fails(CONNECTION, "127.0.0.1:1: connect: Connection refused", "get", "x",
                   endpoints="127.0.0.1:1")
        self.fails(CONNECTION, "resolve", "get", "x", endpoints="no-such-host.invalid:2379")
        for words, reason in ((b"HTTP/1.0 400 no\r\n\r\n", "in HTTP/1"),
                              (b"\x15\x03\x01\x00\x02\x02\x46", "in TLS")):
            speaker = self.port(Speaker(words))
            self.fails(CONNECTION, reason, "put", "x", "y", endpoints=speaker.endpoint)

    def test_a_mute_port_times_out(self):
        mute = self.port(socket.create_server(("127.0.0.1", 0)))
        started = time.monotonic()
        self.fails(CONNECTION, "HTTP/2 handshake: no answer", "--dial-timeout", "300ms", "get", "x",
                   endpoints="127.0.0.1:%d" % mute.getsockname()[1])
        self.assertLess(time.monotonic() - started, 3)

    def test_a_dead_endpoint_is_passed_over(self):
        both = "127.0.0.1:1," + ENDPOINTS
        self.out("put", BASE + "/f", "1", endpoints=both)
        self.assertEqual(self.out("get", BASE + "/f", "-w", "raw", endpoints=both), b"1")
        web = self.port(Speaker(b"HTTP/1.1 400 no\r\n\r\n"))
        self.out("put", BASE + "/f", "2", endpoints=web.endpoint + "," + ENDPOINTS)

    def test_a_lost_answer_leaves_the_outcome_of_a_write_open(self):
        relay = self.port(Relay(ENDPOINTS.split(",")[0]))
        self.fails(OUTCOME, "may or may not have been applied", "--command-timeout", "700ms",
                   "put", BASE + "/s", "1", endpoints=relay.endpoint)

    def test_a_lost_answer_to_a_read_is_a_timeout(self):
        relay = self.port(Relay(ENDPOINTS.split(",")[0]))
        self.fails(CONNECTION, "no answer in time", "--command-timeout", "700ms", "get", "x",
                   endpoints=relay.endpoint)

    def test_a_server_that_hangs_at_once_times_out(self):
        if server is None:
            self.skipTest("needs SERVER")
        server.signal(signal.SIGSTOP)
        try:
            self.fails(CONNECTION, "HTTP/2 handshake: no answer", "--dial-timeout", "500ms",
                       "put", BASE + "/s", "1")
        finally:
            server.signal(signal.SIGCONT)


class Relay:
    """Forwards the handshake to a server, and then only what goes towards it."""

    def __init__(self, endpoint):
        host, port = endpoint.split("//")[-1].rsplit(":", 1)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.target = (host, int(port))
        threading.Thread(target=self.relay, daemon=True).start()

    def relay(self):
        peer, _ = self.socket.accept()
        with peer, socket.create_connection(self.target) as upstream:
            upstream.sendall(peer.recv(65536))
            peer.sendall(upstream.recv(65536))
            while data := peer.recv(65536):
                upstream.sendall(data)

    def close(self):
        self.socket.close()


def compare_folders(left, right):
    """Differences between two trees; empty folders do not count."""
    def files(top):
        return sorted(os.path.relpath(os.path.join(d, f), top)
                      for d, _, names in os.walk(top) for f in names)
    if files(left) != files(right):
        return sorted(set(files(left)) ^ set(files(right)))
    return [f for f in files(left) if not filecmp.cmp(os.path.join(left, f),
                                                      os.path.join(right, f), shallow=False)]


class Folders(Case):
    def sample(self, top="in"):
        self.write(top + "/plain", b"text\n")
        self.write(top + "/empty", b"")
        self.write(top + "/with space/ü ñ €.txt", "ünïcode".encode())
        self.write(top + "/with space!", b"sorts before the slash")
        self.write(top + "/deep/er/bin", bytes(range(256)) * 500)
        self.write(top + "/deep/new\nline", b"\r\n\x00")
        os.makedirs(self.path(top + "/empty folder"))
        return self.path(top)

    def big_sample(self, top="big", n=1000):
        random.seed(7)
        for i in range(n):
            self.write("%s/d%d/e%d/file %d ä" % (top, i % 37, i % 5, i),
                       random.randbytes(random.choice([0, 1, 100, 5000])))
        return self.path(top)

    def test_a_small_folder_comes_back_byte_for_byte(self):
        folder = self.sample()
        before = self.out("get", "x", "-w", "json")
        text = self.out("import", folder, "--prefix", BASE + "/app").decode()
        self.assertIn("stored 6 files", text)
        after = json.loads(self.out("get", "x", "-w", "json"))["header"]["revision"]
        self.assertEqual(after, json.loads(before)["header"]["revision"] + 1, "one transaction")
        self.out("export", self.path("out"), "--prefix", BASE + "/app/")
        self.assertEqual(compare_folders(folder, self.path("out")), [])

    def test_an_unchanged_folder_writes_nothing(self):
        folder = self.sample()
        self.out("import", folder, "--prefix", BASE + "/app")
        result = json.loads(self.out("import", folder, "--prefix", BASE + "/app", "-w", "json"))
        self.assertEqual((result["unchanged"], result["revision"]), (6, 0))
        self.write("in/plain", b"changed\n")
        result = json.loads(self.out("import", folder, "--prefix", BASE + "/app", "-w", "json"))
        self.assertEqual((result["unchanged"], result["changed"]), (5, 1))

    def test_prune_deletes_what_is_not_in_the_folder(self):
        folder = self.sample()
        self.out("import", folder, "--prefix", BASE + "/app")
        for key in ("/app/a", "/app/plain2", "/app/zz", "/apples", "/app"):
            self.out("put", BASE + key, "x")
        result = self.expect(OK, "import", folder, "--prefix", BASE + "/app")
        self.assertIn(b"3 keys", result.stderr)
        text = self.out("import", folder, "--prefix", BASE + "/app", "--prune")
        self.assertIn(b"3 deleted", text)
        self.assertEqual(self.out("get", BASE + "/apples", "-w", "raw"), b"x")
        self.assertEqual(self.out("get", BASE + "/app", "-w", "raw"), b"x")
        self.out("export", self.path("out"), "--prefix", BASE + "/app")
        self.assertEqual(compare_folders(folder, self.path("out")), [])

    def test_pruning_many_keys_takes_few_operations(self):
        self.write("in/m", b"1")
        for i in range(0, 1000, 100):
            self.out("txn", stdin="\n" + "".join("put %s/app/k%04d x\n" % (BASE, j)
                                                  for j in range(i, i + 100)) + "\n\n")
        text = self.out("import", self.path("in"), "--prefix", BASE + "/app", "--prune")
        self.assertIn(b"1000 deleted", text)

    def test_a_large_folder_becomes_a_release(self):
        folder = self.big_sample()
        self.out("import", folder, "--prefix", BASE + "/www")
        current = self.out("get", BASE + "/www/current", "-w", "raw").decode()
        self.assertRegex(current, "^%s/www/releases/[^/]+/$" % BASE)
        self.assertEqual(self.out("get", "--prefix", current, "--count-only"), b"1000\n")
        self.out("export", self.path("out"), "--prefix", BASE + "/www")
        self.assertEqual(compare_folders(folder, self.path("out")), [])

    def test_the_pointer_switches_once_and_last(self):
        folder = self.big_sample(n=300)
        self.out("import", folder, "--prefix", BASE + "/www", "--release-id", "one")
        self.out("import", folder, "--prefix", BASE + "/www", "--release-id", "two")
        reply = json.loads(self.out("get", "--prefix", BASE + "/www/", "-w", "json", "--keys-only"))
        rev = {kv["key"]: kv["mod_revision"] for kv in reply["kvs"]}
        pointer = rev.pop(BASE + "/www/current")
        self.assertGreater(pointer, max(rev.values()))

    def test_once_there_are_releases_small_folders_become_releases_too(self):
        self.out("import", self.big_sample(n=200), "--prefix", BASE + "/www", "--release-id", "one")
        small = self.sample()
        self.out("import", small, "--prefix", BASE + "/www", "--release-id", "two")
        self.assertEqual(self.out("get", BASE + "/www/current", "-w", "raw").decode(),
                         BASE + "/www/releases/two/")
        self.out("export", self.path("out"), "--prefix", BASE + "/www")
        self.assertEqual(compare_folders(small, self.path("out")), [])
        self.out("export", self.path("old"), "--prefix", BASE + "/www",
                 "--release-id", "one")
        self.assertEqual(compare_folders(self.path("big"), self.path("old")), [])

    def test_keep_deletes_old_releases_but_not_the_current_one(self):
        folder = self.sample()
        for name in ("r3", "r1", "r2"):
            self.out("import", folder, "--prefix", BASE + "/www", "--release", "--release-id", name)
        self.out("import", folder, "--prefix", BASE + "/www", "--release-id", "r0", "--keep", "2")
        keys = self.out("get", "--prefix", BASE + "/www/releases/", "--keys-only").decode().split()
        self.assertEqual({k.split("/")[4] for k in keys if k.startswith(BASE)}, {"r0", "r2"})

    def test_a_release_id_is_used_once(self):
        folder = self.sample()
        self.out("import", folder, "--prefix", BASE + "/www", "--release-id", "one")
        self.fails(CONDITION, "already", "import", folder, "--prefix", BASE + "/www",
                   "--release-id", "one")
        self.assertEqual(self.out("get", "--prefix", BASE + "/www/releases/one/", "--count-only"),
                         b"6\n")

    def test_switching_to_releases_can_prune_the_plain_keys(self):
        self.out("import", self.sample(), "--prefix", BASE + "/www")
        text = self.out("import", self.path("in"), "--prefix", BASE + "/www", "--release-id", "one",
                        "--prune").decode()
        self.assertIn("deleted 6 keys", text)
        self.assertEqual(self.out("get", "--prefix", BASE + "/www/", "--count-only"), b"7\n")

    def test_what_cannot_be_stored_is_refused_before_anything_is(self):
        folder = self.sample()
        os.symlink("plain", folder + "/link")
        self.fails(INPUT, "link: is a symbolic link", "import", folder, "--prefix", BASE + "/app")
        os.unlink(folder + "/link")
        os.mkfifo(folder + "/pipe")
        self.fails(INPUT, "pipe: is neither", "import", folder, "--prefix", BASE + "/app")
        os.unlink(folder + "/pipe")
        self.write("in/zz large", b"x" * 1600000)
        self.fails(INPUT, "zz large has 1600000 bytes", "import", folder, "--prefix", BASE + "/app")
        os.unlink(folder + "/zz large")
        self.write("in/current", b"x")
        self.fails(INPUT, "in/current", "import", folder, "--prefix", BASE + "/app")
        self.fails(INPUT, "no files", "import", folder + "/empty folder", "--prefix", BASE)
        self.fails(INPUT, "no-such", "import", folder + "/no-such", "--prefix", BASE)
        self.fails(ARGUMENTS, "--prefix", "import", folder)
        self.assertEqual(self.out("get", "--prefix", BASE + "/app", "--count-only"), b"0\n")

    def test_links_are_followed_on_request(self):
        folder = self.sample()
        os.symlink("plain", folder + "/link")
        self.out("import", folder, "--prefix", BASE + "/app", "--follow")
        self.assertEqual(self.out("get", BASE + "/app/link", "-w", "raw"), b"text\n")

    def test_keys_that_are_no_files_are_not_exported(self):
        for key in ("/up/../x", "/abs//x", "/dir/", "/up/."):
            self.out("put", BASE + key, "x")
            prefix = BASE + key[:4].rstrip("/")
            self.fails(INPUT, "cannot be a file", "export", self.path("out"), "--prefix", prefix)
            self.assertFalse(os.path.exists(self.path("out")))
            self.out("del", BASE + key)
        self.out("put", BASE + "/both", "x")
        self.out("put", BASE + "/both/x", "x")
        self.fails(INPUT, "file and the folder", "export", self.path("out"), "--prefix", BASE)
        self.out("txn", stdin='\nput "%s/nul/a\\x00b" x\n\n\n' % BASE)
        self.fails(INPUT, "zero byte", "export", self.path("out"), "--prefix", BASE + "/nul")

    def test_export_does_not_replace_files_by_itself(self):
        folder = self.sample()
        self.out("import", folder, "--prefix", BASE + "/app")
        self.write("out/plain", b"mine")
        self.fails(INPUT, "--yes", "export", self.path("out"), "--prefix", BASE + "/app")
        self.assertEqual(os.listdir(self.path("out")), ["plain"])
        self.out("export", self.path("out"), "--prefix", BASE + "/app", "--yes")
        self.assertEqual(compare_folders(folder, self.path("out")), [])

    def test_export_never_leaves_the_folder(self):
        self.out("put", BASE + "/app/out/x", "x")
        os.makedirs(self.path("target"))
        os.makedirs(self.path("dir"))
        os.symlink(self.path("target"), self.path("dir/out"))
        self.fails(INPUT, "something else has this name", "export", self.path("dir"), "--prefix",
                   BASE + "/app", "--yes")
        self.assertEqual(os.listdir(self.path("target")), [])

    def test_exporting_nothing_is_not_found(self):
        self.fails(CONDITION, "no keys", "export", self.path("out"), "--prefix", BASE + "/none")

    def test_an_old_revision_is_exported(self):
        self.write("in/f", b"old")
        rev = json.loads(self.out("import", self.path("in"), "--prefix", BASE + "/app", "-w",
                                  "json"))["revision"]
        self.out("put", BASE + "/app/f", "new")
        self.out("export", self.path("out"), "--prefix", BASE + "/app", "--rev", str(rev))
        with open(self.path("out/f"), "rb") as f:
            self.assertEqual(f.read(), b"old")

    def test_imports_at_the_same_time_leave_one_whole(self):
        for name in ("one", "two", "three"):
            for i in range(100):
                self.write("%s/f%02d" % (name, i), name.encode())
        codes = []
        threads = [threading.Thread(target=lambda n=name: codes.append(
            run(["import", self.path(n), "--prefix", BASE + "/app"]).returncode))
            for name in ("one", "two", "three")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(codes, [OK] * 3)
        values = set(self.out("get", "--prefix", BASE + "/app/", "--print-value-only").split())
        self.assertEqual(len(values), 1)


def main():
    global server, ENDPOINTS
    if not os.access(KVCTL, os.X_OK):
        raise SystemExit("no kvctl at %s; build it, or set KVCTL" % KVCTL)
    if not ENDPOINTS:
        if not SERVER:
            raise SystemExit("set SERVER to a server binary, or KVD_ENDPOINTS")
        server = Server()
        ENDPOINTS = server.endpoint
        server.wait()
    try:
        program = unittest.main(exit=False)
    finally:
        run(["del", "--prefix", BASE])
        if server is not None:
            server.stop()
    result = program.result
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - failed - len(result.skipped), failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
