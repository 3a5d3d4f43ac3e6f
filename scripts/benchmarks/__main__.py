"""Native against Velo, side by side in one run. Started by scripts/bench, which builds what is measured.

Nothing is hard-coded: what cannot be measured here is listed as skipped, with the reason.
"""
import argparse
import contextlib
import json
import os
import re
import signal
import sys

import apps
import building
import bytecode
import machine
import metadata
import report
import startup
import warm
from measure import BenchError, Runner
from modes import Native, Overlay, Squashfuse, Velo, overlay_refusal, squashfuse_refusal
from workspace import Tools, Workspace


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a few minutes, wider spread")
    parser.add_argument("--rounds", type=int, help="rounds of the short rows (default 15, quick 5)")
    parser.add_argument("--only", metavar="REGEX", type=re.compile, help="only the rows whose name matches")
    parser.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to standard output")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--keep", action="store_true", help="keep the workspace")
    parser.add_argument("--without-velo", action="store_true", help="only the peers: a check of the harness itself")
    parser.add_argument("--work", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--store", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--library", help=argparse.SUPPRESS)
    parser.add_argument("--ctl", help=argparse.SUPPRESS)
    parser.add_argument("--million", help=argparse.SUPPRESS)
    parser.add_argument("--python-fixture", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--node-fixture", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options, runner, workspace):
    """All rows; every mount is gone when this returns or raises."""
    runner.say("preparing the tree")
    workspace.make_tree(apps.site_packages(f"{options.python_fixture}/venv"))
    tools = None if options.without_velo else Tools(options.library, options.ctl)
    with contextlib.ExitStack() as stack:
        modes = [Native(workspace.path("n"))]
        if tools:
            manifest = f"{workspace.directory}/tree.velo"
            tools.build_manifest(workspace.tree, workspace.path("v"), manifest, workspace.store)
            modes.append(Velo(workspace.path("v"), tools, manifest, workspace.store))
        for refusal, name, make in (
            (overlay_refusal(), "OverlayFS", lambda: Overlay(workspace.path("o"), workspace.tree, f"{workspace.store}/overlay")),
            (squashfuse_refusal(), "squashfuse", lambda: Squashfuse(workspace.path("s"), workspace.tree, f"{workspace.store}/tree.sqfs")),
        ):
            if refusal:
                runner.skip(f"peer {name}", refusal)
            else:
                modes.append(stack.enter_context(make()))
        runner.say("measuring")
        metadata.operations(runner, workspace, modes)
        metadata.unrelated(runner, workspace, modes)
        metadata.unrelated_miss(runner, workspace, modes)
        metadata.commands(runner, workspace, modes)
        if tools:
            startup.added_to_true(runner, workspace, tools, manifest)
            startup.executed(runner, workspace, modes)
    if tools:
        building.build_rows(runner, workspace, tools)
        building.million_rows(runner, options.million)
        apps.python_rows(runner, workspace, tools, options.python_fixture)
        bytecode.python_rows(runner, workspace, tools, options.python_fixture)
        warm.warm_rows(runner, workspace, tools, options.python_fixture)
        apps.node_rows(runner, workspace, tools, options.node_fixture)


def stop(number, _frame):
    """A signal becomes an exception, so that mounts are undone."""
    sys.exit(128 + number)


def main():
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    runner = Runner(options.rounds or (5 if options.quick else 15), options.quick, options.only)
    failure = None
    with Workspace(options.work, options.store, options.keep) as workspace:
        described = machine.describe(options.work, options.store)
        try:
            measure(options, runner, workspace)
        except BenchError as error:
            failure = error
    document = json.dumps(report.as_json(described, runner.rows, runner.skipped), indent=1)
    if options.json == "-":
        print(document)
    else:
        print("\n".join(f"{name}: {text}" for name, text in described.items()))
        print(report.table(runner.rows, options.markdown))
        for name, why in runner.skipped:
            print(f"\nskipped: {name}: {why}")
        if options.json:
            with open(options.json, "w", encoding="utf-8") as out:
                out.write(document + "\n")
    if failure:
        print(f"scripts/bench: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
