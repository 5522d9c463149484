"""The log as reads tell it, revision by revision, and what watchers must have seen of it.

Each revision is read as a whole, at that revision: what changed is the difference to the one
before. So the account is made without the code that serves watches.
"""

from etcd3 import etcdrpc

from client import Failed

PUT, DELETE = 0, 1


class History:
    def __init__(self, prefix, prefix_end):
        self.bounds = (prefix, prefix_end)
        self.last = 1
        self.states = {1: {}}  # revision: {key: KeyValue}; unchanged ones share a dictionary
        self.changes = {}      # revision: {key: (kind, KeyValue or None, previous or None)}

    def read_to(self, clients, revision):
        """Reads on to a revision, through any member that answers."""
        while self.last < revision:
            self.add(self.last + 1, self.read(clients, self.last + 1))

    def read(self, clients, revision):
        last = None
        for _ in range(50):
            for client in clients:
                try:
                    return client.range(*self.bounds, revision=revision)
                except Failed as error:
                    last = error
        raise AssertionError("revision %d cannot be read: %s" % (revision, last))

    def add(self, revision, reply):
        before = self.states[self.last]
        now = {pair.key: pair for pair in reply.kvs}
        changed = {pair.key: (PUT, pair, before.get(pair.key)) for pair in reply.kvs
                   if pair.mod_revision == revision}
        for key in before.keys() - now.keys():
            changed[key] = (DELETE, None, before[key])
        self.states[revision] = now if changed else before
        self.last = revision
        if changed:
            self.changes[revision] = changed

    def expected(self, first, last, matches):
        """{revision: {key: change}} of the keys that matter, from first to last."""
        found = {}
        for revision in range(first, last + 1):
            some = {key: change for key, change in self.changes.get(revision, {}).items()
                    if matches(key)}
            if some:
                found[revision] = some
        return found


class Seen:
    """What one watcher was told, over all the streams that it needed. note() takes responses as
    they come and finds what no watcher may ever see; check() compares with a History."""

    def __init__(self, name, first, matches, prev_kv=False):
        self.name = name
        self.first = first          # revision from which it watches
        self.next = first           # revision to go on with
        self.promised = first - 1   # nothing at or below may come any more
        self.compacted = 0          # told so: what is missing below is no gap
        self.matches = matches
        self.prev_kv = prev_kv
        self.revisions = {}         # revision: events in their order
        self.problems = []
        self.streams = 0

    def begin_stream(self):
        self.streams += 1
        self.promised = self.next - 1

    def note(self, response):
        if response.compact_revision:
            self.compacted = response.compact_revision
            self.next = response.compact_revision
            return
        if response.events and response.events[0].kv.mod_revision <= self.promised:
            self.problem("revision %d after %d was finished" % (
                response.events[0].kv.mod_revision, self.promised))
        for event in response.events:
            self.note_event(event)
        if not response.created:
            self.promised = max(self.promised, self.last_of(response))
            self.next = max(self.next, self.promised + 1)

    @staticmethod
    def last_of(response):
        """The revision up to which the watcher now knows all. A response with events may have
        been made when the store was already further."""
        if response.events:
            return response.events[-1].kv.mod_revision
        return response.header.revision

    def note_event(self, event):
        revision = event.kv.mod_revision
        if self.revisions and revision < max(self.latest, self.promised):
            self.problem("revision %d after %d" % (revision, self.latest))
        self.latest = revision
        self.revisions.setdefault(revision, []).append(event)

    latest = 0

    def problem(self, text):
        self.problems.append("%s: %s" % (self.name, text))

    def check(self, history, last, order):
        """order: {revision: keys in the order of events}, shared by all who saw all keys."""
        first = max(self.first, self.compacted)
        expected = history.expected(first, last, self.matches)
        seen = {revision: events for revision, events in self.revisions.items()
                if first <= revision <= last}
        for revision in sorted(expected.keys() - seen.keys())[:3]:
            self.problem("revision %d was never told: a gap" % revision)
        for revision in sorted(seen.keys() - expected.keys())[:3]:
            self.problem("revision %d was told and is not in the log" % revision)
        for revision in expected.keys() & seen.keys():
            self.check_revision(revision, expected[revision], seen[revision], order)
        return len(seen)

    def check_revision(self, revision, expected, events, order):
        keys = [event.kv.key for event in events]
        if sorted(keys) != sorted(expected):
            self.problem("revision %d: told %s, in the log are %s" % (
                revision, keys, sorted(expected)))
            return
        known = [key for key in order.setdefault(revision, keys) if key in expected]
        if len(known) == len(keys) and known != keys:
            self.problem("revision %d: in the order %s, others saw %s" % (revision, keys, known))
        for event in events:
            self.check_event(revision, expected[event.kv.key], event)

    def check_event(self, revision, change, event):
        kind, pair, previous = change
        if event.type != kind:
            self.problem("revision %d, %r: told kind %d" % (revision, event.kv.key, event.type))
        elif kind == PUT and not same(event.kv, pair):
            self.problem("revision %d: told %s, in the log is %s" % (revision, event.kv, pair))
        if self.prev_kv and event.HasField("prev_kv"):
            if previous is None or not same(event.prev_kv, previous):
                self.problem("revision %d: told previous %s, it was %s" % (
                    revision, event.prev_kv, previous))
        elif self.prev_kv and previous is not None and \
                previous.mod_revision >= self.compacted and revision > self.compacted:
            self.problem("revision %d, %r: no previous pair" % (revision, event.kv.key))


def same(told, read):
    """Whether two pairs of perhaps different protobuf modules are equal."""
    return told.SerializeToString(deterministic=True) == read.SerializeToString(
        deterministic=True)


def current_revision(client):
    return client.call("KV/Range", etcdrpc.RangeRequest(key=b"\0")).header.revision
