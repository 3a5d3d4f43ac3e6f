"""Samples, medians and ratios.

Rounds alternate between the modes, and rotate which goes first, so that a slow second of the machine falls on
all of them alike. A ratio is the median of the ratios *within* each round, never of two separate medians.
"""
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field


def quartiles(values):
    """(25th, 50th, 75th) percentile of one or more numbers."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


@dataclass
class Row:
    """One line of the table: `samples[mode]` holds one number a round, in `unit`."""

    section: str
    name: str
    unit: str
    samples: dict
    target: float = None  # what brief §10 asks for, or None where it names none
    metric: str = "ratio"  # what the target is about: "ratio" to native, "value" of velo, "added" over native
    note: str = ""
    baseline: str = "native"

    def ratios(self, mode):
        """Per-round ratios of `mode` to the baseline, or None."""
        base, other = self.samples.get(self.baseline), self.samples.get(mode)
        if not base or not other or mode == self.baseline:
            return None
        return [b / a for a, b in zip(base, other) if a > 0]

    def added(self, mode):
        """Per-round difference of `mode` to the baseline, or None."""
        base, other = self.samples.get(self.baseline), self.samples.get(mode)
        return [b - a for a, b in zip(base, other)] if base and other else None

    def reached(self):
        """The number that the target is about, as (25th, median, 75th), or None if not measured."""
        values = {
            "ratio": lambda: self.ratios("velo"),
            "value": lambda: self.samples.get("velo"),
            "added": lambda: self.added("velo"),
        }[self.metric]()
        return quartiles(values) if values else None

    def verdict(self):
        """"met", "missed", or "" without a target or a measurement."""
        reached = self.reached()
        if self.target is None or reached is None:
            return ""
        return "met" if reached[1] <= self.target else "missed"


@dataclass
class Runner:
    """Runs rounds and collects rows; `say` tells the person waiting what is going on."""

    rounds: int
    quick: bool = False
    only: object = None  # compiled pattern, or None for everything
    rows: list = field(default_factory=list)
    skipped: list = field(default_factory=list)

    def wanted(self, name):
        return self.only is None or self.only.search(name) is not None

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def skip(self, name, why):
        self.skipped.append((name, why))
        self.say(f"  skipped: {name}: {why}")

    def alternate(self, name, actions, rounds=None):
        """`actions`: mode -> function returning one sample. Returns mode -> list of samples."""
        modes = list(actions)
        samples = {mode: [] for mode in modes}
        count = rounds or self.rounds
        started = time.monotonic()
        for number in range(count):
            turn = number % len(modes)
            for mode in modes[turn:] + modes[:turn]:
                samples[mode].append(actions[mode]())
        self.say(f"  {name}: {count} rounds, {time.monotonic() - started:.1f} s")
        return samples

    def add(self, row):
        self.rows.append(row)
        return row


class BenchError(RuntimeError):
    """A measurement that cannot be believed (a command failed, or the modes disagree)."""


def timed(argv, env, cwd=None, stdout=subprocess.DEVNULL):
    """Wall-clock seconds of one successful run of a program."""
    start = time.monotonic()
    done = subprocess.run(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace")[-600:]
        raise BenchError(f"{os.fspath(argv[0])} ended with {done.returncode}: {tail}")
    return seconds


def output(argv, env, cwd=None, check=True):
    """Standard output of one run of a program, as bytes; it must succeed if `check`."""
    done = subprocess.run(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True)
    if check and done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace")[-600:]
        raise BenchError(f"{os.fspath(argv[0])} ended with {done.returncode}: {tail}")
    return done.stdout
