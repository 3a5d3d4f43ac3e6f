"""`velo-ctl run --warm`: the heavy application forked out of an interpreter that has imported what it imports.

The native side starts it with all its .pyc files. A run that started cold is no measurement: it fails the benchmark.
"""
import os
import re
import shutil
import subprocess
import time

from apps import site_packages
from measure import BenchError, Row, output

TOTAL, FIRST, MEMORY = (
    "python: heavy app, run --warm",
    "python: heavy app, run --warm, to its first line",
    "python: memory of 50 workers, run --warm",
)
WORKERS = 50
PREPARING_SECONDS_MAX = 120
IMPORTED = "import time; FIRST = time.monotonic()\n"
SAY = "\nimport sys; print(FIRST, flush=True)\n"
STAY = "\nimport os, sys; print(os.getpid(), flush=True); sys.stdin.read()\n"


def warm_rows(runner, workspace, tools, fixture):
    """`fixture`: a directory with venv/ and app.py."""
    wanted = {name for name in (TOTAL, FIRST, MEMORY) if runner.wanted(name)}
    if not wanted:
        return
    site = site_packages(f"{fixture}/venv")
    manifest, store = f"{workspace.directory}/warm.velo", f"{workspace.store}/warm"
    tools.build_manifest(site, site, manifest, store)
    with open(f"{fixture}/app.py", encoding="utf-8") as source:
        app = source.read()
    python, env = f"{fixture}/venv/bin/python", tools.env(store)
    say, stay = f"{workspace.directory}/say.py", f"{workspace.directory}/stay.py"
    for path, more in ((say, SAY), (stay, STAY)):
        with open(path, "w", encoding="utf-8") as out:
            out.write(IMPORTED + app + more)
    warm = [tools.ctl, "run", "-m", manifest, "--warm", "-v", "--", python]
    try:
        if wanted & {TOTAL, FIRST}:
            heat([*warm, say], env)
            actions = {"native": lambda: run([python, say], env), "velo": lambda: run([*warm, say], env)}
            both = runner.alternate(TOTAL, actions, rounds=5 if runner.quick else 11)
            for name, part, target, metric in ((TOTAL, 1, 0.01, "ratio"), (FIRST, 0, 0.030, "value")):
                if name in wanted:
                    samples = {mode: [times[part] for times in all_times] for mode, all_times in both.items()}
                    runner.add(Row("python", name, "s", samples, target, metric=metric, note="its .pyc are there natively"))
        if MEMORY in wanted:
            heat([*warm, stay], env)
            count = 10 if runner.quick else WORKERS
            samples = {"native": [memory([python, stay], env, count)], "velo": [memory([*warm, stay], env, count)]}
            runner.add(Row("python", MEMORY, "MiB", samples, 0.35, note=f"PSS of each of {count}, velo-ctl included"))
    finally:
        output([tools.ctl, "warm", "stop"], env, check=False)
        shutil.rmtree(store, ignore_errors=True)


def heat(command, env):
    """Runs it until it is forked out of a parent three times in a row: by then it has imported what it will."""
    deadline, warm = time.monotonic() + PREPARING_SECONDS_MAX, 0
    while warm < 3:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True)
        warm = 0 if done.returncode or b"started cold" in done.stderr else warm + 1
        if time.monotonic() > deadline:
            raise BenchError(f"no parent: {done.stderr.decode('utf-8', 'replace')[-600:]}")
        time.sleep(0.2)


def run(command, env):
    """Seconds to the first line of the program, and to its end."""
    start = time.monotonic()
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    end = time.monotonic()
    if done.returncode or done.stderr:
        raise BenchError(f"{command}: {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-600:]}")
    return float(done.stdout) - start, end - start


def memory(command, env, count):
    """MiB of each of `count` workers at once, as PSS; of what waits for a worker, too."""
    workers, total = [], 0
    try:
        for _ in range(count):
            workers.append(subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            if len(workers) % os.cpu_count() == 0:
                workers[-1].stdout.peek(1)
        numbers = {int(worker.stdout.readline()) for worker in workers} | {worker.pid for worker in workers}
        total = sum(proportional(number) for number in numbers)
    finally:
        for worker in workers:
            worker.stdin.close()
        errors = b"".join(worker.stderr.read() for worker in workers)
        for worker in workers:
            worker.stdout.close()
            worker.stderr.close()
            worker.wait()
    if b"started cold" in errors:
        raise BenchError("a worker was not forked")
    return total / count / 1024


def proportional(number):
    """PSS of a process in KiB."""
    with open(f"/proc/{number}/smaps_rollup", encoding="ascii") as source:
        return int(re.search(r"^Pss: +(\d+) kB", source.read(), re.M).group(1))
