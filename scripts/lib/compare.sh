# shellcheck shell=bash
# Runs a program and keeps what it printed and how it ended; says whether two such runs were the same.
# Sourced after common.sh.

# record RESULT CMD...: runs CMD; leaves RESULT.out, RESULT.err and RESULT.code. Never fails. Blanked in RESULT.err:
# the process id in Node's warnings, the seconds that unittest took.
record() {
    local result=$1 code=0
    shift
    "$@" >"$result.out" 2>"$result.err.raw" </dev/null || code=$?
    sed -E 's/\((node):[0-9]+\)/(\1:PID)/; s/^(Ran [0-9]+ tests?) in .*s$/\1/' "$result.err.raw" >"$result.err"
    printf '%s\n' "$code" >"$result.code"
}

# same_run EXPECTED FOUND: true if both printed the same on both streams and ended alike; else shows the first differences.
same_run() {
    local part different=0
    for part in code out err; do
        if ! cmp -s "$1.$part" "$2.$part"; then
            different=1
            warn "    $part differs (< expected, > found):"
            diff "$1.$part" "$2.$part" | head -n 8 | cut -c1-300 | sed 's/^/      /' >&2 || true
        fi
    done
    return $different
}

# expect_code RESULT CODE: true if the run ended with that exit code.
expect_code() { [ "$(cat "$1.code")" = "$2" ]; }
