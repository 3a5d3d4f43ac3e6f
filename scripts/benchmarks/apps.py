"""The two heavy applications, from disk and from a manifest. Each prints nothing: what counts is that it ends with 0.

The preload alone is measured here. The targets of brief §10 count on the language hooks (bytecode, finder,
preloaded interpreters), which are not part of these rows.
"""
import os
import shutil

from measure import Row, timed
from modes import plain_env

PYTHON_NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/nonexistent"}


def python_rows(runner, workspace, tools, fixture):
    """`fixture`: a directory with venv/ and app.py. The served venv has everything but its site-packages."""
    rows = (
        ("heavy Python app, hot", {"PYTHONDONTWRITEBYTECODE": "1"}, 0.75, None),
        ("heavy Python app, no .pyc", PYTHON_NO_BYTECODE, 0.30, 2),
    )
    if not any(runner.wanted(name) for name, _, _, _ in rows):
        return
    site = site_packages(f"{fixture}/venv")
    served = f"{workspace.directory}/v/venv"
    relative = os.path.relpath(site, f"{fixture}/venv")
    shutil.copytree(
        f"{fixture}/venv", served, symlinks=True,
        ignore=lambda directory, names: {"site-packages"} & set(names) if directory == os.path.dirname(site) else set(),
    )
    manifest = f"{workspace.directory}/python.velo"
    tools.build_manifest(site, f"{served}/{relative}", manifest, workspace.store)
    app = f"{fixture}/app.py"
    velo = {**plain_env(), **tools.variables(manifest, workspace.store)}
    for name, extra, target, rounds in rows:
        if not runner.wanted(name) or (runner.quick and rounds):
            continue
        actions = {
            "native": lambda extra=extra: timed([f"{fixture}/venv/bin/python", app], {**plain_env(), **extra}),
            "velo": lambda extra=extra: timed([f"{served}/bin/python", app], {**velo, **extra}),
        }
        for action in actions.values():
            action()
        samples = runner.alternate(name, actions, rounds=rounds or (3 if runner.quick else 9))
        runner.add(Row("applications", name, "s", samples, target, note="preload alone, without the Python hooks"))


def node_rows(runner, workspace, tools, fixture):
    """`fixture`: a directory with node_modules/ and app.js."""
    name = "heavy Node app, hot"
    if not runner.wanted(name):
        return
    if shutil.which("node") is None or not os.path.isdir(f"{fixture}/node_modules"):
        runner.skip(name, "no Node 20 or newer here")
        return
    served = f"{workspace.directory}/v/node"
    os.makedirs(served)
    shutil.copy(f"{fixture}/app.js", served)
    shutil.copy(f"{fixture}/package.json", served)
    manifest = f"{workspace.directory}/node.velo"
    tools.build_manifest(f"{fixture}/node_modules", f"{served}/node_modules", manifest, workspace.store)
    velo = {**plain_env(), **tools.variables(manifest, workspace.store)}
    actions = {
        "native": lambda: timed(["node", f"{fixture}/app.js"], plain_env()),
        "velo": lambda: timed(["node", f"{served}/app.js"], velo),
    }
    for action in actions.values():
        action()
    samples = runner.alternate(name, actions, rounds=3 if runner.quick else 15)
    runner.add(Row("applications", name, "s", samples, 0.55, note="preload alone, without the Node hooks"))


def site_packages(venv):
    """The one site-packages of a virtual environment."""
    library = f"{venv}/lib"
    versions = [name for name in os.listdir(library) if name.startswith("python3")]
    return f"{library}/{versions[0]}/site-packages"
