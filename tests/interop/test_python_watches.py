#!/usr/bin/python3
"""Watches, leases and locks of python3-etcd3, unchanged, against kvd and Debian's etcd."""

import threading
import time

import etcd3

import etcdctl  # noqa: F401  (makes the cluster library importable)
import report
from pair import PairTest

TIMEOUT_SECONDS = 10
SHORT_SECONDS = 1


def hide_the_end_of_watch_threads(arguments):
    """The module's watch thread ends with an exception when its channel is closed."""
    if not arguments.thread.name.startswith("etcd3_watch_"):
        threading.__excepthook__(arguments)


threading.excepthook = hide_the_end_of_watch_threads


def connect(side):
    return etcd3.client(host="127.0.0.1", port=side.member.client_port, timeout=TIMEOUT_SECONDS)


def shown(event):
    return (type(event).__name__, event.key, event.value, event.version, event.mod_revision,
            event.prev_value)


def take(events, count):
    """The next events of an iterator, given up after a while."""
    found = []

    def collect():
        for event in events:
            found.append(shown(event))
            if len(found) == count:
                break

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return list(found)


def try_to_acquire(lock):
    try:
        return lock.acquire(timeout=0)
    except TypeError:  # not free: Debian 13's tenacity does not even get to ask for the time
        return False


def acquire(lock, seconds):
    """Lock.acquire(timeout) in its own steps: Debian's tenacity is too new for the function
    with which the module waits between two tries."""
    deadline = time.monotonic() + seconds
    while not try_to_acquire(lock):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            lock.etcd_client.watch_once(lock.key, left)
        except etcd3.exceptions.WatchTimedOut:
            pass
    return True


class PythonWatches(PairTest):
    def test_a_key(self):
        def scenario(side):
            with connect(side) as client:
                events, cancel = client.watch("key")
                client.put("key", "1")
                client.put("other", "x")
                client.delete("key")
                side.note("events", take(events, 2))
                cancel()
                side.note("after the cancel", take(events, 1))

        self.same(scenario)

    def test_a_prefix_with_previous_pairs(self):
        def scenario(side):
            with connect(side) as client:
                events, cancel = client.watch_prefix("p/", prev_kv=True)
                client.put("p/1", "1")
                client.put("p/1", "2")
                client.delete_prefix("p/")
                side.note("events", take(events, 3))
                cancel()

        self.same(scenario)

    def test_the_past(self):
        def scenario(side):
            with connect(side) as client:
                first = client.put("key", "1").header.revision
                client.put("key", "2")
                events, cancel = client.watch("key", start_revision=first)
                client.put("key", "3")
                side.note("events", take(events, 3))
                cancel()

        self.same(scenario)

    def test_once(self):
        def scenario(side):
            with connect(side) as client:
                timer = threading.Timer(0.3, client.put, ("key", "value"))
                timer.start()
                side.note("once", shown(client.watch_once("key", timeout=TIMEOUT_SECONDS)))
                timer.join()
                try:
                    client.watch_once("key", timeout=0.3)
                    side.note("an event")
                except etcd3.exceptions.WatchTimedOut:
                    side.note("timed out")

        self.same(scenario)

    def test_a_start_that_was_compacted(self):
        def scenario(side):
            with connect(side) as client:
                first = client.put("key", "1").header.revision
                last = client.put("key", "2").header.revision
                client.compact(last)
                events, cancel = client.watch("key", start_revision=first)
                try:
                    side.note("event", shown(next(iter(events))))
                except etcd3.exceptions.RevisionCompactedError as error:
                    side.note("compacted", error.compacted_revision)
                cancel()

        self.same(scenario)

    def test_a_compaction_while_watching_is_no_matter(self):
        def scenario(side):
            with connect(side) as client:
                client.put("key", "0")
                events, cancel = client.watch("key")
                client.put("key", "1")
                client.compact(client.put("key", "2").header.revision)
                client.put("key", "3")
                side.note("events", take(events, 3))
                cancel()

        self.same(scenario)

    def test_many_watches_of_one_client(self):
        def scenario(side):
            with connect(side) as client:
                watches = [client.watch("k%d" % number) for number in range(30)]
                for number in range(30):
                    client.put("k%d" % number, str(number))
                for events, cancel in watches:
                    side.note("event", take(events, 1))
                    cancel()

        self.same(scenario)


class PythonLeases(PairTest):
    def test_grant_refresh_and_revoke(self):
        def scenario(side):
            with connect(side) as client:
                lease = client.lease(20, lease_id=1234)
                side.note("granted", lease.id, lease.ttl, lease.granted_ttl)
                client.put("a", "1", lease=lease)
                client.put("b", "2", lease=lease)
                time.sleep(2.2)
                side.note("less is left", 16 <= lease.remaining_ttl <= 18)
                side.note("refreshed", [(one.ID, one.TTL) for one in lease.refresh()])
                side.note("all is left", 19 <= lease.remaining_ttl <= 20)
                side.note("keys", sorted(lease.keys))
                lease.revoke()
                side.note("gone", client.get("a"), client.get("b"), lease.remaining_ttl,
                          [one.TTL for one in lease.refresh()])

        self.same(scenario)

    def test_a_lease_that_ends(self):
        def scenario(side):
            with connect(side) as client:
                client.put("key", "value", lease=client.lease(2))
                event = client.watch_once("key", timeout=TIMEOUT_SECONDS)
                side.note("deleted", shown(event))

        self.same(scenario)


class PythonLocks(PairTest):
    def test_one_client(self):
        def scenario(side):
            with connect(side) as client:
                lock = client.lock("name", ttl=20)
                side.note("acquired", lock.acquire(), lock.is_acquired())
                side.note("refreshed", [one.TTL for one in lock.refresh()])
                side.note("released", lock.release(), lock.is_acquired(), lock.release())

        self.same(scenario)

    def test_two_contend(self):
        def scenario(side):
            with connect(side) as one, connect(side) as other:
                first, second = one.lock("name", ttl=20), other.lock("name", ttl=20)
                side.note("first", first.acquire())
                side.note("second", acquire(second, SHORT_SECONDS))
                timer = threading.Timer(0.5, first.release)
                timer.start()
                began = time.monotonic()
                side.note("second after first", acquire(second, TIMEOUT_SECONDS))
                waited = time.monotonic() - began
                timer.join()
                side.note("soon", 0.4 < waited < 4, first.is_acquired(), second.is_acquired())
                side.note("released", second.release())

        self.same(scenario)

    def test_a_lock_whose_holder_is_gone(self):
        def scenario(side):
            with connect(side) as one, connect(side) as other:
                side.note("first", one.lock("name", ttl=2).acquire())
                side.note("second", acquire(other.lock("name", ttl=20), TIMEOUT_SECONDS))

        self.same(scenario)

    def test_many_count_under_one_lock(self):
        """What a lock is for: nobody's count is lost."""
        def scenario(side):
            def work():
                with connect(side) as client:
                    for _ in range(3):
                        lock = client.lock("counter", ttl=20)
                        if not acquire(lock, 60):
                            return
                        value = int(client.get("count")[0] or 0)
                        client.put("count", str(value + 1))
                        lock.release()

            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            side.note("count", side.get(b"count").kvs[0].value)

        self.same(scenario)


if __name__ == "__main__":
    report.main()
