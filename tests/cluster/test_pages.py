#!/usr/bin/python3
"""The pages on the client port, as probes, Prometheus and curl ask for them."""

import json
import unittest
import urllib.error
import urllib.request

import report
from cluster import Cluster, eventually, is_kvd

METRICS = (
    "etcd_server_has_leader", "etcd_server_is_leader", "etcd_mvcc_db_total_size_in_bytes",
    "etcd_server_proposals_committed_total", "process_resident_memory_bytes",
    "grpc_server_handled_total",
)


def fetch(member, path, timeout=5):
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(member.client_url + path, timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Pages(unittest.TestCase):
    def test_health_and_readiness_follow_the_majority(self):
        with Cluster("pages-health") as cluster:
            cluster.start_and_wait()
            member = cluster.followers()[0]
            status, text = fetch(member, "/health")
            self.assertEqual((status, json.loads(text)["health"]), (200, "true"))
            if is_kvd():
                self.assertEqual(fetch(member, "/livez")[0], 200)
                self.assertEqual(fetch(member, "/readyz?verbose")[0], 200)
            others = [one for one in cluster.members if one is not member]
            for one in others:
                one.kill()
            eventually("the member says that it is not healthy",
                       lambda: fetch(member, "/health", 15)[0] == 503)
            if is_kvd():
                self.assertEqual(fetch(member, "/readyz", 15)[0], 503)
                self.assertEqual(fetch(member, "/livez")[0], 200)
            cluster.start(*others)
            cluster.wait_ready()
            eventually("the member is healthy again",
                       lambda: fetch(member, "/health")[0] == 200)

    def test_metrics_and_version(self):
        with Cluster("pages-metrics", size=1) as cluster:
            member = cluster.start_and_wait().members[0]
            member.client.put(b"key", b"value")
            status, text = fetch(member, "/metrics")
            self.assertEqual(status, 200)
            samples = dict(line.rsplit(" ", 1) for line in text.splitlines()
                           if line and not line.startswith("#"))
            for name in METRICS:
                found = [key for key in samples if key.split("{")[0] == name]
                self.assertTrue(found, name)
            self.assertEqual(float(samples["etcd_server_has_leader"]), 1)
            self.assertGreater(float(samples["process_resident_memory_bytes"]), 1 << 20)
            puts = [float(value) for key, value in samples.items()
                    if key.startswith("grpc_server_handled_total") and '"Put"' in key
                    and '"OK"' in key]
            self.assertEqual(sum(puts), 1)
            version = json.loads(fetch(member, "/version")[1])
            self.assertRegex(version["etcdserver"], r"^\d+\.\d+\.\d+")
            self.assertEqual(fetch(member, "/no-such-page")[0], 404)


if __name__ == "__main__":
    report.main()
