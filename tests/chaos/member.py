"""One daemon with a namespace, a disk and an environment of its own."""

import glob
import http.client
import os
import signal
import sqlite3
import subprocess
import time

import world
from disk import Disk
from pace import PACE

PAGE_SECONDS = 2
FREEZE_SECONDS = 5
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
STATE_COLUMNS = ("applied_index", "applied_term", "cluster_ms", "revision", "compact_revision",
                 "seq", "state_sum", "lease_sum", "auth_enabled", "auth_revision", "auth_sum")


def environment():
    """Ours, without settings that were meant for another server."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith(("ETCD_", "KVD_", "KVCTL_"))}


def replace(path, text):
    """The file has the new text at once or not at all."""
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text)
    os.rename(path + ".new", path)


class Member:
    def __init__(self, number, folder, server, has_clock, planted):
        self.number = number
        self.name = "m%d" % number
        self.server = server
        self.place = world.Place(self.name, "10.99.0.%d" % number)
        self.disk = Disk(os.path.join(folder, self.name + ".img"),
                         os.path.join(folder, self.name))
        self.data_dir = os.path.join(self.disk.folder, "data")
        self.log_path = os.path.join(folder, self.name + ".log")
        self.failpoint_path = os.path.join(folder, self.name + ".failpoints")
        self.clock_path = os.path.join(folder, self.name + ".clock")
        self.has_clock = has_clock and bool(FAKETIME)
        self.planted = planted
        self.process = None
        self.paused = False
        self.allowed = {}  # fault: what the last log line of an end by itself must tell

    @property
    def endpoint(self):
        return "%s:%d" % (self.place.address, world.CLIENT_PORT)

    @property
    def peer_url(self):
        return "http://%s:%d" % (self.place.address, world.PEER_PORT)

    def make(self):
        self.place.make()
        self.disk.make()
        self.arm("")
        self.set_clock(0)

    def start(self, options):
        assert not self.running(), self.name + " runs already"
        command = [self.server]
        for option, value in options.items():
            command.append("%s=%s" % (option, value))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.place.inside(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(environment(), **self.variables()))
        self.paused = False

    def variables(self):
        """Of its environment, beside ours."""
        found = dict(self.planted, KVD_FAILPOINT_FILE=self.failpoint_path)
        preloaded = [found["LD_PRELOAD"]] if "LD_PRELOAD" in found else []
        if self.has_clock:
            preloaded += FAKETIME[:1]
            found.update({"FAKETIME_TIMESTAMP_FILE": self.clock_path,
                          "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        if preloaded:
            found["LD_PRELOAD"] = ":".join(preloaded)
        return found

    def arm(self, text):
        """What its failpoints do from now on; "": nothing."""
        replace(self.failpoint_path, text + "\n")

    def set_clock(self, seconds):
        """Its wall clock becomes ours and so much."""
        replace(self.clock_path, "%+d" % seconds)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def serving(self):
        return self.running() and not self.paused

    def kill(self):
        """SIGKILL: nothing is flushed, nobody is told."""
        if self.running():
            self.process.kill()
            self.process.wait(20)
        self.forget()

    def terminate(self, seconds):
        """SIGTERM; returns the exit code, None when it did not end in time."""
        self.process.terminate()
        deadline = PACE.clock() + seconds
        while self.process.poll() is None:
            if PACE.clock() > deadline:
                return None
            time.sleep(0.01)
        code = self.process.returncode
        self.forget()
        return code

    def forget(self):
        """It is known to have ended, and why."""
        self.process = None
        self.paused = False

    def pause(self):
        if self.running():
            os.kill(self.process.pid, signal.SIGSTOP)
            self.paused = True

    def resume(self):
        if self.running():
            os.kill(self.process.pid, signal.SIGCONT)
        self.paused = False

    def freeze(self):
        """None of its threads runs its own code any more when this returns; one that is in a
        system call stops before it learns what became of it."""
        if not self.running():
            return
        self.pause()
        deadline = PACE.clock() + FREEZE_SECONDS
        while not self.thread_states() <= {"T", "D", "Z", "X"}:
            if PACE.clock() > deadline:
                raise RuntimeError("%s does not stop: %s" % (self.name, self.thread_states()))
            time.sleep(0.001)

    def thread_states(self):
        states = set()
        for path in glob.glob("/proc/%d/task/*/stat" % self.process.pid):
            try:
                with open(path, encoding="ascii", errors="replace") as stat:
                    states.add(stat.read().rsplit(") ", 1)[1][0])
            except OSError:
                continue  # that thread has ended
        return states

    def page(self, path, seconds=PAGE_SECONDS):
        """Status and text of a page of its own; (0, why) when there is no answer."""
        connection = http.client.HTTPConnection(self.endpoint, timeout=seconds)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error) or type(error).__name__
        finally:
            connection.close()

    def metric(self, *names):
        """The values of some metrics, None when it does not answer."""
        status, text = self.page("/metrics")
        if status != 200:
            return None
        rows = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
        return [float(rows[name]) for name in names]

    def state_paths(self):
        return sorted(glob.glob(os.path.join(self.data_dir, "state-*.db*")))

    def state(self):
        """Its row of the database that says what it has applied and the hashes of its state;
        None while it cannot be read."""
        try:
            with open(os.path.join(self.data_dir, "CURRENT"), encoding="ascii") as current:
                name = current.readline().strip()
            path = os.path.join(self.data_dir, name)
            database = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=1)
            try:
                row = database.execute("SELECT %s FROM meta" % ", ".join(STATE_COLUMNS))
                return dict(zip(STATE_COLUMNS, row.fetchone()))
            finally:
                database.close()
        except (OSError, sqlite3.Error):
            return None

    def log_tail(self, lines):
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path, "rb") as log:
            log.seek(max(0, os.path.getsize(self.log_path) - 200 * 1024))
            return log.read().decode(errors="replace").splitlines()[-lines:]

    def log_size(self):
        return os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0

    def log_from(self, offset):
        with open(self.log_path, "rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def close(self):
        self.kill()
        self.disk.remove()
        self.place.remove()
