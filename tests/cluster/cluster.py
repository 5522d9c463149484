"""Starts, kills, pauses and stops real members on loopback, and waits for what they do.

The program is build/kvd, or the one that the variable SERVER names: Debian's etcd takes the
same options and answers the same calls, so the tests can be held against it. Logs stay
under build/cluster-tests/ until the next run of the same test, data only where it failed.
"""

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import ports
from client import Client, Failed

ROOT = ports.ROOT
SERVER = os.environ.get("SERVER", os.path.join(ROOT, "build", "kvd"))
# Suites run side by side, and tests of the same name are in several.
WORK = os.path.join(ROOT, "build", "cluster-tests", os.environ.get("SUITE", "by-hand"))
READY_SECONDS = 30
LOG_TAIL = 6

# A member must not outlive the test that started it.
WRAPPER = ["setpriv", "--pdeathsig", "KILL"]


def environment():
    """Ours, without settings that were meant for another server."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("ETCD_", "KVD_", "ETCDCTL_", "KVCTL_"))}


def is_kvd():
    """Whether SERVER is kvd: some promises are not etcd's."""
    shown = subprocess.run([SERVER, "--version"], capture_output=True, text=True, timeout=10,
                           check=False)
    return "kvd" in shown.stdout


def eventually(what, condition, seconds=READY_SECONDS, pause=0.02):
    """Waits until condition() is true and returns its value; a failing call counts as no."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except Failed as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError("after %g s still not: %s%s" % (
                seconds, what, " (last error: %s)" % last if last else ""))
        time.sleep(pause)


class Member:
    """One server process, its directory, its ports and a client for it."""

    def __init__(self, name, folder, server=SERVER):
        self.name = name
        self.server = server
        self.folder = folder
        self.data_dir = os.path.join(folder, name)
        self.log_path = os.path.join(folder, name + ".log")
        self.client_port = ports.take()
        self.peer_port = ports.take()
        self.process = None
        self.paused = False
        self.variables = {}  # of its environment, beside ours
        self.options_used = None  # at its last start
        self.client = Client(self.endpoint)

    @property
    def endpoint(self):
        return "127.0.0.1:%d" % self.client_port

    @property
    def client_url(self):
        return "http://" + self.endpoint

    @property
    def peer_url(self):
        return "http://127.0.0.1:%d" % self.peer_port

    def options(self, initial_cluster, token):
        return {
            "--name": self.name,
            "--data-dir": self.data_dir,
            "--listen-client-urls": self.client_url,
            "--advertise-client-urls": self.client_url,
            "--listen-peer-urls": self.peer_url,
            "--initial-advertise-peer-urls": self.peer_url,
            "--initial-cluster": initial_cluster,
            "--initial-cluster-token": token,
            "--initial-cluster-state": "new",
        }

    def start(self, options):
        assert not self.running(), self.name + " runs already"
        self.options_used = options
        command = WRAPPER + [self.server]
        for option, value in options.items():
            command += [option, value]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(environment(), **self.variables))
        self.paused = False

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL: nothing is flushed, nobody is told."""
        if self.running():
            self.process.kill()
        self.process.wait(10)

    def terminate(self, seconds=10):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)
        self.paused = False

    def close(self, keep=False):
        if self.running():
            if self.paused:
                self.resume()
            self.kill()
        self.client.close()
        if not keep:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def resident_kib(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise AssertionError("no VmRSS of " + self.name)

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def log_tail(self, lines=LOG_TAIL):
        return "".join(self.log_text().splitlines(keepends=True)[-lines:])

    def page(self, path):
        """The text of a page of the client port, whatever its status."""
        try:
            with urllib.request.urlopen(self.client_url + path, timeout=10) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()


class Cluster:
    """Some members that know each other. Use it in a with statement."""

    member_type = Member

    def __init__(self, test_name, size=3, options=None, server=SERVER):
        self.folder = os.path.join(WORK, test_name)
        self.extra = options or {}
        self.token = test_name
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.members = [self.member_type("m%d" % (i + 1), self.folder, server)
                        for i in range(size)]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for member in self.members:
            if kind is not None and os.path.exists(member.log_path):
                state = "running" if member.running() else "not running"
                print("--- %s (%s), end of its log:\n%s" % (
                    member.name, state, member.log_tail()), flush=True)
        self.close(keep=kind is not None)

    def close(self, keep=False):
        for member in self.members:
            member.close(keep)
        for member in self.members:
            finding = sanitizer_finding(member.log_path)
            assert finding is None, "%s: %s" % (member.name, finding)

    def initial_cluster(self):
        return ",".join("%s=%s" % (member.name, member.peer_url) for member in self.members)

    def options_of(self, member):
        options = member.options(self.initial_cluster(), self.token)
        options.update(self.extra)
        return options

    def start(self, *members):
        for member in members or self.members:
            member.start(self.options_of(member))

    def start_and_wait(self):
        self.start()
        self.wait_ready()
        return self

    def running(self):
        return [member for member in self.members if member.running() and not member.paused]

    def wait_ready(self, *members, seconds=READY_SECONDS):
        """Until each of them answers a linearizable read."""
        for member in members or self.members:
            eventually("%s answers" % member.name, lambda m=member: self.answers(m), seconds)

    def answers(self, member):
        if not member.running():
            raise AssertionError("%s ended with exit code %s: %s" % (
                member.name, member.process.returncode, member.log_tail()))
        member.client.get(b"ready", timeout=2)
        return True

    def find_leader(self):
        """The member that all running members name as the leader, or None."""
        named = set()
        ids = {}
        for member in self.running():
            status = member.client.status(timeout=1)
            named.add(status.leader)
            ids[status.header.member_id] = member
        return ids.get(named.pop()) if len(named) == 1 else None

    def leader(self, seconds=READY_SECONDS):
        return eventually("the members agree on a leader", self.find_leader, seconds)

    def followers(self):
        leader = self.leader()
        return [member for member in self.running() if member is not leader]

    def wait_writable(self, member, key=b"writable", seconds=READY_SECONDS):
        """Until a write through the member is acknowledged; returns its revision."""
        return eventually("%s takes writes" % member.name,
                          lambda: member.client.put(key, b"yes", timeout=1), seconds)

    def wait_equal(self, seconds=READY_SECONDS):
        """Until all running members show the same revision; returns one full copy of the data.
        Then every key, value and revision must be the same on all."""
        def same_revision():
            revisions = {member.client.range(b"\0", serializable=True).header.revision
                         for member in self.running()}
            return len(revisions) == 1

        eventually("all members are at the same revision", same_revision, seconds)
        copies = [(member, member.client.everything()) for member in self.running()]
        first_member, first = copies[0]
        for member, copy in copies[1:]:
            assert copy.header.revision == first.header.revision, "the revision moved meanwhile"
            assert list(copy.kvs) == list(first.kvs), "%s and %s differ: %s" % (
                first_member.name, member.name, first_difference(first.kvs, copy.kvs))
        return first


def sanitizer_finding(log_path):
    """The line in which a sanitizer build says what it found, or None."""
    if not os.path.exists(log_path):
        return None
    with open(log_path, encoding="utf-8", errors="replace") as log:
        for line in log:
            if "Sanitizer: " in line or ": runtime error: " in line:
                return line.strip()
    return None


def first_difference(left, right):
    for one, other in zip(left, right):
        if one != other:
            return "%s / %s" % (one, other)
    return "%d keys / %d keys" % (len(left), len(right))
