"""Runs one command in a mount namespace of its own: `enter.py SPEC`, SPEC being JSON (see `main`).

As root everything but the scratch directories is read-only in it, so that a program which is led out of its tree by a
bug changes nothing of the machine. As another user it is a user namespace that maps the user to itself. No mount and no
process outlives the command. A program of its own, because it must be single-threaded when it unshares.
"""
import ctypes
import json
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_CHILD_SUBREAPER = 36
KEPT = 2 | 4 | 8 | 1024 | 2048 | 1 << 21  # nosuid, nodev, noexec, noatime, nodiratime, relatime: a remount must not drop them

libc = ctypes.CDLL(None, use_errno=True)
libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p)


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, at, flags):
    check(libc.mount(os.fsencode(source), os.fsencode(at), None, flags, None), f"mount {source} at {at}")


def read_only(at):
    """Makes the mount at that path read-only, in this namespace alone."""
    mount("none", at, MS_BIND | MS_REMOUNT | MS_RDONLY | (os.statvfs(at).f_flag & KEPT))


def unshare(user, group):
    if user == 0:
        check(libc.unshare(CLONE_NEWNS), "unshare")
    else:
        check(libc.unshare(CLONE_NEWNS | CLONE_NEWUSER), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    mount("none", "/", MS_REC | MS_PRIVATE)


def end_descendants():
    """Ends and collects all that is left of the command; orphans become ours, as we are a subreaper."""
    while True:
        own = str(os.getpid())
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                        parent = file.read().rpartition(")")[2].split()[1]
                except OSError:
                    continue
                if parent == own:
                    os.kill(int(entry), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def terminated(_number, _frame):
    end_descendants()
    sys.exit(124)


def main():
    """`writable`: directories that stay so; `binds`: pairs of source and place; `trees`: the same, read-only;
    `cwd`, `env`, `argv`: of the command; `user`: whom root becomes for it, or null."""
    spec = json.loads(sys.argv[1])
    user = os.geteuid()
    unshare(user, os.getegid())
    if user == 0:
        for path in spec["writable"]:
            mount(path, path, MS_BIND)
        read_only("/")
    for source, at in spec["binds"]:
        mount(source, at, MS_BIND)
    for source, at in spec["trees"]:
        mount(source, at, MS_BIND)
        read_only(at)
    os.chdir(spec["cwd"])
    check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    signal.signal(signal.SIGTERM, terminated)
    command = os.fork()
    if command == 0:
        for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two, which is inherited
            signal.signal(number, signal.SIG_DFL)
        if spec["user"] is not None:
            os.setgroups([])
            os.setgid(spec["user"])
            os.setuid(spec["user"])
        try:
            os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
        except OSError as error:
            print(f"{spec['argv'][0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    end_descendants()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
