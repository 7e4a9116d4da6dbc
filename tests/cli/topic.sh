#!/bin/bash
# topic.sh: create, list, describe and delete, with their errors, on the default bus, named buses and buses given as paths.
# Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

it "the list of a fresh bus is empty"
run topic list
expect_status 0
expect_out ""
expect_no_err
run topic list --json
expect_status 0
expect_json 'd == []'

it "a configuration that no topic can have is a usage error, and nothing is made"
refuses() {
    run topic create t --bus never "${@:2}"
    expect_usage_error "$1"
    [ ! -e "$SPATE_DIR/never" ] || fail "a bus was made"
}
refuses '[-][-]config alignment=9: allowed are 8, 16, 32, 64 and 128' --config alignment=9
refuses '[-][-]config alignment=4: allowed are 8, 16, 32, 64 and 128' --config alignment=4
refuses '[-][-]config segment_age=0: ' --durable --config segment_age=0
refuses '[-][-]config segment_age=0s: ' --durable --config segment_age=0s
refuses '[-][-]config retention_size=-1K: ' --durable --config retention_size=-1K
refuses '[-][-]config numa=-1K: ' --config numa=-1K
refuses '[-][-]config user=4294967296: ' --config user=4294967296
refuses '[-][-]config group=-1G: ' --config group=-1G
refuses '[-][-]config producer_mode=0777: ' --config producer_mode=0777
refuses 'rw, r' --config consumer_mode=0622
refuses 'flush is a setting of the log' --config flush=each
refuses 'retention_time is a setting of the log' --config retention_time=1h
run topic create a/b --bus never
expect_usage_error 'is not a topic name'
[ ! -e "$SPATE_DIR/never" ] || fail "a bus was made"
run topic create t --bus fits --durable --config segment_age=none --config retention_size=-1 --config flush=each --config alignment=128
expect_status 0
run topic delete t --bus fits

it "create makes topics, quietly"
run topic create beta
expect_status 0
expect_out ""
expect_no_err
run topic create alpha --partitions 3 --ring 128K --mode exclusive --config alignment=8 --config timestamp=none
expect_status 0

it "list prints bare sorted names"
run topic list
expect_out $'alpha\nbeta'
run topic list --json
expect_json '[t["topic"] for t in d] == ["alpha", "beta"] and d[0]["partitions"] == 3'

it "describe shows what was configured"
run topic describe alpha --json
expect_status 0
expect_json 'd["topic"] == "alpha" and d["mode"] == "exclusive" and d["ring_capacity"] == 131072 and d["alignment"] == 8'
expect_json 'd["timestamp"] == "none" and len(d["id"]) == 32 and d["created"].endswith("Z")'
expect_json '[r["partition"] for r in d["rings"]] == [0, 1, 2] and all(r["next_offset"] == 0 for r in d["rings"])'
run topic describe alpha
expect_status 0
expect_out_like '^mode +exclusive$'
expect_out_like '^ring +128 KiB$'

it "the defaults are those of the manual"
run topic describe beta --json
expect_json 'd["partitions"] == 1 and d["ring_capacity"] == 8 << 20 and d["mode"] == "concurrent" and d["timestamp"] == "clock"'

it "a topic that exists is refused, unless that is wanted"
run topic create alpha
expect_status 1
expect_out ""
expect_err_like "exists"
run topic create alpha --if-missing
expect_status 0
run topic describe alpha --json
expect_json 'd["partitions"] == 3'

it "names that no topic can have are refused"
for name in . .. a/b "a b" "" "$(printf 'x%.0s' {1..250})"; do
    run topic create "$name"
    expect_status 2
    expect_out ""
    expect_err_like .
done

it "a topic that does not exist is named, with the remedy"
run topic describe nowhere
expect_status 1
expect_err_like "no topic 'nowhere'.*spate topic create nowhere"
run topic delete nowhere
expect_status 1
expect_err_like "no topic 'nowhere'.*spate topic list"

it "a topic that does not fit leaves nothing behind"
run topic create huge --ring 64G --partitions 1024
expect_status 1
expect_err_like .
run topic list
expect_out $'alpha\nbeta'

it "delete removes a topic"
run topic delete beta
expect_status 0
expect_out ""
run topic list
expect_out alpha
[ ! -e "$SPATE_DIR/default/beta" ] || fail "its directory is still there"

it "a topic in use is deleted only by force"
background consumer consume alpha
eventually has_cursors alpha 3
run topic delete alpha
expect_status 1
expect_err_like "--force"
run topic list
expect_out alpha
run topic delete alpha --force
expect_status 0
end "$pid"
expect_status 1
grep -q deleted "$scratch/consumer.err" || fail "the consumer is not told that the topic was deleted"

it "buses are chosen by option, environment, name and path"
run topic create here --bus other
expect_status 0
run --bus other topic list
expect_out here
SPATE_BUS=other run topic list
expect_out here
run topic list -b "$SPATE_DIR/other"
expect_out here
run topic list
expect_out ""
run topic list --dir "$scratch/none-yet" --bus x
expect_status 0
expect_out ""

finish
