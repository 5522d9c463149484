"""Runs Debian's etcdctl and etcd, and makes what they print comparable between servers."""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "cluster"))

import cluster  # noqa: E402

LIMIT_SECONDS = 30

# What may differ between two right answers: identities, terms, sizes, times, addresses.
DIFFERENCES = (
    (r'"(cluster_id|member_id|raft_term|ID)":\d+', r'"\1":N'),
    (r'"(ClusterID|MemberID|RaftTerm)" : \d+', r'"\1" : N'),
    (r"\b[0-9a-f]{12,16}\b", "ID"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"took = \S+", "took = TIME"),
    (r'"ts":"[^"]*"', '"ts":"TIME"'),
    (r"retrying of unary invoker failed.*", "RETRY"),
)


class Answer:
    def __init__(self, ended):
        self.code = ended.returncode
        self.out = ended.stdout
        self.err = ended.stderr

    def comparable(self):
        out, err = (self.out.decode("utf-8", "replace"), self.err.decode("utf-8", "replace"))
        for pattern, instead in DIFFERENCES:
            out = re.sub(pattern, instead, out)
            err = re.sub(pattern, instead, err)
        return self.code, out, err


def run(endpoints, arguments, stdin=b""):
    """etcdctl with a list of arguments against host:port,host:port ..."""
    environment = cluster.environment()
    environment["ETCDCTL_API"] = "3"
    command = ["etcdctl", "--endpoints=" + endpoints] + arguments
    return Answer(subprocess.run(command, input=stdin, capture_output=True, env=environment,
                                 timeout=LIMIT_SECONDS, check=False))


def oracle():
    """Path of Debian's etcd to compare with, "" when it cannot be had."""
    return subprocess.run([os.path.join(TESTS, "etcd")], capture_output=True, text=True,
                          timeout=300, check=False).stdout.strip()
