"""The `python` group: the heavy application with the bytecode that build-manifest makes, without the import hook (plain
LD_PRELOAD) and with it (`velo-ctl run`); `--only ^python`.

The native side is the same virtual environment without any .pyc in its site-packages, as installers that do not compile
leave it; that of the row "with .pyc" has them. The standard library has its bytecode on both sides.
"""
import os
import shutil
import time

from apps import site_packages
from measure import BenchError, Row, output, timed
from modes import plain_env

HOOK_NO_PYC, HOOK_COLD, HOOK_HOT, HOOK_PASS = (
    "python hook: heavy app, no .pyc natively, hot",
    "python hook: heavy app, with .pyc natively, cold page cache",
    "python hook: heavy app, with .pyc natively, hot",
    "python hook: python -c pass",
)
NO_PYC, COLD, WITH_PYC, BUILD, AGAIN = (
    "python: heavy app, no .pyc natively, hot",
    "python: heavy app, no .pyc natively, cold page cache",
    "python: heavy app, with .pyc natively, hot",
    "python: build-manifest --python, first time",
    "python: build-manifest --python again, nothing changed",
)
DROP_CACHES = "/proc/sys/vm/drop_caches"


def python_rows(runner, workspace, tools, fixture):
    """`fixture`: a directory with venv/ and app.py."""
    wanted = {name for name in (NO_PYC, COLD, WITH_PYC, BUILD, AGAIN, HOOK_NO_PYC, HOOK_COLD, HOOK_HOT, HOOK_PASS) if runner.wanted(name)}
    if not wanted:
        return
    site = os.path.relpath(site_packages(f"{fixture}/venv"), f"{fixture}/venv")
    native, served = f"{workspace.directory}/n/bare", f"{workspace.directory}/v/bare"
    copy(f"{fixture}/venv", native, "__pycache__")
    copy(native, served, "site-packages")
    manifest, store = f"{workspace.directory}/bytecode.velo", f"{workspace.store}/bytecode"
    build = (f"{native}/{site}", f"{served}/{site}", manifest, store, "--python", f"{native}/bin/python")
    started = time.monotonic()
    said = tools.build_manifest(*build)["bytecode"]
    first = time.monotonic() - started
    runner.say(f"  bytecode: {said}")
    if BUILD in wanted:
        note = f"{said['compiled']:,} compiled, {said['reused']:,} reused, {said['skipped']:,} skipped"
        runner.add(Row("python", BUILD, "s", {"velo": [first]}, note=note))
    if AGAIN in wanted:
        again_row(runner, tools, build)
    env = {**plain_env(), "PYTHONDONTWRITEBYTECODE": "1"}
    app = f"{fixture}/app.py"
    velo = {**env, **tools.variables(manifest, store)}
    uses_bytecode(f"{served}/bin/python", velo)
    actions = {
        "native": lambda: timed([f"{native}/bin/python", app], env),
        "velo": lambda: timed([f"{served}/bin/python", app], velo),
    }
    # The hook must be on, or the row is an error.
    hooked = {**env, "VELO_ROOT": store, "VELO_LIB": tools.library, "VELO_PYTHON_STRICT": "1"}
    run = [tools.ctl, "run", "-m", manifest, "--", f"{served}/bin/python"]
    with_hook = {"native": actions["native"], "velo": lambda: timed([*run, app], hooked)}
    rounds = 2 if runner.quick else 5
    if NO_PYC in wanted:
        warm(actions)
        samples = runner.alternate(NO_PYC, actions, rounds=rounds)
        runner.add(Row("python", NO_PYC, "s", samples, 0.30, note="made bytecode, no hook"))
    if HOOK_NO_PYC in wanted:
        warm(with_hook)
        runner.add(Row("python", HOOK_NO_PYC, "s", runner.alternate(HOOK_NO_PYC, with_hook, rounds=rounds), 0.30))
    if COLD in wanted:
        cold_row(runner, actions, rounds, COLD, 0.30, "made bytecode, no hook; the store stays in memory")
    if WITH_PYC in wanted:
        output([f"{native}/bin/python", "-m", "compileall", "-q", "-j", "0", f"{native}/{site}"], plain_env(), check=False)
        warm(actions)
        samples = runner.alternate(WITH_PYC, actions, rounds=rounds)
        runner.add(Row("python", WITH_PYC, "s", samples, 0.75, note="made bytecode, no hook; the target counts on one"))
    if {HOOK_COLD, HOOK_HOT} & wanted:
        output([f"{native}/bin/python", "-m", "compileall", "-q", "-j", "0", f"{native}/{site}"], plain_env(), check=False)
        warm(with_hook)
    if HOOK_HOT in wanted:
        runner.add(Row("python", HOOK_HOT, "s", runner.alternate(HOOK_HOT, with_hook, rounds=rounds), 0.75))
    if HOOK_COLD in wanted:
        cold_row(runner, with_hook, rounds, HOOK_COLD, 0.50, "the store stays in memory")
    if HOOK_PASS in wanted:
        nothing = {
            "native": lambda: timed([f"{native}/bin/python", "-c", "pass"], env),
            "velo": lambda: timed([*run, "-c", "pass"], hooked),
        }
        warm(nothing)
        samples = runner.alternate(HOOK_PASS, nothing, rounds=10 if runner.quick else 50)
        runner.add(Row("python", HOOK_PASS, "s", samples, 1.10, note="velo-ctl run included"))
    shutil.rmtree(store, ignore_errors=True)


def warm(actions):
    """One run of each that does not count."""
    for action in actions.values():
        action()


def again_row(runner, tools, build):
    """With and without bytecode in turn, of the unchanged tree; each into a manifest of its own."""
    source, mount, manifest, store, *python = build

    def built(*more):
        started = time.monotonic()
        said = tools.build_manifest(source, mount, f"{manifest}.{len(more)}", store, *more)
        seconds = time.monotonic() - started
        if said["unchanged"]:
            return seconds
        return None

    def settled(*more):
        """The second build in a row of one kind: the stat cache is of the last."""
        built(*more)
        seconds = built(*more)
        if seconds is None:
            raise BenchError("an unchanged tree was built anew")
        return seconds

    samples = runner.alternate(AGAIN, {"native": settled, "velo": lambda: settled(*python)}, rounds=5 if runner.quick else 15)
    runner.add(Row("python", AGAIN, "s", samples, 0.1, metric="value", note="native is build-manifest without --python"))


def cold_row(runner, actions, rounds, name, target, note):
    """Each run after the page cache was emptied. The store is in memory, and stays there."""

    def cold(action):
        os.sync()
        with open(DROP_CACHES, "w", encoding="ascii") as out:
            out.write("3")
        return action()

    if not os.access(DROP_CACHES, os.W_OK):
        runner.skip(name, f"{DROP_CACHES} cannot be written")
        return
    samples = runner.alternate(name, {mode: lambda action=action: cold(action) for mode, action in actions.items()}, rounds=rounds)
    runner.add(Row("python", name, "s", samples, target, note=note))


def uses_bytecode(python, env):
    """Fails if a served module is compiled after all."""
    text = (
        "import sys; seen = []; sys.addaudithook(lambda event, detail: event == 'compile' and seen.append(str(detail[1])));"
        "import pip._internal.cli.main; print([name for name in seen if 'site-packages' in name])"
    )
    said = output([python, "-c", text], env).decode().strip()
    if said != "[]":
        raise BenchError(f"served modules were compiled: {said[:300]}")


def copy(source, target, without):
    """A tree of hard links where that is possible, less the directories called `without` in site-packages."""

    def link(old, new):
        try:
            os.link(old, new)
        except OSError:
            shutil.copy2(old, new)

    def left_out(directory, names):
        inside = "site-packages" in directory or without == "site-packages"
        return {without} & set(names) if inside else set()

    shutil.copytree(source, target, symlinks=True, ignore=left_out, copy_function=link)
