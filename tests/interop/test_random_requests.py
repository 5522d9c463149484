#!/usr/bin/python3
"""Random requests against kvd and against Debian's etcd, one by one: the same answers.

The variable SEED repeats a run, CALLS says how many steps a seed gets, SEEDS how many seeds. A
difference is shown with the fewest steps that still show it.
"""

import os
import random
import time
import unittest

import etcdctl  # noqa: F401  (makes the cluster library importable)
import differential
import generator
import report

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else \
    [1, 2, 3][:int(os.environ.get("SEEDS", "4")) - 1] + [
        random.randrange(1 << 32) for _ in range(max(1, int(os.environ.get("SEEDS", "4")) - 3))]
CALLS = int(os.environ.get("CALLS", "1500"))


def run(seed):
    """Takes the steps of a seed; returns those taken and the difference, or None."""
    stream = generator.Generator(seed)
    taken = []
    with differential.Pair() as pair:
        for step in stream.steps():
            if len(taken) >= CALLS and not pair.sides[0].running:
                return taken, None
            taken.append(step)
            try:
                replies = pair.step(step)
            except differential.Difference as found:
                return taken, str(found)
            if replies is not None and not isinstance(replies[1], tuple):
                stream.revision = max(stream.revision, replies[1].header.revision)
    return taken, None


@unittest.skipUnless(differential.ETCD, "no etcd to compare with")
class RandomRequests(unittest.TestCase):
    def run_seed(self, seed):
        taken, found = run(seed)
        if found:
            fewer, again = differential.shrink(taken)
            self.fail("SEED=%d, step %d: %s\nThe same with fewer steps:\n%s\n%s" % (
                seed, len(taken), found, again or "does not show again",
                "\n".join("%s" % (step,) for step in fewer) if again else ""))
        return len(taken)

    def test_random_requests_get_the_answers_of_etcd(self):
        began = time.monotonic()
        steps = 0
        for seed in SEEDS:
            with self.subTest(seed):
                steps += self.run_seed(seed)
        print("seeds %s, %d steps, %d a second, " % (
            SEEDS, steps, steps / (time.monotonic() - began)), end="", flush=True)


if __name__ == "__main__":
    report.main()
