"""Leases and somebody who watches that they keep their time, by this machine's clock.

A key under each lease is read all the time, linearizably and through every member. It must not
be missing before its TTL has passed since the last renewal that was acknowledged was *sent*.
It must be missing, at the latest, a TTL, an election timeout and 3 s after that renewal was
*answered*, and as much later as nobody could read: time stands still for leases while there is
no leader.
"""

import random
import threading
import time
import unittest

from api import Api
from client import Client, Failed

ELECTION_SECONDS = 1
GRACE_SECONDS = 3
OUTAGE_SECONDS = 0.2  # a gap between two answers that counts as one without a leader
READ_SECONDS = 1
RENEW_SECONDS = 1
PREFIX = b"lease/"


class Lease:
    """A lease with a key, and when it was last known to be renewed."""

    def __init__(self, cluster, ttl):
        self.cluster = cluster
        self.sent = time.monotonic()
        with Api(cluster.running()[0].endpoint) as api:
            granted = api.call("etcdserverpb.Lease/LeaseGrant", TTL=ttl)
            self.answered = time.monotonic()
            self.id, self.ttl = granted.ID, granted.TTL
            self.key = PREFIX + b"%x" % self.id
            api.call("etcdserverpb.KV/Put", key=self.key, lease=self.id)
        self.stopping = threading.Event()
        self.keeper = None
        self.lost = None  # when a renewal was answered with TTL 0

    def keep(self):
        """Renews it until abandon(), through another member whenever one does not answer."""
        self.keeper = threading.Thread(target=self.renew_all_the_time, daemon=True)
        self.keeper.start()

    def abandon(self):
        self.stopping.set()
        self.keeper.join(60)
        assert not self.keeper.is_alive(), "no renewal was answered for a minute"

    def renew_all_the_time(self):
        choice = random.Random(self.id)
        answered = True
        while not (answered and self.stopping.is_set()) and self.lost is None:
            answered = False
            with Api(choice.choice(self.cluster.members).endpoint) as api:
                stream = api.stream("etcdserverpb.Lease/LeaseKeepAlive")
                while not (answered and self.stopping.is_set()):
                    answered = self.renew(stream)
                    if not answered:
                        break
                    self.stopping.wait(0.3)
                stream.cancel()

    def renew(self, stream):
        sent = time.monotonic()
        stream.send(ID=self.id)
        reply = stream.read(RENEW_SECONDS)
        if reply is None:
            return False
        if reply.TTL <= 0:
            self.lost = time.monotonic()
            return False
        self.sent, self.answered = sent, time.monotonic()
        return True


class Observer:
    """Reads the keys through all members; knows when one was missed and when nobody answered."""

    def __init__(self, cluster):
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.missing = {}    # key: when it was first missed
        self.present = {}    # key: when a read that found it began last
        self.answers = []    # when any read was answered
        self.watched = set()
        self.threads = [threading.Thread(target=self.observe, args=(member.endpoint,),
                                         daemon=True) for member in cluster.members]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(READ_SECONDS + 5)

    def observe(self, endpoint):
        with Client(endpoint, READ_SECONDS) as client:
            while not self.stopping.is_set():
                began = time.monotonic()
                with self.lock:
                    watched = set(self.watched)
                try:
                    found = {pair.key for pair in client.prefix(PREFIX, keys_only=True).kvs}
                except Failed:
                    time.sleep(0.02)
                    continue
                self.note(began, time.monotonic(), watched, found)
                time.sleep(0.02)

    def note(self, began, ended, watched, found):
        with self.lock:
            self.answers.append(ended)
            for key in watched - found:
                self.missing.setdefault(key, ended)
            for key in found:
                self.present[key] = max(began, self.present.get(key, 0))

    def watch(self, lease):
        with self.lock:
            self.watched.add(lease.key)

    def outage(self, since, until):
        """Seconds between two times in which nobody answered."""
        with self.lock:
            inside = sorted(at for at in self.answers if since <= at <= until)
        gaps = [later - earlier for earlier, later in zip([since] + inside, inside + [until])]
        return sum(gap for gap in gaps if gap > OUTAGE_SECONDS)


class LeaseTest(unittest.TestCase):
    """A test with a cluster in self.cluster."""

    rounds = 1

    def check(self, observer, lease):
        """The lease must go, neither early nor late."""
        latest = lease.answered + lease.ttl + ELECTION_SECONDS + GRACE_SECONDS
        while lease.key not in observer.missing:
            now = time.monotonic()
            if now > latest and now > latest + observer.outage(lease.answered, now):
                self.fail("a TTL of %d s, and there %.3f s after its renewal was answered, %.3f "
                          "of them without answers" % (lease.ttl, now - lease.answered,
                                                       observer.outage(lease.answered, now)))
            time.sleep(0.02)
        gone = observer.missing[lease.key]
        self.assertGreaterEqual(gone - lease.sent, lease.ttl, "gone early")
        self.assertLess(observer.present[lease.key], gone, "gone, and there again")
        return gone - lease.answered - lease.ttl

    def run_with(self, harm, ttls=(2, 5), kept_ttl=3):
        """Abandoned and kept leases through some harm; then the kept ones are abandoned too."""
        with Observer(self.cluster) as observer:
            kept = [Lease(self.cluster, kept_ttl) for _ in range(3)]
            for lease in kept:
                observer.watch(lease)
                lease.keep()
            abandoned = [Lease(self.cluster, ttl) for ttl in ttls]
            for lease in abandoned:
                observer.watch(lease)
            for _ in range(self.rounds):
                harm()
            for lease in kept:
                self.assertIsNone(lease.lost, "a kept lease was lost")
                self.assertNotIn(lease.key, observer.missing, "a kept lease is gone")
                lease.abandon()
            late = [self.check(observer, lease) for lease in abandoned + kept]
            print("late by %d ms at most, %.1f s without answers, " % (
                max(late) * 1000, observer.outage(abandoned[0].sent, time.monotonic())),
                  end="", flush=True)
