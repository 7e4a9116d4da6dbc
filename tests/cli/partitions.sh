#!/bin/bash
# partitions.sh: topics with several partitions: choosing one, placing by key as Kafka does, keeping the order of each key.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

it "-p puts into and takes from one partition"
"$tool" topic create two --partitions 2
seq 1 3 | "$tool" produce two -p 0
seq 11 12 | "$tool" produce two -p 1
run consume two -e -p 0 -f '%p:%o:%s\n'
expect_out $'0:0:1\n0:1:2\n0:2:3'
run consume two -e -p 1
expect_out $'11\n12'
run consume two -e
sort -n "$scratch/out" | tr '\n' ' ' | grep -qx '1 2 3 11 12 ' || fail "got $(cat "$scratch/out")"

it "a partition that does not exist is refused"
run produce two -p 2 < <(echo x)
expect_status 1
expect_err_like 'no partition 2'
run consume two -e -p 2
expect_status 1
expect_err_like .

it "-o -N counts per partition"
run consume two -e -o -1
sort -n "$scratch/out" | tr '\n' ' ' | grep -qx '3 12 ' || fail "got $(cat "$scratch/out")"

it "keys go where Kafka's partitioner puts them, each in order"
"$tool" topic create keyed --partitions 5 --ring 4M
python3 -c "
import random
random.seed(3)
for i in range(20000):
    print(f'key{random.randrange(200)}:{i}')" >"$scratch/in"
run produce keyed -K : <"$scratch/in"
expect_status 0
run consume keyed -e -f '%p %k %s\n'
python3 - "$scratch/in" "$scratch/out" <<'CHECK' || fail "see above"
import sys

def murmur2(data):
    mask, m = 0xffffffff, 0x5bd1e995
    h = 0x9747b28c ^ len(data)
    for i in range(0, len(data) // 4 * 4, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        h = h * m & mask ^ (k ^ k >> 24) * m & mask
    rest = data[len(data) // 4 * 4:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15

sent, got = {}, {}
for line in open(sys.argv[1]):
    key, value = line.rstrip("\n").split(":")
    sent.setdefault(key, []).append(value)
for line in open(sys.argv[2]):
    partition, key, value = line.split()
    assert int(partition) == (murmur2(key.encode()) & 0x7fffffff) % 5, f"{key} is in partition {partition}"
    got.setdefault(key, []).append(value)
assert sent == got, "records are missing, doubled or out of order"
CHECK

it "lines without a key are spread, none is lost"
"$tool" topic create spread --partitions 3
seq 1 30000 | "$tool" produce spread
run consume spread -e
sort -n "$scratch/out" | cmp -s - <(seq 1 30000) || fail "not the same records"

it "lines with and without keys mix"
printf 'a:1\nplain\na:2\nb:3\n' | "$tool" produce keyed -K :
run consume keyed -e -o @-5s -f '%k=%s\n'
for line in a=1 =plain a=2 b=3; do
    grep -qx -- "$line" "$scratch/out" || fail "$line is missing"
done

it "-e waits for the ends of all partitions, also of those that are empty"
"$tool" topic create sparse --partitions 16
echo x | "$tool" produce sparse -p 7
run consume sparse -e -f '%p %s\n'
expect_status 0
expect_out '7 x'

finish
