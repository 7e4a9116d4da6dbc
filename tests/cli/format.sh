#!/bin/bash
# format.sh: consume -f with all of kcat's tokens and escapes, and -J with kcat's field names.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

"$tool" topic create plain
printf 'k:value\n' | "$tool" produce plain -K : -H a=1 -H b=2
printf 'nokey\n' | "$tool" produce plain

it "every token is what kcat says"
run consume plain -e -f '%t/%p/%o/%k/%K/%s/%S/%h\n'
expect_out $'plain/0/0/k/1/value/5/a=1,b=2\nplain/0/1//-1/nokey/5/'

it "no newline unless the format has one"
run consume plain -e -f '%o'
printf 01 | cmp -s - "$scratch/out" || fail "got $(cat "$scratch/out")"

it "escapes and percent signs are decoded"
run consume plain -c 1 -f '%%\t\x41\x4a\\\r\0%%%s%%\n'
printf '%%\tAJ\\\r\0%%value%%\n' | cmp -s - "$scratch/out" || fail "got $(od -c "$scratch/out" | head -3)"

it "%R is the size as four bytes, big-endian"
run consume plain -c 1 -f '%R%s'
printf '\0\0\0\5value' | cmp -s - "$scratch/out" || fail "got $(od -c "$scratch/out" | head -3)"

it "%T is the timestamp in milliseconds"
run consume plain -c 1 -f '%T'
now=$(date +%s%3N)
[ $((now - $(cat "$scratch/out"))) -lt 60000 ] && [ "$(cat "$scratch/out")" -le "$now" ] || fail "got $(cat "$scratch/out") at $now"

it "%T is -1 where there is none"
"$tool" topic create timeless --config timestamp=none
echo x | "$tool" produce timeless
run consume timeless -e -f '%T\n'
expect_out -1

it "-J prints kcat's fields, one object a line"
run consume plain -e -J
expect_status 0
[ "$(wc -l <"$scratch/out")" -eq 2 ] || fail "not two lines"
python3 - "$scratch/out" <<'CHECK' || fail "the fields are wrong: $(cat "$scratch/out")"
import json, sys
first, second = [json.loads(line) for line in open(sys.argv[1])]
assert list(first) == ["topic", "partition", "offset", "tstype", "ts", "headers", "key", "payload"], list(first)
assert first["headers"] == ["a", "1", "b", "2"] and first["key"] == "k" and first["payload"] == "value"
assert first["tstype"] == "logappend" and first["ts"] > 1600000000000
assert second["key"] is None and "headers" not in second and second["offset"] == 1
CHECK

it "--json is -J"
cp "$scratch/out" "$scratch/expected"
run consume plain -e --json
expect_same "$scratch/out" "$scratch/expected"

it "bytes that are not UTF-8 come in base64, nothing is lost"
"$tool" topic create bytes
head -c 1000 /dev/urandom >"$scratch/value"
printf '\xff' >>"$scratch/value"
"$tool" produce bytes --raw "$scratch/value" -k "$(printf 'k\xfe')" -H "$(printf 'h=\xfd')" -H plain=text
run consume bytes -e -J
python3 - "$scratch/out" "$scratch/value" <<'CHECK' || fail "the bytes are not those: $(cat "$scratch/out")"
import base64, json, sys
record = json.load(open(sys.argv[1]))
assert base64.b64decode(record["payload_base64"]) == open(sys.argv[2], "rb").read() and "payload" not in record
assert base64.b64decode(record["key_base64"]) == b"k\xfe" and "key" not in record
assert [base64.b64decode(part) for part in record["headers_base64"]] == [b"h", b"\xfd", b"plain", b"text"] and "headers" not in record
CHECK

it "control characters, zero bytes and all of Unicode stay JSON strings"
printf 'a\0b"\\\x01\x7f\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80' >"$scratch/value"
"$tool" topic delete bytes
"$tool" topic create bytes
"$tool" produce bytes --raw "$scratch/value"
run consume bytes -e -J
python3 -c "
import json
record = json.load(open('$scratch/out'))
assert record['payload'].encode() == open('$scratch/value', 'rb').read()" || fail "got $(cat "$scratch/out")"

it "null stays null and empty stays empty in JSON"
"$tool" topic create nulls
printf ':\n' | "$tool" produce nulls -K :
printf ':\n' | "$tool" produce nulls -K : -Z -H h
run consume nulls -e -J
python3 -c "
import json
empty, null = [json.loads(line) for line in open('$scratch/out')]
assert empty['key'] == '' and empty['payload'] == ''
assert null['key'] is None and null['payload'] is None and null['headers'] == ['h', None]" || fail "got $(cat "$scratch/out")"

it "timestamps given by the caller are called create"
"$tool" topic create stamped --config timestamp=caller
echo x | "$tool" produce stamped
run consume stamped -e -J
expect_json 'd["tstype"] == "create" and d["ts"] > 1600000000000'
run consume timeless -e -J
expect_json '"ts" not in d and "tstype" not in d'

finish
