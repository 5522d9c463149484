#!/usr/bin/python3
"""A client that asks too much is refused, with a hint when to come back; what takes load off the
cluster passes longer, and who keeps to the hint is served."""

import time
import unittest

import grpc

import report
from client import Refused
from cluster import Cluster, is_kvd

LIMIT = 50
PUTS = 400


@unittest.skipUnless(is_kvd(), "--rate-limit is kvd's")
class RateLimit(unittest.TestCase):
    def test_who_asks_too_much_is_told_when_to_come_back(self):
        with Cluster("rate-limit", size=1, options={"--rate-limit": str(LIMIT)}) as cluster:
            cluster.start_and_wait()
            client = cluster.members[0].client
            time.sleep(1)  # all of a second's requests may be made again
            began = time.monotonic()
            refusals, revision = self.put_many(client)
            passed = PUTS - len(refusals)
            self.assertGreaterEqual(passed, LIMIT)
            self.assertLessEqual(passed, LIMIT * (1.5 + time.monotonic() - began))
            client.delete(b"key")  # urgent
            time.sleep(max(refusals) + 0.1)
            found = client.range(b"key")
            self.assertEqual(found.header.revision, revision + 1, "a refused put was carried out")
            self.refused_by_metrics(cluster, len(refusals))

    def put_many(self, client):
        """Seconds until another try makes sense, of each put that was refused; and the revision
        of the last one that was not."""
        refusals, revision = [], 0
        for number in range(PUTS):
            try:
                revision = client.put(b"key", b"%d" % number)
            except Refused as refused:
                self.assertEqual(refused.code, grpc.StatusCode.RESOURCE_EXHAUSTED)
                self.assertEqual(refused.text, "etcdserver: too many requests")
                refusals.append(int(refused.trailers["grpc-retry-pushback-ms"]) / 1000)
        return refusals, revision

    def refused_by_metrics(self, cluster, refused):
        page = cluster.members[0].page("/metrics")
        self.assertIn("\nkvd_rate_limited_total %d\n" % refused, page)


if __name__ == "__main__":
    report.main()
