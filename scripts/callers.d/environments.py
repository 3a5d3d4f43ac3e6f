"""Package managers and what runs in their environments: a served virtual environment with pip, uv and pytest in it, and a
served node_modules with npm, tsc and eslint."""
import shutil
import sys

from job import Skip, caller

PACKAGES = "requests==2.32.5 rich==14.2.0 pytest==9.0.2 uv==0.13.9"


def environment(job):
    """Serves a virtual environment at its place, and gives a `$V` that names it."""
    made = job.cached(
        "venv", f"{sys.executable} {sys.version} {PACKAGES}",
        f'{sys.executable} -m venv --copies "$DIR/venv" && "$DIR/venv/bin/pip" install -q {PACKAGES}',
    )
    job.serve(made / "venv")
    return {"V": str(made / "venv"), "PATH": f"{made}/venv/bin:/usr/bin:/bin", "UV_CACHE_DIR": str(job.here / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}


@caller("pip")
def pip(job):
    """A virtual environment served, pip and its interpreter in it: list, show -f, check, freeze, inspect, uninstall refused"""
    env = environment(job)
    job.version(f"{env['V']}/bin/pip --version | cut -d' ' -f2")
    job.step("list", "pip list; pip list --format=json --not-required; pip freeze --all", env=env)
    job.step("show", "pip show -f requests rich; pip show none", env=env, code=1)
    sort = 'import json, sys; d = json.load(sys.stdin); print(d["environment"], sorted(i["metadata_location"] for i in d["installed"]))'
    job.step("check and inspect", f"pip check; pip inspect | python -c '{sort}'; pip debug 2>/dev/null | grep -E 'sys|python'; pip -V", env=env)
    job.step("activate", '. "$V/bin/activate" && type -P python pip && python -c "import sys, requests, rich; print(sys.prefix, sys.executable, requests.__file__)" && deactivate', env=env)
    job.step("metadata", "python -c 'import importlib.metadata as m; print(sorted((d.name, d.version, len(d.files), d.read_text(\"INSTALLER\")) for d in m.distributions())); print(sorted(e.value for e in m.entry_points(group=\"console_scripts\")))'", env=env)
    job.step("uninstall", "pip uninstall -y rich 2>&1 | tail -n 1; pip install --no-index none; echo $?; pip list --format=freeze", env=env, clean=[(r"'(RECORD|INSTALLER|METADATA|WHEEL|REQUESTED)'", "'FIRST'")])
    job.step("another environment", "python -m venv --without-pip new && new/bin/python -c 'import sys; print(sys.prefix, sys.base_prefix)'; python -m venv --system-site-packages --symlinks --without-pip other && other/bin/python -c 'import sys; print(sys.prefix)'", env=env)


@caller("uv")
def uv(job):
    """The same virtual environment, uv in it: pip list, show, check, freeze, tree, run, python find, venv"""
    env = environment(job)
    env = {**env, "VIRTUAL_ENV": env["V"], "UV_OFFLINE": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    job.version(f"{env['V']}/bin/uv --version | cut -d' ' -f2")
    times = [(r"in [\d.]+m?s", "in TIME"), (r"^(Checked|Audited) .*", r"\1")]
    job.step("pip list", "uv pip list; uv pip list --format json; uv pip freeze; uv pip check", env=env, clean=times)
    job.step("pip show and tree", "uv pip show requests rich; uv pip show -f pytest | sort; uv pip tree", env=env, clean=times)
    job.step("run", "uv run --no-project python -c 'import sys, requests; print(sys.prefix, requests.__version__)'; uv run --no-project pytest --version", env=env, clean=times)
    job.step("python find", "uv python find; uv python find --system || true", env=env, clean=times)
    job.step("venv", 'uv venv -p "$V/bin/python" made && made/bin/python -c "import sys; print(sys.prefix, sys.base_prefix)"', env=env, clean=times)
    job.step("install refused", "uv pip install none; uv pip uninstall rich; uv pip list", env=env, clean=times)


@caller("uv-install", quick=False)
def uv_install(job):
    """uv, wheels and a project with its lock served: installs from them by copy, hard link and symbolic link, --target, compile, sync, run, export, tool run, a served cache"""
    env = environment(job)
    made = job.cached(
        "wheels", f"{sys.version} {env['V']} {PACKAGES}",
        f"""mkdir "$DIR/plain" && cd "$DIR/plain" && "$V/bin/pip" download -q -d wheels requests==2.32.5 rich==14.2.0
        mkdir project && printf '[project]\\nname = "app"\\nversion = "1"\\nrequires-python = ">=3.11"\\ndependencies = ["requests", "rich"]\\n[tool.uv]\\npackage = false\\nno-index = true\\nfind-links = ["../wheels"]\\n' > project/pyproject.toml
        printf 'import requests, rich\\nprint(requests.__version__, rich.__name__, __file__)\\n' > project/app.py; printf 'rich\\nrequests\\n' > project/in.txt
        cd project && "$V/bin/uv" lock -q --offline -p "$V/bin/python" --cache-dir "$DIR/plain/cache" && "$V/bin/uv" sync -q --frozen --offline -p "$V/bin/python" --cache-dir "$DIR/plain/cache" && rm -r .venv""",
        env={"V": env["V"]},
    )
    app = job.trees / "app"
    job.serve(app, made / "plain")
    env = {**env, "APP": str(app), "UV_OFFLINE": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON": f"{env['V']}/bin/python", "NO_COLOR": "1", "UV_TOOL_DIR": f"{job.here}/tools"}
    job.version(f"{env['V']}/bin/uv --version | cut -d' ' -f2")
    times = [(r"in [\d.]+m?s", "in TIME")]
    files = "find new -name __pycache__ -prune -o \\( -type f -o -type l \\) -printf '%P %y\\n' | sort"
    for mode in ("copy", "hardlink", "symlink"):
        job.step(
            f"install by {mode}", f'uv venv -q --clear new && unset UV_PYTHON && . new/bin/activate && uv pip install --link-mode {mode} --no-index --find-links "$APP/wheels" requests rich && {files}; python "$APP/project/app.py"; uv pip check',
            env=env, clean=times,
        )
    job.step("target, compile, dry run", 'uv pip install --no-index -f "$APP/wheels" -r "$APP/project/in.txt" --target out && ls out; uv pip compile -q --no-index -f "$APP/wheels" "$APP/project/in.txt" --generate-hashes; uv pip install --dry-run --no-index -f "$APP/wheels" --reinstall requests -p "$UV_PYTHON"', env=env, clean=times)
    job.step("a served project", 'cd "$APP/project" && uv sync --frozen && uv run --frozen app.py && uv tree --frozen && uv export -q --frozen && uv lock --check; uv add -q none; uv version', env={**env, "UV_PROJECT_ENVIRONMENT": f"{job.here}/env"}, code=None, clean=times)
    job.step("a project's own environment", 'cd "$APP/project" && uv sync --frozen', env=env, code=None, clean=times)
    job.step("a served cache", 'uv venv -q c && uv pip install -p c --no-index -f "$APP/wheels" rich; uv cache dir', env={**env, "UV_CACHE_DIR": f"{app}/cache"}, code=None, clean=[*times, (r"/\.tmp\w+", "/.tmpXXXXXX")])
    job.step("a tool", 'uv tool run -q --no-index -f "$APP/wheels" --from pygments pygmentize -l python "$APP/project/app.py"; uv tool install -q --no-index -f "$APP/wheels" pygments && uv tool list --show-paths', env={**env, "UV_TOOL_BIN_DIR": f"{job.here}/bin"}, clean=times)


@caller("pytest")
def pytest(job):
    """pytest and a test suite served: collection, rewritten assertions, tracebacks, fixtures, doctests, -k, --co, tmp_path"""
    env = environment(job)
    job.version(f"{env['V']}/bin/pytest --version | cut -d' ' -f2")
    job.build(
        """mkdir -p "$TREES"/plain/tests/data "$TREES"/plain/pkg && cd "$TREES"/plain
        printf 'def double(x):\\n    \\"\\"\\"\\n    >>> double(2)\\n    4\\n    \\"\\"\\"\\n    return x * 2\\n' > pkg/__init__.py
        printf 'import pytest\\n@pytest.fixture\\ndef words(request):\\n    return (request.path.parent / "data/words").read_text().split()\\n' > tests/conftest.py
        printf 'import pkg, pytest\\ndef test_ok(words): assert words == ["a", "b"]\\ndef test_fails(words): assert [pkg.double(w) for w in words] == ["aa", "b"]\\n@pytest.mark.parametrize("n", range(5))\\ndef test_many(n, tmp_path): (tmp_path / "x").write_text("y"); assert n < 4\\ndef test_raises():\\n    with pytest.raises(OSError): open(__file__, "w")\\n@pytest.mark.skip\\ndef test_skipped(): pass\\n' > tests/test_it.py
        echo a b > tests/data/words; printf '[pytest]\\ntestpaths = tests pkg\\naddopts = --doctest-modules -p no:cacheprovider\\npythonpath = .\\n' > pytest.ini"""
    )
    job.serve(job.trees / "app", job.trees / "plain")
    env["APP"] = str(job.trees / "app")
    clean = [(r"in [\d.]+s", "in TIME"), (r"pytest-of-\w+/pytest-\d+", "pytest-dir")]
    job.step("verbose run", 'cd "$APP" && pytest -v', env=env, code=1, clean=clean)
    job.step("from elsewhere", 'pytest -c "$APP/pytest.ini" --rootdir "$APP" "$APP/tests" -k "many or ok" -q --tb=short', env=env, code=1, clean=clean)
    job.step("collection", 'cd "$APP" && pytest --co -q && pytest --fixtures-per-test -q tests/test_it.py::test_ok', env=env, clean=clean)


def node_project(job):
    """Serves a project with its node_modules; the environment that names it as `$APP`."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Skip("no node with npm")
    made = job.cached(
        "node", "1",
        """mkdir -p "$DIR/app/src" && cd "$DIR/app"
        printf '{"name": "app", "version": "1.0.0", "private": true, "scripts": {"show": "echo shown && node -p 1+1"}, "dependencies": {"typescript": "5.9.3", "eslint": "9.39.1", "lodash": "4.17.21"}}\\n' > package.json
        npm install --ignore-scripts --no-audit --no-fund --loglevel=error
        printf 'import { double } from "./part";\\nimport _ from "lodash";\\nconst n: number = double(2);\\nconsole.log(n, _.chunk([1, 2, 3], 2));\\n' > src/main.ts
        printf 'export const double = (x: number): number => x * 2;\\n' > src/part.ts
        printf 'declare module "lodash" { const _: any; export default _; }\\n' > src/lodash.d.ts
        printf 'const x: string = 1;\\n' > src/bad.ts
        printf '{"compilerOptions": {"target": "es2022", "module": "commonjs", "esModuleInterop": true, "strict": true, "types": []}, "files": ["src/main.ts", "src/lodash.d.ts"]}\\n' > tsconfig.json
        printf 'export default [{ files: ["src/*.js"], rules: { "no-unused-vars": "error", "semi": "warn" } }];\\n' > eslint.config.mjs
        printf 'const unused = 1\\nvar y = require("lodash");\\nconsole.log(y.VERSION);\\n' > src/a.js""",
    )
    job.serve(made / "app")
    app = str(made / "app")
    return {"APP": app, "PATH": f"{app}/node_modules/.bin:/usr/bin:/bin", "NO_COLOR": "1", "npm_config_update_notifier": "false"}


@caller("npm")
def npm(job):
    """A project served: ls --all, explain, query, pkg, run, npx, root, install refused"""
    env = node_project(job)
    job.version("npm --version")
    cd = 'cd "$APP" && '
    logs = [(r"\S*/_logs/\S*", "LOG"), (r"npm error A complete log.*\n", "")]
    job.step("ls", cd + "npm ls --all; npm ls --json --all | sha256sum; npm ls none", env=env, code=1, clean=logs)
    job.step("explain and query", cd + "npm explain ajv; npm query '#lodash' | sha256sum; npm pkg get name dependencies; npm root; npm prefix; npm -v", env=env, clean=logs)
    job.step("run", cd + "npm run; npm run show --silent; npx --no-install tsc --version; npm exec --offline -- eslint --version", env=env, clean=logs)
    job.step("install refused", cd + "npm install --offline --no-audit none; npm uninstall lodash; npm ls", env=env, code=None, clean=logs)


@caller("node")
def node(job):
    """A project's node_modules served: require, import, require.resolve, readdir recursive, workers, --test, child processes"""
    env = node_project(job)
    job.version("node --version | tr -d v")
    cd = 'cd "$APP" && '
    job.step("require", cd + "node -p 'const _ = require(\"lodash\"); [_.VERSION, require.resolve(\"lodash\"), require.resolve.paths(\"x\"), __dirname]'; node -e 'require(\"none\")' 2>&1 | grep -E 'Error|Require'; node src/a.js", env=env)
    job.step("import", cd + "node --input-type=module -e 'import _ from \"lodash\"; import { createRequire } from \"module\"; console.log(_.VERSION, import.meta.resolve(\"eslint\"), createRequire(import.meta.url).resolve(\"typescript\"))'", env=env)
    job.step("fs", cd + "node -e 'const fs = require(\"fs\"); const all = fs.readdirSync(\".\", { recursive: true, withFileTypes: true }).map(d => { const p = d.parentPath + \"/\" + d.name; const s = fs.lstatSync(p); return [p, d.isFile(), s.mode, s.isDirectory() ? 0 : s.size, +s.mtime].join(); }); console.log(all.sort().join(\"\\n\")); try { fs.writeFileSync(\"x\", \"\") } catch (e) { console.log(e.message) } fs.promises.opendir(\"src\").then(async d => { const n = []; for await (const e of d) n.push(e.name); console.log(n.sort()) })'", env=env)
    job.step("worker and child", cd + "node -e 'const { Worker } = require(\"worker_threads\"); new Worker(\"const _ = require(\\\"lodash\\\"); console.log(_.VERSION)\", { eval: true }).on(\"exit\", () => console.log(require(\"child_process\").execFileSync(process.execPath, [\"-p\", \"require(\\\"lodash\\\").VERSION\"]).toString()))'", env=env)
    job.step("test runner", 'printf \'const t = require("node:test"); t("a", () => require("assert").equal(require(process.env.APP + "/node_modules/lodash").VERSION[0], "4"));\\n\' > a.test.js && node --test --test-reporter=tap a.test.js', env=env, clean=[(r"duration_ms:? [\d.]+", "TIME")])


@caller("tsc")
def tsc(job):
    """TypeScript 5 and the project served: --noEmit, --outDir, --traceResolution, --listFiles, errors (TypeScript 7 is a static program)"""
    env = node_project(job)
    job.version(f"{env['APP']}/node_modules/.bin/tsc --version | cut -d' ' -f2")
    cd = 'cd "$APP" && '
    job.step("compile", 'tsc -p "$APP" --outDir out && find out -type f | sort | xargs tail -n +1; NODE_PATH="$APP/node_modules" node out/main.js', env=env)
    job.step("resolution", cd + "tsc --noEmit --traceResolution --listFiles; tsc --showConfig", env=env)
    job.step("errors", cd + "tsc --noEmit --pretty false --target es2022 src/bad.ts; tsc -p none; tsc -p .", env=env, code=2)


@caller("eslint")
def eslint(job):
    """eslint and the project served: its flat configuration, formats, --print-config, a fix that is refused"""
    env = node_project(job)
    job.version(f"{env['APP']}/node_modules/.bin/eslint --version | tr -d v")
    cd = 'cd "$APP" && '
    job.step("lint", cd + "eslint src; eslint -f json src | sha256sum; eslint --print-config src/a.js", env=env)
    job.step("fix refused", cd + "eslint --fix src; cat src/a.js; eslint none", env=env, code=2)
