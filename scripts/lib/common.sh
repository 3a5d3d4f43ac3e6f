# shellcheck shell=bash
# What every script here shares: where things are, saying what happens, installing what is missing, building Velo.
# Sourced, never run. Nothing here reads standard input.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
target=${CARGO_TARGET_DIR:-$repo/target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR=$target
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# Nothing of a caller's own Velo set-up may leak into a build, a test or a measurement.
unset LD_PRELOAD VELO_MANIFEST VELO_ROOT VELO_VIEW_ROOT VELO_STATS VELO_ON_ERROR
unset VELO_PYTHON VELO_PYTHON_GC VELO_PYTHON_STRICT VELO_PYTHON_NATIVE

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# now_ms: a monotonic clock in milliseconds.
now_ms() {
    local up
    read -r up _ </proc/uptime
    printf '%s' "$((10#${up//./} * 10))"
}

# seconds_since START_MS: as "12.3".
seconds_since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root CMD...: directly when we are root, else through sudo without asking for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo -n --preserve-env=DEBIAN_FRONTEND "$@"
    else
        return 1
    fi
}

# apt_install PACKAGE...: installs what dpkg does not know as installed. Fails if something stays missing.
apt_install() {
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || { warn "not on Debian: install these yourself: ${missing[*]}"; return 1; }
    as_root true || { warn "neither root nor sudo: install these yourself: ${missing[*]}"; return 1; }
    say "installing: ${missing[*]}"
    if ! as_root apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1; then
        as_root apt-get update -q >/dev/null
        as_root apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

# need_rust: cargo and a C linker, or a sentence on how to get them.
need_rust() {
    [ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ] && PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    have cargo || { warn "cargo is missing: install Rust from https://rustup.rs, then start this again"; return 1; }
    have cc || apt_install gcc libc6-dev || { warn "a C compiler (cc) is needed to link"; return 1; }
}

# find_python: sets `python` to an interpreter of 3.11 or newer that can make virtual environments.
# VELO_TEST_PYTHON names one to prefer.
find_python() {
    local candidate
    _python_works() {
        "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
    }
    for candidate in ${VELO_TEST_PYTHON:+"$VELO_TEST_PYTHON"} python3 python3.11 python3.12 python3.13 /usr/bin/python3; do
        if _python_works "$candidate"; then
            python=$("$candidate" -c 'import sys; print(sys.executable)')
            return 0
        fi
    done
    apt_install python3 python3-venv && _python_works /usr/bin/python3 && python=/usr/bin/python3
}

# build_velo: the preload library by itself (it is no_std), then the compiled part of Python's hook, and velo-ctl. Sets `velo_lib` and `velo_ctl`.
build_velo() {
    velo_lib=$target/release/libvelo_fs.so
    velo_ctl=$target/release/velo-ctl
    (
        cd "$repo" &&
            cargo build --quiet --locked --release -p libvelo_fs &&
            cargo build --quiet --locked --release -p velo-hooks &&
            cargo build --quiet --locked --release -p velo-ctl
    ) && [ -f "$velo_lib" ] && [ -x "$velo_ctl" ] || { warn "libvelo_fs.so and velo-ctl were not built"; return 1; }
}

# make_store_dir MIB: a fresh directory in memory if that much is free there, else on disk. Prints it.
make_store_dir() {
    local base=/dev/shm free_mib
    free_mib=$(df -Pm "$base" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ "${free_mib:-0}" -lt "$1" ] || [ ! -w "$base" ]; then
        base=${TMPDIR:-/var/tmp}
    fi
    mktemp -d "$base/velo-XXXXXX"
}
