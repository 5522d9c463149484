#!/usr/bin/python3
"""The same etcdctl commands against kvd and against Debian's etcd: the same answers.

Each group of commands runs from an empty store on both, one command after the other, so that
also revisions must agree. Output, error text and exit code are compared, with identities and
addresses left out.
"""

import unittest

import etcdctl
import report
from cluster import SERVER, Cluster

ETCD = etcdctl.oracle()
MANY = 129
LARGE = b"v" * (2 * 1024 * 1024 - 1024)

FILL = [["put", "a", "1"], ["put", "b", "3"], ["put", "c", "2"], ["put", "b/1", "x"],
        ["put", "b/2", "y"], ["put", "a", "4"]]

# A command is a list of arguments, or a pair of that and standard input.
GROUPS = {
    "put": [
        ["put", "key", "value"],
        ["put", "key", "second", "--prev-kv"],
        ["put", "key", "third", "-w", "json"],
        ["put", "key", "fourth", "-w", "fields", "--prev-kv"],
        (["put", "from-stdin"], b"line\n"),
        ["put", "empty", ""],
        ["put", "key", "--ignore-value"],
        ["put", "absent", "--ignore-value"],
        ["put", "key", "value", "--ignore-lease"],
        ["put", "absent", "value", "--ignore-lease"],
        ["put", "", "value"],
        ["put", "key", "value", "--lease=7fffffff"],
        (["put", "large"], LARGE),
        ["put"],
        ["get", "", "--prefix", "-w", "json"],
    ],
    "get": FILL + [
        ["get", "a"],
        ["get", "absent"],
        ["get", "a", "-w", "json"],
        ["get", "a", "-w", "fields"],
        ["get", "a", "--hex"],
        ["get", "a", "--print-value-only"],
        ["get", "a", "c"],
        ["get", "b", "--prefix"],
        ["get", "b", "--from-key"],
        ["get", "", "--prefix", "--keys-only"],
        ["get", "", "--prefix", "--count-only", "-w", "fields"],
        ["get", "", "--prefix", "--limit=2", "-w", "json"],
        ["get", "", "--prefix", "--order=DESCEND"],
        ["get", "", "--prefix", "--sort-by=VALUE"],
        ["get", "", "--prefix", "--sort-by=MODIFY", "--order=DESCEND"],
        ["get", "", "--prefix", "--sort-by=VERSION", "--order=DESCEND", "--limit=1"],
        ["get", "", "--prefix", "--sort-by=CREATE", "--order=ASCEND"],
        ["get", "c", "a"],
        ["get", "a", "--rev=2"],
        ["get", "a", "--rev=999"],
        ["get", "a", "--consistency=s"],
        ["get", ""],
    ],
    "del": FILL + [
        ["del", "absent"],
        ["del", "a"],
        ["get", "a", "-w", "json"],
        ["del", "a"],
        ["del", "c", "--prev-kv"],
        ["del", "b", "--prefix", "--prev-kv", "-w", "json"],
        ["get", "", "--prefix", "-w", "json"],
        ["put", "a", "again"],
        ["get", "a", "-w", "json"],
        ["del", "", "--from-key"],
        ["del", ""],
        ["del", "--prefix", ""],
    ],
    "txn": FILL + [
        (["txn"], b'mod("a") > "2"\n\nput a yes\nget a\n\nput a no\n\n'),
        (["txn"], b'value("a") = "other"\n\nput a yes\n\nget a\ndel b\nget b\n\n'),
        (["txn"], b'version("absent") = "0"\n\nput absent made\n\n\n'),
        (["txn"], b'create("absent") = "0"\n\nput absent made\n\nget absent\n\n'),
        (["txn", "-w", "json"], b'value("a") < "z"\n\nput a 1\nget a\ndel a\n\n\n'),
        (["txn", "-w", "fields"], b'value("c") = "2"\n\nget b --prefix\n\n\n'),
        (["txn"], b'\n\nput same 1\nput same 2\n\n\n'),
        (["txn"], b'\n\nput same 1\ndel same\n\n\n'),
        (["txn"], b'\nput k 1\n' * MANY),
        (["txn"], b'\n' + b''.join(b'put k%d v\n' % i for i in range(MANY)) + b'\n\n'),
        (["txn"], b'nonsense\n\n\n\n'),
        ["get", "", "--prefix", "-w", "json"],
    ],
    "compaction": FILL + [
        ["compaction", "4"],
        ["get", "a", "--rev=3"],
        ["get", "a", "--rev=4"],
        ["compaction", "4"],
        ["compaction", "3"],
        ["compaction", "999"],
        ["compaction", "7", "--physical"],
        ["get", "", "--prefix", "-w", "json"],
        ["compaction", "x"],
        ["compaction"],
    ],
    "binary": [
        (["put", "zeros"], bytes(range(256))),
        ["get", "zeros", "--hex"],
        ["get", "zeros", "-w", "json"],
        ["put", "käse", "größe"],
        ["get", "k", "--prefix"],
        ["get", "k", "--prefix", "-w", "json"],
        ["get", "käse", "--hex"],
    ],
    "members": [
        ["member", "list"],
        ["member", "list", "-w", "json"],
        ["member", "list", "-w", "table"],
        ["endpoint", "health"],
        ["--command-timeout=1s", "endpoint", "health", "--cluster"],
        ["alarm", "list"],
    ],
}


def single(name, server):
    return Cluster(name, size=1, server=server).start_and_wait()


@unittest.skipUnless(ETCD, "no etcd to compare with")
class SameAnswers(unittest.TestCase):
    maxDiff = None

    def compare(self, group):
        with single("same-kvd-" + group, SERVER) as ours, \
                single("same-etcd-" + group, ETCD) as theirs:
            for command in GROUPS[group]:
                arguments, stdin = command if isinstance(command, tuple) else (command, b"")
                answers = [etcdctl.run(one.members[0].endpoint, arguments, stdin).comparable()
                           for one in (ours, theirs)]
                with self.subTest(" ".join(arguments)):
                    self.assertEqual(answers[0], answers[1])


def add_test(group):
    setattr(SameAnswers, "test_%s_answers_as_etcd_does" % group,
            lambda self: self.compare(group))


for name in GROUPS:
    add_test(name)

if __name__ == "__main__":
    report.main()
