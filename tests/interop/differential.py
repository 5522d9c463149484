"""Runs the same steps against kvd and against Debian's etcd, and finds the first difference.

A step is a call, the begin of one that may wait, a watch, the end of one of these, or a look at
all that runs: what each watch was told, which calls still wait. Steps are plain data, so that
a run that showed a difference can be made again with fewer of them: see shrink().
"""

import time

import grpc
from etcd3 import etcdrpc

import api
import etcdctl
import generator
from client import CHANNEL_OPTIONS
from cluster import SERVER, Cluster

ETCD = etcdctl.oracle()
CALL_SECONDS = 15
AGREE_SECONDS = 8  # in which both must have told the same; etcd catches up every 100 ms
SHRINK_RUNS = 60


def reply_class(path, request):
    name = type(request).__name__.replace("Request", "Response")
    return getattr(etcdrpc, name, None) or api.methods[path].reply


class Watched:
    """A watch stream with one watch, and what it was told."""

    def __init__(self, channel, request):
        self.told = []
        self.requests = api.queue.SimpleQueue()
        self.requests.put(etcdrpc.WatchRequest(create_request=request))
        self.running = channel.stream_stream(
            "/etcdserverpb.Watch/Watch", etcdrpc.WatchRequest.SerializeToString,
            etcdrpc.WatchResponse.FromString)(iter(self.requests.get, None))
        api.threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            for reply in self.running:
                if reply.created:
                    self.told.append("created")
                self.told.extend(str(event) for event in reply.events)
                if reply.canceled:
                    self.told.append("canceled, compacted at %d" % reply.compact_revision)
        except grpc.RpcError:
            pass  # closed by us

    def state(self):
        return list(self.told)

    def end(self):
        self.requests.put(None)
        self.running.cancel()


class Waiting:
    """A call that may wait for others."""

    def __init__(self, channel, path, request):
        self.future = begin(channel, path, request, None)

    def state(self):
        if not self.future.done():
            return "waits"
        found = outcome(self.future)
        # What else happened until it was granted shows in the revision of its header.
        return found if isinstance(found, tuple) else str(generator.without_header(found))

    def end(self):
        self.future.cancel()


def begin(channel, path, request, seconds):
    return channel.unary_unary(
        "/" + path, type(request).SerializeToString,
        reply_class(path, request).FromString).future(request, timeout=seconds)


def outcome(future):
    """A reply, or the code and text of an error."""
    try:
        return future.result()
    except grpc.RpcError as error:
        return (error.code().name, error.details())
    except grpc.FutureCancelledError:
        return ("CANCELLED", "")


class Side:
    """One server, and what runs there by its handle."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.channel = grpc.insecure_channel(cluster.members[0].endpoint,
                                             options=CHANNEL_OPTIONS)
        self.running = {}

    def revision(self):
        request = etcdrpc.RangeRequest(key=b"\0")
        reply = outcome(begin(self.channel, "etcdserverpb.KV/Range", request, CALL_SECONDS))
        return None if isinstance(reply, tuple) else reply.header.revision

    def close(self):
        for one in self.running.values():
            one.end()
        self.channel.close()


class Difference(Exception):
    """Says which step showed what on both sides."""


class Pair:
    """kvd and etcd with nothing in them. Use it in a with statement."""

    def __enter__(self):
        self.clusters = []
        for name, server in (("random-kvd", SERVER), ("random-etcd", ETCD)):
            self.clusters.append(Cluster(name, size=1, server=server))
            self.clusters[-1].start()
        for cluster in self.clusters:
            cluster.wait_ready()
        self.sides = [Side(cluster) for cluster in self.clusters]
        return self

    def __exit__(self, kind, error, trace):
        for side in self.sides:
            side.close()
        for cluster in self.clusters:
            cluster.close(keep=kind is not None)

    def step(self, step):
        """Takes one step on both sides; returns both replies of a call. Raises Difference."""
        return getattr(self, step[0])(*step[1:])

    def call(self, path, request):
        futures = [begin(side.channel, path, request, CALL_SECONDS) for side in self.sides]
        replies = [outcome(future) for future in futures]
        same = [generator.comparable(request, reply) for reply in replies]
        if same[0] != same[1]:
            raise Difference("%s:\n%s\nkvd answers\n%s\netcd answers\n%s" % (
                path, request, same[0], same[1]))
        if isinstance(request, etcdrpc.RangeRequest) and not isinstance(replies[0], tuple) and \
                not generator.is_sorted(request, replies[0]):
            raise Difference("%s is not sorted:\n%s" % (request, replies[0]))
        return replies

    def begin(self, handle, path, request):
        """Begins a call that takes a place in a line, which is a key, and perhaps waits."""
        before = self.sides[0].revision()
        for side in self.sides:
            side.running[handle] = Waiting(side.channel, path, request)
        deadline = time.monotonic() + AGREE_SECONDS
        while any(side.revision() == before and side.running[handle].state() == "waits"
                  for side in self.sides) and time.monotonic() < deadline:
            time.sleep(0.002)
        self.settle()
        self.agree(handle)

    def watch(self, handle, request):
        for side in self.sides:
            side.running[handle] = Watched(side.channel, request)
        self.agree(handle)

    def end(self, handle):
        """Ends a watch or a call, once both sides told the same of it."""
        self.agree(handle)
        for side in self.sides:
            side.running.pop(handle).end()
        self.settle()

    def look(self):
        """At everything that runs."""
        for handle in list(self.sides[0].running):
            self.agree(handle)
        self.settle()

    def gone(self, lease):
        """Waits until a lease has ended on both sides."""
        request = etcdrpc.LeaseTimeToLiveRequest(ID=lease)
        deadline = time.monotonic() + AGREE_SECONDS
        left = list(self.sides)
        while left:
            reply = outcome(begin(left[0].channel, "etcdserverpb.Lease/LeaseTimeToLive", request,
                                  CALL_SECONDS))
            if not isinstance(reply, tuple) and reply.TTL == -1:
                left.pop(0)
            elif time.monotonic() > deadline:
                raise Difference("lease %d does not end on %d sides" % (lease, len(left)))
            else:
                time.sleep(0.05)
        self.settle()

    def agree(self, handle):
        """A call that both say waits may only be slow on both: that is no difference, and what
        becomes of it shows at the next look."""
        deadline = time.monotonic() + AGREE_SECONDS
        while True:
            states = [side.running[handle].state() for side in self.sides]
            if states[0] == states[1] and states[0]:
                return
            if time.monotonic() > deadline:
                raise Difference("%s was told by kvd\n%s\nby etcd\n%s" % (
                    handle, shown(states[0]), shown(states[1])))
            time.sleep(0.005)

    def settle(self):
        """A call that ended, or a lease, changes something a moment later."""
        deadline = time.monotonic() + AGREE_SECONDS
        while True:
            revisions = [side.revision() for side in self.sides]
            if revisions[0] == revisions[1]:
                return
            if time.monotonic() > deadline:
                raise Difference("kvd is at revision %s, etcd at %s" % tuple(revisions))
            time.sleep(0.01)


def shown(state):
    return "\n".join(state) if isinstance(state, list) else str(state)


def first_difference(steps):
    """Steps from nothing on new servers: what differs first, or None."""
    with Pair() as pair:
        for number, step in enumerate(steps):
            try:
                pair.step(step)
            except Difference as found:
                return "step %d of %d: %s" % (number + 1, len(steps), found)
            except KeyError:
                pass  # the step that began it was left out
    return None


def shrink(steps):
    """Leaves steps out as long as there is a difference; returns the rest and the difference.
    After A. Zeller, "Simplifying and Isolating Failure-Inducing Input" (2002)."""
    found = first_difference(steps)
    runs = 1
    part = max(1, len(steps) // 2)
    while found and runs < SHRINK_RUNS:
        at = 0
        while at < len(steps) and runs < SHRINK_RUNS:
            fewer = steps[:at] + steps[at + part:]
            again = first_difference(fewer) if fewer else None
            runs += 1
            if again:
                steps, found = fewer, again
            else:
                at += part
        if part == 1:
            break
        part //= 2
    return steps, found
