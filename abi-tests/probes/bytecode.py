"""Imports two packages with the same modules and shows everything that says where code is from."""
import inspect
import linecache
import sys
import traceback
import types

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
compiled = []
if hasattr(sys, "addaudithook"):
    sys.addaudithook(lambda event, detail: event == "compile" and compiled.append(detail[1]))


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def show(package):
    module = __import__(f"{package}.work", fromlist=["x"])
    print(module.__name__, module.__file__, module.__cached__, module.__spec__.cached, module.__spec__.origin)
    print(module.__doc__, type(module.__loader__).__name__, module.__spec__.has_location)
    for code in codes(module.__loader__.get_code(module.__name__)):
        print(code.co_name, code.co_filename, code.co_firstlineno, [text for text in code.co_consts if isinstance(text, str)])
    for thing in (module.outer, module.Thing, module.Thing.method, module.outer(0)):
        print(inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1], inspect.getsource(thing))
    seen = []
    sys.settrace(lambda frame, event, _: seen.append((frame.f_code.co_filename, frame.f_lineno)))
    module.Thing().method(1)
    sys.settrace(None)
    print(seen)
    for failing in (lambda: module.outer(1)(0), lambda: module.Thing().method(0), lambda: list(module.lazy())):
        try:
            failing()
        except ZeroDivisionError as error:
            lines = traceback.format_exc().splitlines()
            print("\n".join(line for line in lines if "^" not in line))
            inner = traceback.extract_tb(error.__traceback__)[-1]
            print(linecache.getline(inner.filename, inner.lineno))
    print(module.CHECKED)


show("one")
show("two")
try:
    __import__("one.broken")
except SyntaxError as error:
    print(error.filename, error.lineno)
if len(sys.argv) > 2:
    # What was compiled here: only what has no bytecode.
    print([name for name in compiled if str(name).startswith(sys.argv[1])], sys.flags.optimize)
