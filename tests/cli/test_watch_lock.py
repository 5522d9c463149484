#!/usr/bin/python3
"""kvctl's commands that go on for some time, against a real server: watch, lease, lock, elect,
reload, with the programs that they run, signals, and a server that stops answering.

Environment: KVCTL and SERVER as for test_kvctl.py; SERVER must be kvd. Where etcdctl is
installed, outputs are compared with its outputs, and locks are shared with it. The last line is
"N passed, N failed".
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import test_kvctl as kvctl
from test_kvctl import ERROR, CONDITION, INPUT, ARGUMENTS, OK, etcdctl, run

COMPACTED, FENCED, NOT_ACQUIRED, LOST = 6, 7, 121, 122
BASE = "/test-watch"
LIMIT = 30  # seconds for anything that is waited for
needs_etcdctl = unittest.skipUnless(kvctl.ETCDCTL, "etcdctl is not installed")

server = None


def eventually(what, condition, seconds=LIMIT):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("after %g s still not: %s" % (seconds, what))
        time.sleep(0.02)


class Running:
    """A kvctl in the background whose output is collected."""

    def __init__(self, args, stdin=None, program=kvctl.KVCTL):
        self.lines = []
        self.errors = []
        self.process = subprocess.Popen(
            [program, "--endpoints", kvctl.ENDPOINTS] + list(args),
            stdin=subprocess.PIPE if stdin is None else stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            env={**kvctl.clean_environment(), "ETCDCTL_API": "3"})
        self.threads = [
            threading.Thread(target=self.collect, args=args, daemon=True)
            for args in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def collect(stream, to):
        with stream:
            for line in stream:
                to.append(line.rstrip("\n"))

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait_line(self, text, seconds=LIMIT):
        """The first line of output that holds the text."""
        return eventually("a line with %r, but %r" % (text, self.lines), lambda: next(
            (line for line in self.lines if text in line), None), seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=LIMIT):
        code = self.process.wait(seconds)
        time.sleep(0.05)  # what it wrote last is read by the threads
        return code

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        for thread in self.threads:
            thread.join(LIMIT)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="kvctl-files-",
                                       dir=os.path.join(kvctl.ROOT, "build"))
        self.running = []
        run(["del", "--prefix", BASE])

    def tearDown(self):
        for running in self.running:
            running.stop()
        shutil.rmtree(self.folder)

    def start(self, *args, **kwargs):
        running = Running(args, **kwargs)
        self.running.append(running)
        return running

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def write(self, name, text=""):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def expect(self, code, *args, **kwargs):
        result = run(args, **kwargs)
        self.assertEqual(result.returncode, code, (args, result.stdout[:500], result.stderr))
        return result

    def out(self, *args, **kwargs):
        return self.expect(OK, *args, **kwargs).stdout.decode()

    def fails(self, code, text, *args, **kwargs):
        self.assertIn(text, self.expect(code, *args, **kwargs).stderr.decode())

    def put(self, key, value="v"):
        """The revision of the put."""
        answer = self.out("put", BASE + key, value, "-w", "json")
        return json.loads(answer)["header"]["revision"]

    def pid(self):
        """Of the program that script() made."""
        with open(self.path("pid")) as f:
            return int(f.read())

    def alive(self):
        """Whether that program still runs."""
        try:
            with open("/proc/%d/stat" % self.pid()) as f:
                return f.read().split(")")[-1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def script(self, text):
        """A shell that notes its id in the file pid."""
        return ["sh", "-c", "echo $$ > %s; %s" % (self.path("pid"), text)]


class Leases(Case):
    def grant(self, ttl="60", *options):
        answer = json.loads(self.out("lease", "grant", ttl, "-w", "json", *options))
        return "%x" % answer["ID"]

    def test_life_of_a_lease(self):
        lease = self.grant("60")
        self.out("put", BASE + "/a", "1", "--lease", lease)
        self.assertIn("granted with TTL(60s), remaining(",
                      self.out("lease", "timetolive", lease, "--keys"))
        self.assertIn("keepalived with TTL(60)", self.out("lease", "keep-alive", lease, "--once"))
        self.assertIn(lease, self.out("lease", "list"))
        self.assertIn("revoked", self.out("lease", "revoke", lease))
        self.assertEqual(self.out("get", BASE + "/a"), "")
        self.assertIn("already expired", self.out("lease", "timetolive", lease))
        self.fails(ERROR, "requested lease not found", "lease", "revoke", lease)
        self.fails(CONDITION, "there is no lease", "lease", "keep-alive", lease, "--once")

    def test_ids_and_times_are_taken_as_people_write_them(self):
        self.assertEqual(self.grant("1m", "--id", "7f001"), "7f001")
        self.assertIn("TTL(60s)", self.out("lease", "timetolive", "7f001"))
        self.fails(ERROR, "lease already exists", "lease", "grant", "60", "--id", "7f001")
        self.out("lease", "revoke", "7f001")
        self.fails(ARGUMENTS, "is not a duration", "lease", "grant", "soon")
        self.fails(ARGUMENTS, "hexadecimal", "lease", "revoke", "xyz")
        self.fails(ERROR, "too large lease TTL", "lease", "grant", "9000000001")
        self.fails(ARGUMENTS, "grant, revoke", "lease")

    def test_keep_alive_goes_on_until_the_lease_is_gone(self):
        lease = self.grant("3")
        running = self.start("lease", "keep-alive", lease)
        time.sleep(4)
        self.assertGreaterEqual(len(running.lines), 3)
        self.out("lease", "revoke", lease)
        self.assertEqual(running.wait(), CONDITION)
        self.assertIn("expired or revoked.", running.lines[-1])

    @staticmethod
    def stable(result):
        """What was printed, without the seconds that go by."""
        return re.sub(rb"59[0-9]", b"59x", result.stdout)

    @needs_etcdctl
    def test_outputs_are_etcdctls(self):
        lease = self.grant("600")
        self.out("put", BASE + "/a", "1", "--lease", lease)
        for theirs, ours in (("simple", "simple"), ("fields", "fields"), ("json", "json-base64")):
            for command in (["list"], ["timetolive", lease, "--keys"], ["timetolive", "123"],
                            ["keep-alive", lease, "--once"]):
                self.assertEqual(
                    self.stable(run(["lease"] + command + ["-w", ours])),
                    self.stable(etcdctl(["lease"] + command + ["-w", theirs])), (command, theirs))
        self.out("lease", "revoke", lease)


class Watches(Case):
    def watch(self, *args, **kwargs):
        """A watch of all keys of the test that has begun: a first event has been seen."""
        running = self.start("watch", "--prefix", BASE, *args, **kwargs)

        def seen():
            self.put("/begin")
            return any("begin" in line for line in running.lines)

        eventually("the watch begins", seen)
        time.sleep(0.2)
        running.lines.clear()
        return running

    def test_events_are_printed(self):
        running = self.watch("--prev-kv")
        self.put("/a", "1")
        self.put("/a", "2")
        self.out("del", BASE + "/a")
        eventually("all", lambda: len(running.lines) >= 13)
        key = BASE + "/a"
        self.assertEqual(running.lines, ["PUT", key, "1", "PUT", key, "1", key, "2", "DELETE",
                                         key, "2", key, ""])

    @needs_etcdctl
    def test_outputs_are_etcdctls(self):
        first = self.put("/a", "1")
        for theirs, ours in (("simple", "simple"), ("fields", "fields"), ("json", "json-base64")):
            args = ["watch", "--prefix", BASE, "--rev", str(first), "--prev-kv", "-w"]
            pair = [self.start(*args, ours), self.start(*args, theirs, program=kvctl.ETCDCTL)]
            eventually("history", lambda: all(p.lines for p in pair))
            time.sleep(0.3)
            self.put("/b", "\u00fc\n")
            self.out("del", "--prefix", BASE)
            eventually("the deletes", lambda: all(
                any('DELETE' in line or '"type":1' in line for line in p.lines) for p in pair))
            time.sleep(0.3)
            self.assertEqual(pair[0].lines, pair[1].lines)
            for running in pair:
                running.stop()
            first = self.put("/a", "1")

    def test_a_kind_can_be_left_out(self):
        running = self.watch("--filter", "delete")
        self.put("/a", "1")
        self.out("del", BASE + "/a")
        self.put("/a", "2")
        eventually("both puts", lambda: "2" in running.lines)
        self.assertNotIn("DELETE", running.lines)
        self.fails(ARGUMENTS, "put or delete", "watch", "x", "--filter", "all")

    def test_a_command_gets_the_event(self):
        revision = self.put("/a", 'a"b\n')
        running = self.start(
            "watch", BASE + "/a", "--rev", str(revision), "--", "sh", "-c",
            "env | grep -E '^(ETCD|KVD)_WATCH' | sort; echo in $(cat)")
        running.wait_line("in ")
        self.assertEqual(running.lines[4:], [
            'ETCD_WATCH_EVENT_TYPE="PUT"', 'ETCD_WATCH_KEY="%s/a"' % BASE,
            "ETCD_WATCH_REVISION=%d" % revision, 'ETCD_WATCH_VALUE="a\\"b\\n"',
            "KVD_WATCH_EVENT_TYPE=PUT", "KVD_WATCH_KEY=%s/a" % BASE,
            "KVD_WATCH_REVISION=%d" % revision, 'KVD_WATCH_VALUE=a"b', 'in a"b'])

    def test_a_large_value_comes_on_stdin(self):
        self.write("large", "x" * 1000000)
        self.out("put", BASE + "/a", "--file", self.path("large"))
        revision = json.loads(self.out("get", BASE + "/a", "-w", "json"))["kvs"][0]["mod_revision"]
        running = self.start("watch", BASE + "/a", "--rev", str(revision), "-w", "table", "--",
                             "sh", "-c", "echo bytes $(wc -c) ${KVD_WATCH_VALUE-none}")
        running.wait_line("bytes 1000000 none")

    def test_a_command_that_fails_ends_the_watch(self):
        revision = self.put("/a")
        self.fails(ERROR, "sh ended with 3, at PUT %s/a" % BASE, "watch", BASE + "/a", "--rev",
                   str(revision), "--", "sh", "-c", "exit 3")
        self.fails(127, "no such command", "watch", BASE + "/a", "--rev", str(revision), "--",
                   "/nonexistent")

    def test_a_state_goes_on_where_it_ended(self):
        state = self.path("state")
        running = self.watch("--state", state)
        self.put("/a", "1")
        running.wait_line(BASE + "/a")
        time.sleep(0.2)
        running.stop()
        self.put("/b", "2")
        lines = "\n".join("put %s/%s 3" % (BASE, name) for name in "cde")
        self.out("txn", stdin="\n" + lines + "\n\n\n")
        note = 'echo "$KVD_WATCH_KEY" >> %s; [ $KVD_WATCH_KEY != %s/%s ]'
        args = ["watch", "--prefix", BASE, "--state", state, "--", "sh", "-c"]
        self.fails(ERROR, "ended with 1", *args, note % (self.path("log"), BASE, "d"))
        running = self.start(*args, note % (self.path("log"), BASE, "none"))
        running.wait_line(BASE + "/e")
        eventually("the last command", lambda: self.read("log").endswith("/e\n"))
        self.assertEqual([line[-1] for line in self.read("log").split()], list("bcdde"))

    def test_a_state_survives_kills_without_gap_or_repeat(self):
        state = self.path("state")
        seen = []
        first = self.put("/first") + 1
        writing = threading.Event()

        def write():
            for i in range(150):
                self.put("/k", str(i))
            writing.set()

        thread = threading.Thread(target=write)
        thread.start()
        while not writing.is_set() or not seen or seen[-1] != "149":
            running = self.start("watch", BASE + "/k", "--state", state, "--rev", str(first),
                                 "--", "sh", "-c", "echo value $(cat)")
            time.sleep(0.4)
            running.signal(signal.SIGTERM)
            running.wait()
            seen += [line[6:] for line in running.lines if line.startswith("value ")]
        thread.join()
        # A kill between the command and the note repeats an event, never more, never fewer.
        distinct = [value for i, value in enumerate(seen) if i == 0 or seen[i - 1] != value]
        self.assertEqual(distinct, [str(i) for i in range(150)])

    def test_a_state_of_another_watch_is_refused(self):
        self.watch("--state", self.path("state")).stop()
        self.fails(INPUT, "another watch", "watch", BASE, "--state", self.path("state"))
        self.write("state", "nonsense")
        self.fails(INPUT, "not a state", "watch", BASE, "--state", self.path("state"))

    def test_compacted_events_are_told(self):
        first = self.put("/a", "old")
        self.out("compaction", str(self.put("/a", "new")))
        self.fails(COMPACTED, "compacted away", "watch", BASE + "/a", "--rev", str(first))
        running = self.start("watch", BASE + "/a", "--rev", str(first), "--on-compacted", "reread")
        running.wait_line("new")
        self.put("/a", "newer")
        running.wait_line("newer")
        self.assertNotIn("old", running.lines)

    def test_lines_make_and_end_watches(self):
        running = self.start("watch", "-i")
        running.say("watch %s/a\nwatch --prefix '%s/b' -- sh -c 'echo ran $KVD_WATCH_KEY'\n"
                    % (BASE, BASE))
        eventually("two watches", lambda: "watch 2" in running.errors)
        self.put("/a", "1")
        self.put("/b/c", "2")
        running.wait_line("ran %s/b/c" % BASE)
        running.say("cancel 1\nprogress\n")
        running.wait_line("progress notify: ")
        self.put("/a", "3")
        self.put("/b/c", "4")
        running.wait_line("4")
        self.assertNotIn("3", running.lines)
        running.say("nonsense\nwatch\ncancel 7\n")
        eventually("three complaints", lambda: len(running.errors) >= 5)
        running.process.stdin.close()
        self.assertEqual(running.wait(), OK)

    def test_keys_may_come_from_the_environment(self):
        revision = self.put("/a", "1")
        running = subprocess.Popen(
            [kvctl.KVCTL, "--endpoints", kvctl.ENDPOINTS, "watch", "--rev", str(revision)],
            stdout=subprocess.PIPE, env={**kvctl.clean_environment(),
                                         "ETCDCTL_WATCH_KEY": BASE + "/a"})
        self.assertEqual(running.stdout.readline(), b"PUT\n")
        running.kill()
        running.communicate()
        self.fails(ARGUMENTS, "say what to watch", "watch")


class Locks(Case):
    name = BASE + "/lock"

    def hold(self, *args):
        """A kvctl lock without a command that has it."""
        running = self.start("lock", self.name, *args)
        running.wait_line("token ")
        return running

    def leases(self):
        return set(self.out("lease", "list").split()[3:])

    def test_the_command_finds_the_lock_in_its_environment(self):
        before = self.leases()
        lines = dict(line.split("=", 1) for line in self.out(
            "lock", self.name, "--", "sh", "-c", "env | grep -E '^(KVD|ETCD)_'").splitlines())
        self.assertEqual(lines["KVD_LOCK_NAME"], self.name)
        self.assertEqual(lines["KVD_LOCK_KEY"], self.name + "/" + lines["KVD_LOCK_LEASE"])
        self.assertEqual(lines["ETCD_LOCK_KEY"], lines["KVD_LOCK_KEY"])
        self.assertEqual(lines["KVD_FENCE"], self.name + ":" + lines["KVD_LOCK_TOKEN"])
        self.assertGreater(int(lines["ETCD_LOCK_REV"]), 0)
        self.assertEqual(self.leases(), before, "the lease is revoked")
        self.assertEqual(self.out("get", "--prefix", self.name), "")

    def test_exit_codes_are_the_commands(self):
        self.expect(7, "lock", self.name, "--", "sh", "-c", "exit 7")
        self.expect(1, "lock", self.name, "false")  # as etcdctl takes it
        self.expect(128 + signal.SIGKILL, "lock", self.name, "--", "sh", "-c", "kill -9 $$")
        self.fails(127, "no such command", "lock", self.name, "--", "/nonexistent")
        self.fails(126, "cannot be run", "lock", self.name, "--", "/etc/passwd")
        self.fails(ARGUMENTS, "no command behind --", "lock", self.name, "--")
        self.fails(ARGUMENTS, "exclude each other", "lock", self.name, "--shared", "--slots", "2")
        self.fails(ARGUMENTS, "exclude each other", "lock", self.name, "--try", "--wait", "1s")
        self.fails(ARGUMENTS, "half of --ttl", "lock", self.name, "--ttl", "4", "--grace", "3s")

    def test_who_does_not_get_it_is_told_so(self):
        holder = self.hold("--owner", "somebody")
        self.fails(NOT_ACQUIRED, "somebody", "lock", self.name, "--try", "--", "true")
        began = time.monotonic()
        self.fails(NOT_ACQUIRED, "not acquired in time", "lock", self.name, "--wait", "700ms",
                   "--", "true")
        self.assertLess(0.6, time.monotonic() - began)
        self.assertLess(time.monotonic() - began, 10)
        holder.signal(signal.SIGINT)
        self.assertEqual(holder.wait(), OK)
        self.out("lock", self.name, "--try", "--", "true")

    def test_waiters_are_served_in_order(self):
        holder = self.hold()
        waiters = []
        for i in range(4):
            waiters.append(self.start("lock", self.name, "--", "sh", "-c",
                                      "echo %d >> %s" % (i, self.path("order"))))
            eventually("waiter %d stands in the line" % i, lambda i=i: "%d waiting" % (i + 1) in
                       self.out("lock", "show", self.name))
        holder.signal(signal.SIGTERM)
        for waiter in waiters:
            self.assertEqual(waiter.wait(), OK)
        self.assertEqual(self.read("order").split(), ["0", "1", "2", "3"])

    def test_a_waiter_that_is_interrupted_leaves_the_line(self):
        self.hold()
        waiter = self.start("lock", self.name, "--", "true")
        eventually("it waits", lambda: "1 waiting" in self.out("lock", "show", self.name))
        waiter.signal(signal.SIGINT)
        self.assertEqual(waiter.wait(), 128 + signal.SIGINT)
        self.assertIn("0 waiting", self.out("lock", "show", self.name))

    def test_shared_and_slots(self):
        first, second = self.hold("--shared"), self.hold("--shared")
        self.fails(NOT_ACQUIRED, "", "lock", self.name, "--try", "--", "true")
        self.assertIn("2 holding", self.out("lock", "list", BASE))
        for holder in (first, second):
            holder.signal(signal.SIGTERM)
            holder.wait()
        for holder in (self.hold("--slots", "2"), self.hold("--slots", "2")):
            self.assertIn("slots 2", self.out("lock", "show", self.name))
        self.fails(NOT_ACQUIRED, "", "lock", self.name, "--slots", "2", "--try", "--", "true")
        self.fails(ERROR, "another number of slots", "lock", self.name, "--slots", "3", "--try",
                   "--", "true")

    def test_show_list_and_release_for_operators(self):
        holder = self.hold("--owner", "alice")
        token = holder.wait_line("token ").split()[1]
        self.assertIn("by alice on ", self.out("lock", "show", self.name))
        shown = json.loads(self.out("lock", "list", BASE, "-w", "json"))["locks"]
        self.assertEqual([lock["name"] for lock in shown], [self.name])
        self.assertEqual(str(shown[0]["first"]["token"]), token)
        self.fails(ARGUMENTS, "say that you are sure", "lock", "release", self.name, "--token",
                   token, "--reason", "test")
        self.fails(ARGUMENTS, "--token", "lock", "release", self.name, "--reason", "x", "--yes")
        self.fails(ARGUMENTS, "--reason", "lock", "release", self.name, "--token", token, "--yes")
        self.out("lock", "release", self.name, "--token", token, "--reason", "a test", "--yes")
        self.assertEqual(holder.wait(), LOST)
        self.assertIn("a test", self.out("lock", "show", self.name))
        self.fails(CONDITION, "nobody", "lock", "release", self.name, "--token", token, "--reason",
                   "a test", "--yes")

    def test_a_released_holders_command_is_stopped(self):
        holder = self.start("lock", self.name, "--", *self.script(
            "trap 'echo stopped; exit 9' TERM; echo $KVD_LOCK_TOKEN; sleep 60 & wait"))
        token = eventually("it runs", lambda: holder.lines and holder.lines[0])
        self.out("lock", "release", self.name, "--token", token, "--reason", "x", "--yes")
        self.assertEqual(holder.wait(), LOST)
        self.assertIn("stopped", holder.lines)
        self.assertIn("was lost, so the command was stopped", holder.errors[-1])

    def test_signals_are_passed_on(self):
        holder = self.start("lock", self.name, "--", *self.script(
            "trap 'echo usr1' USR1; trap 'exit 4' TERM; echo ready;"
            " while :; do sleep 0.05; done"))
        holder.wait_line("ready")
        holder.signal(signal.SIGUSR1)
        holder.wait_line("usr1")
        holder.signal(signal.SIGTERM)
        self.assertEqual(holder.wait(), 4)
        self.assertIn("free", self.out("lock", "show", self.name))

    def test_a_fence_refuses_old_tokens(self):
        inside = "%s --endpoints %s put %s/k new --fence $KVD_FENCE" % (
            kvctl.KVCTL, kvctl.ENDPOINTS, BASE)
        token = self.out("lock", self.name, "--", "sh", "-c",
                         inside + " >&2; echo $KVD_LOCK_TOKEN").strip()
        fence = "%s:%s" % (self.name, token)
        self.assertEqual(self.out("get", BASE + "/k", "-w", "raw"), "new")
        for args in (["put", BASE + "/k", "old"], ["del", BASE + "/k"],
                     ["put", BASE + "/k", "old", "--if-value", "new"],
                     ["del", BASE + "/k", "--if-value", "new"]):
            self.fails(FENCED, "the lock is not held with this token", *args, "--fence", fence)
        self.fails(FENCED, "not held", "txn", "--fence", fence,
                   stdin="\nput %s/k old\n\n\n" % BASE)
        self.assertEqual(self.out("get", BASE + "/k", "-w", "raw"), "new")
        self.fails(ARGUMENTS, "NAME:TOKEN", "put", BASE + "/k", "x", "--fence", "lock")
        self.fails(INPUT, "whole transaction", "txn", stdin="\nput a b --fence x:1\n\n\n")

    @needs_etcdctl
    def test_etcdctl_and_kvctl_stand_in_one_line(self):
        theirs = self.start("lock", self.name, program=kvctl.ETCDCTL)
        theirs.wait_line(self.name)
        self.fails(NOT_ACQUIRED, "", "lock", self.name, "--try", "--", "true")
        ours = self.start("lock", self.name)
        eventually("ours waits", lambda: "1 waiting" in self.out("lock", "show", self.name))
        theirs.signal(signal.SIGINT)
        ours.wait_line("token ")
        theirs = self.start("lock", self.name, "echo", "theirs", program=kvctl.ETCDCTL)
        time.sleep(0.5)
        self.assertEqual(theirs.lines, [])
        ours.signal(signal.SIGTERM)
        theirs.wait_line("theirs")


class Protection(Case):
    """A command under a lock never outlives the lease."""

    name = BASE + "/protected"
    ttl = 3.0

    def command(self):
        """One that does not care for SIGTERM, and a child of it that notes the time."""
        return self.script("trap '' TERM; while :; do date +%%s.%%N >> %s; sleep 0.02; done"
                           % self.path("beats"))

    def last_beat(self):
        return float(self.read("beats").split()[-1])

    def begin(self):
        holder = self.start("lock", self.name, "--ttl", "%d" % self.ttl, "--", *self.command())
        eventually("it runs", lambda: os.path.exists(self.path("beats")))
        time.sleep(1.2)
        return holder

    def test_a_server_that_hangs(self):
        holder = self.begin()
        server.signal(signal.SIGSTOP)
        stopped = time.time()
        try:
            code = holder.wait()
        finally:
            server.signal(signal.SIGCONT)
        self.assertEqual(code, LOST)
        self.assertFalse(self.alive())
        self.assertLess(self.last_beat(), stopped + self.ttl)
        self.assertIn("was lost, so the command was stopped", holder.errors[-1])

    def test_a_kvctl_that_was_stopped(self):
        holder = self.begin()
        holder.signal(signal.SIGSTOP)
        stopped = time.time()
        eventually("the command ends", lambda: not self.alive())
        self.assertLess(self.last_beat(), stopped + self.ttl)
        holder.signal(signal.SIGCONT)
        self.assertEqual(holder.wait(), LOST)

    def test_a_kvctl_that_was_killed(self):
        holder = self.begin()
        holder.signal(signal.SIGKILL)
        killed = time.time()
        eventually("the command ends", lambda: not self.alive())
        self.assertLess(self.last_beat(), killed + self.ttl)
        eventually("the lock is free", lambda: "free" in self.out("lock", "show", self.name))

    def test_contact_that_comes_back_in_time_costs_nothing(self):
        holder = self.start("lock", self.name, "--ttl", "10", "--", "sh", "-c", "sleep 4; exit 6")
        time.sleep(1)
        server.signal(signal.SIGSTOP)
        time.sleep(2)
        server.signal(signal.SIGCONT)
        self.assertEqual(holder.wait(), 6)


class Elections(Case):
    name = BASE + "/election"

    def test_listeners_see_who_leads(self):
        listener = self.start("elect", "--listen", self.name)
        first = self.start("elect", self.name, "one")
        first.wait_line("one")
        second = self.start("elect", self.name, "two", "--", "sh", "-c",
                            "echo leads $KVD_ELECT_NAME $KVD_FENCE; sleep 0.5; exit 5")
        listener.wait_line("one")
        time.sleep(0.3)
        self.assertEqual(second.lines, [])
        first.signal(signal.SIGTERM)
        self.assertEqual(first.wait(), OK)
        second.wait_line("leads %s %s:" % (self.name, self.name))
        listener.wait_line("two")
        self.assertEqual(second.wait(), 5)
        listener.signal(signal.SIGINT)
        self.assertEqual(listener.wait(), OK)

    def test_who_is_not_elected_is_told_so(self):
        self.start("elect", self.name, "one").wait_line("one")
        self.fails(NOT_ACQUIRED, "not acquired in time", "elect", self.name, "two", "--wait",
                   "500ms", "--", "true")
        self.fails(ARGUMENTS, "what you propose", "elect", self.name)
        self.fails(ARGUMENTS, "only looks on", "elect", "-l", self.name, "x")

    @needs_etcdctl
    def test_etcdctl_and_kvctl_stand_for_one_election(self):
        theirs = self.start("elect", self.name, "theirs", program=kvctl.ETCDCTL)
        theirs.wait_line("theirs")
        ours = self.start("elect", self.name, "ours")
        time.sleep(0.5)
        self.assertEqual(ours.lines, [])
        theirs.signal(signal.SIGINT)
        ours.wait_line("ours")


class Reloads(Case):
    prefix = BASE + "/conf"

    def reload(self, *args, program=None):
        program = program or ["sh", "-c", "trap 'echo hup' HUP; trap 'echo term; exit 0' TERM;"
                              " echo runs $(cat %s/a); while :; do sleep 0.02; done"
                              % self.path("into")]
        return self.start("reload", "--prefix", self.prefix, "--into", self.path("into"),
                          "--debounce", "100ms", *args, "--", *program)

    def test_a_program_is_restarted_with_what_is_new(self):
        self.put("/conf/a", "1")
        self.put("/conf/b/c", "x")
        running = self.reload()
        running.wait_line("runs 1")
        self.put("/conf/a", "1")
        self.put("/conf/a", "2")
        running.wait_line("term")
        running.wait_line("runs 2")
        self.assertEqual(os.listdir(self.path("into/b")), ["c"])
        self.out("del", self.prefix + "/b/c")
        eventually("the folder is new as a whole",
                   lambda: os.listdir(self.path("into")) == ["a"])
        self.put("/conf/a", "2")
        time.sleep(0.5)
        self.assertEqual(running.lines.count("runs 2"), 2, "the same again is no change")
        running.signal(signal.SIGTERM)
        self.assertEqual(running.wait(), 0)

    def test_only_the_switch_of_a_release_counts(self):
        for name, value in (("r1", "one"), ("r2", "two")):
            self.write("in/a", value)
            self.out("import", self.path("in"), "--prefix", self.prefix, "--release-id", name)
        running = self.reload("--signal", "HUP")
        running.wait_line("runs two")
        self.put("/conf/releases/r3/a", "three")
        time.sleep(0.5)
        self.assertEqual(running.lines, ["runs two"])
        self.put("/conf/current", self.prefix + "/releases/r1/")
        running.wait_line("hup")
        self.assertEqual(self.read("into/a"), "one")

    def test_a_program_that_ends_is_run_for_each(self):
        self.put("/conf/a", "1")
        running = self.reload("--each", program=["sh", "-c", "echo $(cat %s/a) %s"
                                                 % (self.path("into"), "$KVD_RELOAD_PREFIX")])
        running.wait_line("1 %s/" % self.prefix)
        self.put("/conf/a", "2")
        running.wait_line("2 %s/" % self.prefix)
        running.signal(signal.SIGINT)
        self.assertEqual(running.wait(), 128 + signal.SIGINT)

    def test_a_program_that_does_not_end_is_killed(self):
        self.put("/conf/a", "1")
        running = self.reload("--grace", "300ms", program=self.script(
            "trap '' TERM; echo runs $(cat %s/a); while :; do sleep 0.02; done"
            % self.path("into")))
        running.wait_line("runs 1")
        self.put("/conf/a", "2")
        running.wait_line("runs 2")
        os.killpg(self.pid(), signal.SIGKILL)
        self.assertEqual(running.wait(), 128 + signal.SIGKILL)

    def test_its_end_is_ours(self):
        self.put("/conf/a", "1")
        self.assertEqual(self.reload(program=["sh", "-c", "exit 6"]).wait(), 6)
        self.assertEqual(self.reload(program=["/nonexistent"]).wait(), 127)

    def test_a_folder_of_others_is_not_replaced(self):
        self.write("into/precious")
        self.assertEqual(self.reload().wait(), INPUT)
        self.assertTrue(os.path.exists(self.path("into/precious")))
        self.fails(CONDITION, "there are no keys", "reload", "--prefix", self.prefix + "/none",
                   "--", "true")
        self.fails(ARGUMENTS, "what to run", "reload", "--prefix", self.prefix)

    def test_the_last_configuration_is_good_enough_when_the_cluster_is_away(self):
        self.put("/conf/a", "1")
        running = self.reload()
        running.wait_line("runs 1")
        running.signal(signal.SIGTERM)
        running.wait()
        server.signal(signal.SIGSTOP)
        try:
            running = self.reload()
            running.wait_line("runs 1")
        finally:
            server.signal(signal.SIGCONT)
        self.put("/conf/a", "2")
        running.wait_line("runs 2")


def main():
    global server
    if not kvctl.SERVER:
        raise SystemExit("set SERVER to a kvd binary")
    server = kvctl.Server()
    kvctl.ENDPOINTS = server.endpoint
    server.wait()
    try:
        program = unittest.main(exit=False)
    finally:
        server.stop()
    result = program.result
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - failed - len(result.skipped), failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
