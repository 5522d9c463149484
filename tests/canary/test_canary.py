#!/usr/bin/python3
"""Proves that the net has no hole: each kind of sanitizer finding turns a run red.

Criterion alone stays green on undefined behaviour and on leaks; the build's flags, the
environment and the judge together do not. The clean program shows that red has a reason.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

import judge  # noqa: E402

# program, what its output must contain to be red for the right reason (None: stays green)
CANARIES = (
    ("clean", None),
    ("address", "ERROR: AddressSanitizer: heap-use-after-free"),
    ("undefined", "runtime error: signed integer overflow"),
    ("leak", "ERROR: LeakSanitizer: detected memory leaks"),
)


def complaint(name, text):
    """Says what is wrong with the run of one canary, or None."""
    program = os.path.join(ROOT, "build/san/tests/canary", name)
    log = os.path.join(ROOT, "build/check/canary-%s.log" % name)
    verdict = judge.run([program], 60, log)
    if text is None:
        if verdict.failed != 0 or verdict.passed != 1:
            return "is not green: " + verdict.output
        return None
    if verdict.failed == 0:
        return "is green: this kind of error would go unnoticed"
    if text not in verdict.output:
        return "is red, but not because of '%s': %s" % (text, verdict.output)
    return None


def main():
    failed = 0
    for name, text in CANARIES:
        wrong = complaint(name, text)
        print("%s: %s" % (name, wrong or "ok"))
        failed += wrong is not None
    print("%d passed, %d failed" % (len(CANARIES) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
