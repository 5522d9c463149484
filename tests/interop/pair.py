"""The same steps against kvd and against Debian's etcd at the same time, and what they showed.

A scenario is a function of a Side: it calls the server and notes what can be compared. Both
sides start with no keys, no leases and equal revisions, so revisions are compared as they
are; lease ids that a server chose become L1, L2 ... in the order in which they were noted.
"""

import concurrent.futures
import unittest

import etcdctl
from api import Api
from client import Failed
from cluster import SERVER, Cluster

ETCD = etcdctl.oracle()


class Side:
    """One server, and the transcript of a scenario against it."""

    def __init__(self, member, ours):
        self.member = member
        self.ours = ours
        self.api = Api(member.endpoint)
        self.noted = []
        self.leases = {}

    def note(self, what, *values):
        self.noted.append((what,) + tuple(self.plain(value) for value in values))

    def plain(self, value):
        """A value as it can be compared: identities away, messages as their text."""
        if hasattr(value, "DESCRIPTOR"):
            copy = type(value)()
            copy.CopyFrom(value)
            self.strip(copy)
            return str(copy)
        if isinstance(value, (list, tuple)):
            return [self.plain(one) for one in value]
        return value

    def strip(self, message):
        for field, value in message.ListFields():
            if field.name == "header":
                value.cluster_id = value.member_id = value.raft_term = 0
            elif field.name in ("ID", "lease") and value in self.leases:
                setattr(message, field.name, self.leases[value])
            elif field.message_type is not None:
                for part in value if field.label == field.LABEL_REPEATED else [value]:
                    self.strip(part)

    def call(self, name, /, metadata=None, **fields):
        """Calls and notes the answer; returns the reply, or the Failed that came instead."""
        try:
            reply = self.api.call(name, metadata, **fields)
        except Failed as error:
            self.note(name, error.code.name, error.text)
            return error
        self.note(name, reply)
        return reply

    def grant(self, ttl=60, lease=0):
        """A lease, whose id is noted under a number of ours."""
        granted = self.api.call("etcdserverpb.Lease/LeaseGrant", TTL=ttl, ID=lease).ID
        self.leases[granted] = len(self.leases) + 1
        return granted

    def put(self, key, value=b"", lease=0):
        """Returns the revision."""
        return self.api.call("etcdserverpb.KV/Put", key=key, value=value,
                             lease=lease).header.revision

    def delete(self, key, range_end=b""):
        return self.api.call("etcdserverpb.KV/DeleteRange", key=key,
                             range_end=range_end).header.revision

    def get(self, key, range_end=b"", **more):
        return self.api.call("etcdserverpb.KV/Range", key=key, range_end=range_end, **more)

    def revision(self):
        return self.get(b"\0").header.revision

    def clear(self):
        for lease in self.api.call("etcdserverpb.Lease/LeaseLeases").leases:
            try:
                self.api.call("etcdserverpb.Lease/LeaseRevoke", ID=lease.ID)
            except Failed:
                pass  # it has ended by itself
        self.delete(b"\0", b"\0")


@unittest.skipUnless(ETCD, "no etcd to compare with")
class PairTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        name = cls.__name__.lower()
        cls.servers = []
        for side, server in (("kvd", SERVER), ("etcd", ETCD)):
            cluster = Cluster("%s-%s" % (name, side), size=1, server=server)
            cls.addClassCleanup(cluster.close)
            cls.servers.append(cluster)
            cluster.start()
        for cluster in cls.servers:
            cluster.wait_ready()

    def setUp(self):
        self.sides = [Side(cluster.members[0], number == 0)
                      for number, cluster in enumerate(self.servers)]
        for side in self.sides:
            self.addCleanup(side.api.close)
            side.clear()
        for side in self.sides:
            side.put(b"level")
        while len({side.revision() for side in self.sides}) > 1:
            min(self.sides, key=Side.revision).put(b"level")
        for side in self.sides:
            side.delete(b"level")

    def same(self, scenario):
        """Runs a scenario on both sides and compares what they noted."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for ended in [pool.submit(scenario, side) for side in self.sides]:
                ended.result()
        ours, theirs = (side.noted for side in self.sides)
        for one, other in zip(ours, theirs):
            self.assertEqual(one, other, "kvd's answer, then etcd's")
        self.assertEqual(ours, theirs)
