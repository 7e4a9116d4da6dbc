#!/bin/bash
# inspect.sh: stat, dump, verify, gc and doctor: on an empty, a busy, a half-dead and a damaged bus.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

# hold_claim: a process with an open claim on a topic; leaves $holder, or returns 1 where libspate.so cannot be loaded (sanitizers).
hold_claim() {
    python3 "$(dirname "$0")/hold_claim.py" "$SPATE_BUILD/lib/libspate.so" "$1" >"$scratch/holder.out" 2>"$scratch/holder.err" &
    holder=$!
    pids+=("$holder")
    local tries=0
    while ! grep -qs claimed "$scratch/holder.out"; do
        kill -0 "$holder" 2>/dev/null && [ "$tries" -lt 200 ] || return 1
        tries=$((tries + 1))
        sleep 0.05
    done
}

it "an empty bus has an empty stat"
run stat --json
expect_status 0
expect_json 'd["rings"] == [] and d["cursors"] == [] and d["stalled"] == [] and d["bus"]["path"].endswith("/default")'
run stat
expect_status 0
expect_out_like '^bus .*/default'

it "observing leaves no participant"
run stat --json
expect_json 'd["participants"] == []'

"$tool" topic create busy --partitions 2 --ring 128K
seq 1 50 | "$tool" produce busy -p 1
background reader consume busy --name reader --policy gate
reader=$pid
eventually has_cursors busy 2

it "stat shows participants, rings, cursors and lag"
run stat --json
expect_json 'any(p["name"] == "reader" and p["state"] == "alive" and p["pid"] == '"$reader"' for p in d["participants"])'
expect_json '[(r["partition"], r["next_offset"]) for r in d["rings"]] == [(0, 0), (1, 50)] and d["rings"][1]["consumers"] == 1'
expect_json 'len(d["cursors"]) == 2 and all(c["policy"] == "gate" and c["lag"] == 0 for c in d["cursors"])'
run stat
expect_out_like '^rings$'
expect_out_like '^busy +1 +concurrent +128 KiB'
expect_out_like '^cursors$'
expect_out_like 'reader'

it "stat of a stopped reader shows how far it is behind"
kill -STOP "$reader"
seq 1 20 | "$tool" produce busy -p 1
run stat busy --json
expect_json 'd["rings"][1]["lag_max"] == 20 and d["rings"][1]["used"] > 0'
kill -CONT "$reader"

it "stat of a topic that does not exist fails"
run stat nowhere
expect_status 1
expect_err_like nowhere

it "counters describe themselves"
run stat --counters --json
expect_status 0
expect_json 'any(c["topic"] == "busy" and c["unit"] == "records" and c["value"] >= 50 for c in d["counters"])'
run stat --counters
expect_out_like '^counters$'

it "dump shows every record with its header words"
run dump busy -p 1 --json
expect_status 0
expect_json 'd["ring"]["partition"] == 1 and d["ring"]["capacity"] == 131072 and len(d["records"]) == 70'
expect_json 'all(r["state"] == "committed" and r["stamp"] == r["stamp_expected"] for r in d["records"])'
expect_json '[r["offset"] for r in d["records"]] == list(range(70)) and d["records"][0]["record"]["payload"] == "1"'
run dump busy -p 1
expect_out_like 'offset 0  committed .*value "1"'
run dump busy -p 1 -c 2 --json
expect_json 'len(d["records"]) == 2'
run dump busy --header --json
expect_json 'd["records"] == [] and d["ring"]["partition"] == 0'

it "dump of what is not there fails"
run dump busy -p 2
expect_status 1
expect_err_like 'no partition 2'
run dump nowhere
expect_status 1
expect_err_like nowhere
run dump --file "$scratch/none"
expect_status 1
expect_err_like none
echo rubbish >"$scratch/rubbish"
run dump --file "$scratch/rubbish"
expect_status 1
expect_err_like rubbish

it "dump reads a copied ring file without its bus"
cp "$SPATE_DIR/default/busy/1.ring" "$scratch/copy.ring"
run dump busy -p 1 --json
cp "$scratch/out" "$scratch/live"
SPATE_DIR=/nowhere run dump --file "$scratch/copy.ring" --json
expect_status 0
expect_json 'len(d["records"]) == 70 and d["records"][69]["record"]["payload"] == "20"'

it "verify finds nothing wrong on a live bus"
run verify
expect_status 0
expect_out_like 'no violations'
run verify busy --json
expect_status 0
expect_json 'd["violations"] == [] and d["records"] >= 70 and d["files"] > 0'
run verify nowhere
expect_status 1
expect_err_like nowhere

it "gc frees what a killed process left"
kill_hard "$reader"
run stat --json
expect_json '[p["state"] for p in d["participants"]] == ["dead"]'
run gc --json
expect_status 0
expect_json 'd["participants"] == 1 and d["consumers"] == 2'
run stat --json
expect_json 'd["participants"] == [] and d["cursors"] == []'
run gc
expect_status 0
expect_out_like '^freed: 0 participants'

it "gc removes buses that nobody uses, with topics only when told to"
"$tool" stat --bus empty >/dev/null
"$tool" topic create kept --bus full
run gc --json
expect_status 0
expect_json 'd["buses"] == 1 and d["removed"][0].endswith("/empty")'
[ -d "$SPATE_DIR/full/kept" ] || fail "a bus with a topic was removed"
background user consume kept --bus full
SPATE_BUS=full eventually has_cursors kept 1
run gc --all --json
expect_json 'not any(path.endswith("/full") for path in d["removed"])'
[ -d "$SPATE_DIR/full/kept" ] || fail "a bus in use was removed"
kill -INT "$pid"
end "$pid"
"$tool" topic create busy 2>/dev/null
run gc --bus-only
expect_status 0
[ -d "$SPATE_DIR/full/kept" ] || fail "--bus-only removed another bus"
run gc --all --bus full
expect_status 0
[ ! -e "$SPATE_DIR/full" ] || fail "the unused bus is still there"

it "gc of nothing is fine"
run gc --dir "$scratch/no-such-directory"
expect_status 0

it "a claim that is not finished is shown with its owner"
"$tool" topic create held
if hold_claim held; then
    kill -STOP "$holder"
    echo behind | "$tool" produce held
    run stat --json
    expect_json 'len(d["stalled"]) == 1 and d["stalled"][0]["pid"] == '"$holder"' and d["stalled"][0]["claim"] == "claimed"'
    expect_json '"kill -CONT" in d["stalled"][0]["how"] and d["stalled"][0]["topic"] == "held"'
    run stat
    expect_out_like '^stalled claims'
    run dump held --json
    expect_json '[r["state"] for r in d["records"]] == ["claimed", "committed"] and d["records"][0]["owner_slot"] >= 0'

    it "a claim whose owner died is stepped over, and gc repairs it"
    kill_hard "$holder"
    run consume held -e -f '%o %s\n'
    expect_out '1 behind'
    run gc --json
    expect_json 'd["participants"] == 1 and d["producers"] == 1'
    run stat --json
    expect_json 'd["stalled"] == []'
    run dump held --json
    expect_json '[r["state"] for r in d["records"]] == ["aborted", "committed"]'
    run verify
    expect_status 0
else
    echo "not tested: open claims ($(tail -1 "$scratch/holder.err"))"
fi

it "verify finds damage, names it, and exits with 3"
"$tool" topic create torn --ring 64K
seq 1 10 | "$tool" produce torn
ring=$SPATE_DIR/default/torn/0.ring
cp "$ring" "$scratch/good.ring"
python3 - "$ring" <<'DAMAGE'
import sys
with open(sys.argv[1], "r+b") as ring:  # the value "5", alone in its padding; its record begins at a multiple of 64 before it
    data = ring.read()
    for place in range(len(data) - 1, 4095, -1):
        if data[place:place + 1] == b"5" and data[place + 1:place + 8] == bytes(7):
            ring.seek(place - place % 64)
            ring.write(b"\xaa" * 8)
            break
DAMAGE
if cmp -s "$ring" "$scratch/good.ring"; then
    fail "the test did not damage the ring"
else
    run verify torn
    expect_status 3
    expect_out_like 'torn/0.ring'
    run verify --json
    expect_status 3
    expect_json 'len(d["violations"]) >= 1 and d["violations"][0]["rule"] and "torn" in d["violations"][0]["file"]'
    run dump torn --json
    expect_json 'any(r["state"] == "damaged" for r in d["records"])'
fi

it "a truncated ring and a foreign bus file are violations, too"
truncate -s 4096 "$ring"
run verify
expect_status 3
expect_out_like torn
"$tool" topic create x --bus foreign
head -c 65536 /dev/urandom >"$SPATE_DIR/foreign/bus"
run verify --bus foreign
expect_status 3
run stat --bus foreign
expect_status 1
expect_err_like bus

it "doctor says what it finds, and that nothing stands in the way"
run doctor
expect_status 0
for what in directory 'file locks' 'file system' room membarrier 'shmem THP' 'hugetlb pools' memlock 'open files' io_uring cores topology \
    'CPU governor' clock; do
    expect_out_like "^(ok|note) +$what "
done
run doctor --json
expect_status 0
expect_json 'd["problems"] == 0 and all(f["level"] in ("ok", "note") and f["what"] and f["found"] for f in d["findings"])'
expect_json 'all(f["advice"] for f in d["findings"] if f["level"] != "ok")'

it "doctor finds what prevents working"
run doctor --dir "$scratch/rubbish/below"
expect_status 3
expect_out_like '^problem +directory '
run doctor --dir /proc/nowhere --json
expect_status 3
expect_json 'd["problems"] >= 1'

finish
