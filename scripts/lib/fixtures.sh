# shellcheck shell=bash
# Makes the two heavy applications ready to run, once, and keeps them under target/ for the next run.
# Sourced after common.sh. VELO_FIXTURES names a directory that already has python/ and node/ (used read-only).

# fixture_dir KIND KEY-TEXT: where the fixture of that kind and those inputs lives.
fixture_dir() {
    printf '%s/fixtures/%s-%s' "$target" "$1" "$(printf '%s' "$2" | sha256sum | cut -c1-16)"
}

# restore_moved DIR: puts back what an interrupted test had moved away.
restore_moved() {
    if [ -d "$1.away" ] && [ ! -e "$1" ]; then
        mv "$1.away" "$1"
    fi
}

# python_fixture REQUIREMENTS APP: sets `python_home` to a directory with venv/ and app.py, and
# `python_site` to its site-packages. Needs `python` (find_python).
python_fixture() {
    local requirements=$1 app=$2
    if [ -n "${VELO_FIXTURES:-}" ] && [ -e "$VELO_FIXTURES/python/READY" ]; then
        python_home=$VELO_FIXTURES/python
    else
        python_home=$(fixture_dir python "$(cat "$requirements") $("$python" -VV) $python $target")
        if [ ! -e "$python_home/READY" ]; then
            rm -rf "$python_home"
            mkdir -p "$python_home"
            "$python" -m venv "$python_home/venv" || return 1
            "$python_home/venv/bin/python" -m pip install --quiet -r "$requirements" || return 1
            touch "$python_home/READY"
        fi
        cp "$app" "$python_home/app.py"
    fi
    local candidates=("$python_home"/venv/lib/python3.*)
    python_site=${candidates[0]}/site-packages
    restore_moved "$python_site"
    [ -d "$python_site" ] || die "$python_site is missing: remove $python_home and start again"
}

# node_works: Node 20 or newer and npm are here (the fixture's packages ask for it).
node_works() {
    have node && have npm && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]
}

# node_fixture: sets `node_home` to a directory with node_modules/ and app.js.
# The lock lists only some of the optional per-platform packages; npm 11 refuses to `ci` from such a lock, npm 10 does it.
node_fixture() {
    local source=$repo/fixtures/node-heavy npm=(npm)
    if [ -n "${VELO_FIXTURES:-}" ] && [ -e "$VELO_FIXTURES/node/READY" ]; then
        node_home=$VELO_FIXTURES/node
    else
        node_home=$(fixture_dir node "$(cat "$source/package-lock.json") $(node --version)")
        if [ ! -e "$node_home/READY" ]; then
            rm -rf "$node_home"
            mkdir -p "$node_home"
            cp "$source/package.json" "$source/package-lock.json" "$node_home/"
            [ "$(npm --version | cut -d. -f1)" -lt 11 ] || npm=(npx --yes npm@10)
            (cd "$node_home" && "${npm[@]}" ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null) || return 1
            touch "$node_home/READY"
        fi
        cp "$source/app.js" "$node_home/app.js"
    fi
    restore_moved "$node_home/node_modules"
    [ -d "$node_home/node_modules" ] || die "$node_home/node_modules is missing: remove $node_home and start again"
}
