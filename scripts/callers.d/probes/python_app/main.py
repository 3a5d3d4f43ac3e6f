"""An application whose modules, sources and processes are looked at: main.py [fail|sources|pool WAY]."""
import inspect
import linecache
import multiprocessing
import pkgutil
import sys

import deep.below
import helper
import numpy


def square(number):
    return helper.double(number) * number // 2


def shown():
    print(helper.double(4), deep.below.NAME, __name__)


def sources():
    """What inspection says of modules: where they are, what they hold."""
    for module in (helper, deep, deep.below, numpy, numpy.fft):
        spec = module.__spec__
        print(module.__name__, module.__file__, module.__cached__, spec, type(module.__loader__).__name__, getattr(module, "__path__", None))
        print(inspect.getsourcefile(module), len(inspect.getsource(module)), module.__loader__.get_filename(module.__name__))
        print(module.__loader__.is_package(module.__name__), spec.submodule_search_locations, spec.cached == module.__cached__, spec.has_location)
    print(inspect.getsource(helper.double), linecache.getline(helper.__file__, 3), helper.double.__doc__, helper.double.__code__.co_filename)
    print([tuple(info)[1:] for info in pkgutil.iter_modules(deep.__path__)], pkgutil.get_data("deep", "data.txt"))
    print(sorted(name for name in sys.modules if name.split(".")[0] in ("deep", "helper")), sys.flags.optimize, sys.argv)


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "shown"
    if what == "fail":
        helper.double(None)
    elif what == "sources":
        sources()
    elif what == "pool":
        context = multiprocessing.get_context(sys.argv[2])
        with context.Pool(2) as pool:
            print(sys.argv[2], pool.map(square, range(10)))
    else:
        shown()
