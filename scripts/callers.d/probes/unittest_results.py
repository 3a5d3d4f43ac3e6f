"""Runs test modules of CPython's own suite: `unittest_results.py FILE MODULE...`; works on Python 3.6 and newer.

One line a test and sub-test to FILE as it ends, `ID<tab>OUTCOME`, so that a crash loses nothing of what was before it.
As `python -m test` does without -u, it leaves out what needs much disk, network or time.
"""
import sys
import unittest


class Results(unittest.TestResult):
    """Writes each outcome at once."""

    file = None

    def note(self, test, outcome):
        self.file.write("%s\t%s\n" % (test.id().replace("\n", " "), outcome.replace("\n", " ")))
        self.file.flush()

    def failure(self, test, word, error):
        print(self._exc_info_to_string(error, test), file=sys.stderr)
        self.note(test, "%s: %s" % (word, error[0].__name__))

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test, "ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped: " + reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note(test, "fails as expected")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "failed: should have")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failure(test, "failed", err)

    def addError(self, test, err):
        super().addError(test, err)
        self.failure(getattr(test, "test_case", test), "error", err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failure(subtest, "failed" if issubclass(err[0], AssertionError) else "error", err)


def main():
    path, modules = sys.argv[1], sys.argv[2:]
    from test import support

    support.use_resources = []
    Results.file = open(path, "a", encoding="utf-8", errors="backslashreplace")
    whole = True
    for module in modules:
        results = Results()
        try:
            tests = unittest.defaultTestLoader.loadTestsFromName("test." + module)
        except unittest.SkipTest as reason:
            Results.file.write("%s\tskipped: %s\n" % (module, reason))
            continue
        tests.run(results)
        whole = whole and results.wasSuccessful()
    Results.file.write("all modules\tended\n")
    Results.file.close()
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
