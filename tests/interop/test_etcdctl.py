#!/usr/bin/python3
"""etcdctl with a cluster of three: every member answers, status and health tell the truth."""

import json
import unittest

import etcdctl
import report
from cluster import Cluster, eventually, is_kvd


def endpoints(members):
    return ",".join(member.endpoint for member in members)


class Etcdctl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("etcdctl")
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_and_wait()

    def run_on(self, members, *arguments, stdin=b"", code=0):
        answer = etcdctl.run(endpoints(members), list(arguments), stdin)
        self.assertEqual(answer.code, code, answer.err)
        return answer.out

    def test_what_one_member_took_every_member_gives(self):
        for writer in self.cluster.members:
            value = writer.name
            self.assertEqual(self.run_on([writer], "put", "shared", value), b"OK\n")
            for reader in self.cluster.members:
                out = self.run_on([reader], "get", "shared", "--print-value-only")
                self.assertEqual(out.decode().strip(), value)

    def test_a_transaction_through_a_follower(self):
        follower = self.cluster.followers()[0]
        self.run_on([follower], "put", "balance", "10")
        out = self.run_on([follower], "txn",
                          stdin=b'value("balance") = "10"\n\nput balance 9\nget balance\n\n\n')
        self.assertEqual(out.split(), [b"SUCCESS", b"OK", b"balance", b"9"])

    def test_status_names_one_leader_and_equal_members(self):
        out = self.run_on(self.cluster.members, "endpoint", "status", "-w", "json")
        rows = [row["Status"] for row in json.loads(out)]
        self.assertEqual(len(rows), 3)
        self.assertEqual(len({row["leader"] for row in rows}), 1)
        self.assertIn(rows[0]["leader"], {row["header"]["member_id"] for row in rows})
        self.assertEqual(len({row["header"]["cluster_id"] for row in rows}), 1)
        for row in rows:
            self.assertRegex(row["version"], r"^\d+\.\d+\.\d+$")
            self.assertGreater(row["dbSize"], 0)
            self.assertGreater(row["raftTerm"], 0)
            self.assertGreater(row["raftIndex"], 0)

    def test_status_in_a_table(self):
        out = self.run_on(self.cluster.members, "endpoint", "status", "-w", "table").decode()
        self.assertEqual(out.count("| true |") + out.count("|      true |"), 1, out)

    def test_member_list_knows_names_and_addresses(self):
        out = json.loads(self.run_on(self.cluster.members[:1], "member", "list", "-w", "json"))
        self.assertEqual(
            {(row["name"], row["clientURLs"][0], row["peerURLs"][0]) for row in out["members"]},
            {(one.name, one.client_url, one.peer_url) for one in self.cluster.members})

    def test_health_of_the_whole_cluster(self):
        out = etcdctl.run(self.cluster.members[0].endpoint,
                          ["endpoint", "health", "--cluster"])
        self.assertEqual(out.code, 0, out.err)
        self.assertEqual((out.out + out.err).count(b"is healthy"), 3)

    def test_health_tells_which_member_is_down(self):
        with Cluster("etcdctl-health") as cluster:
            cluster.start_and_wait()
            down = cluster.followers()[0]
            down.kill()
            answer = etcdctl.run(endpoints(cluster.members), ["endpoint", "health"])
            shown = answer.out + answer.err
            self.assertEqual(answer.code, 1, shown)
            self.assertEqual(shown.count(b"is healthy"), 2, shown)
            self.assertIn(down.endpoint.encode() + b" is unhealthy", shown)

    def test_etcdctl_finds_another_member_when_one_is_down(self):
        with Cluster("etcdctl-failover") as cluster:
            cluster.start_and_wait()
            cluster.leader().kill()
            eventually("a put through the list of all endpoints", lambda: etcdctl.run(
                endpoints(cluster.members), ["put", "key", "value"]).code == 0)
            answer = etcdctl.run(endpoints(cluster.members), ["get", "key"])
            self.assertEqual((answer.code, answer.out), (0, b"key\nvalue\n"))

    def test_a_watch_goes_on_through_the_death_of_leaders(self):
        with Cluster("etcdctl-watch") as cluster:
            cluster.start_and_wait()
            with etcdctl.Running(endpoints(cluster.members),
                                 ["watch", "k", "--rev=1"]) as running:
                for number in range(1, 31):
                    if number % 10 == 0:
                        cluster.leader().kill()
                    for member in cluster.running()[:1]:
                        cluster.wait_writable(member, b"other")
                        member.client.put(b"k", b"%d" % number)
                    if number % 10 == 0:
                        cluster.start(*(one for one in cluster.members if not one.running()))
                        cluster.wait_ready()
                self.assertTrue(running.wait_lines(3 * 30), running.out)
                self.assertEqual(running.out.split(b"\n")[2::3],
                                 [b"%d" % number for number in range(1, 31)])

    def test_a_lock_is_held_through_the_death_of_leaders_and_handed_on(self):
        with Cluster("etcdctl-lock") as cluster:
            cluster.start_and_wait()
            every = endpoints(cluster.members)
            with etcdctl.Running(every, ["lock", "n", "--ttl=3"]) as holder:
                self.assertTrue(holder.wait_lines(1))
                with etcdctl.Running(every, ["lock", "n", "--ttl=3"]) as second:
                    for _ in range(3):
                        leader = cluster.leader()
                        leader.kill()
                        cluster.wait_writable(cluster.running()[0])
                        cluster.start(leader)
                        cluster.wait_ready()
                        self.assertFalse(second.wait_lines(1, 2))
                        self.assertTrue(holder.process.poll() is None)
                    holder.interrupt()
                    self.assertTrue(second.wait_lines(1))
                    second.interrupt()

    @unittest.skipUnless(is_kvd(), "etcd changes members")
    def test_what_kvd_does_not_have_is_refused_in_words(self):
        answer = etcdctl.run(self.cluster.members[0].endpoint,
                             ["member", "add", "x", "--peer-urls=http://127.0.0.1:1"])
        self.assertNotEqual(answer.code, 0)
        self.assertRegex(answer.err + answer.out, rb"(?i)unimplemented|not support")


if __name__ == "__main__":
    report.main()
