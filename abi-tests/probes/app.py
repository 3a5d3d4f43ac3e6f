"""An application whose package, data and extension stand in the served tree (argv[1] on sys.path).

Exercises the import system the ways that programs use it; prints what a plain tree gives too.
"""

import importlib
import importlib.metadata
import importlib.resources
import importlib.util
import inspect
import multiprocessing
import os
import pkgutil
import runpy
import sys
import traceback
import warnings

ROOT = sys.argv[1]
sys.path.insert(0, ROOT)
warnings.simplefilter("ignore")


def square(number):
    import package.inner

    return package.inner.VALUE * number, os.path.relpath(package.inner.__file__, ROOT)


def main():
    import package
    import package.inner as inner
    import namespace.part

    print(package.__file__, package.__path__, package.__spec__.origin, package.__spec__.has_location, package.__cached__)
    print(inner.VALUE, inner.where(), list(namespace.__path__), namespace.part.NAME)
    print(sorted((module.name, module.ispkg) for module in pkgutil.walk_packages([ROOT])))
    print(importlib.util.find_spec("package.missing"), importlib.util.find_spec("package.sub").submodule_search_locations)
    print(importlib.resources.files("package").joinpath("data.txt").read_text(), pkgutil.get_data("package", "data.txt"))
    with importlib.resources.as_file(importlib.resources.files("package") / "data.txt") as path:
        print(path)
    print(importlib.metadata.version("thing"), [str(file) for file in importlib.metadata.files("thing") or ()])
    print(sorted(distribution.metadata["Name"] for distribution in importlib.metadata.distributions(path=[ROOT])))
    print(inspect.getsource(inner.where), inspect.getfile(inner), inspect.getsourcefile(inner))
    try:
        inner.fail()
    except ZeroDivisionError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        print(frame.filename, frame.lineno, frame.line)
    try:
        importlib.import_module("package.broken")
    except SyntaxError as error:
        print("SyntaxError", error.filename, error.lineno)
    try:
        importlib.import_module("package.nothing")
    except ModuleNotFoundError as error:
        print(error)
    print(runpy.run_path(os.path.join(ROOT, "script.py"))["RESULT"], runpy.run_module("package.sub")["NAME"])
    import zipped.member

    print(zipped.member.NAME, zipped.member.__file__)
    importlib.invalidate_caches()
    print(importlib.reload(inner).VALUE)
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(4)))
    print(sorted(name for name in sys.modules if name.split(".")[0] in ("package", "namespace", "zipped")))


if __name__ == "__main__":
    sys.path.insert(1, os.path.join(ROOT, "archive.zip"))
    main()
