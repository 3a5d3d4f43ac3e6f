"""Real programs and their own test suites, natively and served. Started by scripts/callers.

Each caller runs three times: from disk, with its tree gone (it must fail), and served by Velo with the tree gone. Per-test
outcomes, output and exit codes must be the same from disk and served.
"""
import argparse
import concurrent.futures
import datetime
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import registry  # noqa: F401
import sides
import table
from job import CALLERS, Job, Skip
from sides import HERE, CallersError, Tools

INSTALLING = threading.Lock()
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Result:
    """How one caller ended: `word` is ok, FAILED or skipped."""

    name: str
    word: str
    text: str
    row: table.Row | None = None
    complaints: list = field(default_factory=list)
    same_failures: list = field(default_factory=list)  # what fails natively too
    limited: dict = field(default_factory=dict)
    unsteady: dict = field(default_factory=dict)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/callers", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these callers (see --list)")
    parser.add_argument("--quick", action="store_true", help="those that are quick: what scripts/test runs (the default)")
    parser.add_argument("--full", action="store_true", help="all, with the long test suites")
    parser.add_argument("--list", action="store_true", help="name all callers and end")
    parser.add_argument("--record", action="store_true", help="write what was found into docs/CALLERS.md")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="callers at a time (default: one a core)")
    parser.add_argument("--keep", action="store_true", help="keep the workspaces, and say where")
    parser.add_argument("--verbose", action="store_true", help="also name what is not ok on either side")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CALLERS]
    if unknown:
        parser.error(f"unknown caller '{unknown[0]}'; known: {' '.join(CALLERS)}")
    return options


def common(script, *words, end=sides.end_group):
    """Runs a line of bash with what all scripts share: its exit status and what it printed."""
    return sides.execute(["bash", "-c", f'. "$1/../lib/common.sh"; shift; {script}', "bash", str(HERE), *words], os.environ, end=end)


def install(packages):
    """By the same function as everywhere; one at a time, and never ended half-way."""
    with INSTALLING:
        code, _, _ = common('apt_install "$@"', *packages, end=lambda process: None)
    if code != 0:
        raise Skip(f"not installed: {' '.join(packages)}")


def build():
    """The library and command under test: what VELO_LIB and VELO_CTL name, else what is built of this project."""
    given = os.environ.get("VELO_LIB"), os.environ.get("VELO_CTL")
    if all(given):
        return Tools(*given)
    code, out, err = common('build_velo && printf "%s\\n" "$velo_lib" "$velo_ctl"')
    if code != 0:
        raise CallersError(err.strip())
    return Tools(*out.split("\n")[-3:-1])


def run(caller, tools, options):
    """One caller, from its packages to its result."""
    if sides.STOPPING.is_set():
        return Result(caller.name, "skipped", "interrupted")
    try:
        if caller.packages:
            install(caller.packages)
        job = Job(caller.name, tools, options.full)
    except Skip as reason:
        return Result(caller.name, "skipped", str(reason))
    try:
        caller.function(job)
        complaints = job.run()
    except Skip as reason:
        return Result(caller.name, "skipped", str(reason))
    except CallersError as error:
        return Result(caller.name, "FAILED", str(error))
    except Exception:  # a fault of the check must not take the other callers along
        return Result(caller.name, "FAILED", traceback.format_exc())
    finally:
        if options.keep:
            print(f"kept {job.workspace.root} and {job.workspace.store}", flush=True)
        else:
            job.workspace.remove()
    native, served = job.sides["native"], job.sides["served"]
    text = f"{job.program_version}: {native.summary()}; served the same ({native.seconds:.1f} s, {served.seconds:.1f} s)"
    if complaints:
        text = f"{job.program_version}: {native.summary()}; served {served.summary()}"
    row = table.Row.of(caller, job, complaints, datetime.date.today().isoformat())
    failures = [f"{test}: {outcome}" for test, outcome in native.tests.items() if not outcome.startswith(("ok", "skipped:"))]
    return Result(caller.name, "FAILED" if complaints else "ok", text, row, complaints, failures, job.limited, job.unsteady)


def report(result, verbose):
    print(f"{result.word:<7} {result.name}: {result.text}", flush=True)
    for complaint in result.complaints[:40]:
        print(f"    {complaint}", flush=True)
    if len(result.complaints) > 40:
        print(f"    and {len(result.complaints) - 40} more", flush=True)
    for test, reason in result.limited.items():
        print(f"    differs by a limit: {test}: {reason}", flush=True)
    for test, outcomes in result.unsteady.items():
        print(f"    differs from run to run, from disk too: {test}: {' / '.join(outcomes)}", flush=True)
    for failure in result.same_failures if verbose else ():
        print(f"    from disk too: {failure}", flush=True)


def stop(number, _frame):
    """A signal ends the run: commands are ended, workspaces removed by those who made them. Another changes nothing."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    sides.stop()
    sys.exit(128 + number)


def main():
    options = arguments()
    if options.list:
        for caller in CALLERS.values():
            print(f"{caller.name:<20} {'quick' if caller.quick else 'full':<6} {caller.what}")
        return 0
    for number in SIGNALS:
        signal.signal(number, stop)
    chosen = [caller for caller in CALLERS.values() if caller.name in options.names or not options.names and (caller.quick or options.full)]
    page = Path(HERE).parents[1] / "docs/CALLERS.md"
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    rows = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        try:
            tools = pool.submit(build).result()
        except CallersError as error:
            sys.exit(f"callers: {error}")
        for done in concurrent.futures.as_completed([pool.submit(run, caller, tools, options) for caller in chosen]):
            result = done.result()
            report(result, options.verbose)
            counts[result.word] += 1
            if result.row:
                rows.append(result.row)
    if options.record:
        table.record(page, rows, list(CALLERS))
    for problem in table.untested(page, list(CALLERS)):
        print(f"FAILED  docs/CALLERS.md: {problem}")
        counts["FAILED"] += 1
    print(f"{counts['ok']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
