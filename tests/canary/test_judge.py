#!/usr/bin/python3
"""Tests the judge of the test programs: nothing that went wrong may count as passed."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, TESTS)

import judge  # noqa: E402

SYNTHESIS = "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: 0"

# name, output, exit code, passed and failed tests that must be counted
CASES = (
    ("criterion_green", SYNTHESIS % (3, 3, 0), 0, 3, 0),
    ("criterion_red", SYNTHESIS % (3, 2, 1), 1, 2, 1),
    ("criterion_in_colours", "\x1b[0;34m" + SYNTHESIS % (3, 3, 0) + "\x1b[0m", 0, 3, 0),
    ("criterion_green_but_exit_code", SYNTHESIS % (3, 3, 0), 1, 3, 1),
    ("criterion_without_tests", SYNTHESIS % (0, 0, 0), 0, 0, 1),
    ("summary_green", "noise\n5 passed, 0 failed\n", 0, 5, 0),
    ("summary_red", "5 passed, 2 failed\n", 1, 5, 2),
    ("summary_with_skipped", "0 passed, 0 failed, 2 skipped\n", 0, 0, 0),
    ("summary_green_but_exit_code", "5 passed, 0 failed\n", 3, 5, 1),
    ("summary_green_but_killed", "5 passed, 0 failed\n", -9, 5, 1),
    ("summary_without_tests", "0 passed, 0 failed\n", 0, 0, 1),
    ("last_summary_counts", "1 passed, 0 failed\n4 passed, 1 failed\n", 1, 4, 1),
    ("exit_code_alone_green", "whatever", 0, 1, 0),
    ("exit_code_alone_red", "whatever", 2, 0, 1),
    ("killed", "", -6, 0, 1),
)


def main():
    failed = 0
    for name, output, code, want_passed, want_failed in CASES:
        passed, failures, _ = judge.count(output, code)
        good = (passed, failures) == (want_passed, want_failed)
        print("%s: %s" % (name, "ok" if good else "counted %d, %d" % (passed, failures)))
        failed += not good
    late = judge.run(["sleep", "60"], 0.2, os.path.join(TESTS, "../build/check/late.log"))
    good = (late.passed, late.failed) == (0, 1)
    print("too_long: %s" % ("ok" if good else "counted %d, %d" % (late.passed, late.failed)))
    failed += not good
    print("%d passed, %d failed" % (len(CASES) + 1 - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
