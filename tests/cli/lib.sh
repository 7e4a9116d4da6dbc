#!/bin/bash
# lib.sh: what the tests of the command-line tools share: a bus root of their own, running a command, and saying what was not as expected.
#
# Sourced by each tests/cli/*.sh, which then describes behaviours:
#
#     it "prints bare names"
#     run topic list
#     expect_status 0
#     expect_out $'a\nb'
#     finish
#
# SPATE_BUILD is the build directory with bin/spate; SPATE_SOURCE the source directory. Every process started with `background` is ended by
# its id. Run by itself, this file tests its own checks: each must find a planted mistake.
set -uo pipefail

tool=${SPATE_BUILD:?the build directory with bin/spate}/bin/spate
[ -x "$tool" ] || { echo "skipped: $tool is not built"; exit 77; }
export SPATE_DIR
SPATE_DIR=$(mktemp -d /dev/shm/spate-cli.XXXXXX)
unset SPATE_BUS
scratch=$(mktemp -d /tmp/spate-cli.XXXXXX)
pids=()
failures=0
behaviours=0
behaviour="(none)"

clean_up() {
    local pid
    for pid in "${pids[@]}"; do
        kill -CONT "$pid" 2>/dev/null
        kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$SPATE_DIR" "$scratch"
}
trap clean_up EXIT

it() {
    behaviour=$1
    behaviours=$((behaviours + 1))
}

fail() {
    failures=$((failures + 1))
    echo "FAILED: $behaviour: $1"
    [ -n "${last_command:-}" ] && echo "  command: $last_command"
    [ -s "$scratch/err" ] && sed 's/^/  stderr: /' "$scratch/err" | head -5
    return 0
}

finish() {
    echo "$behaviours behaviours, $failures failures"
    [ "$failures" -eq 0 ]
    exit
}

# run: spate with arguments; standard input is inherited. Leaves $status and the files $scratch/out and $scratch/err.
run() {
    last_command="spate $*"
    timeout 60 "$tool" "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
}

# background: spate with arguments, in the background; output to $scratch/NAME.out and NAME.err. Leaves $pid. Its standard input is
# $input, opened there: a named pipe must not hold up the test itself.
input=/dev/null
background() {
    local name=$1
    shift
    : >"$scratch/$name.out"
    "$tool" "$@" <"$input" >"$scratch/$name.out" 2>"$scratch/$name.err" &
    pid=$!
    pids+=("$pid")
}

# end: wait for a process from `background`, at most 20 s. Leaves $status.
end() {
    local tries=0
    last_command="the process in the background"
    while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 400 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    kill -0 "$1" 2>/dev/null && fail "it does not end" && kill -KILL "$1"
    wait "$1" 2>/dev/null
    status=$?
}

# kill_hard: SIGKILL, and the shell's remark about it is not shown.
kill_hard() {
    { kill -KILL "$1" && wait "$1"; } 2>/dev/null
}

# eventually: a command becomes true within 20 s.
eventually() {
    local tries=0
    while ! "$@"; do
        tries=$((tries + 1))
        [ "$tries" -gt 400 ] && { fail "never true: $*"; return 1; }
        sleep 0.05
    done
}

expect_status() {
    [ "$status" -eq "$1" ] || fail "exit status $status, expected $1"
}

# expect_out: standard output is exactly that text, and a newline unless it is empty.
expect_out() {
    if [ -z "$1" ]; then
        [ ! -s "$scratch/out" ] || fail "standard output is '$(head -c 300 "$scratch/out")', expected nothing"
    else
        printf '%s\n' "$1" | cmp -s - "$scratch/out" || fail "standard output is '$(head -c 300 "$scratch/out")', expected '$1'"
    fi
}

expect_out_like() {
    grep -qE -- "$1" "$scratch/out" || fail "standard output has no line like '$1': '$(head -c 300 "$scratch/out")'"
}

expect_err_like() {
    grep -qE -- "$1" "$scratch/err" || fail "standard error has no line like '$1'"
}

expect_no_err() {
    [ ! -s "$scratch/err" ] || fail "standard error should be empty"
}

expect_same() {
    cmp "$1" "$2" >"$scratch/cmp" 2>&1 || fail "files differ: $(cat "$scratch/cmp")"
}

# expect_json: standard output is one JSON document, and the Python expression about it (`d`) is true.
expect_json() {
    python3 -c "import json, sys; d = json.load(sys.stdin); sys.exit(0 if ($1) else 1)" <"$scratch/out" 2>"$scratch/json.err" ||
        fail "not true of the JSON: $1 $(tail -1 "$scratch/json.err"): $(head -c 400 "$scratch/out")"
}

# has_cursors: stat shows that many live cursors on the topic.
has_cursors() {
    "$tool" stat --json 2>/dev/null | python3 -c "
import json, sys
d = json.load(sys.stdin)
sys.exit(0 if sum(c['topic'] == '$1' and c['state'] == 'alive' for c in d['cursors']) == $2 else 1)" 2>/dev/null
}

# expect_usage_error: exit 2, a message, nothing on standard output.
expect_usage_error() {
    expect_status 2
    expect_out ""
    expect_err_like "$1"
}

# self_test: each check fails on what is wrong, and passes what is right.
self_test() {
    local before found=0
    status=1
    echo wrong >"$scratch/out"
    echo oops >"$scratch/err"
    for check in "expect_status 0" "expect_out right" "expect_out_like right" "expect_err_like other" expect_no_err "expect_json True" \
        "expect_same $scratch/out $scratch/err" "expect_usage_error oops"; do
        before=$failures
        $check >/dev/null
        [ "$failures" -gt "$before" ] && found=$((found + 1)) || echo "$check finds nothing"
    done
    failures=0
    status=2
    expect_status 2
    expect_out wrong
    expect_out_like '^wr'
    expect_err_like oops
    expect_same "$scratch/out" "$scratch/out"
    echo '{"a": 1}' >"$scratch/out"
    expect_json 'd["a"] == 1'
    [ "$failures" -eq 0 ] && [ "$found" -eq 8 ] && echo "8 planted mistakes found"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    self_test
    exit
fi
