"""What the preload adds to the start of a program that does nothing."""
import shutil

from measure import Row, output
from modes import plain_env

TARGET_ADDED_MS = 0.3


def added_to_true(runner, workspace, tools, manifest):
    """posix_spawn to exit of `true`, without and with the preload, in turn."""
    name = "start-up of `true`"
    if not runner.wanted(name):
        return
    rounds = 100 if runner.quick else 500
    program = workspace.compile("spawn.c", "spawn")
    added = [f"{key}={value}" for key, value in tools.variables(manifest, workspace.store).items()]
    text = output([program, str(rounds), *added, "--", shutil.which("true")], plain_env()).decode()
    pairs = [line.split() for line in text.splitlines()]
    samples = {
        "native": [float(plain) / 1e6 for plain, _ in pairs],
        "velo": [float(with_velo) / 1e6 for _, with_velo in pairs],
    }
    runner.say(f"  {name}: {rounds} rounds")
    runner.add(Row("start-up", name, "ms", samples, TARGET_ADDED_MS, metric="added", note="the target is what Velo adds"))
