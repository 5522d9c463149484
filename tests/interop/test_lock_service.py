#!/usr/bin/python3
"""etcd's Lock and Election services, call by call, against kvd and against Debian's etcd."""

import time

import etcdctl  # noqa: F401  (makes the cluster library importable)
import report
from client import Failed, prefix_end
from pair import PairTest

LOCK = "v3lockpb.Lock/"
ELECTION = "v3electionpb.Election/"
LEASE = "etcdserverpb.Lease/"
KV = "etcdserverpb.KV/"
WAIT_SECONDS = 0.4  # long enough for a call to be in the line
SHORT_TTL = 2
GONE_SECONDS = SHORT_TTL + 1 + 3  # an election timeout, and what kvd promises on top


def line(side, name):
    """Notes the keys of a lock in their order."""
    reply = side.get(name + b"/", prefix_end(name + b"/"), sort_target="CREATE",
                     sort_order="ASCEND")
    side.note("line", reply)
    return [kv.key for kv in reply.kvs]


def begin(side, path, /, **fields):
    """A call that will wait; returns when it is in the line."""
    pending = side.api.begin(path, **fields)
    time.sleep(WAIT_SECONDS)
    return pending


def finish(side, what, pending):
    """Notes how a waiting call ended."""
    try:
        reply = pending.wait()
    except Failed as error:
        side.note(what, error.code.name, error.text)
        return None
    side.note(what, reply)
    return reply


class LockService(PairTest):
    def test_lock_and_unlock(self):
        def scenario(side):
            side.grant(lease=0x1a)
            reply = side.call(LOCK + "Lock", name=b"n", lease=0x1a)
            line(side, b"n")
            side.call(LOCK + "Unlock", key=reply.key)
            line(side, b"n")
            side.call(LOCK + "Unlock", key=reply.key)
            side.call(LOCK + "Lock", name=b"n", lease=0x1a)

        self.same(scenario)

    def test_the_same_lease_locks_again_at_once(self):
        def scenario(side):
            side.grant(lease=7)
            side.call(LOCK + "Lock", name=b"n", lease=7)
            side.put(b"other")
            side.call(LOCK + "Lock", name=b"n", lease=7)
            line(side, b"n")

        self.same(scenario)

    def test_leases_that_are_negative_or_as_large_as_can_be(self):
        def scenario(side):
            for lease in (-3, (1 << 63) - 1, -(1 << 63)):
                side.grant(lease=lease)
                side.call(LOCK + "Lock", name=b"n%d" % (lease % 10), lease=lease)

        self.same(scenario)

    def test_without_a_lease_the_server_grants_one(self):
        def scenario(side):
            reply = side.api.call(LOCK + "Lock", name=b"n")
            pair = side.get(reply.key).kvs[0]
            side.note("the key is named after its lease", reply.key == b"n/%x" % pair.lease)
            left = side.api.call(LEASE + "LeaseTimeToLive", ID=pair.lease)
            side.note("time to live", left.grantedTTL)

        self.same(scenario)

    def test_bad_leases_and_names(self):
        def scenario(side):
            side.call(LOCK + "Lock", name=b"n", lease=404)
            side.call(LOCK + "Lock", name=b"n", lease=-404)
            side.grant(lease=8)
            side.call(LOCK + "Lock", name=b"", lease=8)
            side.call(LOCK + "Lock", name=b"a/b/", lease=8)
            side.call(LOCK + "Lock", name=b"\x00\xff", lease=8)
            side.call(LOCK + "Unlock", key=b"")
            side.call(LOCK + "Unlock", key=b"nothing")
            side.note("keys", [kv.key for kv in side.get(b"\0", b"\0").kvs])

        self.same(scenario)

    def test_unlock_deletes_whatever_key_it_is_given(self):
        def scenario(side):
            side.put(b"some", b"key")
            side.call(LOCK + "Unlock", key=b"some")
            side.note("left", side.get(b"some").count)

        self.same(scenario)

    def test_the_line_moves_in_order(self):
        def scenario(side):
            waiting = {}
            for lease in (1, 2, 3, 4):
                side.grant(lease=lease)
                waiting[lease] = begin(side, LOCK + "Lock", name=b"n", lease=lease)
            side.note("granted", [lease for lease in waiting if waiting[lease].done()])
            for lease in (1, 2, 3, 4):
                reply = finish(side, "lock %d" % lease, waiting[lease])
                line(side, b"n")
                side.call(LOCK + "Unlock", key=reply.key)
                time.sleep(WAIT_SECONDS)
                side.note("granted", [one for one in waiting if waiting[one].done()])

        self.same(scenario)

    def test_a_waiter_that_goes_lets_the_next_ones_place_be(self):
        def scenario(side):
            for lease in (1, 2, 3):
                side.grant(lease=lease)
            holder = side.call(LOCK + "Lock", name=b"n", lease=1)
            second = begin(side, LOCK + "Lock", name=b"n", lease=2)
            third = begin(side, LOCK + "Lock", name=b"n", lease=3)
            second.cancel()
            time.sleep(WAIT_SECONDS)
            side.note("keys", line(side, b"n"))
            side.note("third waits", third.done())
            side.call(LOCK + "Unlock", key=holder.key)
            finish(side, "third", third)

        self.same(scenario)

    def test_a_deadline_ends_the_wait_and_the_place(self):
        def scenario(side):
            for lease in (1, 2):
                side.grant(lease=lease)
            side.call(LOCK + "Lock", name=b"n", lease=1)
            pending = side.api.begin(LOCK + "Lock", name=b"n", lease=2, timeout=1)
            try:
                pending.wait()
                side.note("granted")
            except Failed as error:
                side.note("ended", error.code.name)
            time.sleep(WAIT_SECONDS)
            side.note("keys", line(side, b"n"))

        self.same(scenario)

    def test_a_waiter_whose_lease_ended_is_never_granted(self):
        """etcd 3.4 grants it nevertheless, when its predecessor goes; later ones say this."""
        side = self.sides[0]
        for lease in (1, 2, 4):
            side.grant(lease=lease)
        holder = side.call(LOCK + "Lock", name=b"n", lease=1)
        revoked = begin(side, LOCK + "Lock", name=b"n", lease=2)
        side.grant(lease=3, ttl=SHORT_TTL)
        expiring = begin(side, LOCK + "Lock", name=b"n", lease=3)
        last = begin(side, LOCK + "Lock", name=b"n", lease=4)
        side.call(LEASE + "LeaseRevoke", ID=2)
        for pending in (revoked, expiring):
            with self.assertRaises(Failed) as raised:
                pending.wait(GONE_SECONDS)
            self.assertEqual((raised.exception.code.name, raised.exception.text),
                             ("UNKNOWN", "mutex: session is expired"))
        self.assertEqual(line(side, b"n"), [b"n/1", b"n/4"])
        self.assertFalse(last.done())
        side.call(LOCK + "Unlock", key=holder.key)
        self.assertEqual(last.wait().key, b"n/4")

    def test_a_holders_lease_that_ends_passes_the_lock_on(self):
        def scenario(side):
            for lease in (1, 2):
                side.grant(lease=lease)
            side.call(LOCK + "Lock", name=b"n", lease=1)
            second = begin(side, LOCK + "Lock", name=b"n", lease=2)
            side.call(LEASE + "LeaseRevoke", ID=1)
            finish(side, "second", second)
            line(side, b"n")

        self.same(scenario)

    def test_names_that_begin_alike_are_different_locks(self):
        def scenario(side):
            for lease, name in ((1, b"n"), (2, b"n1"), (3, b"n/x"), (4, b"n0")):
                side.grant(lease=lease)
                if name != b"n/x":
                    side.call(LOCK + "Lock", name=name, lease=lease)

        self.same(scenario)

    def test_the_recipe_by_transaction_stands_in_the_same_line(self):
        """What etcdctl and Go's concurrency package do: create, look who is first, wait."""
        def scenario(side):
            for lease in (1, 2, 3):
                side.grant(lease=lease)
            holder = side.call(LOCK + "Lock", name=b"n", lease=1)
            side.call(KV + "Txn", compare=[
                dict(key=b"n/2", target="CREATE", result="EQUAL", create_revision=0)],
                success=[dict(request_put=dict(key=b"n/2", lease=2)),
                         dict(request_range=dict(key=b"n/", range_end=b"n0", limit=1,
                                                 sort_order="ASCEND", sort_target="CREATE"))])
            third = begin(side, LOCK + "Lock", name=b"n", lease=3)
            side.call(LOCK + "Unlock", key=holder.key)
            time.sleep(WAIT_SECONDS)
            side.note("third waits", third.done())
            side.delete(b"n/2")
            finish(side, "third", third)
            line(side, b"n")

        self.same(scenario)


class ElectionService(PairTest):
    def test_one_candidate(self):
        def scenario(side):
            side.grant(lease=0x2b)
            side.call(ELECTION + "Leader", name=b"e")
            reply = side.call(ELECTION + "Campaign", name=b"e", lease=0x2b, value=b"first")
            line(side, b"e")
            side.call(ELECTION + "Leader", name=b"e")
            side.call(ELECTION + "Proclaim", leader=reply.leader, value=b"second")
            side.call(ELECTION + "Leader", name=b"e")
            side.call(ELECTION + "Campaign", name=b"e", lease=0x2b, value=b"third")
            side.call(ELECTION + "Campaign", name=b"e", lease=0x2b, value=b"third")
            side.call(ELECTION + "Leader", name=b"e")
            side.call(ELECTION + "Resign", leader=reply.leader)
            side.call(ELECTION + "Leader", name=b"e")
            side.call(ELECTION + "Resign", leader=reply.leader)
            side.call(ELECTION + "Proclaim", leader=reply.leader, value=b"late")

        self.same(scenario)

    def test_what_is_not_a_leader(self):
        def scenario(side):
            side.grant(lease=5)
            reply = side.call(ELECTION + "Campaign", name=b"e", lease=5, value=b"v")
            wrong = dict(name=b"e", key=reply.leader.key, rev=reply.leader.rev - 1, lease=5)
            side.call(ELECTION + "Proclaim", leader=wrong, value=b"x")
            side.call(ELECTION + "Resign", leader=wrong)
            side.call(ELECTION + "Leader", name=b"e")
            side.call(ELECTION + "Proclaim", value=b"x")
            side.call(ELECTION + "Resign")
            side.call(ELECTION + "Proclaim", leader={}, value=b"x")
            side.call(ELECTION + "Resign", leader={})
            gone = dict(name=b"e", key=reply.leader.key, rev=reply.leader.rev, lease=404)
            side.call(ELECTION + "Proclaim", leader=gone, value=b"x")

        self.same(scenario)

    def test_bad_leases_and_names(self):
        def scenario(side):
            side.call(ELECTION + "Campaign", name=b"e", lease=404, value=b"v")
            side.grant(lease=6)
            side.call(ELECTION + "Campaign", name=b"", lease=6, value=b"v")
            side.call(ELECTION + "Leader", name=b"")
            side.call(ELECTION + "Campaign", name=b"e", lease=6)
            side.call(ELECTION + "Leader", name=b"e")
            reply = side.api.call(ELECTION + "Campaign", name=b"own", value=b"no lease")
            side.note("key", reply.leader.key == b"own/%x" % reply.leader.lease,
                      reply.leader.rev == side.revision())

        self.same(scenario)

    def test_candidates_are_elected_in_order(self):
        def scenario(side):
            waiting = {}
            for lease in (1, 2, 3):
                side.grant(lease=lease)
                waiting[lease] = begin(side, ELECTION + "Campaign", name=b"e", lease=lease,
                                       value=b"candidate %d" % lease)
            for lease in (1, 2, 3):
                reply = finish(side, "campaign %d" % lease, waiting[lease])
                side.call(ELECTION + "Leader", name=b"e")
                side.note("elected", [one for one in waiting if waiting[one].done()])
                side.call(ELECTION + "Resign", leader=reply.leader)
                time.sleep(WAIT_SECONDS)

        self.same(scenario)

    def test_a_candidate_that_gives_up(self):
        def scenario(side):
            for lease in (1, 2, 3):
                side.grant(lease=lease)
            first = side.call(ELECTION + "Campaign", name=b"e", lease=1, value=b"1")
            second = begin(side, ELECTION + "Campaign", name=b"e", lease=2, value=b"2")
            third = begin(side, ELECTION + "Campaign", name=b"e", lease=3, value=b"3")
            second.cancel()
            time.sleep(WAIT_SECONDS)
            side.note("keys", line(side, b"e"))
            side.call(ELECTION + "Resign", leader=first.leader)
            finish(side, "third", third)
            side.call(ELECTION + "Leader", name=b"e")

        self.same(scenario)

    def test_a_candidate_whose_lease_ended_is_never_elected(self):
        """etcd tells it that it is the leader, when its predecessor goes."""
        side = self.sides[0]
        for lease in (1, 2, 3):
            side.grant(lease=lease)
        first = side.call(ELECTION + "Campaign", name=b"e", lease=1, value=b"1")
        second = begin(side, ELECTION + "Campaign", name=b"e", lease=2, value=b"2")
        third = begin(side, ELECTION + "Campaign", name=b"e", lease=3, value=b"3")
        side.call(LEASE + "LeaseRevoke", ID=2)
        with self.assertRaises(Failed) as raised:
            second.wait()
        self.assertEqual((raised.exception.code.name, raised.exception.text),
                         ("UNKNOWN", "election: not leader"))
        self.assertFalse(third.done())
        side.call(ELECTION + "Resign", leader=first.leader)
        self.assertEqual(third.wait().leader.key, b"e/3")

    def test_the_leader_proclaims_while_others_wait(self):
        def scenario(side):
            for lease in (1, 2):
                side.grant(lease=lease)
            first = side.call(ELECTION + "Campaign", name=b"e", lease=1, value=b"1")
            second = begin(side, ELECTION + "Campaign", name=b"e", lease=2, value=b"2")
            side.call(ELECTION + "Proclaim", leader=first.leader, value=b"still 1")
            time.sleep(WAIT_SECONDS)
            side.note("second waits", second.done())
            side.call(LEASE + "LeaseRevoke", ID=1)
            finish(side, "second", second)

        self.same(scenario)

    def test_observe_follows_values_and_leaders(self):
        def scenario(side):
            for lease in (1, 2):
                side.grant(lease=lease)
            stream = side.api.stream(ELECTION + "Observe", name=b"e")
            side.note("nobody yet", stream.read(WAIT_SECONDS))
            first = side.call(ELECTION + "Campaign", name=b"e", lease=1, value=b"1")
            side.note("observed", stream.read())
            second = begin(side, ELECTION + "Campaign", name=b"e", lease=2, value=b"2")
            side.call(ELECTION + "Proclaim", leader=first.leader, value=b"1 again")
            side.note("observed", stream.read())
            side.call(ELECTION + "Resign", leader=first.leader)
            finish(side, "second", second)
            side.note("observed", stream.read())
            side.call(LEASE + "LeaseRevoke", ID=2)
            side.note("nobody", stream.read(WAIT_SECONDS))
            side.grant(lease=3)
            side.call(ELECTION + "Campaign", name=b"e", lease=3, value=b"3")
            side.note("observed", stream.read())
            late = side.api.stream(ELECTION + "Observe", name=b"e")
            side.note("observed late", late.read())
            for one in (stream, late):
                one.cancel()

        self.same(scenario)

    def test_a_campaign_by_transaction_is_observed(self):
        def scenario(side):
            side.grant(lease=9)
            stream = side.api.stream(ELECTION + "Observe", name=b"e")
            time.sleep(WAIT_SECONDS)
            side.put(b"e/9", b"by hand", 9)
            side.note("observed", stream.read())
            side.call(ELECTION + "Leader", name=b"e")
            stream.cancel()

        self.same(scenario)

    def test_messages_that_are_none(self):
        def scenario(side):
            for method in (LOCK + "Lock", LOCK + "Unlock", ELECTION + "Campaign",
                           ELECTION + "Proclaim", ELECTION + "Leader", ELECTION + "Resign"):
                try:
                    side.api.raw(method, b"\x0a\x05")
                    side.note(method, "answered")
                except Failed:
                    side.note(method, "refused")

        self.same(scenario)


if __name__ == "__main__":
    report.main()
