"""Large Python projects' own test suites, and programs that do unusual things with imports, in a served virtual environment
that is indexed with bytecode and run with Velo's import hook, as `velo-ctl run` does it.
"""
import shutil
import sys
import xml.etree.ElementTree

from cpython import read_results
from job import caller
from sides import PROBES

DJANGO, PYTEST, NUMPY = "5.2.8", "9.0.2", "2.3.5"
PACKAGES = (
    f"django=={DJANGO} pytest=={PYTEST} numpy=={NUMPY} hypothesis==6.148.7 xmlschema==4.2.0 attrs==25.4.0 pexpect==4.9.0 jinja2==3.1.6 "
    "coverage==7.12.0 gunicorn==23.0.0 uvicorn==0.38.0 ipykernel==7.1.0 jupyter_client==8.6.3 setuptools==80.9.0"
)
DJANGO_APPS = (
    "template_tests forms_tests utils_tests model_fields staticfiles_tests migrations file_storage i18n apps admin_scripts "
    "app_loading user_commands template_backends template_loader"
)


def environment(job, *projects):
    """Serves a virtual environment with bytecode, and the unpacked source archives of `projects`, as (name, version)."""
    made = job.cached(
        "python-projects", f"{sys.executable} {sys.version} {PACKAGES}",
        f'{sys.executable} -m venv --copies "$DIR/venv" && "$DIR/venv/bin/pip" install -q --no-compile {PACKAGES}',
    )
    python = made / "venv/bin/python"
    job.serve(made / "venv", python=python)
    env = {"V": str(made / "venv"), "PATH": f"{made}/venv/bin:/usr/bin:/bin", "PYTHONHASHSEED": "0"}
    for name, version in projects:
        source = job.cached(
            f"{name}-source", f"{sys.version} {version}",
            f"""{python} -m pip download -q --no-deps --no-binary {name} -d archive {name}=={version}
            mkdir source && tar x --strip-components=1 -C source -f archive/*.tar.gz""",
        )
        job.serve(source / "source", python=python)
        env[name.upper()] = str(source / "source")
    return env


def read_junit(run):
    """The file that pytest's --junitxml=results has written, and none left over for the next step."""
    path = run.home / "results"
    if not path.exists():
        return {}
    words = {"skipped": "skipped: by itself", "failure": "failed", "error": "error"}
    tests = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        kinds = [words[child.tag] for child in case if child.tag in words]
        tests[name] = kinds[0] if kinds else tests.get(name, "ok")
    path.unlink()
    return tests


@caller("pytest-suite", quick=False, packages=["python3", "git"])
def pytest_suite(job):
    """pytest, all that it needs, and its source archive served: its own tests but those that need a network"""
    env = environment(job, ("pytest", PYTEST))
    job.version(f"{env['V']}/bin/pytest --version | cut -d' ' -f2")
    job.step(
        "testing", 'pytest -q -c "$PYTEST/pyproject.toml" --rootdir "$PYTEST" -p no:cacheprovider --junitxml=results "$PYTEST/testing"',
        env=env, code=None, read=read_junit, at_least=3500, deadline=1800,
    )


@caller("django", quick=False, packages=["python3", "gettext"])
def django(job):
    """Django, all that it needs, and its source archive served: its own tests of templates, forms, models, migrations, static files, commands and more, on SQLite"""
    env = environment(job, ("django", DJANGO))
    job.version(f"{env['V']}/bin/django-admin --version")
    for probe in ("unittest_results.py", "django_results.py"):
        shutil.copy(PROBES / probe, job.trees)
    job.step(
        "tests", f'python -B "$DJANGO/tests/runtests.py" --settings=django_results --parallel=1 --noinput {DJANGO_APPS}',
        env={**env, "PYTHONPATH": str(job.trees), "RUNTESTS_DIR": f"{env['DJANGO']}/tests"}, code=None, read=read_results, at_least=4500, deadline=2400,
    )


@caller("numpy", quick=False, packages=["python3"])
def numpy(job):
    """numpy with its extension modules served: its own tests, without the slow ones"""
    env = environment(job)
    job.version(f"{env['V']}/bin/python -c 'import numpy; print(numpy.__version__)'")
    job.step(
        "tests", 'pytest -q -p no:cacheprovider --junitxml=results -m "not slow" --pyargs numpy.lib numpy.ma numpy.linalg numpy.fft numpy.random numpy.polynomial numpy.testing numpy.tests numpy.typing',
        env=env, code=None, read=read_junit, at_least=5000, deadline=1800,
    )


@caller("python-programs", quick=False, packages=["python3"])
def python_programs(job):
    """Programs that look into imports: pdb, coverage, runpy, zipapp, pickles, multiprocessing, gunicorn, uvicorn, a Jupyter kernel, pip, venv, profilers, -X importtime"""
    env = environment(job)
    job.version(f"{env['V']}/bin/python -c 'import platform; print(platform.python_version())'")
    plain = job.trees / "plain"
    shutil.copytree(PROBES / "python_app", plain)
    job.serve(job.trees / "app", plain, python=f"{env['V']}/bin/python")
    env["APP"] = str(job.trees / "app")
    times = [(r"\b\d+\.\d+( seconds|s\b)", "TIME"), (r"0x[0-9a-f]+", "ADDRESS"), (r"pid[: ]+\d+", "pid")]

    def step(name, script, **more):
        job.step(name, f'cd "$APP" && {script}', env={**env, **more.pop("env", {})}, clean=times + more.pop("clean", []), **more)

    step("traceback", "python main.py fail; python -c 'import broken'; python -m broken; python -X importtime -c 'import helper' 2>&1 | grep -oE ' (helper|deep)$'", code=None)
    step("sources", "python main.py sources; python -m main sources; python -O main.py sources; python -OO main.py sources")
    step("pdb", "printf 'b helper.double\\nc\\nw\\nl\\np n\\nu\\np __file__\\nc\\nq\\n' | python -m pdb main.py", code=None)
    step("coverage", 'export COVERAGE_FILE="$HOME/cov"; coverage run --branch --source . main.py && coverage report -m && coverage json -q -o - | python -c "import json, sys; print(sorted(json.load(sys.stdin)[\'files\'].items()))"')
    step("trace, profile, timeit", "python -m trace --count -C \"$HOME/count\" --summary main.py | grep -E 'helper|main' | sort; python -m cProfile -s name main.py | grep -oE '(helper|main|below)\\.py:[0-9]+\\(.*' | sort; python -m timeit -n 1 -r 1 'import helper' | grep -c loop")
    step("multiprocessing", "for way in spawn forkserver fork; do python main.py pool $way; done")
    step("zipapp", 'python -m zipapp . -m main:shown -o "$HOME/app.pyz" && python "$HOME/app.pyz"')
    step("help and inspect", "python -c 'help(\"helper\")'; python -m inspect helper; python -m inspect numpy:fft --details; python -m pydoc numpy.fft | head -n 20; python -m doctest -v helper.py | tail -n 3", code=None)
    step("pip and venv", 'pip list; pip show -f coverage; pip check; pip freeze; python -m venv --without-pip "$HOME/new" && "$HOME/new/bin/python" -c "import sys; print(sys.prefix, sys.base_prefix)"; python -m site')
    # Plugins are loaded in the order of the directory.
    step("pytest", "pytest -v -p no:cacheprovider test_helper.py", code=1, clean=[(r"^plugins: .*", "plugins")])
    step("servers", "python serve.py gunicorn; python serve.py uvicorn")
    step("a Jupyter kernel", "python kernel.py", env={"JUPYTER_PLATFORM_DIRS": "1", "IPYTHONDIR": str(job.here / "ipython")})
