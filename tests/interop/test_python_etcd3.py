#!/usr/bin/python3
"""python3-etcd3 as Debian ships it, unchanged, against one member and a cluster of three."""

import unittest

import etcd3

import etcdctl  # noqa: F401  (makes the cluster library importable)
import report
from cluster import Cluster

TIMEOUT_SECONDS = 10


def connect(member):
    return etcd3.client(host="127.0.0.1", port=member.client_port, timeout=TIMEOUT_SECONDS)


class PythonEtcd3(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("python-etcd3")
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_and_wait()

    def setUp(self):
        self.client = connect(self.cluster.members[0])
        self.addCleanup(self.client.close)
        self.cluster.members[0].client.delete(b"\0", b"\0")

    def test_put_and_get(self):
        self.client.put("key", "value")
        value, meta = self.client.get("key")
        self.assertEqual((value, meta.key, meta.version), (b"value", b"key", 1))
        self.assertEqual(self.client.get("absent"), (None, None))

    def test_put_gives_the_previous_pair(self):
        self.client.put("key", "old")
        answer = self.client.put("key", "new", prev_kv=True)
        self.assertEqual(answer.prev_kv.value, b"old")

    def test_put_if_not_exists_and_replace(self):
        self.assertTrue(self.client.put_if_not_exists("key", "1"))
        self.assertFalse(self.client.put_if_not_exists("key", "2"))
        self.assertTrue(self.client.replace("key", "1", "3"))
        self.assertFalse(self.client.replace("key", "1", "4"))
        self.assertEqual(self.client.get("key")[0], b"3")

    def test_prefixes_ranges_and_order(self):
        for number in range(10):
            self.client.put("p/%d" % number, str(9 - number))
        self.client.put("q", "outside")
        found = [meta.key for _, meta in self.client.get_prefix("p/")]
        self.assertEqual(found, [b"p/%d" % number for number in range(10)])
        down = [value for value, _ in self.client.get_prefix(
            "p/", sort_order="descend", sort_target="value")]
        self.assertEqual(down, [b"%d" % number for number in range(9, -1, -1)])
        inside = [meta.key for _, meta in self.client.get_range("p/2", "p/5")]
        self.assertEqual(inside, [b"p/2", b"p/3", b"p/4"])
        self.assertEqual(len(list(self.client.get_all())), 11)
        only_keys = list(self.client.get_prefix("p/", keys_only=True))
        self.assertTrue(all(value == b"" for value, _ in only_keys))

    def test_delete(self):
        self.client.put("key", "value")
        self.assertTrue(self.client.delete("key"))
        self.assertFalse(self.client.delete("key"))
        for number in range(5):
            self.client.put("p/%d" % number, "x")
        self.assertEqual(self.client.delete_prefix("p/").deleted, 5)

    def test_transactions(self):
        t = self.client.transactions
        self.client.put("key", "value")
        done, answers = self.client.transaction(
            compare=[t.value("key") == "value", t.version("key") > 0, t.version("absent") == 0],
            success=[t.put("key", "changed"), t.get("key"), t.put("other", "x")],
            failure=[t.delete("key")])
        self.assertTrue(done)
        self.assertEqual(answers[1][0][0], b"changed")
        done, answers = self.client.transaction(
            compare=[t.create("key") == 0], success=[], failure=[t.get("other")])
        self.assertFalse(done)
        self.assertEqual(answers[0][0][0], b"x")
        done, _ = self.client.transaction(
            compare=[], success=[t.txn(compare=[t.value("other") == "x"],
                                       success=[t.put("nested", "yes")], failure=[])],
            failure=[])
        self.assertTrue(done)
        self.assertEqual(self.client.get("nested")[0], b"yes")

    def test_compaction(self):
        for number in range(5):
            answer = self.client.put("key", str(number))
        self.client.compact(answer.header.revision)
        with self.assertRaises(Exception) as raised:
            self.client.compact(answer.header.revision)
        self.assertIn("compacted", str(raised.exception))
        self.assertEqual(self.client.get("key")[0], b"4")

    def test_large_and_binary_values(self):
        value = bytes(range(256)) * 4096
        self.client.put(b"\x00\xff", value)
        self.assertEqual(self.client.get(b"\x00\xff")[0], value)

    def test_status_and_members(self):
        status = self.client.status()
        self.assertRegex(status.version, r"^\d+\.\d+\.\d+$")
        self.assertGreater(status.db_size, 0)
        self.assertIn(status.leader.name, {member.name for member in self.cluster.members})
        self.assertEqual({member.name for member in self.client.members}, {"m1", "m2", "m3"})
        self.assertEqual({url for member in self.client.members for url in member.client_urls},
                         {member.client_url for member in self.cluster.members})

    def test_every_member_shows_the_same(self):
        self.client.put("key", "value")
        for member in self.cluster.members:
            other = connect(member)
            self.assertEqual(other.get("key")[0], b"value")
            other.close()


if __name__ == "__main__":
    report.main()
