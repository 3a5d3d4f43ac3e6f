"""Python's part of Velo: modules and their bytecode straight from the manifest.

Importing this package changes nothing. `velo-ctl run` turns the import hook on by itself, and so does the `.pth` file
of an installed package; `activate()` is what both call. docs/PYTHON.md says what the hook does.
"""


def activate(native=None):
    """Turn the import hook on; `native` is the path of the compiled part, if that is not in this package.

    What is wrong is one line on standard error, and imports go on as without Velo; with VELO_PYTHON_STRICT=1 it ends
    the process. Returns whether the hook is on.
    """
    from velo_hooks import _start

    return _start.activate(native)
