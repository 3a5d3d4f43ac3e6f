"""Test suites that come as Debian source packages: libuv's and coreutils'. Built once, kept under target/."""
import re

from job import Skip, caller

# Fetches and unpacks `$PACKAGE` as `$DIR/source`, with package lists of its own: the machine's stay as they are.
FETCH = r"""
mkdir -p apt/lists/partial apt/archives/partial
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | grep -E '/debian/? ' | sort -u | sed 's/^/deb-src /' > apt/sources.list
apt="apt-get -q -o Dir::Etc::SourceList=$DIR/apt/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$DIR/apt/lists -o Dir::Cache=$DIR/apt -o APT::Sandbox::User=root"
$apt update && $apt source "$PACKAGE" && rm -r apt
mv "$PACKAGE"-*/ source
"""


def source(job, package, version_of, build):
    """The directory with the package's `source` and what `build` made of it."""
    if not job.build("command -v apt-get || true"):
        raise Skip("no apt-get to fetch Debian's source package with")
    version = job.build(f"dpkg-query -W -f '${{Version}}' {version_of} 2>/dev/null || apt-cache show {package} | sed -n 's/^Version: //p' | sed -n 1p")
    return job.cached(package, version, f"PACKAGE={package}\n{FETCH}\n{build}")


TAP = re.compile(r"^(ok|not ok) \d+ - (\S+)(?: # (?:SKIP|TODO) ?(.*))?", re.MULTILINE)


def read_tap(run):
    """One outcome a line of TAP; a test that printed none has died."""
    tests = {}
    for name, part in re.findall(r"^== (\S+)\n(.*?)(?=^== |\Z)", run.out, re.MULTILINE | re.DOTALL):
        found = TAP.search(part)
        if found is None:
            tests[name] = f"died: {part.strip()[-200:]}"
        elif found.group(3) is not None:
            tests[name] = f"skipped: {found.group(3)}"
        else:
            tests[name] = "ok" if found.group(1) == "ok" else "failed"
    return tests


@caller("libuv", quick=False, packages=["cmake", "make", "gcc", "dpkg-dev"])
def libuv(job):
    """Its own tests fs_*, fs_event_*, fs_poll_*, spawn_*, cwd and exepath: the test program, libuv.so and the fixtures served"""
    made = source(
        job, "libuv1", "libuv1",
        'cmake -S source -B build -DBUILD_TESTING=ON -DCMAKE_BUILD_TYPE=Release >/dev/null && cmake --build build -j2 --target uv_run_tests >/dev/null',
    )
    job.version(f"sed -n 's/^#define UV_VERSION_\\(MAJOR\\|MINOR\\|PATCH\\) //p' {made}/source/include/uv/version.h | paste -sd.")
    job.serve(made / "build")
    job.serve(job.here / "test", made / "source/test")
    program = made / "build/uv_run_tests"
    job.step(
        "libuv",
        f"for t in $({program} --list | grep -E '^(fs_|spawn_|get_currentexe|cwd_|dlerror|process_title|platform_output|homedir|tmpdir)'); do echo \"== $t\"; timeout 60 {program} $t; done 2>&1",
        code=None, read=read_tap, at_least=80, deadline=1200, ordinary=True,
    )


COREUTILS = (
    "ls/* cp/* du/* readlink/* chmod/* ln/* mv/* rm/* mkdir/* touch/* install/* misc/stat-* misc/realpath.sh misc/readlink-* misc/ls-* misc/pwd-* "
    "misc/test* misc/cat-* misc/head* misc/tac* misc/wc* misc/*sum* misc/sort* misc/xattr.sh misc/mktemp.pl misc/env* misc/nohup.sh misc/stdbuf.sh"
)


def read_trs(run):
    """automake's result files."""
    words = {"PASS": "ok", "SKIP": "skipped: by itself", "FAIL": "failed", "ERROR": "error"}
    tests = {}
    for file in sorted((run.home / "build/tests").rglob("*.trs")):
        found = re.search(r"^:test-result: (\S+)", file.read_text(errors="replace"), re.MULTILINE)
        word = found.group(1) if found else "nothing"
        tests[str(file.relative_to(run.home / "build/tests"))[:-4]] = words.get(word, word)
    return tests


@caller("coreutils", quick=False, packages=["gcc", "make", "perl", "dpkg-dev", "bzip2", "acl", "attr"])
def coreutils(job):
    """Its own tests of ls, cp, du, stat, readlink, realpath and more (make check): all its programs and its whole source served"""
    made = source(
        job, "coreutils", "coreutils",
        'mkdir build && cd build && FORCE_UNSAFE_CONFIGURE=1 "$DIR"/source/configure --quiet --disable-dependency-tracking >/dev/null && mkdir -p tests && make -j2 SUBDIRS=. all check TESTS= >/dev/null',
    )
    job.version(f"{made}/build/src/ls --version | sed -n '1s/.* //p'")
    job.serve(made / "source")
    job.serve(made / "build/src")
    job.step(
        "coreutils",
        f"""rm -rf build && mkdir build && (cd {made}/build && tar c --exclude=./src .) | tar x -C build && cd build && ln -s {made}/build/src src
        tests=$(cd {made}/source && for f in {" ".join("tests/" + part for part in COREUTILS.split())}; do case $f in *.sh|*.pl|*.xpl) echo $f;; esac; done)
        make -k -j2 check SUBDIRS=. TESTS="$(echo $tests)" 2>&1 | tail -n 40""",
        read=read_trs, code=None, at_least=150, deadline=3000,
        limits={"misc/env-S": "prints the environment of a program that was started with one of its own"},
    )
