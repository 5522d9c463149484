#!/usr/bin/python3
"""The harness can fail: daemons with a planted bug are found, and said to be broken."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "cluster"))

import report  # noqa: E402

LIMIT_SECONDS = 400
LYING_DISK = os.path.join(ROOT, "build", "rel", "chaos", "lying_disk.so")
# Bits of enum kv_plant.
LEASE_EARLY, OLD_FENCE, WATCH_REPEATS = 1 << 1, 1 << 6, 1 << 8


class Plants(unittest.TestCase):
    def find(self, planted, what, *how):
        """Runs the harness against daemons that are planted so; it must say what is wrong."""
        ended = subprocess.run(
            [os.path.join(HERE, "run"), "--seed", "1", "--size", "3", "--set", planted, *how],
            capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        if "1 skipped" in ended.stdout:
            self.skipTest(ended.stdout.splitlines()[0])
        self.assertEqual(ended.returncode, 1, ended.stdout + ended.stderr)
        self.assertRegex(ended.stdout, what)

    def find_bug(self, bit, what, *how):
        self.find("KVD_KV_PLANTS=%d" % bit, what, *how)

    def test_a_disk_that_does_not_sync_is_found_by_a_power_cut(self):
        self.find("LD_PRELOAD=" + LYING_DISK, "promised: ",
                  "--plan", "power-cut-all")

    def test_a_lease_that_ends_early_is_found(self):
        self.find_bug(LEASE_EARLY, "gone too early", "--plan", "pause,kill-all,lag")

    def test_an_event_that_is_told_twice_is_found(self):
        self.find_bug(WATCH_REPEATS, "told twice", "--plan", "kill-all,kill-one")

    def test_a_fence_that_lets_an_old_token_through_is_found(self):
        self.find_bug(OLD_FENCE, "let through although", "--minutes", "4")


if __name__ == "__main__":
    report.main()
