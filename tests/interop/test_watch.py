#!/usr/bin/python3
"""The watch protocol, message by message, against kvd and against Debian's etcd."""

import etcdctl  # noqa: F401  (makes the cluster library importable)
import report
from client import prefix_end
from pair import PairTest

WATCH = "etcdserverpb.Watch/Watch"
QUIET_SECONDS = 0.4
LARGE = 300 * 1024
FRAGMENTS = 8  # keys of LARGE bytes in one revision: more than a message may have


class Watcher:
    """One watch stream of a side; what it reads can be noted."""

    def __init__(self, side, **more):
        self.side = side
        self.stream = side.api.stream(WATCH, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.cancel()

    def create(self, key, range_end=b"", note=True, **more):
        """Returns the reply to the create."""
        self.stream.send(create_request=dict(key=key, range_end=range_end, **more))
        reply = self.stream.read()
        if note:
            self.side.note("create", reply)
        return reply

    def cancel(self, watch_id):
        self.stream.send(cancel_request=dict(watch_id=watch_id))

    def progress(self):
        self.stream.send(progress_request={})

    def note_next(self, what="reply"):
        self.side.note(what, self.stream.read())

    def note_quiet(self):
        self.side.note("quiet", self.stream.read(QUIET_SECONDS))

    def events(self, count):
        """Reads responses until they hold that many events; [(id, event) ...]. How many
        revisions share a response is left open, but none may be split."""
        found = []
        while len(found) < count:
            reply = self.stream.read()
            if reply is None:
                break
            assert reply.header.revision >= max(
                (event.kv.mod_revision for event in reply.events), default=0), reply
            assert not found or not reply.events or reply.watch_id != found[-1][0] or \
                reply.events[0].kv.mod_revision > found[-1][1].kv.mod_revision, reply
            found += [(reply.watch_id, event) for event in reply.events]
            if not reply.events:
                found.append((reply.watch_id, reply))
        return found

    def note_events(self, count):
        """Events of several watchers may come in any order, those of one only in theirs."""
        self.side.note("events", sorted(self.events(count), key=lambda pair: pair[0]))


class Watch(PairTest):
    def test_replies_to_creates_come_in_order_with_ids_from_0(self):
        def scenario(side):
            with Watcher(side) as watcher:
                for number in range(20):
                    watcher.stream.send(create_request=dict(key=b"k%d" % number))
                for number in range(20):
                    watcher.note_next()

        self.same(scenario)

    def test_chosen_ids_are_kept_and_skipped_by_the_numbering(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"a", watch_id=1)
                watcher.create(b"b", watch_id=7)
                for key in (b"c", b"d", b"e"):
                    watcher.create(key)
                watcher.create(b"f", watch_id=-5)
                for key in (b"a", b"b", b"c", b"d", b"e", b"f"):
                    side.put(key, b"value")
                watcher.note_events(6)

        self.same(scenario)

    def test_an_id_in_use_is_refused_and_free_again_after_its_cancel(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"a", watch_id=3)
                watcher.create(b"b", watch_id=3)
                watcher.cancel(3)
                watcher.note_next()
                watcher.create(b"c", watch_id=3)
                for key in (b"a", b"b", b"c"):
                    side.put(key)
                watcher.note_events(1)
                watcher.note_quiet()

        self.same(scenario)

    def test_ranges_that_are_empty_are_refused_and_the_stream_goes_on(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"b", b"a")
                watcher.create(b"b", b"b")
                watcher.create(b"b", b"c")
                side.put(b"b/1", b"x")
                watcher.note_events(1)

        self.same(scenario)

    def test_kinds_of_ranges(self):
        def scenario(side):
            with Watcher(side) as watcher:
                for key, range_end in ((b"p/", prefix_end(b"p/")), (b"p/1", b""), (b"p/2", b"\0"),
                                       (b"\0", b"\0"), (b"", b"\0"), (b"", b""),
                                       (b"p/1", b"p/2")):
                    watcher.create(key, range_end)
                for key in (b"a", b"p/", b"p/1", b"p/2", b"q", b"\0"):
                    side.put(key, b"value")
                watcher.note_events(3 + 1 + 2 + 6 + 6 + 1 + 1)
                watcher.note_quiet()

        self.same(scenario)

    def test_a_cancel_ends_the_events_and_an_unknown_one_is_passed_over(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"a")
                watcher.cancel(99)
                watcher.note_quiet()
                watcher.cancel(0)
                watcher.note_next()
                watcher.cancel(0)
                side.put(b"a", b"after")
                watcher.note_quiet()
                watcher.create(b"a")

        self.same(scenario)

    def test_the_past_is_told_in_order(self):
        def scenario(side):
            first = side.put(b"a/1", b"1")
            side.put(b"a/2", b"2")
            side.put(b"b", b"outside")
            side.delete(b"a/1")
            side.put(b"a/1", b"3")
            with Watcher(side) as watcher:
                watcher.create(b"a/", b"a0", start_revision=first, prev_kv=True)
                watcher.note_events(4)
                side.put(b"a/2", b"live")
                watcher.note_events(1)
                watcher.create(b"a/1", start_revision=first + 1)
                watcher.note_events(2)
                watcher.create(b"a/1", start_revision=side.revision())
                watcher.note_quiet()

        self.same(scenario)

    def test_a_start_in_the_future_waits_for_it(self):
        def scenario(side):
            now = side.put(b"a", b"0")
            with Watcher(side) as watcher:
                watcher.create(b"a", start_revision=now + 3)
                for number in range(1, 6):
                    side.put(b"a", b"%d" % number)
                watcher.note_events(3)
                watcher.note_quiet()

        self.same(scenario)

    def test_a_start_below_the_compaction_is_canceled_with_its_revision(self):
        def scenario(side):
            first = side.put(b"a", b"1")
            for number in range(4):
                last = side.put(b"a", b"%d" % number)
            side.api.call("etcdserverpb.KV/Compact", revision=last - 1)
            with Watcher(side) as watcher:
                watcher.create(b"a", start_revision=first)
                watcher.note_next()
                watcher.create(b"a", start_revision=last - 1)
                watcher.note_events(2)
                watcher.create(b"a", start_revision=1)
                watcher.note_next()
                side.put(b"a", b"live")
                watcher.note_events(1)

        self.same(scenario)

    def test_progress_is_told_when_asked_and_caught_up(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"a")
                watcher.create(b"b")
                side.put(b"other")
                watcher.progress()
                watcher.note_next("progress")
                side.put(b"a", b"1")
                watcher.note_events(1)
                watcher.progress()
                watcher.note_next("progress")

        self.same(scenario)

    def test_no_progress_before_all_watchers_are_there(self):
        """etcd before 3.4.31 answers always, ahead of events that a watcher has yet to get."""
        side = self.sides[0]
        now = side.put(b"a")
        with Watcher(side) as watcher:
            watcher.progress()
            self.assertIsNone(watcher.stream.read(QUIET_SECONDS))
            watcher.create(b"a", start_revision=now + 3)
            watcher.progress()
            self.assertIsNone(watcher.stream.read(QUIET_SECONDS))
            for number in range(3):
                side.put(b"a", b"%d" % number)
            self.assertEqual(watcher.stream.read().header.revision, now + 3)
            watcher.progress()
            reply = watcher.stream.read()
            self.assertEqual((reply.watch_id, reply.header.revision), (-1, now + 3))

    def test_filters_drop_what_they_name(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"a", filters=["NOPUT"])
                watcher.create(b"a", filters=["NODELETE"])
                watcher.create(b"a", filters=["NODELETE", "NOPUT"])
                watcher.create(b"a", filters=["NOPUT"], prev_kv=True)
                side.put(b"a", b"1")
                side.delete(b"a")
                side.put(b"a", b"2")
                side.delete(b"a")
                watcher.note_events(2 + 2 + 0 + 2)
                watcher.note_quiet()
                watcher.progress()
                watcher.note_next("progress")

        self.same(scenario)

    def test_previous_pairs(self):
        def scenario(side):
            start = side.put(b"a", b"0")
            with Watcher(side) as watcher:
                watcher.create(b"a", b"c", prev_kv=True)
                watcher.create(b"a", b"c", prev_kv=True, start_revision=start)
                side.put(b"a", b"1")
                side.put(b"b", b"new")
                side.call("etcdserverpb.KV/Txn", success=[
                    dict(request_delete_range=dict(key=b"a")),
                    dict(request_put=dict(key=b"b", value=b"2"))])
                side.put(b"a", b"again")
                watcher.note_events(5 + 6)

        self.same(scenario)

    def test_a_key_made_again_in_the_revision_that_deleted_it_has_no_previous_pair(self):
        def scenario(side):
            start = side.put(b"a", b"0")
            with Watcher(side) as watcher:
                watcher.create(b"a", prev_kv=True)
                # Only a range without an end lets the key be named twice.
                side.call("etcdserverpb.KV/Txn", success=[
                    dict(request_delete_range=dict(key=b"\0", range_end=b"\0")),
                    dict(request_put=dict(key=b"a", value=b"again"))])
                side.put(b"a", b"once more")
                watcher.note_events(3)
                watcher.create(b"a", prev_kv=True, start_revision=start)
                watcher.note_events(4)

        self.same(scenario)

    def test_previous_pairs_that_were_compacted_are_missing(self):
        def scenario(side):
            side.put(b"a", b"0")
            second = side.put(b"a", b"1")
            side.put(b"a", b"2")
            side.api.call("etcdserverpb.KV/Compact", revision=second, physical=True)
            with Watcher(side) as watcher:
                watcher.create(b"a", prev_kv=True, start_revision=second)
                watcher.note_events(2)

        self.same(scenario)

    def test_a_revision_comes_whole_and_in_the_order_of_its_operations(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"t/", b"t0")
                side.call("etcdserverpb.KV/Txn", success=[
                    dict(request_put=dict(key=b"t/%d" % number, value=b"v"))
                    for number in (5, 3, 9, 1)])
                reply = watcher.stream.read()
                side.note("one response", reply)
                side.delete(b"t/", b"t0")
                reply = watcher.stream.read()
                side.note("deletes", reply)

        self.same(scenario)

    def test_large_revisions_come_in_fragments_for_who_asks(self):
        def scenario(side):
            for number in range(FRAGMENTS):
                side.put(b"big/%d" % number, b"v" * LARGE)
            with Watcher(side) as watcher:
                watcher.create(b"big/", b"big0", prev_kv=True, fragment=True)
                watcher.create(b"big/", b"big0", prev_kv=True, watch_id=50)
                side.delete(b"big/", b"big0")
                replies = {0: [], 50: []}
                while sum(len(one.events) for some in replies.values() for one in some) < \
                        2 * FRAGMENTS:
                    reply = watcher.stream.read(10)
                    if reply is None:
                        break
                    replies[reply.watch_id].append(reply)
                for watch_id, some in replies.items():
                    side.note("keys", watch_id,
                              [event.kv.key for reply in some for event in reply.events])
                    side.note("sizes", [len(event.prev_kv.value)
                                        for reply in some for event in reply.events])
                    side.note("revisions", sorted({reply.header.revision for reply in some}))
                    side.note("fragments end well", [reply.fragment for reply in some][-1:],
                              all(reply.fragment for reply in some[:-1]))
                side.note("split", len(replies[0]) > 1, len(replies[50]))

        self.same(scenario)

    def test_two_streams_do_not_share_ids(self):
        def scenario(side):
            with Watcher(side) as one, Watcher(side) as other:
                one.create(b"a", watch_id=4)
                other.create(b"a", watch_id=4)
                side.put(b"a", b"both")
                one.note_events(1)
                other.note_events(1)

        self.same(scenario)

    def test_requests_without_content_are_passed_over(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.stream.send()
                watcher.note_quiet()
                watcher.create(b"a")
                side.put(b"a", b"1")
                watcher.note_events(1)

        self.same(scenario)

    def test_leases_that_end_are_deletes_like_others(self):
        def scenario(side):
            lease = side.grant(lease=777)
            with Watcher(side) as watcher:
                watcher.create(b"l/", b"l0", prev_kv=True)
                side.put(b"l/2", b"two", lease)
                side.put(b"l/1", b"one", lease)
                side.api.call("etcdserverpb.Lease/LeaseRevoke", ID=lease)
                watcher.note_events(4)

        self.same(scenario)

    def test_many_watchers_of_one_key(self):
        def scenario(side):
            with Watcher(side) as watcher:
                for _ in range(300):
                    watcher.create(b"a", note=False)
                side.put(b"a", b"1")
                side.put(b"a", b"2")
                watcher.note_events(600)

        self.same(scenario)

    def test_a_stream_whose_client_has_no_more_requests_goes_on(self):
        def scenario(side):
            with Watcher(side) as watcher:
                watcher.create(b"a")
                watcher.stream.send_all()
                watcher.note_quiet()
                side.put(b"a", b"after")
                watcher.note_events(1)

        self.same(scenario)

    def test_a_message_that_is_none_ends_the_stream_only(self):
        def scenario(side):
            with Watcher(side) as other:
                other.create(b"a")
                with Watcher(side, raw=True) as watcher:
                    watcher.stream.send_raw(b"\x0a\xff\xff\xff\xff\x0f")
                    error = watcher.stream.wait_end()
                    side.note("ended with an error", error is not None)
                side.put(b"a", b"still")
                other.note_events(1)

        self.same(scenario)

    def test_negative_starts(self):
        """etcd 3.4 answers as to a start that was compacted; later ones as kvd does."""
        side = self.sides[0]
        with Watcher(side) as watcher:
            reply = watcher.create(b"a", start_revision=-1)
            self.assertEqual((reply.created, reply.canceled, reply.watch_id), (True, True, -1))
            self.assertEqual(reply.cancel_reason,
                             "etcdserver: mvcc: required revision has been compacted")
            reply = watcher.create(b"a")
            self.assertEqual((reply.created, reply.canceled, reply.watch_id), (True, False, 0))


if __name__ == "__main__":
    report.main()
