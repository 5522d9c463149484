"""Writes through all members while a test does harm, and keeps account of what was promised.

Each writer puts keys that nobody else writes, reads back through another member what has been
acknowledged, and takes part in counting up one shared key with transactions. At the end
check() holds the account against a copy of the data: every acknowledged write is there with
the value and at the revision that was told, nothing is there that nobody wrote, a refused
write is not there, and the counter has neither lost nor made up a count.
"""

import random
import threading
import time

import client as kv
from client import Client, Failed, Refused, Unknown

PREFIX = b"ledger/"
COUNTER = b"counter"
CALL_SECONDS = 2.0
PAUSE_AFTER_FAILURE = 0.02
READ_BACK_EVERY = 5
COUNT_EVERY = 3


class Ledger:
    def __init__(self, endpoints, writers=4, connect=Client):
        self.endpoints = endpoints
        self.connect = connect
        self.acked = {}    # key: (value, revision)
        self.unknown = {}  # key: value
        self.refused = {}  # key: value
        self.counts = {}   # value of the counter that was acknowledged: writer
        self.counts_unknown = 0
        self.problems = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(number,), daemon=True)
                        for number in range(writers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join(60)

    def acknowledged(self):
        return len(self.acked)

    def wait_progress(self, more, seconds):
        """Until that many more writes were acknowledged."""
        goal = self.acknowledged() + more
        deadline = time.monotonic() + seconds
        while self.acknowledged() < goal:
            if time.monotonic() > deadline:
                raise AssertionError("%d writes in %g s, not %d: %s" % (
                    self.acknowledged() - goal + more, seconds, more, self.summary()))
            time.sleep(0.01)

    def summary(self):
        return "%d acknowledged, %d unknown, %d refused, counted to %d" % (
            len(self.acked), len(self.unknown), len(self.refused), len(self.counts))

    def write(self, number):
        choice = random.Random(number)
        clients = [self.connect(endpoint, timeout=CALL_SECONDS) for endpoint in self.endpoints]
        last_revision = 0
        step = 0
        while not self.stopping.is_set():
            step += 1
            through = choice.choice(clients)
            key = PREFIX + b"%d/%06d" % (number, step)
            last_revision = self.put_one(through, key, b"%d of %d" % (step, number),
                                         last_revision)
            if step % READ_BACK_EVERY == 0:
                self.read_back(choice.choice(clients), key)
            if step % COUNT_EVERY == 0:
                self.count_up(choice.choice(clients), number)
        for one in clients:
            one.close()

    def put_one(self, through, key, value, last_revision):
        try:
            revision = through.put(key, value)
        except Unknown:
            self.unknown[key] = value
        except Refused:
            self.refused[key] = value
        else:
            if revision <= last_revision:
                self.problem("%r acknowledged at %d after %d" % (key, revision, last_revision))
            self.acked[key] = (value, revision)
            return revision
        time.sleep(PAUSE_AFTER_FAILURE)
        return last_revision

    def read_back(self, through, key):
        if key not in self.acked:
            return
        try:
            found = through.get(key)
        except Failed:
            return
        if found is None or (found.value, found.mod_revision) != self.acked[key]:
            self.problem("%s read %r as %s after it was acknowledged as %s" % (
                through.endpoint, key, found, self.acked[key]))

    def count_up(self, through, number):
        try:
            found = through.get(COUNTER)
        except Failed:
            return
        value, revision = (int(found.value), found.mod_revision) if found else (0, 0)
        try:
            reply = through.txn([kv.mod_revision_is(COUNTER, revision)],
                                [kv.op_put(COUNTER, b"%d" % (value + 1))])
        except Unknown:
            with self.lock:
                self.counts_unknown += 1
            return
        except Refused:
            return
        if not reply.succeeded:
            return
        with self.lock:
            if value + 1 in self.counts:
                self.problem("writers %d and %d both counted to %d" % (
                    number, self.counts[value + 1], value + 1))
            self.counts[value + 1] = number

    def problem(self, text):
        self.problems.append(text)

    def check(self, copy):
        """copy: the reply to a range over everything, taken after stop()."""
        there = {pair.key: (pair.value, pair.mod_revision) for pair in copy.kvs}
        for key, promised in self.acked.items():
            if there.get(key) != promised:
                self.problem("%r was acknowledged as %s, there is %s" % (
                    key, promised, there.get(key)))
        for key, (value, _) in there.items():
            if key.startswith(PREFIX) and key not in self.acked and \
                    self.unknown.get(key) != value:
                self.problem("%r is there, which was %s" % (
                    key, "refused" if key in self.refused else "never written"))
        counter = int(there.get(COUNTER, (b"0", 0))[0])
        if not len(self.counts) <= counter <= len(self.counts) + self.counts_unknown:
            self.problem("the counter is at %d after %d counts and %d unknown ones" % (
                counter, len(self.counts), self.counts_unknown))
        revisions = [revision for _, revision in self.acked.values()]
        if len(set(revisions)) != len(revisions):
            self.problem("two acknowledged writes have the same revision")
        assert not self.problems, "%d problems (%s), the first: %s" % (
            len(self.problems), self.summary(), "; ".join(self.problems[:3]))
