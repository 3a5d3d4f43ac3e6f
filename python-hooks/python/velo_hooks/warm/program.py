"""Runs a script, a module or a command as the interpreter's own main program does.

`prepare` gives a function without arguments; whatever cannot be run exactly so is refused before anything happened, and
the interpreter itself shows the error.
"""
import builtins
import os
import sys

from .wire import Refused

SCRIPT, MODULE, COMMAND = b"f", b"m", b"c"


def prepare(kind, arguments, begin, placeholder):
    """`arguments`: the whole argument vector; `begin`: where the script, or the -m or -c, is in it."""
    words = [os.fsdecode(word) for word in arguments]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = words
    if kind == SCRIPT:
        sys.argv = words[begin:]
        return _script(words[begin], placeholder)
    # `-c TEXT`, also as `-cTEXT` or at the end of other letters: what counts is the next word if the letter ends its own.
    at = begin + 1
    option = words[begin]
    text = option[option.index(kind.decode()) + 1 :]
    if not text:
        text, at = words[at], at + 1
    sys.argv = ["-" + kind.decode(), *words[at:]]
    return _command(text, placeholder) if kind == COMMAND else _module(text, placeholder)


def _set_path(placeholder, value):
    """The first entry of sys.path, in the place that was kept for it."""
    sys.path_importer_cache.pop(placeholder, None)
    if placeholder in sys.path:
        sys.path[sys.path.index(placeholder)] = value


def _main_module():
    """A new `__main__`: the parent's is shared for good, so what is only referenced from there would never be collected."""
    old = sys.modules["__main__"]
    new = type(sys)("__main__")
    vars(new).update(vars(old))
    sys.modules["__main__"] = new
    return vars(new)


def _script(name, placeholder):
    path = name
    if not path.startswith("/"):
        path = os.path.join(os.getcwd(), name)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None
    with open(descriptor, "rb") as source:
        if name.endswith(".pyc"):
            raise Refused("the script is bytecode")
        try:
            content = source.read()
        except OSError:
            raise Refused("the script is a directory") from None
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")) or b"PK\x05\x06" in content[-65557:]:
        raise Refused("the script is an archive")
    _set_path(placeholder, os.path.dirname(os.path.realpath(name)))
    code = _compiled(content, path)
    names = _main_module()
    from importlib.machinery import SourceFileLoader

    names["__loader__"] = SourceFileLoader("__main__", path)
    names["__file__"] = path
    names["__cached__"] = None
    return lambda: exec(code, names)


def _command(text, placeholder):
    _set_path(placeholder, "")
    if sys.version_info >= (3, 13):
        import linecache

        # So that tracebacks show the lines of a command.
        linecache.cache["<string>"] = (len(text), None, [line + "\n" for line in text.splitlines()], "<string>")
    code = _compiled(text + "\n", "<string>")
    names = _main_module()
    return lambda: exec(code, names)


def _module(name, placeholder):
    _set_path(placeholder, os.getcwd())
    _main_module()
    import runpy

    return lambda: runpy._run_module_as_main(name)


def _compiled(source, name):
    try:
        return builtins.compile(source, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise Refused(f"it does not compile: {error}") from None
