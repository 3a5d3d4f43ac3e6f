"""The first lines of a parent, and the top of every child's stack.

Runs from `-c` in a namespace of its own. Descriptor 3 has the sources, 4 what velo-ctl says; an argument says where the first
client's connection is. In a child the program runs here, so that what ends it goes to the interpreter's own handling.
"""


def load(sources):
    """The modules by their names. Not through the import system, which is the application's."""
    import sys

    package = type(sys)("velo_hooks.warm")
    package.__path__ = []
    sys.modules[package.__name__] = package
    for name, source in zip(sources[1::2], sources[2::2]):
        name = name.decode()
        module = type(sys)(f"velo_hooks.warm.{name}")
        module.__package__ = package.__name__
        sys.modules[module.__name__] = module
        exec(compile(source, f"<velo-ctl>/{name}.py", "exec"), module.__dict__)
        setattr(package, name, module)
    return package.child, package.server


def configuration(text):
    parts = text.split(b"\0")
    return dict(zip(parts[0::2], parts[1::2]))


def read(descriptor):
    import os

    with open(descriptor, "rb") as source:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return source.read()


def boot(sources):
    import os
    import sys

    os.close(3)
    child, server = load(sources)
    config = configuration(read(4))
    if sys.path and sys.path[0] == "" and not getattr(sys.flags, "safe_path", sys.flags.isolated):
        sys.path[0] = child.PLACEHOLDER
    parent = server.Parent(config)
    first = int(config[b"first"]) if config[b"first"] else None
    return parent, parent.serve(first)


def show_without_us(error, frames):
    """Arranges that a traceback begins where the program does."""
    import sys

    hook = sys.excepthook

    def shown(kind, value, traceback):
        sys.excepthook = hook
        while traceback is not None and traceback.tb_frame.f_code in frames:
            traceback = traceback.tb_next
        value.__traceback__ = traceback
        sys.last_traceback = traceback
        hook(kind, value, traceback)

    sys.excepthook = shown


def codes(frame):
    found = set()
    while frame is not None:
        found.add(frame.f_code)
        frame = frame.f_back
    return found


def main(sources):
    parent, run = boot(sources)
    try:
        run()
    except BaseException as error:
        import sys

        parent.program_ended(error)
        if not isinstance(error, SystemExit):
            # The frame of the program's own `lambda` as well.
            show_without_us(error, codes(sys._getframe()) | {run.__code__})
        raise
    parent.program_ended(None)


main(sources)
