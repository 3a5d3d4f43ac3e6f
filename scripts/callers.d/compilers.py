"""Compilers and build tools: gcc, make, cmake, rustc and cargo, with headers, sources and the toolchain itself served.

Builds are deterministic for equal paths, so what they make is compared by its bytes.
"""
import os
import subprocess
from pathlib import Path

from job import Skip, caller

PROJECT = """
mkdir -p "$TREES"/plain/{src,include/part}
cat > "$TREES"/plain/include/part/part.h <<'END'
#pragma once
#define ANSWER 42
int part(int);
END
printf '#include "part/part.h"\\n#include <math.h>\\nint part(int x) { return x + ANSWER + (int)sqrt(4.0); }\\n' > "$TREES"/plain/src/part.c
printf '#include <stdio.h>\\n#include <part/part.h>\\nint main(void) { printf("%%d %%s\\\\n", part(1), __FILE__); return 0; }\\n' > "$TREES"/plain/src/main.c
cat > "$TREES"/plain/Makefile <<'END'
top := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
vpath %.c $(top)src
CPPFLAGS += -I$(top)include -MMD
app: main.o part.o
	$(CC) -o $@ $^ -lm
include $(top)rules.mk
-include *.d
END
printf 'clean:\\n\\trm -f app *.o *.d\\nlist:\\n\\t@echo $(notdir $(wildcard $(top)src/*.c)) $(realpath $(top)src/../src) $(shell ls $(top))\\n' > "$TREES"/plain/rules.mk
printf 'cmake_minimum_required(VERSION 3.16)\\nproject(app C)\\ninclude(CheckIncludeFile)\\ncheck_include_file(stdint.h HAVE_STDINT)\\nfile(GLOB s src/*.c)\\nadd_executable(app ${s})\\ntarget_include_directories(app PRIVATE include)\\ntarget_link_libraries(app m)\\nenable_testing()\\nadd_test(NAME runs COMMAND app)\\n' > "$TREES"/plain/CMakeLists.txt
"""


@caller("gcc", packages=["gcc", "g++", "libc6-dev"])
def gcc(job):
    """Headers (/usr/include) and its own directory (cc1, cc1plus, lto1, crt files, libgcc) served: compile, link, C++, LTO, -M, errors"""
    job.version("gcc -dumpfullversion")
    job.build(PROJECT)
    app = job.trees / "app"
    job.serve(app, job.trees / "plain")
    job.serve("/usr/include")
    major = job.build("gcc -dumpversion")
    job.serve(f"/usr/lib/gcc/x86_64-linux-gnu/{major}")
    place = {"APP": str(app)}
    job.step("compile and link", 'gcc -g -O2 -I"$APP/include" "$APP"/src/*.c -o app -lm && ./app && sha256sum app', env=place)
    job.step("assembly and preprocessing", 'gcc -S -O1 -I"$APP/include" "$APP/src/part.c" -o - && gcc -E -dD -I"$APP/include" "$APP/src/main.c"', env=place)
    job.step("dependencies", 'gcc -M -I"$APP/include" "$APP/src/main.c"; gcc -H -fsyntax-only -I"$APP/include" "$APP/src/main.c"', env=place)
    job.step("search paths", "gcc -v -E -x c /dev/null; gcc -print-search-dirs; gcc -print-file-name=libgcc.a; gcc -print-prog-name=cc1; gcc -print-file-name=include", clean=[(r"/cc\w{6}\.", "/ccXXXXXX.")])
    job.step("link-time optimisation", 'gcc -flto -O2 -I"$APP/include" "$APP"/src/*.c -o lto -lm && ./lto', env=place)
    job.step("static and shared", 'gcc -shared -fPIC -I"$APP/include" "$APP/src/part.c" -o libpart.so -lm && gcc -I"$APP/include" "$APP/src/main.c" -L. -lpart -Wl,-rpath,"$PWD" -o dyn && ./dyn && sha256sum libpart.so dyn', env=place)
    job.step("an error's place", 'printf "#include <stdio.h>\\n#include <none.h>\\n" > bad.c; gcc -c bad.c; printf "#include <part/part.h>\\nint x = part(\\n" > worse.c; gcc -c worse.c -I"$APP/include"', env=place, code=1)
    job.step("C++", "printf '#include <bits/stdc++.h>\\nint main() { std::map<int, std::string> m{{1, \"x\"}}; std::cout << m[1] << std::filesystem::exists(\"/usr/include\") << \"\\\\n\"; }\\n' > a.cc; g++ -std=c++17 a.cc -o cc && ./cc && sha256sum cc")


@caller("make", packages=["make", "gcc"])
def make(job):
    """A served project, built outside of it: vpath, include, wildcard, realpath, dependencies, rebuilds by time stamps"""
    job.version("make --version | sed -n 's/^GNU Make //p'")
    job.build(PROJECT)
    app = job.trees / "app"
    job.serve(app, job.trees / "plain")
    place = {"APP": str(app)}
    job.step("build", 'make -f "$APP/Makefile" && ./app && sha256sum app', env=place)
    job.step("nothing to do", 'make -f "$APP/Makefile" -q; echo $?; make -f "$APP/Makefile" -d -n | grep -E "newer|older" | sort', env=place)
    job.step("functions", 'make -f "$APP/Makefile" list; make -C "$APP" list; make -f "$APP/none.mk"; make -j2 -f "$APP/Makefile" clean app', env=place)
    job.step("in the tree itself", 'make -C "$APP"', env=place, code=2)


@caller("cmake", packages=["cmake", "make", "gcc"])
def cmake(job):
    """Its modules (/usr/share/cmake-*) and the project served: configure with checks, build, ctest"""
    job.version("cmake --version | sed -n 's/^cmake version //p'")
    job.build(PROJECT)
    app = job.trees / "app"
    job.serve(app, job.trees / "plain")
    job.serve(Path(job.build("ls -d /usr/share/cmake-* | tail -n 1")))
    place = {"APP": str(app)}
    times = [(r"\(\d+\.\d+s\)", "(TIME)"), (r"\d+\.\d+ sec", "TIME sec")]
    job.step("configure", 'cmake -S "$APP" -B build -DCMAKE_BUILD_TYPE=Release', env=place, clean=times)
    job.step("build", "cmake --build build && sha256sum build/app && build/app", clean=times)
    job.step("ctest", "cd build && ctest --output-on-failure", clean=times)
    job.step("install", "cmake --install build --prefix out; cmake -E sha256sum \"$APP/Makefile\"; cmake -E compare_files \"$APP/Makefile\" \"$APP/rules.mk\"; echo $?", env=place)


def toolchain():
    """The directory of the Rust toolchain behind any version manager."""
    done = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise Skip("no rustc")
    return Path(done.stdout.strip()).resolve()


def rust_tree(job, package):
    """Serves the toolchain, the package's own source and every crate that it needs, vendored."""
    sysroot = toolchain()
    repo = Path(__file__).resolve().parents[2]
    job.version(f"{sysroot}/bin/rustc --version | cut -d' ' -f2")
    job.build(
        f"""mkdir -p "$TREES"/source && cd "{repo}" && cp -a Cargo.toml Cargo.lock velo-* libvelo_fs abi-tests python-hooks "$TREES"/source/
        mkdir "$TREES"/sysroot; cp -al "$SYSROOT"/bin "$SYSROOT"/lib "$TREES"/sysroot/ 2>/dev/null || cp -a "$SYSROOT"/bin "$SYSROOT"/lib "$TREES"/sysroot/
        cd "$TREES"/source && mkdir .cargo && cargo vendor --locked ../crates > .cargo/config.toml
        sed -i "s,^directory = .*,directory = \\"$TREES/vendor\\"," .cargo/config.toml""",
        env={"CARGO_TARGET_DIR": str(job.trees / "target"), "SYSROOT": str(sysroot)},
    )
    job.serve(sysroot, job.trees / "sysroot")
    job.serve(job.trees / "vendor", job.trees / "crates")
    job.serve(job.trees / "app", job.trees / "source")
    env = {"PATH": f"{sysroot}/bin:/usr/bin:/bin", "CARGO_HOME": f"{job.here}/home", "CARGO_TARGET_DIR": f"{job.here}/target", "CARGO_TERM_COLOR": "never", "CARGO_INCREMENTAL": "0"}
    times = [(r"in [\dm. ]+s$", "in TIME"), (r"^ +(Compiling|Checking|Blocking) .*\n", "")]
    cd = f"cd {job.trees}/app && "
    artifacts = 'cd "$CARGO_TARGET_DIR" && find . -name "*.rlib" -o -name "*.rmeta" -o -name "*.so" -o -name "*.d" | sort | xargs sha256sum'
    return env, times, cd, artifacts


@caller("rustc", packages=["gcc"])
def rustc(job):
    """The toolchain (bin, lib with all of rustlib), vendored crates and a workspace served: cargo build of velo-core, metadata, rustc alone"""
    env, times, cd, artifacts = rust_tree(job, "velo-core")
    job.step("versions", "rustc -vV; cargo -V; rustc --print sysroot; rustc --print target-libdir; rustc --print cfg", env=env)
    job.step("cargo metadata", cd + "cargo metadata --offline --format-version 1 | sha256sum; cargo tree --offline -p velo-core", env=env)
    job.step("cargo build", cd + f"cargo build --offline --locked -p velo-core --features std && {artifacts}", env=env, clean=times, deadline=600)
    job.step("nothing to do", cd + "cargo build --offline --locked -p velo-core --features std -v 2>&1 | sort", env=env, clean=times)
    job.step("rustc alone", "printf 'fn main() { println!(\"{:?} {}\", std::env::args().count(), file!()); }\\n' > a.rs && rustc -O a.rs && ./a && sha256sum a && rustc --explain E0308 | sed -n 1,3p; printf 'fn main() { let x: u8 = \"\"; }' > b.rs; rustc b.rs", env=env, code=1)


@caller("cargo", quick=False, packages=["gcc"])
def cargo(job):
    """As rustc, and more: cargo check of velo-ctl with its procedural macros and build scripts, cargo test of velo-core, rustdoc"""
    env, times, cd, artifacts = rust_tree(job, "velo-ctl")
    times += [(r"finished in .*", "finished in TIME"), (r"^test (.*)$", r"test \1")]
    job.step("cargo check with macros and build scripts", cd + f"cargo check --offline --locked -p velo-ctl && {artifacts}", env=env, clean=times, deadline=900)
    job.step("cargo test", cd + "cargo test --offline --locked -p velo-core --features std --lib -- --test-threads=1", env=env, clean=times, deadline=900)
    job.step("cargo doc", cd + "cargo doc --offline --locked --no-deps -p velo-core && find \"$CARGO_TARGET_DIR/doc\" -name '*.html' | sort | xargs sha256sum | sha256sum", env=env, clean=times, deadline=900)


@caller("cargo-registry", quick=False, packages=["gcc"])
def cargo_registry(job):
    """cargo's own home (a registry's index, archives and unpacked sources), the toolchain and a workspace served: builds, unpacking, vendor, package, install"""
    env, times, cd, artifacts = rust_tree(job, "velo-core")
    job.build(
        'cd "$TREES/source" && rm -r .cargo && cargo fetch --locked --quiet',
        env={"CARGO_HOME": str(job.trees / "plain-home"), "CARGO_TARGET_DIR": str(job.trees / "target")},
    )
    workspace, home = job.trees / "alone", job.trees / "home"
    job.serve(workspace, job.trees / "source")
    job.serve(home, job.trees / "plain-home")
    job.serve(job.here / "home/registry", job.trees / "plain-home/registry")
    cd = f"cd {workspace} && "
    package = "--offline --locked -p velo-core"
    served = {**env, "CARGO_HOME": str(home), "CARGO_TARGET_DIR": f"{job.here}/second"}
    job.step("registry in a home that can be written", cd + f"cargo build {package} && {artifacts}", env=env, clean=times, deadline=600)
    job.step("registry in a home that cannot", cd + f"cargo build {package} && {artifacts} && cd {workspace} && cargo build {package} -v 2>&1 | sort", env=served, clean=times, deadline=600)
    job.step(
        "archives unpacked", f'mkdir -p own/registry && cp -r {home}/registry/index own/registry/ && ln -s {home}/registry/cache own/registry/ && '
        + cd + f'cargo check {package} && cd "$CARGO_HOME/registry/src" && find . -type f -not -name .cargo-ok | sort | xargs -d "\\n" sha256sum | sha256sum',
        env={**env, "CARGO_HOME": f"{job.here}/own", "CARGO_TARGET_DIR": f"{job.here}/other"}, clean=times, deadline=600,
    )
    job.step("vendor and tree", cd + f'cargo vendor --offline --locked {job.here}/vendor 2>&1 | sort && find {job.here}/vendor -type f | sort | xargs -d "\\n" sha256sum | sha256sum; cargo tree --offline --locked --workspace; cargo metadata --offline --locked --format-version 1 | sha256sum', env=served, clean=times)
    job.step("package and install", cd + f'cargo package --offline --locked --no-verify --allow-dirty -p velo-core --list; cargo install --offline --locked --path velo-core --root {job.here}/installed; cargo pkgid blake3', env=served, code=None, clean=times)
    job.step("changes refused", cd + "cargo fetch --offline; cargo update --offline -p blake3; cargo add --offline -p velo-core memchr; cargo build --offline --target-dir out -p velo-core", env=served, code=None, clean=[*times, (r'(Cargo\.toml|out)\w{6}"', r'\1XXXXXX"')])
