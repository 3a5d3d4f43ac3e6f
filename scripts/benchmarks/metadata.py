"""Rows of single file operations, and of `find` and `ls -lR`, in every mode that this machine has."""
import hashlib

from measure import BenchError, Row, output, timed

# name, operation of micro.c, path list, target ratio of brief §10
OPERATIONS = (
    ("stat, hit", "stat", "hit", 0.10),
    ("stat, miss", "stat", "miss", 0.10),
    ("access, hit", "access", "hit", 0.10),
    ("access, miss", "access", "miss", 0.10),
    ("readlink, hit", "readlink", "links", 0.10),
    ("readlink, miss", "readlink", "miss", 0.10),
    ("open+fstat+read+close, <=16 KiB", "openread", "small", 1.00),
    ("opendir+readdir+closedir, 8 entries", "readdir", "few", None),
    ("opendir+readdir+closedir, 10,000 entries", "readdir", "many", 0.20),
)

# name, arguments before and after the tree, target ratio
COMMANDS = (
    ("find (names only)", ["find"], [], 0.35),
    ("find -printf of every field", ["find"], ["-printf", "%p %y %m %s %T@ %U %G %n %i %b\\n"], 0.35),
    ("ls -lR", ["ls", "-lR"], [], 0.50),
)


def operations(runner, workspace, modes):
    """One row an operation; the modes must give the same answers."""
    micro = workspace.compile("micro.c", "micro")
    lists = workspace.relative_lists()
    budget_ms = "15" if runner.quick else "40"
    for name, operation, list_name, target in OPERATIONS:
        if not runner.wanted(name):
            continue
        answers, actions = {}, {}
        for mode in modes:
            paths = workspace.write_list(f"{list_name}.{mode.name}", mode.root, lists[list_name])

            def sample(mode=mode, argv=(micro, operation, paths, budget_ms)):
                ns, ok, total = output(argv, mode.env).decode().split()
                answers[mode.name] = (int(ok), int(total))
                return float(ns)

            actions[mode.name] = sample
        samples = runner.alternate(name, actions)
        expected = len(lists[list_name]) if list_name != "miss" else 0
        for mode, (ok, total) in answers.items():
            if ok != expected or (ok, total) != answers["native"]:
                raise BenchError(f"{name}: {mode} answered {ok} of {expected} (sum {total}), native {answers['native']}")
        runner.add(Row("one operation", name, "ns", samples, target))


UNRELATED_ADDED_NS = 15


def unrelated(runner, workspace, modes):
    """What the preload adds to a call about a path beside the mount, whose prefix is the mount's but for one letter."""
    name = "any call, unrelated path"
    native, velo = (next((mode for mode in modes if mode.name == wanted), None) for wanted in ("native", "velo"))
    if not runner.wanted(name) or velo is None:
        return
    micro = workspace.compile("micro.c", "micro")
    paths = workspace.write_list("unrelated", native.root, workspace.relative_lists()["hit"])
    argv = [micro, "refused", paths, "40"]
    actions = {mode.name: lambda mode=mode: float(output(argv, mode.env).split()[0]) for mode in (native, velo)}
    samples = runner.alternate(name, actions, rounds=3 * runner.rounds)
    note = "readlink(2) without room for an answer, which the kernel refuses at once; the target is what Velo adds"
    runner.add(Row("one operation", name, "ns", samples, UNRELATED_ADDED_NS, metric="added", note=note))


def unrelated_miss(runner, workspace, modes):
    """A call that fails beside the mount, and is looked at again in case that a symlink leads into one."""
    name = "stat, miss, unrelated path"
    native, velo = (next((mode for mode in modes if mode.name == wanted), None) for wanted in ("native", "velo"))
    if not runner.wanted(name) or velo is None:
        return
    micro = workspace.compile("micro.c", "micro")
    paths = workspace.write_list("unrelated", native.root, workspace.relative_lists()["miss"])
    argv = [micro, "stat", paths, "40"]
    actions = {mode.name: lambda mode=mode: float(output(argv, mode.env).split()[0]) for mode in (native, velo)}
    samples = runner.alternate(name, actions, rounds=3 * runner.rounds)
    runner.add(Row("one operation", name, "ns", samples, note="one more system call, openat2(2)"))


def commands(runner, workspace, modes):
    """Whole programs that walk the site-packages; Velo's output must be native's, byte for byte."""
    for name, before, after, target in COMMANDS:
        if not runner.wanted(name):
            continue
        actions = {}
        for mode in modes:
            argv = before + [f"{mode.root}/site"] + after
            actions[mode.name] = lambda argv=argv, mode=mode: timed(argv, mode.env) * 1e3
        note = same_output(modes, before, after)
        runner.add(Row("whole tree", name, "ms", runner.alternate(name, actions), target, note=note))


def same_output(modes, before, after):
    """Compares what each mode prints (sorted: directory order is the filesystem's own); "" or a note."""
    digests = {}
    for mode in modes:
        argv = before + [f"{mode.root}/site"] + after
        text = output(argv, mode.env).replace(mode.root.encode(), b"TREE")
        if "%i" in " ".join(after):  # the inode number is every filesystem's own
            text = b"\n".join(b" ".join(line.split(b" ")[:-2] + line.split(b" ")[-1:]) for line in text.split(b"\n"))
        digests[mode.name] = hashlib.sha256(b"\n".join(sorted(text.split(b"\n")))).hexdigest()
    if "velo" not in digests:
        return ""
    return "output as native" if digests["velo"] == digests["native"] else "OUTPUT DIFFERS FROM NATIVE"
