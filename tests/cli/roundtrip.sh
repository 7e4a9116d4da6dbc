#!/bin/bash
# roundtrip.sh: what goes in with produce comes out with consume, byte for byte: lines of all shapes, keys, headers, nulls, binary files.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

# trip: standard input through a fresh topic; produce's options first, then consume's behind a lone "--".
trip() {
    local produce=()
    while [ "$1" != -- ]; do produce+=("$1"); shift; done
    shift
    "$tool" topic delete trip 2>/dev/null
    "$tool" topic create trip --ring 16M || fail "cannot create the topic"
    run produce trip "${produce[@]}"
    expect_status 0
    expect_out ""
    expect_no_err
    run consume trip -e "$@"
    expect_status 0
    expect_no_err
}

it "lines come back as they were"
seq 1 20000 >"$scratch/in"
trip -- <"$scratch/in"
expect_same "$scratch/out" "$scratch/in"

it "empty lines are records"
printf '\n\na\n\n' >"$scratch/in"
trip -- <"$scratch/in"
expect_same "$scratch/out" "$scratch/in"

it "a last line without a newline is a record"
printf 'one\ntwo' >"$scratch/in"
trip -- <"$scratch/in"
expect_out $'one\ntwo'

it "no input is no record"
trip -- </dev/null
expect_out ""

it "very long lines come back as they were"
python3 -c "
import random
random.seed(7)
for size in [1 << 20, 3, 65535, 65536, 65537, (4 << 20) - 1024, 1]:
    print(''.join(random.choices('abcdefgh', k=size)))" >"$scratch/in"
trip -- <"$scratch/in"
expect_same "$scratch/out" "$scratch/in"

it "lines of random sizes, through pipes of random pieces, come back as they were"
python3 -c "
import random
random.seed(8)
for _ in range(20000):
    print('x' * random.choice([0, 1, 10, 100, 1000]))" >"$scratch/in"
"$tool" topic delete trip
"$tool" topic create trip --ring 32M
python3 -c "
import random, sys
random.seed(9)
data = open('$scratch/in', 'rb').read()
at = 0
while at < len(data):
    size = random.choice([1, 7, 4096, 65536, 300000])
    sys.stdout.buffer.write(data[at:at + size])
    sys.stdout.flush()
    at += size" | "$tool" produce trip
run consume trip -e
expect_same "$scratch/out" "$scratch/in"

it "bytes that are no text come back as they were"
head -c 300000 /dev/urandom | tr -d '\n' >"$scratch/in"
echo >>"$scratch/in"
trip -- <"$scratch/in"
expect_same "$scratch/out" "$scratch/in"

it "another delimiter of one or several bytes cuts records"
printf 'a\nb;c;;d' >"$scratch/in"
trip -D ';' -- -D '|' <"$scratch/in"
printf 'a\nb|c||d|' | cmp -s - "$scratch/out" || fail "got $(cat "$scratch/out")"
printf 'a-b--->c->d->' >"$scratch/in"
trip -D '->' -- -D '\x0a\t' <"$scratch/in"
printf 'a-b--\n\tc\n\td\n\t' | cmp -s - "$scratch/out" || fail "got $(cat "$scratch/out")"

it "keys come back, also when empty, absent or with a delimiter of several bytes"
printf 'k1:v1\n:v2\nv3\nk4:\nk5:a:b\n' >"$scratch/in"
trip -K : -- -f '%k|%K|%s|%S\n' <"$scratch/in"
expect_out $'k1|2|v1|2\n|0|v2|2\n|-1|v3|2\nk4|2||0\nk5|2|a:b|3'
trip -K '=>' -- -K '=>' < <(printf 'a=>1\nb=>2\n')
expect_out $'a=>1\nb=>2'

it "a fixed key is used where the line has none"
trip -k all -K : -- -f '%k %s\n' < <(printf 'a:1\n2\n')
expect_out $'a 1\nall 2'

it "-Z makes empty values and keys null"
printf 'k:\n:v\n:\n' >"$scratch/in"
trip -K : -Z -- -f '%K %S %k=%s;' -Z <"$scratch/in"
printf '1 -1 k=NULL;-1 1 NULL=v;-1 -1 NULL=NULL;' | cmp -s - "$scratch/out" || fail "got $(cat "$scratch/out")"

it "null and empty stay different"
trip -Z -- -f '%S\n' < <(echo)
expect_out -1
trip -- -f '%S\n' < <(echo)
expect_out 0

it "headers come back in order, with empty and null values and equal names"
trip -H a=1 -H b= -H c -H a=2=3 -- -f '%h\n' < <(echo x)
expect_out 'a=1,b=,c=,a=2=3'
trip -H a=1 -H c -- -Z -f '%h\n' < <(echo x)
expect_out 'a=1,c=NULL'

it "--raw publishes a file as one record"
head -c 100000 /dev/urandom >"$scratch/one"
printf 'two\nlines\n' >"$scratch/two"
: >"$scratch/three"
"$tool" topic delete trip
"$tool" topic create trip
run produce trip --raw "$scratch/one" "$scratch/two" "$scratch/three" -k f
expect_status 0
run consume trip -e -f '%s'
cat "$scratch/one" "$scratch/two" "$scratch/three" >"$scratch/in"
expect_same "$scratch/out" "$scratch/in"
run consume trip -e -f '%o %k %S\n'
expect_out $'0 f 100000\n1 f 10\n2 f 0'

it "--raw without a file publishes standard input as one record"
trip --raw -- -f '%s' <"$scratch/one"
expect_same "$scratch/out" "$scratch/one"

it "both modes and every alignment carry the same bytes"
seq 1 3000 >"$scratch/in"
for mode in concurrent exclusive; do
    for alignment in 8 16 32 64 128; do
        for timestamp in clock caller none; do
            name=m-$mode-$alignment-$timestamp
            "$tool" topic create "$name" --mode $mode --config alignment=$alignment --config timestamp=$timestamp --ring 1M
            run produce "$name" <"$scratch/in"
            expect_status 0
            run consume "$name" -e
            expect_same "$scratch/out" "$scratch/in"
            "$tool" topic delete "$name"
        done
    done
done

it "a ring much smaller than the data passes it to a reader that gates"
"$tool" topic create small --ring 64K
seq 1 200000 >"$scratch/in"
background reader consume small -c 200000
reader=$pid
eventually has_cursors small 1
run produce small <"$scratch/in"
expect_status 0
end "$reader"
expect_status 0
expect_same "$scratch/reader.out" "$scratch/in"

finish
