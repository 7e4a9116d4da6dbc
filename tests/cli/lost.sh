#!/bin/bash
# lost.sh: a consumer that was overtaken says exactly what it lost and why, goes on, and exits with 3.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

seq 0 49999 >"$scratch/in"

# overtake: a consumer of an empty 64 KiB ring is stopped while 50000 records go by; then it may go on until the line "end".
overtake() {
    local topic=$1
    shift
    "$tool" topic create "$topic" --ring 64K
    background reader consume "$topic" -f '%o %s\n' "$@"
    reader=$pid
    eventually has_cursors "$topic" 1
    kill -STOP "$reader"
    run produce "$topic" --timeout 20s <"$scratch/in"
    expect_status 0
    kill -CONT "$reader"
    run produce "$topic" < <(echo end)
    eventually grep -q ' end$' "$scratch/reader.out"
    kill -INT "$reader"
    end "$reader"
}

# check_gaps: lines printed and gaps reported are together exactly the offsets 0..50000, each once, and values belong to offsets.
check_gaps() {
    python3 - "$scratch/reader.out" "$scratch/reader.err" <<'CHECK' || fail "see above: $(head -3 "$scratch/reader.err")"
import re, sys
ranges = []
for line in open(sys.argv[1]):
    offset, value = line.split()
    assert value == ("end" if int(offset) == 50000 else offset), line
    ranges.append((int(offset), int(offset)))
gaps = 0
for line in open(sys.argv[2]):
    match = re.match(r"spate: lost (\d+) of topic '\w+' partition 0: offsets (\d+)\.\.(\d+): ", line)
    assert match, "not a gap: " + line
    count, first, last = map(int, match.groups())
    assert count == last - first + 1
    ranges.append((first, last))
    gaps += 1
ranges.sort()
assert gaps >= 1, "no gap"
assert ranges[0][0] == 0 and ranges[-1][1] == 50000, (ranges[0], ranges[-1])
for before, after in zip(ranges, ranges[1:]):
    assert after[0] == before[1] + 1, (before, after)
CHECK
}

it "policy skip: overwritten records are reported, the rest is whole, exit 3"
overtake skipped --policy skip
expect_status 3
check_gaps
grep -q 'policy skip' "$scratch/reader.err" || fail "the cause is not named"

it "--gate-timeout: the ring waits so long, then the consumer loses records and is told"
overtake evicted --gate-timeout 100ms
expect_status 3
check_gaps
grep -q 'gate-timeout' "$scratch/reader.err" || fail "the cause is not named"

it "a gating consumer loses nothing"
"$tool" topic create gated --ring 64K
background reader consume gated -c 50000
reader=$pid
eventually has_cursors gated 1
kill -STOP "$reader"
input=$scratch/in background writer produce gated
writer=$pid
sleep 0.2
kill -CONT "$reader"
end "$writer"
expect_status 0
end "$reader"
expect_status 0
expect_same "$scratch/reader.out" "$scratch/in"

it "a gating consumer that was killed holds nobody up"
background reader consume gated
reader=$pid
eventually has_cursors gated 1
kill -STOP "$reader"
kill_hard "$reader"
run produce gated --timeout 10s <"$scratch/in"
expect_status 0

it "a fast consumer with policy skip prints every record once, or says that it was lost"
"$tool" topic create race --ring 64K
background reader consume race --policy skip -f '%o %s\n'
reader=$pid
eventually has_cursors race 1
"$tool" produce race <"$scratch/in"
echo end | "$tool" produce race
eventually grep -q ' end$' "$scratch/reader.out"
kill -INT "$reader"
end "$reader"
if [ -s "$scratch/reader.err" ]; then
    expect_status 3
    check_gaps
else
    expect_status 0
    [ "$(wc -l <"$scratch/reader.out")" -eq 50001 ] || fail "records are missing"
fi

finish
