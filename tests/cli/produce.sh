#!/bin/bash
# produce.sh: what produce does beyond the round trip: tee, counts, large lines, missing topics, lone lines, full rings.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

it "a topic that does not exist is named, with the remedy"
run produce nowhere < <(echo x)
expect_status 1
expect_out ""
expect_err_like "no topic 'nowhere'.*spate topic create nowhere.*--create"
run topic list
expect_out ""

it "--create makes it with the defaults"
run produce made --create < <(echo x)
expect_status 0
run produce made --create < <(echo y)
run consume made -e
expect_out $'x\ny'

it "-T copies the input to standard output, delimiters, keys and all"
printf 'k:1\n\nlast' >"$scratch/in"
run produce made -T -K : <"$scratch/in"
expect_status 0
expect_same "$scratch/out" "$scratch/in"
seq 1 100000 >"$scratch/in"
"$tool" topic create large --ring 32M
run produce large -T <"$scratch/in"
expect_same "$scratch/out" "$scratch/in"

it "-c ends after so many records"
run produce made -c 2 < <(printf 'a\nb\nc\n')
expect_status 0
run consume made -e -o -3
expect_out $'last\na\nb'

it "-c does not wait for more input than it needs"
mkfifo "$scratch/open"
exec 5<>"$scratch/open"
printf 'one\ntwo' >&5
input=$scratch/open background one produce made -c 1
end "$pid"
expect_status 0
exec 5>&-

it "a line is published at once, however slowly they come"
"$tool" topic create slow
mkfifo "$scratch/slow"
input=$scratch/slow background slow produce slow
producer=$pid
exec 6>"$scratch/slow"
for line in first second; do
    echo $line >&6
    run consume slow -c 1 -o -1 -f '%s'
    [ "$(cat "$scratch/out")" = first ] || [ $line = second ] || fail "got $(cat "$scratch/out")"
done
eventually sh -c "'$tool' consume slow -e | grep -qx second"
exec 6>&-
end "$producer"
expect_status 0

it "a line that is too large ends the run, names the line, and what came before is published"
"$tool" topic create narrow --ring 64K
{ seq 1 3; head -c 100000 /dev/zero | tr '\0' x; echo; echo after; } >"$scratch/in"
run produce narrow <"$scratch/in"
expect_status 1
expect_err_like 'line 4 .*larger.*--ring.*published before it: 3'
run consume narrow -e
expect_out $'1\n2\n3'
{ seq 1 2; head -c 5000000 /dev/zero | tr '\0' x; } >"$scratch/in"
run produce narrow <"$scratch/in"
expect_status 1
expect_err_like 'line 3 .*published before it: 2'
run produce narrow --raw "$scratch/in"
expect_status 1
expect_err_like 'file 1 .*larger'

it "the largest line that fits is taken"
limit=$("$tool" topic describe narrow --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["record_size_max"])')
{ head -c "$limit" /dev/zero | tr '\0' x; echo; } >"$scratch/in"
run produce narrow <"$scratch/in"
expect_status 0
run consume narrow -e -o -1
expect_same "$scratch/out" "$scratch/in"

it "a key that is too large is refused"
"$tool" topic create wide --ring 1M
{ head -c 70000 /dev/zero | tr '\0' x; echo ':v'; } >"$scratch/in"
run produce wide -K : <"$scratch/in"
expect_status 1
expect_err_like 'line 1: a key of 70000 bytes'

it "headers count into the size: everything before the record that is too large is published"
header=$(head -c 10000 /dev/zero | tr '\0' h)
{ seq 1 5; head -c 9000 /dev/zero | tr '\0' x; echo; echo after; } >"$scratch/in"
run produce narrow -H "big=$header" <"$scratch/in"
expect_status 1
expect_err_like '6 is larger'
run consume narrow -e -o -1 -f '%s'
printf 5 | cmp -s - "$scratch/out" || fail "the last record is $(head -c 50 "$scratch/out")"

it "a file that cannot be read is named"
run produce made --raw "$scratch/none"
expect_status 1
expect_err_like "cannot open '$scratch/none'"
run produce made --raw "$scratch"
expect_status 1
expect_err_like 'Is a directory'
run produce made <"$scratch"
expect_status 1
expect_err_like 'standard input'

it "--timeout gives up when a full ring gives no room"
background stuck consume narrow -o end
stuck=$pid
eventually has_cursors narrow 1
kill -STOP "$stuck"
seq 1 100000 >"$scratch/in"
run produce narrow --timeout 200ms <"$scratch/in"
expect_status 1
expect_err_like 'no room.*spate stat'

it "a full ring is waited for, and goes on when the reader does"
input=$scratch/in background waiting produce narrow
producer=$pid
sleep 0.3
kill -0 "$producer" 2>/dev/null || fail "it did not wait"
kill -CONT "$stuck"
end "$producer"
expect_status 0
kill -INT "$stuck"
end "$stuck"
expect_status 0
[ "$(tail -1 "$scratch/stuck.out")" = 100000 ] || fail "the reader's last line is $(tail -1 "$scratch/stuck.out")"

it "an exclusive topic has one producer at a time"
"$tool" topic create sole --mode exclusive
mkfifo "$scratch/sole"
input=$scratch/sole background sole produce sole
producer=$pid
exec 7>"$scratch/sole"
echo mine >&7
eventually sh -c "'$tool' consume sole -e | grep -qx mine"
run produce sole < <(echo other)
expect_status 1
expect_err_like .
exec 7>&-
end "$producer"
expect_status 0
run produce sole < <(echo other)
expect_status 0
run consume sole -e
expect_out $'mine\nother'

finish
