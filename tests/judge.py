"""Runs one test program, bounded in time, and judges it.

A program says how it went in one of three ways: Criterion's synthesis line, a last line
"N passed, N failed" with perhaps ", N skipped" behind, or nothing but its exit code, which then
counts as one test. An exit code other than 0 is never green, whatever was printed: that is how
a leak, which is found after Criterion has counted, turns a run red.
"""

import os
import re
import signal
import subprocess
import time

SYNTHESIS = re.compile(
    r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", re.MULTILINE)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")

# Sanitizers must end the process, or Criterion does not notice them.
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
}


class Verdict:
    """What became of one program."""

    def __init__(self, passed, failed, seconds, reason, output):
        self.passed = passed
        self.failed = failed
        self.seconds = seconds
        self.reason = reason  # why it failed, beyond failed tests; or ""
        self.output = output


def count(output, code):
    """Returns (passed, failed, reason) from what a program printed and its exit code."""
    output = COLOURS.sub("", output)
    synthesis = SYNTHESIS.findall(output)
    summary = SUMMARY.findall(output)
    reason = ""
    if synthesis:
        passed = sum(int(row[1]) for row in synthesis)
        failed = sum(int(row[2]) for row in synthesis)
        if passed + failed == 0:
            reason = "no test ran"
    elif summary:
        passed, failed, skipped = (int(number or 0) for number in summary[-1])
        if passed + failed + skipped == 0:
            reason = "no test ran"
    else:
        passed, failed = (1, 0) if code == 0 else (0, 0)
    if code != 0 and failed == 0:
        reason = "exit code %d" % code if code > 0 else signal.Signals(-code).name
    return passed, failed + (1 if reason else 0), reason


def stop(process):
    """Ends a program that ran too long, with all that it started."""
    for number, grace in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue


def run(command, limit_seconds, log_path, variables=None):
    """Runs a program with its output in log_path and returns the verdict."""
    environment = dict(os.environ)
    environment.pop("MAKEFLAGS", None)
    environment.update(SANITIZERS)
    environment.update(variables or {})
    began = time.monotonic()
    os.makedirs(os.path.dirname(log_path), exist_ok=True)
    reason = ""
    with open(log_path, "wb") as log:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=environment, start_new_session=True)
        except OSError as error:
            return Verdict(0, 1, 0, "cannot be started: %s" % error, "")
        try:
            code = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            stop(process)
            code = process.returncode
            reason = "stopped after %d s" % limit_seconds
    seconds = time.monotonic() - began
    with open(log_path, encoding="utf-8", errors="replace") as log:
        output = log.read()
    if reason:
        passed, failed, _ = count(output, 1)
        return Verdict(passed, failed, seconds, reason, output)
    passed, failed, reason = count(output, code)
    return Verdict(passed, failed, seconds, reason, output)
