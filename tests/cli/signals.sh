#!/bin/bash
# signals.sh: SIGINT and SIGTERM end cleanly with what was read printed or published; a reader that goes away is quiet; a full disk is not.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

no_participants() {
    "$tool" stat --json | python3 -c 'import json, sys; sys.exit(len(json.load(sys.stdin)["participants"]) != 0)'
}

"$tool" topic create topic
seq 1 1000 | "$tool" produce topic

for signal in INT TERM; do
    for wait in spin yield block; do
        it "consume --wait $wait ends cleanly on SIG$signal, with everything printed"
        background consumer consume topic --wait $wait
        eventually grep -qx 1000 "$scratch/consumer.out"
        kill -$signal "$pid"
        end "$pid"
        expect_status 0
        cmp -s "$scratch/consumer.out" <(seq 1 1000) || fail "not everything was printed"
        [ ! -s "$scratch/consumer.err" ] || fail "it says something: $(cat "$scratch/consumer.err")"
        no_participants || fail "it left a participant behind"
    done
done

it "consume that waits for a topic ends on SIGINT"
background waiting consume later --wait-topic
sleep 0.3
kill -INT "$pid"
end "$pid"
expect_status 0

it "consume --wait-topic goes on when the topic comes"
background waiting consume later --wait-topic -c 1
sleep 0.2
"$tool" topic create later
echo here | "$tool" produce later
end "$pid"
expect_status 0
[ "$(cat "$scratch/waiting.out")" = here ] || fail "got $(cat "$scratch/waiting.out")"

it "consume without --wait-topic fails with the remedy"
run consume never
expect_status 1
expect_out ""
expect_err_like "no topic 'never'.*spate topic create never.*--wait-topic"

for pair in INT:130 TERM:143; do
    it "produce ends on SIG${pair%:*} with ${pair#*:}, and what it had read is published"
    mkfifo "$scratch/input-$pair"
    input=$scratch/input-$pair background producer produce topic
    exec 5>"$scratch/input-$pair"
    echo "before $pair" >&5
    eventually sh -c "'$tool' consume topic -e -o -1 | grep -qx 'before $pair'"
    kill "-${pair%:*}" "$pid"
    end "$pid"
    expect_status "${pair#*:}"
    exec 5>&-
    no_participants || fail "it left a participant behind"
done

it "produce that waits for room ends on SIGINT"
"$tool" topic create full --ring 64K
background stuck consume full
stuck=$pid
eventually has_cursors full 1
kill -STOP "$stuck"
seq 1 100000 >"$scratch/in"
input=$scratch/in background producer produce full
sleep 0.3
kill -INT "$pid"
end "$pid"
expect_status 130
kill -CONT "$stuck"
kill -INT "$stuck"
end "$stuck"
expect_status 0

it "a reader that goes away is quiet: | head -1"
for options in "" "-u" "-J" "-e"; do
    # shellcheck disable=SC2086
    got=$({ timeout 20 "$tool" consume topic $options 2>"$scratch/err"; echo $? >"$scratch/code"; } | head -c 1)
    [ -n "$got" ] || fail "nothing came ($options)"
    expect_no_err
    [ "$(cat "$scratch/code")" -eq 0 ] || fail "exit status $(cat "$scratch/code") ($options)"
done

it "a reader that goes away is noticed although no record comes"
timeout 20 "$tool" consume topic -o end 2>"$scratch/err" | true
[ "${PIPESTATUS[0]}" -eq 0 ] || fail "exit status ${PIPESTATUS[0]}"
expect_no_err

it "the other commands are quiet about it, too"
for command in --help "topic list" "dump topic" "stat --watch 0.05" "stat --json"; do
    # shellcheck disable=SC2086
    timeout 20 "$tool" $command 2>"$scratch/err" | true
    [ "${PIPESTATUS[0]}" -eq 0 ] || fail "exit status ${PIPESTATUS[0]} ($command)"
    expect_no_err
done
seq 1 200000 | timeout 20 "$tool" produce topic -T 2>"$scratch/err" | head -1 >/dev/null
expect_no_err

it "output that cannot be written is an error"
for command in "consume topic -e" "topic list" --help "stat" "dump topic"; do
    # shellcheck disable=SC2086
    "$tool" $command >/dev/full 2>"$scratch/err"
    status=$?
    expect_status 1
    expect_err_like 'standard output: No space left'
done

it "what is printed with standard descriptors closed does not go into the bus"
for command in "consume topic -e -c 3" "consume nosuch" "produce topic -p 99" "topic create topic" "stat" "topic list"; do
    # shellcheck disable=SC2086
    "$tool" $command <&- >&- 2>&-
done
for command in "consume nosuch" "topic delete nosuch"; do
    # shellcheck disable=SC2086
    "$tool" $command <&- >/dev/null 2>&-
done
run verify
expect_status 0
"$tool" consume topic -e -c 3 >&- 2>"$scratch/err"
status=$?
expect_status 1
expect_err_like 'standard output: Bad file descriptor'

it "demo that is ended leaves nothing behind"
for i in 1 2 3 4 5 6 7 8 9 10; do cat /var/lib/dpkg/status; done >"$scratch/demo-input"
mkdir "$scratch/seen" "$scratch/shm"
mkdir "$SPATE_DIR/demo"
SPATE_DIR=$SPATE_DIR/demo background demo demo "$scratch/demo-input" -O "$scratch/seen"
eventually sh -c "[ -n \"\$(ls '$SPATE_DIR/demo')\" ]"
kill -TERM "$pid"
end "$pid"
expect_status 1
[ -z "$(ls "$SPATE_DIR/demo")" ] || fail "it left $(ls "$SPATE_DIR/demo")"
rmdir "$SPATE_DIR/demo"

it "demo of a few lines does not claim what was not"
printf 'Package: a\nVersion: 1\n' >"$scratch/few"
SPATE_DIR=$SPATE_DIR run demo "$scratch/few" -O "$scratch/seen"
expect_status 0
grep -q 'nobody' "$scratch/out" || fail "it says that it killed somebody: $(cat "$scratch/out")"

it "stat --watch ends on SIGINT with 0"
background watch stat --watch 0.05 --json
eventually awk 'NR == 3 { found = 1 } END { exit !found }' "$scratch/watch.out"
kill -INT "$pid"
end "$pid"
expect_status 0
head -3 "$scratch/watch.out" >"$scratch/lines"
while read -r line; do
    echo "$line" | python3 -m json.tool >/dev/null || fail "not a JSON object a line"
done <"$scratch/lines"

finish
