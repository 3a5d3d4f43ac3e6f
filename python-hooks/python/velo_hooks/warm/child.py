"""A fork of the parent becomes the process that a caller asked for.

Everything is checked first, then taken over from the caller: process group, control group, limits, descriptors,
working directory, signals, environment. Only then it says that it is ready; it runs when the caller says so.
"""
import os
import sys
import time

import _signal
import _socket
import resource

from . import process, program, stdio, wire
from .wire import Refused

# Where the interpreter would have put something at the start of sys.path.
PLACEHOLDER = "/proc/self/fd/velo"
OWN_GROUP, OWN_SESSION = b"group", b"session"
# Read by the loader and by the preload library at the start of a process; the same for all children.
AT_START = (b"LD_LIBRARY_PATH=", b"VELO_LD_LIBRARY_PATH=", b"VELO_LD_LIBRARY_PATH")
SO_PEERPIDFD = 77


def become(connection, parent):
    """In the child: gives what runs the program, or ends the process."""
    current = [connection]
    try:
        return _become(current, parent, os.getpid())
    except BaseException as error:
        try:
            wire.refuse(current[0], error if isinstance(error, Refused) else f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)


def _become(current, parent, pid):
    connection = current[0]
    check_caller(connection, parent.facts)
    request, received = wire.receive(connection)
    if request["slot"] != parent.slot:
        raise Refused("the parent is for something else")
    targets = [int(number) for number in request["targets"].split()]
    if len(received) != len(targets) + 1 or sorted(set(targets)) != targets:
        raise Refused("not all descriptors arrived")
    variables = wire.strings(request["environment"])
    environment = dict(reversed([text.partition(b"=")[::2] for text in reversed(variables) if b"=" in text[1:]]))
    directory, *received = received
    check_inputs(parent, environment, directory)
    arguments = wire.strings(request["arguments"])
    parent.close_in_child(connection)
    high = process.high(connection.fileno(), max([*targets, *received, 2]) + 64)
    connection.close()
    connection = current[0] = _socket.socket(fileno=high)
    join_group(request["group"])
    try:
        process.join_cgroup(request["cgroup"])
    except OSError as error:
        raise Refused(f"it cannot move to the caller's control group: {error}") from None
    set_limits(request["limits"])
    os.fchdir(directory)
    os.close(directory)
    process.place(received, targets)
    os.umask(int(request["umask"]))
    set_signals(int(request["ignored"], 16), parent.signals)
    set_environment(variables, environment, parent)
    stdio.renew()
    run = program.prepare(request["kind"], arguments, int(request["begin"]), PLACEHOLDER)
    check_shadows(parent)
    process.set_command_line(arguments, variables)
    process.set_name(request["name"])
    renew_state()
    own = os.pidfd_open(pid)
    wire.ready(connection, pid, os.getppid(), own)
    os.close(own)
    if connection.recv(1) != wire.GO:
        os._exit(0)
    connection.close()
    parent.forget_in_child(request["record"])
    mask = int(request["blocked"], 16)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [number for number in range(1, 65) if mask >> (number - 1) & 1])
    return run


def check_caller(connection, own):
    """The caller must be who this process is, in the same namespaces. By a descriptor of it, so that its number cannot
    have passed to another process meanwhile."""
    size = 12
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, size)
    pid = int.from_bytes(credentials[:4], "little")
    try:
        caller = connection.getsockopt(_socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError:
        caller = os.pidfd_open(pid)
    try:
        if pid <= 0 or process.facts(pid) != own:
            raise Refused("the caller's credentials or namespaces are others")
        # A process that was reaped has no number any more, and gets no signal.
        _signal.pidfd_send_signal(caller, 0)
    except OSError as error:
        raise Refused(f"the caller cannot be checked: {error}") from None
    finally:
        os.close(caller)


def check_inputs(parent, environment, directory):
    """What the imports of the parent looked at must be the same for the caller."""
    path = os.readlink(f"/proc/self/fd/{directory}").encode("utf-8", "surrogateescape") if parent.inputs.directory else b""
    if parent.inputs.values(environment, path) != parent.values:
        raise Refused("variables or the working directory that its modules looked at are others")
    changed = parent.files.changed(parent.top_level)
    if changed:
        parent.mark_stale()
        raise Refused(f"{changed} has changed")


def check_shadows(parent):
    """Nothing that was preloaded may be found earlier in the script's own directory."""
    first = sys.path[0] if sys.path else None
    if not isinstance(first, str) or not parent.preloaded_any:
        return
    from .inputs import names_in

    hidden = names_in(first or ".") & parent.top_level
    if hidden and os.path.realpath(first or ".") not in parent.entries:
        raise Refused(f"the script's directory has its own {min(hidden)}")


def join_group(group):
    if group == OWN_SESSION:
        os.setsid()
    elif group == OWN_GROUP:
        os.setpgid(0, 0)
    else:
        try:
            os.setpgid(0, int(group))
        except OSError as error:
            raise Refused(f"it cannot join the caller's process group: {error}") from None


def set_limits(limits):
    """Soft limits; the hard ones are part of the parent's identity."""
    for limit in limits.split():
        number, soft = (int(text) for text in limit.split(b"="))
        current, hard = resource.getrlimit(number)
        if current != soft:
            try:
                resource.setrlimit(number, (soft, hard))
            except (OSError, ValueError) as error:
                raise Refused(f"limit {number} cannot be set: {error}") from None


def set_signals(ignored, own):
    """Undoes what the parent did to its signals, then ignores what the caller ignores, as a started program would."""
    _signal.set_wakeup_fd(-1)
    for number, handler in own.items():
        _signal.signal(number, handler)
    for number in range(1, 65):
        if ignored >> (number - 1) & 1 and number not in (_signal.SIGKILL, _signal.SIGSTOP):
            try:
                if _signal.getsignal(number) in (_signal.SIG_DFL, _signal.default_int_handler):
                    _signal.signal(number, _signal.SIG_IGN)
            except (OSError, ValueError):
                pass


def set_environment(variables, environment, parent):
    """The caller's, in its order, then what imports changed in it; what a start reads stays."""
    kept = {text.partition(b"=")[0] for text in AT_START}
    wanted = {name: value for name, value in environment.items() if name not in kept}
    current = dict(os.environb.items())
    for name in kept & set(current):
        wanted[name] = current[name]
    for name, value in parent.environment_changes.items():
        if value is None:
            wanted.pop(name, None)
        else:
            wanted[name] = value
    if list(current.items()) == list(wanted.items()):
        return
    for name in list(os.environb):
        del os.environb[name]
    for name, value in wanted.items():
        os.environb[name] = value


def renew_state():
    """What must differ between two starts: random numbers, secrets, times. `random` itself and ssl do it after any fork."""
    modules = sys.modules
    numpy_random = modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    multiprocessing = modules.get("multiprocessing.process")
    if multiprocessing is not None:
        config = getattr(multiprocessing.current_process(), "_config", {})
        if "authkey" in config:
            config["authkey"] = multiprocessing.AuthenticationString(os.urandom(32))
    logging = modules.get("logging")
    if logging is not None and hasattr(logging, "_startTime"):
        logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()
    threading = modules.get("threading")
    if threading is not None:
        main = threading.main_thread()
        if hasattr(main, "_set_native_id"):
            main._set_native_id()
