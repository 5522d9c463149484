"""Runs the tests of a file and ends with a line "N passed, N failed, N skipped"."""

import sys
import unittest


class Quiet(unittest.TextTestResult):
    """Counts what passed, which unittest does not."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    """Runs the tests of the calling script; "-k name" chooses among them."""
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Quiet)
    program = unittest.main(module="__main__", testRunner=runner, exit=False)
    result = program.result
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print("%d passed, %d failed, %d skipped" % (result.passed, failed, len(result.skipped)),
          flush=True)
    sys.exit(1 if failed or not result.testsRun else 0)
