"""What a caller is, and how its three sides are compared.

A caller is a function `(job)` under `@caller(...)`; its docstring's first line says what is run, for the table. It serves
trees, adds steps and names the version. A step is one command; its outcomes are tests: by default one, all that it printed
and how it ended, or with `read`, one for each test of a suite.
"""
import hashlib
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sides import SIDES, CallersError, Workspace, execute

CALLERS = {}
CACHE = threading.Lock()
REPEATS = 3  # of a suite whose sides differ


class Skip(Exception):
    """The caller cannot be run on this machine; says why."""


@dataclass(frozen=True)
class Caller:
    """One entry of the list; `packages` are Debian's, installed when it is run."""

    name: str
    function: object
    quick: bool
    packages: tuple

    @property
    def what(self):
        return self.function.__doc__.strip().splitlines()[0].rstrip(".")


def caller(name, quick=True, packages=()):
    """Puts a function on the list. What is not `quick` runs with --full only."""

    def put(function):
        if name in CALLERS:
            raise ValueError(f"two callers are named {name}")
        CALLERS[name] = Caller(name, function, quick, tuple(packages))
        return function

    return put


@dataclass
class Step:
    """One command. `clean` blanks what differs between any two runs, as (pattern, replacement)."""

    name: str
    argv: list
    code: int
    clean: tuple
    env: dict
    deadline: int
    read: object
    at_least: int
    proves: bool
    ordinary: bool
    limits: dict


@dataclass
class Outcomes:
    """Test -> outcome of one side, and the seconds that its steps took."""

    tests: dict = field(default_factory=dict)
    seconds: float = 0.0

    def summary(self):
        """As `12 ok, 3 skipped`."""
        kinds = Counter(re.split(r"[:\n]", outcome, maxsplit=1)[0] for outcome in self.tests.values())
        return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: (item[0] != "ok", item[0])))


class Job:
    """One run of one caller."""

    def __init__(self, name, tools, full):
        self.name, self.full = name, full
        self.workspace = Workspace.make(name, tools)
        self.here, self.trees = self.workspace.here, self.workspace.root / "trees"
        self.tools = tools
        self.program_version = ""
        self.steps = []
        self.sides = {side: Outcomes() for side in SIDES}
        self.limited = {}  # test -> the limit that it shows
        self.unsteady = {}  # test -> its outcomes from disk, if they differ from run to run

    def build(self, script, env=None, cwd=None):
        """Runs a bash script outside of all sides, to make what is served. Its output, stripped."""
        env = {**self.workspace.outer_env(), "HERE": str(self.here), "TREES": str(self.trees), **(env or {})}
        code, out, err = execute(["bash", "-euo", "pipefail", "-c", script], env, cwd or self.workspace.root)
        if code != 0:
            raise CallersError(f"cannot be made ready: {(err or out).strip()[-2000:]}")
        return out.strip()

    def cached(self, name, key, script, env=None):
        """The directory that `script` has filled as `$DIR`, kept under target/ for the next run and for other callers.
        `key` names what it depends on besides."""
        base = Path(os.environ["CARGO_TARGET_DIR"]) / "callers"
        directory = base / f"{name}-{hashlib.sha256(f'{key} {script} {base}'.encode()).hexdigest()[:16]}"
        with CACHE:
            if not (directory / "READY").exists():
                self.build('rm -rf "$DIR" && mkdir -p "$DIR"', {"DIR": str(directory)})
                self.build(script, {**(env or {}), "DIR": str(directory)}, directory)
                (directory / "READY").touch()
        return directory

    def version(self, script):
        """The program's version is what this prints, outside of all sides."""
        self.program_version = " ".join(self.build(script).split())

    def serve(self, place, source=None, exact=False, python=None):
        """Serves `source`, or what is at `place`, at `place`; `exact` keeps inode numbers and all times; `python`: has bytecode
        for that interpreter."""
        self.workspace.serve(place, source, exact, python)

    def step(self, name, script, code=0, clean=(), env=None, deadline=300, read=None, at_least=1, proves=True, ordinary=False, limits=None):
        """`script` is bash, or a list of words. `code`: how it must end on the native side, None for anyhow. `read(run)`
        gives test -> outcome of a suite, with `at_least` so many of them ok natively. `proves` False: for a step that
        may end the same without any tree. `ordinary`: as nobody, if we are root. `limits`: tests of a suite that must differ,
        with the reason why, which stands in docs/LIMITS.md."""
        argv = ["/bin/bash", "-c", script] if isinstance(script, str) else list(script)
        self.steps.append(Step(name, argv, code, tuple(clean), env or {}, deadline, read, at_least, proves, ordinary, limits or {}))

    def run(self):
        """Runs all steps on all sides; the complaints, none if all agree."""
        complaints = []
        if not self.steps or not self.workspace.trees:
            raise CallersError("nothing to run, or nothing served")
        for step in self.steps:
            seen, runs = {}, {}
            for side in SIDES:
                seen[side], runs[side] = self.outcomes(step, side, complaints)
            complaints += self.but_limits(step, seen)
            different = differences(step, seen["native"], seen["served"])
            if different and step.read:
                different = self.repeated(step, seen)
            complaints += different
            if step.read and seen["native"].keys() - seen["served"].keys():
                complaints.append(f"{step.name}: served printed at its end:\n{indent(runs['served'].out + runs['served'].err)}")
            if step.proves and seen["gone"] == seen["native"]:
                complaints.append(f"{step.name}: ends the same with the tree gone and no Velo, so it shows nothing")
        return complaints

    def but_limits(self, step, seen):
        """Takes what differs by a limit from both sides; a complaint for each that does not."""
        wrong = []
        for test, reason in step.limits.items():
            outcomes = [seen[side].pop(f"{step.name} {test}", "not run") for side in ("native", "served")]
            if outcomes[0] == outcomes[1]:
                wrong.append(f"{step.name} {test}: {outcomes[0]} on both sides, so no longer a limit ({reason})")
            self.limited[f"{step.name} {test}"] = reason
        return wrong

    def repeated(self, step, first):
        """The differences that are left after both sides of a suite were run again, up to REPEATS times. One is explained
        if the native side itself ends now so and now so, and has shown all that the served side has: that test says
        nothing. What only the served side shows, even once, is a difference."""
        shown = {side: {test: {outcome} for test, outcome in first[side].items()} for side in ("native", "served")}
        for _ in range(REPEATS):
            for side, outcomes in shown.items():
                again, _ = self.outcomes(step, side, [])
                for test, outcome in again.items():
                    if test not in self.limited:
                        outcomes.setdefault(test, {"not run"}).add(outcome)
            unsteady = {
                test: sorted(outcomes)
                for test, outcomes in shown["native"].items()
                if len(outcomes) > 1 and outcomes >= shown["served"].get(test, {"not run"})
            }
            native, served = (
                {test: " / ".join(sorted(outcomes)) for test, outcomes in shown[side].items() if test not in unsteady} for side in shown
            )
            left = differences(step, native, served)
            if not left:
                break
        self.unsteady.update(unsteady)
        return left

    def outcomes(self, step, side, complaints):
        run = self.workspace.run(side, step.argv, step.env, step.deadline, step.ordinary)
        if side == "native" and step.code is not None and run.code != step.code:
            complaints.append(f"{step.name}: natively ended with {run.code}, not {step.code}:\n{indent(run.out + run.err)}")
        if step.read:
            found = {f"{step.name} {test}": outcome for test, outcome in step.read(run).items()}
            passed = sum(outcome == "ok" for outcome in found.values())
            if side == "native" and passed < step.at_least:
                complaints.append(
                    f"{step.name}: natively {passed} tests are ok, at least {step.at_least} were expected:\n{indent(run.out + run.err)}"
                )
        else:
            parts = [run.out, run.err]
            for pattern, replacement in step.clean:
                parts = [re.sub(pattern, replacement, part, flags=re.MULTILINE) for part in parts]
            word = "ok" if step.code in (None, run.code) else f"exit {run.code}"
            found = {step.name: "\n".join([word, f"status {run.code}", *parts[0].splitlines(), "-- stderr", *parts[1].splitlines()])}
        self.sides[side].tests.update(found)
        self.sides[side].seconds += run.seconds
        return found, run


def differences(step, native, served):
    """One complaint a test that is not the same on both sides."""
    if step.read:
        different = [
            f"{test}: native {native[test]}, served {served[test]}"
            for test in sorted(native.keys() & served.keys())
            if native[test] != served[test]
        ]
        for side, only in (("natively", native.keys() - served.keys()), ("served", served.keys() - native.keys())):
            if only:
                some = ", ".join(sorted(only)[:5])
                different.append(f"{step.name}: {len(only)} tests have only been run {side}: {some}")
        return different
    (before,), (after,) = native.values(), served.values()
    if before == after:
        return []
    return [f"{step.name}: differs (< native, > served):\n{indent(line_differences(before, after))}"]


def line_differences(before, after, most=12):
    """The first lines that only one side has."""
    old, new = before.splitlines(), after.splitlines()
    lines = []
    for mark, own, other in (("<", old, Counter(new)), (">", new, Counter(old))):
        for line in own:
            if other[line] > 0:
                other[line] -= 1
            else:
                lines.append(f"{mark} {line[:300]}")
    if not lines:
        lines = ["the same lines in another order"]
    halves = [[line for line in lines if line[0] == mark][:most] for mark in "<>"]
    return "\n".join(halves[0] + halves[1]) or lines[0]


def indent(text):
    return "\n".join("      " + line[:300] for line in text.splitlines()[-30:])
