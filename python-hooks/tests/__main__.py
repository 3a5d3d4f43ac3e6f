"""Runs all tests here and ends with `N passed, N failed, N skipped`:

    python3 python-hooks/tests [NAME...]
"""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
loader = unittest.defaultTestLoader
tests = loader.loadTestsFromNames(sys.argv[1:]) if sys.argv[1:] else loader.discover(str(HERE), top_level_dir=str(HERE))
result = unittest.TextTestRunner(verbosity=2).run(tests)
bad = len({str(getattr(test, "test_case", test)) for test, _ in [*result.failures, *result.errors]})
print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed, {len(result.skipped)} skipped")
sys.exit(bad != 0)
