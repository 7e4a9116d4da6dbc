#!/bin/bash
# offsets.sh: where consume begins (-o of all kinds) and where it ends (-c, -e).
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

"$tool" topic create ten
seq 0 9 | "$tool" produce ten

it "begins at the oldest record by default and by name"
run consume ten -e
expect_out "$(seq 0 9)"
run consume ten -e -o beginning
expect_out "$(seq 0 9)"

it "begins at an offset"
run consume ten -e -o 0
expect_out "$(seq 0 9)"
run consume ten -e -o 7
expect_out $'7\n8\n9'
run consume ten -e -o 10
expect_status 0
expect_out ""

it "an offset that is not there is refused with the range"
run consume ten -e -o 11
expect_status 1
expect_out ""
expect_err_like '10'

it "begins at the last N"
run consume ten -e -o -3
expect_out $'7\n8\n9'
run consume ten -e -o -1
expect_out 9
run consume ten -e -o -10
expect_out "$(seq 0 9)"
run consume ten -e -o -1000
expect_out "$(seq 0 9)"

it "begins at the end: only what comes from now on"
run consume ten -e -o end
expect_status 0
expect_out ""
background tail consume ten -o end -c 1
eventually has_cursors ten 1
echo new | "$tool" produce ten
end "$pid"
expect_status 0
cp "$scratch/tail.out" "$scratch/out"
expect_out new

it "begins at a time: milliseconds, ISO 8601, or so long ago"
"$tool" topic create timed
echo old | "$tool" produce timed
sleep 1.1
middle=$(date +%s%3N)
sleep 0.1
echo young | "$tool" produce timed
for time in "@$middle" "s@$middle" "@-1.15s" "@-1150ms" "@$(date -u -d "@${middle:0:10}.${middle:10}" +%Y-%m-%dT%H:%M:%S.%3NZ)" \
    "@$(date -d "@${middle:0:10}.${middle:10}" +%Y-%m-%dT%H:%M:%S.%3N)" \
    "@$(TZ=UTC-2 date -d "@${middle:0:10}.${middle:10}" +%Y-%m-%dT%H:%M:%S.%3N)+02:00"; do
    run consume timed -e -o "$time"
    expect_status 0
    expect_out young
done
for time in @0 @-1h @-1d @2020-01-01 @2020-01-01T10:00 "@2020-01-01 10:00:00Z"; do
    run consume timed -e -o "$time"
    expect_status 0
    expect_out $'old\nyoung'
done
run consume timed -e -o @2100-01-01
expect_status 0
expect_out ""

it "a time zone of the environment holds for times without one"
TZ=Asia/Tokyo run consume timed -e -o "@$(TZ=Asia/Tokyo date -d "@${middle:0:10}.${middle:10}" +%Y-%m-%dT%H:%M:%S.%3N)"
expect_out young

it "a topic without timestamps has no times to begin at"
"$tool" topic create timeless --config timestamp=none
echo x | "$tool" produce timeless
run consume timeless -e -o @0
expect_status 1
expect_err_like 'time'

it "-c ends after so many records, and takes no more than that"
run consume ten -c 4
expect_status 0
expect_out "$(seq 0 3)"
run consume ten -c 1 -o 5
expect_out 5

it "-e and -c: whichever comes first"
run consume ten -e -c 2
expect_out $'0\n1'
run consume ten -e -c 1000 -o 8
expect_out $'8\n9\nnew'

it "-e ends at the end as of the start, although more keeps coming"
"$tool" topic create busy
seq 1 1000 | "$tool" produce busy
(while :; do echo more; done) | "$tool" produce busy -q >/dev/null 2>&1 &
pids+=($!)
run consume busy -e -o -10 --policy skip
expect_status 0
[ "$(wc -l <"$scratch/out")" -ge 10 ] || fail "too few lines"
kill "$!"

it "-e on an empty topic ends at once"
"$tool" topic create empty
run consume empty -e
expect_status 0
expect_out ""

it "a consumer of what a full ring still holds begins at the oldest whole record"
"$tool" topic create lapped --ring 64K
seq 1 100000 | "$tool" produce lapped
run consume lapped -e -f '%o %s\n'
expect_status 0
awk 'NR > 1 && $1 != last + 1 || $2 != $1 + 1 { bad = 1 } { last = $1 } END { exit bad || last != 99999 }' "$scratch/out" ||
    fail "offsets or values do not follow each other: $(head -2 "$scratch/out") ... $(tail -1 "$scratch/out")"
run consume lapped -e -o 0
expect_status 1
expect_err_like '0'

finish
