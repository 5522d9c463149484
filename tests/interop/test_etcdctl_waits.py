#!/usr/bin/python3
"""etcdctl's watch, lease, lock and elect, unchanged, against kvd and against Debian's etcd."""

import signal
import time

import etcdctl
import report
from client import prefix_end
from pair import PairTest

WAIT_SECONDS = 0.5
LIVE_SECONDS = 0.1  # each change then comes in a response of its own


def run(side, *arguments, stdin=b""):
    """Runs a command and notes what it printed and its exit code."""
    answer = etcdctl.run(side.member.endpoint, list(arguments), stdin)
    side.note(etcdctl.plain(" ".join(arguments).encode()), answer.comparable())
    return answer


def start(side, *arguments):
    return etcdctl.Running(side.member.endpoint, arguments)


def grant(side, ttl="60"):
    """A lease by etcdctl; its id as etcdctl prints it."""
    return run(side, "lease", "grant", ttl).out.split()[1].decode()


def keys(side, prefix):
    return [kv.key for kv in side.get(prefix, prefix_end(prefix), sort_target="CREATE",
                                      sort_order="ASCEND").kvs]


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def wait_watching(side, running, key, lines=3):
    """Puts under the watched key until the watch shows it; notes nothing."""
    def shown():
        side.put(key, b"sentinel")
        return running.wait_lines(lines, 0.2)
    until(shown)
    time.sleep(WAIT_SECONDS)  # for what the last put makes it show


class Watch(PairTest):
    def watch(self, arguments, key, steps, lines):
        """Starts a watch at the present revision, does the steps, notes the lines."""
        def scenario(side):
            began = side.put(key, b"before")
            with start(side, "watch", "--rev=%d" % began, *arguments) as running:
                running.wait_lines(1)
                for step in steps:
                    time.sleep(LIVE_SECONDS)
                    step(side)
                side.note("all lines", running.wait_lines(lines))
                time.sleep(WAIT_SECONDS)
                side.note("ended by SIGINT", running.interrupt() in (0, 1, 130, -signal.SIGINT))
                side.note("out", etcdctl.plain(running.out), etcdctl.plain(running.err))

        self.same(scenario)

    def test_one_key(self):
        self.watch(["k"], b"k", [
            lambda side: side.put(b"k", b"1"), lambda side: side.put(b"k2", b"no"),
            lambda side: side.delete(b"k"), lambda side: side.put(b"k", b"2")], 11)

    def test_a_prefix_with_previous_values(self):
        self.watch(["p/", "--prefix", "--prev-kv"], b"p/", [
            lambda side: side.put(b"p/1", b"1"), lambda side: side.put(b"p/1", b"2"),
            lambda side: side.delete(b"p/", b"p0")], 5 + 15)

    def test_a_range_in_json(self):
        self.watch(["r1", "r3", "-w", "json"], b"r1", [
            lambda side: side.put(b"r1", b"1"), lambda side: side.put(b"r3", b"no"),
            lambda side: side.put(b"r2", b"\x00\xff"), lambda side: side.delete(b"r2")], 4)

    def test_fields_and_hex(self):
        self.watch(["k", "-w", "fields"], b"k", [lambda side: side.put(b"k", b"1")], 20)
        self.watch(["k", "--hex"], b"k", [lambda side: side.put(b"k", b"1")], 6)

    def test_a_command_for_each_event(self):
        self.watch(["k", "--", "sh", "-c", "env | grep ETCD_WATCH_ | sort"], b"k", [
            lambda side: side.put(b"k", b"1"), lambda side: side.delete(b"k")], 7 + 7 + 6)

    def test_the_past(self):
        def scenario(side):
            first = side.put(b"k", b"1")
            side.put(b"k", b"2")
            side.delete(b"k")
            with start(side, "watch", "k", "--rev=%d" % first, "--prev-kv") as running:
                side.note("all lines", running.wait_lines(3 + 5 + 5))
                side.note("out", etcdctl.plain(running.out))

        self.same(scenario)

    def test_the_past_that_was_compacted(self):
        def scenario(side):
            first = side.put(b"k", b"1")
            last = side.put(b"k", b"2")
            side.api.call("etcdserverpb.KV/Compact", revision=last)
            run(side, "watch", "k", "--rev=%d" % first)

        self.same(scenario)

    def test_interactive(self):
        def scenario(side):
            with start(side, "watch", "-i") as running:
                running.say(b"watch one")
                wait_watching(side, running, b"one")
                before = running.out.count(b"\n")
                running.say(b"watch p/ --prefix --prev-kv")
                wait_watching(side, running, b"p/", before + 3)
                began = running.out.count(b"\n")
                side.put(b"p/x", b"1")
                side.put(b"one", b"2")
                side.note("both", running.wait_lines(began + 6))
                shown = b"\n".join(running.out.split(b"\n")[began:])
                side.note("out", sorted(shown.split(b"\n")))
                began = running.out.count(b"\n")
                running.say(b"progress")
                side.note("progress", running.wait_lines(began + 1),
                          running.out.split(b"\n")[began].startswith(b"progress notify: "))
                running.say(b"nonsense")
                running.process.stdin.close()
                side.note("nonsense", running.wait() != 0, etcdctl.plain(running.err))

        self.same(scenario)

    def test_bad_arguments(self):
        def scenario(side):
            run(side, "watch")
            run(side, "watch", "a", "--rev=x")

        self.same(scenario)


class Lease(PairTest):
    def test_all_verbs(self):
        def scenario(side):
            lease = grant(side)
            run(side, "put", "k", "v", "--lease=" + lease)
            run(side, "lease", "timetolive", lease)
            run(side, "lease", "timetolive", lease, "--keys")
            run(side, "lease", "timetolive", lease, "--keys", "-w", "json")
            run(side, "lease", "list")
            run(side, "lease", "list", "-w", "json")
            run(side, "lease", "keep-alive", "--once", lease)
            run(side, "get", "k", "-w", "fields")
            run(side, "lease", "revoke", lease)
            run(side, "get", "", "--prefix", "-w", "json")
            run(side, "lease", "revoke", lease)
            run(side, "lease", "timetolive", lease)
            run(side, "lease", "keep-alive", lease)
            run(side, "lease", "keep-alive", "--once", lease)
            run(side, "lease", "list")

        self.same(scenario)

    def test_output_formats_of_a_grant(self):
        def scenario(side):
            run(side, "lease", "grant", "60", "-w", "json")
            run(side, "lease", "grant", "60", "-w", "fields")

        self.same(scenario)

    def test_bad_arguments(self):
        def scenario(side):
            for arguments in (["grant"], ["grant", "x"], ["grant", "0"], ["grant", "--", "-5"],
                              ["grant", "9000000001"], ["revoke", "zz"], ["revoke"],
                              ["revoke", "404"], ["timetolive", "404"], ["keep-alive", "404"]):
                run(side, "lease", *arguments)
            run(side, "put", "k", "v", "--lease=404")
            run(side, "put", "k", "v", "--lease=zz")

        self.same(scenario)

    def test_keep_alive_keeps_a_lease(self):
        def scenario(side):
            lease = grant(side, "3")
            side.put(b"kept", b"v", int(lease, 16))
            with start(side, "lease", "keep-alive", lease) as running:
                time.sleep(5)
                side.note("kept", side.get(b"kept").count, running.out.count(b"\n") >= 4)
                side.api.call("etcdserverpb.Lease/LeaseRevoke", ID=int(lease, 16))
                side.note("ends with the lease", running.wait())
                side.note("out", sorted(set(etcdctl.plain(running.out).split("\n"))))

        self.same(scenario)


class LockAndElect(PairTest):
    def test_a_command_under_the_lock(self):
        def scenario(side):
            run(side, "lock", "n", "echo", "inside")
            run(side, "lock", "n", "--", "sh", "-c", "echo $ETCD_LOCK_KEY")
            run(side, "lock", "n", "--", "sh", "-c", "exit 5")
            run(side, "lock", "n", "/nonexistent")
            run(side, "lock", "--ttl=5", "n", "true")
            run(side, "lock")
            run(side, "lock", "n", "--ttl=x")
            side.note("left", keys(side, b"n/"))

        self.same(scenario)

    def test_the_lock_revision_is_the_tokens(self):
        def scenario(side):
            run(side, "lock", "n", "--", "sh", "-c", "echo $ETCD_LOCK_REV")
            side.put(b"x")
            run(side, "lock", "n", "--", "sh", "-c", "echo $ETCD_LOCK_REV")

        self.same(scenario)

    def test_without_a_command_it_holds_until_interrupted(self):
        def scenario(side):
            with start(side, "lock", "n") as holder:
                side.note("shown", holder.wait_lines(1))
                held = keys(side, b"n/")
                side.note("the key", [holder.out.strip()] == held)
                with start(side, "lock", "n", "echo", "second") as second:
                    side.note("in line", until(lambda: len(keys(side, b"n/")) == 2))
                    with start(side, "lock", "n", "echo", "third") as third:
                        side.note("in line", until(lambda: len(keys(side, b"n/")) == 3))
                        time.sleep(WAIT_SECONDS)
                        side.note("wait", second.out, third.out)
                        side.note("first ends", holder.interrupt())
                        side.note("second", second.wait(), second.out)
                        side.note("third", third.wait(), third.out)
            side.note("left", keys(side, b"n/"))

        self.same(scenario)

    def test_a_waiter_that_is_interrupted_leaves_the_line(self):
        def scenario(side):
            with start(side, "lock", "n") as holder:
                holder.wait_lines(1)
                with start(side, "lock", "n") as waiter:
                    until(lambda: len(keys(side, b"n/")) == 2)
                    side.note("ends", waiter.interrupt() != 0)
                side.note("left", until(lambda: len(keys(side, b"n/")) == 1))
                holder.interrupt()

        self.same(scenario)

    def test_a_holder_that_is_killed_is_followed_after_its_ttl(self):
        def scenario(side):
            with start(side, "lock", "n", "--ttl=2") as holder:
                holder.wait_lines(1)
                holder.process.kill()
                holder.wait()
                side.note("next", run(side, "lock", "n", "echo", "next").code)

        self.same(scenario)

    def test_elect_and_listen(self):
        def scenario(side):
            with start(side, "elect", "-l", "e") as listener:
                time.sleep(WAIT_SECONDS)
                with start(side, "elect", "e", "first") as first:
                    side.note("elected", first.wait_lines(2), first.out.split(b"\n")[1])
                    with start(side, "elect", "e", "second") as second:
                        side.note("in line", until(lambda: len(keys(side, b"e/")) == 2))
                        time.sleep(WAIT_SECONDS)
                        side.note("waits", second.out)
                        side.note("resigns", first.interrupt())
                        side.note("elected", second.wait_lines(2), second.out.split(b"\n")[1])
                        side.note("heard", listener.wait_lines(4),
                                  listener.out.split(b"\n")[1::2])
                        side.note("resigns", second.interrupt())
            side.note("left", keys(side, b"e/"))
            run(side, "elect")
            run(side, "elect", "e")

        self.same(scenario)


if __name__ == "__main__":
    report.main()
