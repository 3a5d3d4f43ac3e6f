"""What the preload adds to the start of a program that does nothing, and to starting one."""
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


def executed(runner, workspace, modes):
    """fork, execv and waitpid of `true` by a program in that mode: the machine's own, and the tree's."""
    native, velo = (next((mode for mode in modes if mode.name == wanted), None) for wanted in ("native", "velo"))
    for name, program in (
        ("fork+exec of a program outside", lambda mode: shutil.which("true")),
        ("fork+exec of a served program", lambda mode: f"{mode.root}/bin/true"),
    ):
        if not runner.wanted(name) or velo is None:
            continue
        starter = workspace.compile("exec.c", "exec")
        actions = {
            mode.name: lambda mode=mode: float(output([starter, "40", program(mode)], mode.env)) / 1e6
            for mode in (native, velo)
        }
        samples = runner.alternate(name, actions, rounds=3 * runner.rounds)
        runner.add(Row("start-up", name, "ms", samples))
