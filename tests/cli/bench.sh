#!/bin/bash
# bench.sh: spate-bench as a user calls it: what it prints can be read by people and by programs; wrong arguments are told.
# Called by ctest (label cli). No figure is judged here: the machine is anybody's.
source "$(dirname "$0")/lib.sh"
tool=$SPATE_BUILD/bin/spate-bench

"$tool" limit --rounds 1 --seconds 1s >"$scratch/out" 2>"$scratch/err"
if grep -q 'only one processor\|time stamp counter' "$scratch/err"; then
    echo "skipped: $(cat "$scratch/err")"
    exit 77
fi

it "limit prints a table with every case"
run limit --rounds 1 --seconds 1s
expect_status 0
for case in "line round trip, p50" "ring 64 B, 256 KiB" "ring 16 KiB, 8 MiB" "copy in L2" "contended fetch-add"; do
    grep -q "^$case" "$scratch/out" || grep -q "1 dropped" "$scratch/out" || fail "no case '$case'"
done

it "limit --json prints an object a line, with positive figures"
run limit --rounds 1 --seconds 1s --json
expect_status 0
expect_no_err
python3 - "$scratch/out" <<'END' || fail "the JSON is not as promised"
import json, sys
for line in open(sys.argv[1]):
    row = json.loads(line)
    assert row["bench"] == "limit" and row["rounds"] == 1, row
    assert 0 < row["min"] <= row["median"] <= row["max"], row
END

it "throughput --detail counts instructions, where there are no counters by single steps"
run throughput --rounds 1 --seconds 1s --detail --only "16 B, exclusive" --json
expect_status 0
expect_no_err
strace -o /dev/null true 2>/dev/null
python3 - "$scratch/out" $? <<'END' || fail "the JSON is not as promised"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
counts = [row["median"] for row in rows if "instructions" in row["case"]]
may_trace = sys.argv[2] == "0" # else there may be no way to count
assert not rows or (not counts and not may_trace) or (len(counts) == 3 and all(20 < count < 1000 for count in counts)), rows
END

it "throughput prints ratios to the hand-written ring"
run throughput --rounds 1 --seconds 2s --json
expect_status 0
expect_no_err
python3 - "$scratch/out" <<'END' || fail "the JSON is not as promised"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
classes = [row["class"] for row in rows if row["case"] == "L 64 B"] # the limit is another one where the processors moved meanwhile
for row in rows:
    assert row["bench"] == "throughput" and row["median"] > 0, row
    if " 64 B, " not in row["case"]:
        continue
    assert ("ratio" in row) == (row["class"] in classes), row
    if "ratio" in row:
        assert abs(row["ratio"] - row["median"] / row["limit"]) < 1e-6, row
END

it "latency prints all quantiles of each case"
run latency --rounds 1 --seconds 3s --json
expect_status 0
python3 - "$scratch/out" <<'END' || fail "the JSON is not as promised"
import json, sys
rows = {row["case"]: row for row in map(json.loads, open(sys.argv[1]))}
for row in rows.values():
    assert row["bench"] == "latency" and row["unit"] == "ns" and row["median"] > 0, row
if rows: # else the processors moved
    for case in ("line", "24 B, exclusive, spin", "64 B, concurrent, spin"):
        quantiles = [rows[case + ", " + name]["median"] for name in ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")]
        assert quantiles == sorted(quantiles), (case, quantiles)
    assert rows["asleep, epoll, at 1/s, p50"]["median"] <= rows["asleep, epoll, at 1/s, max"]["median"]
END

run latency --rounds 1 --seconds 1s --only "24 B, exclusive"
expect_status 0
grep -q "p99.99" "$scratch/out" || grep -q dropped "$scratch/out" || fail "no column for p99.99"

it "targets holds every row against its own limit"
run targets --rounds 1 --seconds 3s --json
expect_status 0
expect_no_err
python3 - "$scratch/out" <<'END' || fail "the JSON is not as promised"
import json, sys
for row in map(json.loads, open(sys.argv[1])):
    for key in "bench", "case", "unit", "median", "min", "max", "limit", "ratio", "target", "verdict":
        assert key in row, (key, row)
    assert abs(row["ratio"] - row["median"] / row["limit"]) < 1e-6, row
    at_most = row["unit"] in ("ns", "ns/record", "bytes")
    met = row["ratio"] <= row["target"] if at_most else row["ratio"] >= row["target"]
    assert row["verdict"] == ("ok" if met else "short"), row
END

it "peers carries the same through others, and tells what it cannot measure"
run peers --rounds 1 --seconds 1s
expect_status 0
for peer in Spate ck_ring iceoryx pipe "Unix socket" "POSIX queue" ZeroMQ nng "Cyclone DDS" "Redis streams"; do
    grep -q "^$peer  " "$scratch/out" || fail "'$peer' is not named"
    grep -q "^$peer .*not measured: .*(.*)" "$scratch/out" || grep -q "^1 -> 1 64 B, $peer  .*records/s" "$scratch/out" ||
        grep -q "dropped" "$scratch/out" || fail "'$peer' is neither measured nor is it said why not"
done
run peers --rounds 1 --seconds 1s --json --only ", pipe"
expect_status 0
expect_no_err
python3 - "$scratch/out" <<'END' || fail "the JSON is not as promised"
import json, sys
for row in map(json.loads, open(sys.argv[1])):
    assert row["bench"] == "peers" and row["median"] > 0, row
    if row["case"].endswith(", pipe"):
        assert row["note"] and abs(row["ratio"] - row["median"] / row["limit"]) < 1e-6, row
END

it "scale tells the distance of every two processors, and the rate of every number of cores"
run scale --rounds 1 --seconds 1s
expect_status 0
grep -q "^round trip of a line" "$scratch/out" || [ "$(nproc)" -gt 24 ] || fail "no matrix"
grep -q "^by distance" "$scratch/out" || fail "no distances"
run scale --rounds 1 --seconds 1s --json
expect_status 0
expect_no_err
python3 - "$scratch/out" <<'END' || fail "the JSON is not as promised"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
pairs = [row for row in rows if "relation" in row]
assert pairs
for pair in pairs:
    assert pair["relation"] and pair["min"] > 0 and pair["case"] == "line, processors %d and %d" % (pair["a"], pair["b"]), pair
for row in rows:
    assert row["bench"] == "scale" and row["median"] > 0, row
END

it "log measures a spated of its own, and leaves nothing behind"
run log --rounds 1 --seconds 2s --only "read from" --log-dir "$scratch" --json
expect_status 0
expect_no_err
python3 - "$scratch/out" <<'END' || fail "the JSON is not as promised"
import json, sys
for row in map(json.loads, open(sys.argv[1])):
    assert row["bench"] == "log" and row["median"] > 0, row
END
[ -z "$(ls -d "$scratch"/spate-bench* 2>/dev/null)" ] || fail "it left its log"
run log --rounds 1 --seconds 2s --only "not durable, 64 B" --log-dir "$scratch"
expect_status 0
expect_out_like 'not durable, 64 B'
run log --log-dir "$scratch/none" --rounds 1
expect_status 1
expect_err_like 'see --log-dir'

it "memory compares plain pages with huge ones, or says why not"
run memory --rounds 1 --seconds 1s --only "64 B, ring of 8 MiB"
expect_status 0
grep -q "^64 B, ring of 8 MiB, huge pages.*plain pages" "$scratch/out" || grep -q "No huge pages were given\|dropped" "$scratch/out" ||
    fail "neither"

it "report makes a page, JSON lines and CSV that agree"
run report --out "$scratch/report" --rounds 1 --seconds 2s
expect_status 0
python3 - "$scratch/report" <<'END' || fail "they do not"
import csv, html.parser, json, sys
folder = sys.argv[1]
lines = [json.loads(line) for line in open(folder + "/results.jsonl")]
assert "machine" in lines[0], lines[0]
rows = list(csv.DictReader(open(folder + "/results.csv", newline="")))
assert len(rows) == len(lines) - 1 > 50
for row, line in zip(rows, lines[1:]):
    assert row["case"] == line["case"] and abs(float(row["median"]) - line["median"]) <= 1e-5 * line["median"], (row, line)
page = open(folder + "/report.html").read()
# a part for each bench of which some round could be used: those in which the processors moved are dropped
parts = {"targets": "Against the limit", "peers": "Beside others", "latency": "Latency", "throughput": "Throughput by size",
         "scale": "More cores"}
for bench, title in parts.items():
    is_measured = any(line["bench"] == bench and "relation" not in line for line in lines[1:])
    assert ("<h2>" + title in page) == is_measured, title
assert "<h2>From core to core" in page
assert "http:" not in page and "https:" not in page and "<script" not in page
stack = []
class Parser(html.parser.HTMLParser): # every element that was opened is closed
    def handle_starttag(self, tag, attributes):
        if tag != "meta":
            stack.append(tag)
    def handle_endtag(self, tag):
        assert stack.pop() == tag, tag
parser = Parser()
parser.feed(page)
assert not stack, stack
END

it "report draws what another machine measured, and trusts none of it"
target='"bench":"targets","unit":"records/s","class":"near","rounds":5,"limit":10,"target":0.6,"verdict":"short"'
{
    echo '{"machine":{"processor":"<script>alert(1)</script>"}}'
    echo "{$target,\"case\":\"1 -> 1, 64 B, <b>\\\"exclusive\\\"\",\"median\":5,\"min\":4,\"max\":6,\"ratio\":0.5}"
    echo "{$target,\"case\":\"=1+1\",\"median\":1e300,\"min\":0,\"max\":1e300,\"ratio\":1e299}"
} >"$scratch/lines"
run report --out "$scratch/other" --from "$scratch/lines"
expect_status 0
grep -q "&lt;script&gt;" "$scratch/other/report.html" || fail "the machine is not there"
grep -q "<script\|<b>\"" "$scratch/other/report.html" && fail "its text became markup"
grep -q "^\"targets\",\"'=1+1\"" "$scratch/other/results.csv" || fail "a formula for spreadsheets"
for line in '{' '[]' '{"bench":"x"}' '{"bench":"x","case":"y","unit":"z","median":"1","min":1,"max":1}' '{"machine":{"a":[]}}' \
    '{"bench":"x","case":"y","unit":"z","median":-1,"min":1,"max":1}'; do
    printf '%s\n' "$line" >"$scratch/bad"
    run report --out "$scratch/other" --from "$scratch/bad"
    expect_status 1
    grep -q "line 1: " "$scratch/err" || fail "$line: not told where"
done
run report --out "$scratch/other" --from /dev/null
expect_status 1
run report --out "$scratch/other" --from "$scratch/none"
expect_status 1

it "--only takes the cases that were asked for, and what they are held against"
run throughput --rounds 1 --seconds 1s --json --only "64 B, exclusive, publish"
expect_status 0
[ -s "$scratch/out" ] && {
    grep -q '"case":"L 64 B"' "$scratch/out" || fail "without its limit"
    grep -q 'KiB' "$scratch/out" && fail "more than asked for"
}
run throughput --only nothing-like-this
expect_status 1
grep -q "no case has 'nothing-like-this'" "$scratch/err" || fail "not told"

it "they leave nothing behind"
[ -z "$(ls "$SPATE_DIR")" ] || fail "it left $(ls "$SPATE_DIR")"

it "wrong arguments are told"
for arguments in "limit --pin 0,9999" "limit --pin x" "limit --rounds 0" "limit --rounds 102" "limit --seconds x" "limit extra" \
    "targets --rounds many" "throughput --wait sometimes" "latency --pin" \
    "report --rounds 0" "report --pin x" "report extra" "scale extra" "peers --rounds x" "nope" ""; do
    # shellcheck disable=SC2086
    run $arguments
    expect_status 2
    expect_out ""
done

it "limit can be stopped"
background stopped limit --rounds 100 --seconds 600s
sleep 1
kill -INT "$pid"
end "$pid"
expect_status 1

finish
