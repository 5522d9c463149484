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

LIMIT_SECONDS = 240
LYING_DISK = os.path.join(ROOT, "build", "rel", "chaos", "lying_disk.so")
OLD_FENCE = 1 << 6      # KV_PLANT_OLD_FENCE
WATCH_LOSES = 1 << 7    # KV_PLANT_WATCH_LOSES


class Plants(unittest.TestCase):
    def find(self, planted, plan):
        """Runs the plan against daemons that are planted so; it must break a promise."""
        ended = subprocess.run(
            [os.path.join(HERE, "run"), "--seed", "1", "--size", "3", "--set", planted,
             "--plan", plan], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        if "1 skipped" in ended.stdout:
            self.skipTest(ended.stdout.splitlines()[0])
        self.assertEqual(ended.returncode, 1, ended.stdout + ended.stderr)
        self.assertIn("  promised: ", ended.stdout)
        return ended.stdout

    def test_a_disk_that_does_not_sync_is_found_by_a_power_cut(self):
        self.find("LD_PRELOAD=" + LYING_DISK, "power-cut-all")


if __name__ == "__main__":
    report.main()
