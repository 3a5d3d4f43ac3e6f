"""Rows about making manifests: first time, again, and a synthetic one of a million entries."""
import os
import re
import shutil
import time

from measure import BenchError, Row, output, timed
from modes import plain_env


def build_rows(runner, workspace, tools):
    """build-manifest of the site-packages against `cp -r` of them, both into memory; then again, unchanged."""
    first, again = "build-manifest, first time, against cp -r", "build-manifest again, nothing changed"
    if not (runner.wanted(first) or runner.wanted(again)):
        return
    source, mount = f"{workspace.tree}/site", f"{workspace.directory}/b/site"
    store, copy = f"{workspace.store}/build", f"{workspace.store}/copy"
    manifest = f"{workspace.directory}/build.velo"
    files, _, size_bytes = workspace.site_counts()
    free_bytes = shutil.disk_usage(workspace.store).free
    if free_bytes < 3 * size_bytes:
        runner.skip(first, f"{workspace.store} has {free_bytes >> 20} MiB free, {3 * size_bytes >> 20} are needed")
        return
    again_seconds = []

    def copy_once():
        shutil.rmtree(copy, ignore_errors=True)
        seconds = timed(["cp", "-r", source, copy], plain_env())
        shutil.rmtree(copy)
        return seconds

    def build(path):
        start = time.monotonic()
        tools.build_manifest(source, mount, path, store)
        return time.monotonic() - start

    def build_twice():
        shutil.rmtree(store, ignore_errors=True)
        seconds = build(manifest)
        again_seconds.append(build(f"{manifest}.again"))
        with open(manifest, "rb") as one, open(f"{manifest}.again", "rb") as two:
            if one.read() != two.read():
                raise BenchError("two builds of one tree gave different manifests")
        return seconds

    samples = runner.alternate(first, {"native": copy_once, "velo": build_twice}, rounds=3 if runner.quick else 7)
    shutil.rmtree(store, ignore_errors=True)
    what = f"{files:,} files, {size_bytes / 1e6:.0f} MB, warm page cache; native is cp -r to memory"
    runner.add(Row("building", first, "s", samples, 0.8, note=what))
    runner.add(Row("building", again, "s", {"velo": again_seconds}, 0.1, metric="value", note="the same bytes came out"))


# row name, unit, lines of the example whose numbers are added up, target
MILLION = (
    ("manifest of 1M entries: add and build", "s", ("add all", "build"), 2.0),
    ("manifest of 1M entries: open", "ms", ("open",), 1.0),
    ("manifest of 1M entries: bytes an entry", "B", ("bytes an entry",), 120.0),
)
SECONDS = {"s": 1.0, "ms": 1e-3, "\u00b5s": 1e-6, "ns": 1e-9}


def printed_number(text, label):
    """The number after `label` in what the example prints: a plain one, or a duration in seconds."""
    found = re.search(rf"^{re.escape(label)} +([0-9.]+)(\S*)$", text, re.MULTILINE)
    if not found or (found.group(2) and found.group(2) not in SECONDS):
        raise BenchError(f"the example of a million entries prints no '{label}'")
    return float(found.group(1)) * SECONDS.get(found.group(2), 1.0)


def million_rows(runner, program):
    """Runs the example that builds and opens a manifest of a million made-up entries (it has medians of its own)."""
    if not any(runner.wanted(name) for name, _, _, _ in MILLION):
        return
    if not program or not os.path.exists(program):
        runner.skip("manifest of 1M entries", "the example was not built")
        return
    texts = [output([program, "1000000"], plain_env()).decode() for _ in range(1 if runner.quick else 3)]
    runner.say(f"  manifest of 1M entries: {len(texts)} runs")
    for name, unit, labels, target in MILLION:
        scale = 1e3 if unit == "ms" else 1.0
        values = [sum(printed_number(text, label) for label in labels) * scale for text in texts]
        runner.add(Row("building", name, unit, {"velo": values}, target, metric="value", note="in memory, no files read"))
