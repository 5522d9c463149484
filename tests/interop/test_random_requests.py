#!/usr/bin/python3
"""Random requests against kvd and against Debian's etcd, one by one: the same answers.

The variable SEED repeats a run; REQUESTS says how many requests a seed gets.
"""

import os
import random
import unittest

from etcd3 import etcdrpc

import etcdctl
import report
import generator
from client import Failed
from cluster import SERVER, Cluster

ETCD = etcdctl.oracle()
SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else [
    1, 2, 3, random.randrange(1 << 32)]
REQUESTS = int(os.environ.get("REQUESTS", "1500"))


def ask(member, path, request):
    """What a member says: a comparable reply, or the code and text of its error."""
    try:
        return member.client.call(path, request)
    except Failed as error:
        return (error.code.name, error.text)


@unittest.skipUnless(ETCD, "no etcd to compare with")
class RandomRequests(unittest.TestCase):
    maxDiff = None

    def run_seed(self, seed):
        stream = generator.Generator(seed)
        with Cluster("random-kvd", size=1, server=SERVER) as ours, \
                Cluster("random-etcd", size=1, server=ETCD) as theirs:
            pair = (ours.start_and_wait().members[0], theirs.start_and_wait().members[0])
            for number in range(REQUESTS):
                path, request = stream.next()
                answers = [ask(member, path, request) for member in pair]
                where = "SEED=%d, request %d, %s:\n%s" % (seed, number, path, request)
                if all(not isinstance(answer, tuple) for answer in answers):
                    if isinstance(request, etcdrpc.RangeRequest):
                        self.assertTrue(generator.is_sorted(request, answers[0]), where)
                    stream.revision = answers[1].header.revision
                    answers = [generator.comparable(request, answer) for answer in answers]
                self.assertEqual(answers[0], answers[1], where)

    def test_random_requests_get_the_answers_of_etcd(self):
        for seed in SEEDS:
            with self.subTest(seed):
                self.run_seed(seed)
        print("seeds %s, %d requests each, " % (SEEDS, REQUESTS), end="", flush=True)


if __name__ == "__main__":
    report.main()
