"""The clients of a round and the checkers of what they were told: two programs,
workload and verify (tests/chaos/*.c).

workload tells ten times a second how far it is; so the crew knows when the cluster takes
writes, and how long it did not.
"""

import os
import re
import signal
import subprocess
import threading
import time

from group import Broken
from pace import PACE

REPORT_MS = "100"
PROGRESS = re.compile(r"(\d+) ok, (\d+) fail, (\d+) info, .* revision (\d+)")
STOP_SECONDS = 20
VERIFY_SECONDS = 600
COUNTS = re.compile(r"(\d+) (operations|unknown|revisions|events|leases|asks)\b")
TOLD_FINDINGS = 12  # lines


class Crew:
    def __init__(self, programs, endpoints, seed, folder, rate, clients):
        self.programs = programs
        self.endpoints = ",".join(endpoints)
        self.folder = folder
        self.operations = 0     # that ended, well or not
        self.revision = 0       # the highest that an answer told: it grows with each write
        self.last_write = None  # when it last grew
        self.gap = 0.0          # longest time in which it did not
        self.lock = threading.Lock()
        os.makedirs(folder)
        self.errors = open(os.path.join(folder, "workload.stderr"), "wb")
        self.process = subprocess.Popen(
            [programs.workload, "--endpoints", self.endpoints, "--seed", str(seed),
             "--history", folder, "--report-ms", REPORT_MS,
             "--rate", str(rate), "--kv", str(clients)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.process.stdout:
            told = PROGRESS.search(line)
            with self.lock:
                *ended, revision = (int(number) for number in told.groups())
                self.note(sum(ended), revision)

    def note(self, operations, revision):
        now = PACE.clock()
        if self.last_write is None or revision > self.revision:
            self.last_write = now
        self.gap = max(self.gap, now - self.last_write)
        self.operations = operations
        self.revision = revision

    def take_gap(self):
        """The longest time without a write since this was last asked."""
        with self.lock:
            gap, self.gap = self.gap, 0.0
        return gap

    def forget_gap(self):
        with self.lock:
            self.last_write = PACE.clock()

    def wait_writes(self, more, seconds):
        """Until that many more writes were acknowledged."""
        goal = self.revision + more
        deadline = PACE.clock() + seconds
        while self.revision < goal:
            if self.process.poll() is not None:
                raise RuntimeError("the workload ended with exit code %s, see %s" % (
                    self.process.returncode, self.folder))
            if PACE.clock() > deadline:
                raise Broken("after healing the cluster takes writes within %g s" % seconds,
                             "%d writes acknowledged meanwhile" % (
                                 self.revision - goal + more))
            time.sleep(0.02)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        self.forget_gap()
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise RuntimeError("the workload does not end") from None
        self.listener.join()
        self.errors.close()
        if self.process.returncode != 0:
            raise RuntimeError("the workload ended with exit code %s, see %s" % (
                self.process.returncode, self.folder))

    def verify(self):
        """The counts of the verdict, which must be that all is well."""
        ended = subprocess.run([self.programs.verify, "--endpoints", self.endpoints,
                                self.folder], capture_output=True, text=True,
                               timeout=VERIFY_SECONDS, check=False)
        *found, last = (ended.stdout + ended.stderr).strip().splitlines() or [""]
        if ended.returncode == 1:
            raise Broken("every answer that a client got fits one history",
                         "\n    ".join([last, *found[:TOLD_FINDINGS]]))
        if ended.returncode == 2:
            raise Broken("every history gets a verdict", "\n    ".join([last, *found]))
        if ended.returncode != 0:
            raise RuntimeError("verify: exit code %d: %s" % (ended.returncode, last))
        return {name: int(count) for count, name in COUNTS.findall(last)}
