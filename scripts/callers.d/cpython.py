"""CPython's own tests of files, imports, archives and processes, with the standard library served.

The interpreter itself stays where it is; its library with all modules in Python and in C is served at its own place.
"""
import os
import re
import shutil
from pathlib import Path

from job import Skip, caller
from sides import PROBES

QUICK = "os posix posixpath glob fileio import pkgutil zipimport pathlib shutil filecmp linecache tempfile traceback inspect json modulefinder".split()
OWN_NAME = re.compile(r"@test_\d+_tmp")  # of a test's scratch file: it has the process id in it
SLOW = "io importlib tarfile subprocess".split()


def read_results(run):
    """The lines that unittest_results.py has written, and none left over for the next step."""
    path = run.home / "results"
    if not path.exists():
        return {}
    tests = {}
    with open(path, encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            name, _, outcome = OWN_NAME.sub("@test_PID_tmp", line.rstrip("\n")).partition("\t")
            tests[name] = outcome if name not in tests or outcome == tests[name] else f"{tests[name]}; {outcome}"
    path.unlink()
    if tests.pop("all modules", None) is None:
        tests["the whole of it"] = f"crashed: status {run.code}"
    return tests


def add_steps(job, python, modules):
    shutil.copy(PROBES / "unittest_results.py", job.trees)
    for module in modules:
        job.step(
            f"test_{module}", [python, "-B", "-s", job.trees / "unittest_results.py", "results", f"test_{module}"],
            code=None, read=read_results, at_least=5, deadline=900, env={"PYTHONHASHSEED": "0"},
        )


def debian(job, modules):
    python = "/usr/bin/python3.11"
    if not os.path.exists(python) or not os.path.isdir("/usr/lib/python3.11/test"):
        raise Skip("no Debian Python 3.11 with its tests")
    job.version(f"{python} -c 'import platform; print(platform.python_version())'")
    job.serve("/usr/lib/python3.11")
    add_steps(job, python, modules)


@caller("cpython-debian", packages=["python3.11", "libpython3.11-testsuite"])
def debian_quick(job):
    """Debian's, its library served: its own test_{os,posix,posixpath,glob,fileio,import,pkgutil,zipimport,pathlib,shutil,filecmp,linecache,tempfile,traceback,inspect,json,modulefinder}"""
    debian(job, QUICK)


@caller("cpython-debian-slow", quick=False, packages=["python3.11", "libpython3.11-testsuite"])
def debian_slow(job):
    """Debian's, its library served: its own test_{io,importlib,tarfile,subprocess}"""
    debian(job, SLOW)


def add_pyenv(minor):
    @caller(f"cpython-3.{minor}", quick=False)
    def of_pyenv(job):
        """Of pyenv, its library with all extension modules served: all tests of the two rows above"""
        root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        found = sorted(root.glob(f"3.{minor}.*/bin/python3.{minor}"))
        if not found or not (found[-1].parents[1] / f"lib/python3.{minor}/test").is_dir():
            raise Skip(f"pyenv has no Python 3.{minor} with its tests")
        python = found[-1]
        job.version(f"{python} -c 'import platform; print(platform.python_version())'")
        job.serve(python.parents[1] / f"lib/python3.{minor}")
        add_steps(job, python, QUICK + SLOW)


for number in range(6, 14):
    add_pyenv(number)
