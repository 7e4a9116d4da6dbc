#!/bin/bash
# log.sh: durable topics with a spated of their own: what stat, describe and `spate log` say of them, alive, closed, copied and damaged, and
# that repair makes a damaged log sound without losing what can be read. Called by ctest (label cli).
source "$(dirname "$0")/lib.sh"

spated=$SPATE_BUILD/bin/spated
[ -x "$spated" ] || { echo "skipped: $spated is not built"; exit 77; }
log=$scratch/log

is_ready() {
    grep -qs 'ready' "$scratch/spated.err"
}

start_daemon() {
    "$spated" --log-dir "$log" >"$scratch/spated.out" 2>"$scratch/spated.err" &
    daemon=$!
    pids+=("$daemon")
    eventually is_ready
}

stop_daemon() {
    kill -TERM "$daemon"
    wait "$daemon"
    status=$?
    last_command=spated
}

# run_soon: as run, of what has to end within ten seconds.
run_soon() {
    last_command="spate $*"
    timeout -k 1 10 "$tool" "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
    [ "$status" -lt 124 ] || fail "it does not end"
}

# flip: change one byte of a file.
flip() {
    python3 -c '
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2]))
    byte = file.read(1)[0]
    file.seek(int(sys.argv[2]))
    file.write(bytes([byte ^ 1]))' "$1" "$2"
}

# copy: the closed log, anew.
copy() {
    rm -rf "$scratch/copy"
    cp -r "$log" "$scratch/copy"
}

# sum_of: of all records of a topic in a log directory, both partitions.
sum_of() {
    { "$tool" consume --log "$1" "$2" -p 0 && "$tool" consume --log "$1" "$2" -p 1; } | sha256sum
}

it "create --help lists the settings of durable topics"
run topic create --help
for word in durable flush compression cleanup segment_size segment_age retention_size retention_time tombstone_delay; do
    expect_out_like "^ +$word "
done

it "refuses settings of the log for topics that have none, and numbers out of range, as usage errors"
run topic create nd --config flush=each
expect_usage_error 'flush is a setting of the log'
run topic create nd --ring 1K
expect_usage_error '[-][-]ring 1K: allowed are 64K to 64G'
run topic create nd --durable --config flush=foo
expect_usage_error '[-][-]config flush=foo: allowed are none'
run topic create nd --config zzzz=1
expect_usage_error 'there are partitions, ring,'

# has_flushes: stat knows how long flushes took; counted now and then.
has_flushes() {
    run stat --json
    python3 -c '
import json, sys
logs = json.load(sys.stdin)["logs"]
sys.exit(0 if all(l["flush_p50_us"] is not None and 0 <= l["flush_p50_us"] <= l["flush_max_us"] for l in logs) else 1)' <"$scratch/out"
}

start_daemon
"$tool" topic create plain --durable --partitions 2 --ring 256K --config segment_size=1M --config flush=interval:50
"$tool" topic create packed --durable --config segment_size=1M --config compression=lz4 --config retention_time=36h
"$tool" topic create loose
seq 1 40000 | "$tool" produce plain -p 0 --acks durable
seq 1 300 | "$tool" produce plain -p 1 --acks durable
seq 1 20000 | "$tool" produce packed --acks durable

it "stat shows how far the logs are, and who writes them"
run stat --json
expect_status 0
expect_json '[(l["topic"], l["partition"]) for l in d["logs"]] == [("packed", 0), ("plain", 0), ("plain", 1)]'
expect_json 'all(l["state"] == "open" and l["pid"] == '"$daemon"' and l["lag_records"] == 0 for l in d["logs"])'
expect_json '[l["durable"] for l in d["logs"]] == [20000, 40000, 300] and d["logs"][1]["published"] == 40000'
expect_json 'all(l["bytes"] > 0 for l in d["logs"])'
eventually has_flushes
run stat
expect_out_like '^logs of durable topics'
expect_out_like '^plain +0 +open +0 +40000 +40000 +40000 +0 '

it "stat shows a consumer that reads on from the log as one"
background spilling consume plain --name spilling
eventually has_cursors plain 2
run stat --json
expect_json '[c["policy"] for c in d["cursors"]] == ["spill"] * 2'
run stat
expect_out_like ' spilling .* spill '
kill -TERM "$pid"
end "$pid"

it "describe shows the settings as they are written"
run topic describe packed --json
expect_status 0
expect_json '(d["durable"], d["flush"], d["compression"], d["cleanup"]) == (True, "none", "lz4", "delete")'
expect_json '(d["segment_size"], d["segment_age"], d["retention_time"], d["retention_size"]) == (1048576, "none", "36h", "none")'
run topic describe plain
expect_out_like '^flush +interval:50$'
run topic describe loose
expect_out_like '^durable +no$'

it "a live log is listed and verified"
run log ls "$log" --json
expect_status 0
expect_json 'd["writer"] == '"$daemon"' and [(p["topic"], p["partition"], p["next_offset"]) for p in d["partitions"]] ==
    [("packed", 0, 20000), ("plain", 0, 40000), ("plain", 1, 300)]'
run log verify "$log"
expect_status 0
expect_out_like 'no violations$'
run log repair "$log"
expect_status 1
expect_err_like "process $daemon writes"

it "the bus knows its log"
run log ls --json
expect_json 'd["directory"] == "'"$log"'"'
SPATE_BUS=default run log verify packed --json
expect_status 0
expect_json 'd["records"] == 20000 and d["violations"] == [] and d["topics"] == 1'
run verify --log --json
expect_status 0
expect_json 'd["violations"] == [] and d["log"]["violations"] == [] and d["log"]["records"] == 60300'

it "trim moves the beginning of the log"
run topic trim plain -p 1 -o 100
expect_status 0
run consume plain -p 1 -e -f '%o\n' -c 1
expect_out 100
run topic trim plain -p 1
expect_usage_error '-o OFFSET'
run topic trim plain -p 1 -o 1000000
expect_status 1
expect_err_like 'published'
run topic trim loose -p 0 -o 0
expect_status 1
expect_err_like 'not durable'

it "spated ends in good order, and the log is closed"
stop_daemon
expect_status 0
run log ls -l "$log" --json
expect_status 0
expect_json 'd["writer"] is None and all(p["clean"] for p in d["partitions"])'
expect_json 'all(s["state"] == "closed" and s["index"] == "good" for s in d["segments"]) and len(d["segments"]) == 5'
expect_json 'sum(s["records"] for s in d["segments"] if s["file"].startswith("plain/0/")) == 40000'
run log ls -l "$log"
expect_out_like '^plain/0/[0-9]{20}\.log '
run log verify "$log" --json
expect_status 0
expect_json 'd["violations"] == [] and d["notes"] == [] and d["records"] == 60300'
run stat --json
expect_status 0
expect_json 'all(l["state"] == "no daemon" for l in d["logs"])'

it "records and blocks can be dumped"
run log dump "$log" plain -o 20000 -c 2
expect_status 0
expect_out_like '^# plain/0/[0-9]{20}\.log at [0-9]+ \.\. [0-9]+  offsets '
expect_out_like 'offset 20000  committed .*value "20001"$'
run log dump "$log" packed --json
expect_json 'len(d["records"]) == 20000 and d["records"][4]["record"]["payload"] == "5"'
run log dump "$log" packed --blocks --json
expect_json 'sum(b["next"] - b["first"] for b in d["blocks"]) == 20000 and d["blocks"][0]["compression"] == "lz4"'

it "a copy reads the same, without bus and daemon"
copy
[ "$(sum_of "$log" plain)" = "$(sum_of "$scratch/copy" plain)" ] || fail "the copy reads otherwise"
SPATE_DIR=/nowhere run topic list --log "$scratch/copy"
expect_out $'packed\nplain'
SPATE_DIR=/nowhere run topic describe packed --log "$scratch/copy" --json
expect_json 'd["compression"] == "lz4" and d["logs"][0]["durable"] == 20000'
SPATE_DIR=/nowhere run consume --log "$scratch/copy" packed -p 0
expect_status 0
seq 1 20000 | cmp -s - "$scratch/out" || fail "the records are others"

it "a single word is a directory where there is one of that name and no bus is named, else a topic"
cd "$scratch" || exit 1
rm -r copy/plain
run log verify copy --json
expect_status 0
expect_json 'd["directory"] == "copy" and d["topics"] == 1 and d["records"] == 20000'
run log repair copy --json
expect_status 0
expect_json 'd["directory"] == "copy"'
run log verify packed --json
expect_status 0
expect_json 'd["directory"] == "'"$log"'" and d["records"] == 20000'
run log verify copy --bus default
expect_status 1
expect_err_like "no topic 'copy' in the log $log"
cd - >/dev/null || exit 1
run log verify --help
expect_out_like 'single word is a DIR'

it "a log directory is not read by policy skip: there is no ring to read instead"
copy
run consume packed --log "$scratch/copy" --policy skip
expect_usage_error '[-][-]policy skip'
run consume packed --log "$scratch/copy" --policy spill --count 1
expect_status 0
expect_out 1

it "a flipped byte costs its block: verify names it, consume tells of it, repair keeps the rest"
segment=$(find "$scratch/copy/plain/0" -name '*.log' | sort | sed -n 2p)
flip "$segment" 300000
run log verify "$scratch/copy" --json
expect_status 3
expect_json 'len(d["violations"]) == 1 and d["violations"][0]["rule"] == "block"'
expect_json 'd["violations"][0]["at"] <= 300000 < d["violations"][0]["end"]'
read -r first next <<<"$(python3 -c '
import json, sys
v = json.load(open(sys.argv[1]))["violations"][0]
print(v["first"], v["next"])' "$scratch/out")"
run consume --log "$scratch/copy" plain -p 0
expect_status 3
expect_err_like "offsets $first\.\.$((next - 1))"
{ seq 1 "$first" && seq $((next + 1)) 40000; } >"$scratch/expected"
expect_same "$scratch/out" "$scratch/expected"
run log dump "$scratch/copy" plain --blocks
expect_out_like "offsets $first \.\. $((next - 1))  DAMAGED: "
find "$scratch/copy" -type f -exec sha256sum {} + | sort >"$scratch/before"
run log repair "$scratch/copy"
expect_status 3
expect_out_like "aside +$first \.\. $((next - 1)) "
find "$scratch/copy" -type f -exec sha256sum {} + | sort >"$scratch/after"
expect_same "$scratch/before" "$scratch/after"
run log repair "$scratch/copy" --yes
expect_status 0
run log verify "$scratch/copy" --json
expect_status 0
expect_json 'd["violations"] == [] and d["records"] == 60300 - ('"$next - $first"')'
run consume --log "$scratch/copy" plain -p 0
expect_status 3
expect_same "$scratch/out" "$scratch/expected"
run log repair "$scratch/copy"
expect_status 0
expect_out_like 'nothing to repair'

it "a repair that could not put all in place is finished by the next one"
cat >"$scratch/fail.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
int renameat(int from, const char *old, int to, const char *new)
{
    static int count;
    int (*next)(int, const char *, int, const char *) = (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");
    if (++count != 2)
        return next(from, old, to, new);
    errno = EIO;
    return -1;
}
END
if cc -shared -fPIC -o "$scratch/fail.so" "$scratch/fail.c" -ldl 2>"$scratch/err"; then
    copy
    flip "$(find "$scratch/copy/plain/0" -name '*.log' | sort | sed -n 2p)" 300000
    export ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-}
    LD_PRELOAD=$scratch/fail.so run log repair "$scratch/copy" --yes
    expect_status 1
    expect_err_like 'cannot rename .*\.new'
    run log repair "$scratch/copy" --yes
    expect_status 0
    expect_out_like ' finish '
    run log verify "$scratch/copy"
    expect_status 0
    run consume --log "$scratch/copy" plain -p 0
    expect_status 3
    expect_same "$scratch/out" "$scratch/expected"
else
    echo "no compiler: a repair that fails was not tried"
fi

it "after a repair spated goes on where the log ends, also if the repair was ended before it moved the frontier"
# goes_on: a spated of its own for the copy; it finds nothing missing, and the log's end.
goes_on() {
    "$spated" --bus goes_on --log-dir "$scratch/copy" >"$scratch/out" 2>"$scratch/err" &
    local pid=$!
    pids+=("$pid")
    eventually grep -qs ': ready' "$scratch/err"
    kill -TERM "$pid"
    wait "$pid"
    rm -rf "$SPATE_DIR/goes_on"
    grep -q 'durable and are missing' "$scratch/err" && fail "$1: something is missing: $(grep missing "$scratch/err")"
    grep -Eq 'topic plain: writing its log, 2 partitions from offset 40000 on' "$scratch/err" || fail "$1: it goes on elsewhere"
}
copy
frontier=$scratch/copy/plain/0/frontier
last=$(find "$scratch/copy/plain/0" -name '*.log' | sort | tail -1)
cp "$frontier" "$scratch/frontier"
flip "$last" 300000
run log repair "$scratch/copy" --yes
expect_status 0
goes_on "repaired"
cp "$scratch/frontier" "$frontier"
goes_on "with the frontier of before"
run log repair "$scratch/copy" --yes
expect_status 0
run log verify "$scratch/copy"
expect_status 0
copy
flip "$last" 300000
head -c 8192 /dev/urandom >"$frontier"
run log repair "$scratch/copy" --yes
expect_status 0
goes_on "with a new frontier"
run log repair "$scratch/copy"
expect_out_like 'nothing to repair'

it "a damaged header of a segment costs nothing once it is repaired"
copy
flip "$(find "$scratch/copy/plain/0" -name '*.log' | sort | sed -n 2p)" 2000
run log verify "$scratch/copy"
expect_status 3
expect_out_like ' segment-header '
run log repair "$scratch/copy" --yes
expect_status 0
run log verify "$scratch/copy"
expect_status 0
[ "$(sum_of "$log" plain)" = "$(sum_of "$scratch/copy" plain)" ] || fail "the repaired log reads otherwise"

it "indexes and frontiers are made anew, a torn tail is cut"
copy
find "$scratch/copy" -name '*.index' -delete
rm "$scratch/copy/packed/0/frontier"
last=$(find "$scratch/copy/plain/1" -name '*.log' | sort | tail -1)
truncate -s +64K "$last"
head -c 5000 /dev/urandom >>"$last"
run log verify "$scratch/copy" --json
expect_status 3
expect_json '[v["rule"] for v in d["violations"]] == ["frontier"]'
expect_json 'sorted(n["rule"] for n in d["notes"]) == ["index"] * 5 + ["torn-tail"]'
run log repair "$scratch/copy" --yes
expect_status 0
run log verify "$scratch/copy" --json
expect_status 0
expect_json 'd["violations"] == [] and d["notes"] == [] and d["records"] == 60300'
[ "$(sum_of "$log" plain)" = "$(sum_of "$scratch/copy" plain)" ] || fail "the repaired log reads otherwise"

it "an index that leads astray, a hole and a cut frontier are found"
copy
flip "$(find "$scratch/copy/plain/0" -name '*.index' | sort | head -1)" 70
rm "$(find "$scratch/copy/plain/0" -name '*.log' | sort | sed -n 2p)" "$scratch/copy/packed/topic"
truncate -s 40000 "$(find "$scratch/copy/packed/0" -name '*.log' | sort | tail -1)"
run log verify "$scratch/copy" --json
expect_status 3
expect_json '{"index", "offsets-dense", "topic-file", "block"} <= {v["rule"] for v in d["violations"]}'

it "a pipe in place of a file of the log is refused, and not waited for"
copy
segment=$(find "$scratch/copy/plain/0" -name '*.log' | sort | sed -n 2p)
for file in "$scratch/copy/packed/topic" "$segment" "${segment%.log}.index" "$scratch/copy/plain/0/frontier"; do
    rm -f "$file"
    mkfifo "$file"
done
run_soon topic describe packed --log "$scratch/copy"
expect_status 1
expect_err_like 'packed/topic: it is not a plain file'
run_soon topic list --log "$scratch/copy" --json
expect_status 0
expect_json '[t["topic"] for t in d] == ["packed", "plain"]'
run_soon consume --log "$scratch/copy" packed -p 0
expect_status 1
expect_err_like 'packed/topic: it is not a plain file'
run_soon consume --log "$scratch/copy" plain -p 0
expect_status 3
expect_err_like 'damaged'
run_soon log verify "$scratch/copy"
expect_status 3
expect_out_like "${segment##*/} .*it is not a plain file"
run_soon log ls "$scratch/copy"
expect_out_like 'plain'

it "a segment larger than any can be is refused, and not searched to its end"
copy
segment=$(find "$scratch/copy/plain/0" -name '*.log' | sort | sed -n 2p)
size=$(stat -c %s "$segment")
if truncate -s 1T "$segment" 2>"$scratch/err" || truncate -s 100G "$segment" 2>"$scratch/err"; then
    run_soon log verify "$scratch/copy"
    expect_status 3
    expect_out_like "${segment##*/} .*it is larger than a segment can be"
    run_soon log ls -l "$scratch/copy" --json
    expect_out_like 'it is larger than a segment can be'
    run_soon log dump "$scratch/copy" plain -p 0 --blocks
    expect_out_like 'it is larger than a segment can be'
    run_soon consume --log "$scratch/copy" plain -p 0
    expect_status 3
    expect_err_like 'damaged'
    run_soon log repair "$scratch/copy" --yes
    expect_status 3
    expect_out_like "${segment##*/} +none .*it is larger than a segment can be"
    truncate -s "$size" "$segment"
    run log verify "$scratch/copy"
    expect_status 0
else
    echo "no file system with large files: not tried"
fi

it "a repaired log is gone on with, where it ended"
flip "$(find "$log/plain/0" -name '*.log' | sort | tail -1)" 10000
run log repair --yes "$log" plain
expect_status 0
start_daemon
echo more | "$tool" produce plain -p 0 --acks durable
run consume plain -p 0 -o 40000 -e -f '%o %s\n'
expect_out '40000 more'
stop_daemon
run log verify
expect_status 0

it "wrong arguments are answered with the nearest right ones"
run log lst
expect_usage_error "did you mean 'ls'"
run log verfy
expect_usage_error "did you mean 'verify'"
run log ls --jsn
expect_usage_error 'did you mean --json'
run log dump
expect_usage_error .
run log dump a b c
expect_usage_error .
run log dump "$log" plain -o x
expect_usage_error 'whole number'
run log repair --ys "$log"
expect_usage_error 'did you mean --yes'

it "what is not there is said"
run log ls "$scratch/nowhere"
expect_status 1
expect_err_like nowhere
run log verify "$log" nothing
expect_status 1
expect_err_like "no topic 'nothing'"
run log dump "$log" plain -o 1000000000
expect_status 1
expect_err_like 'has nothing at offset 1000000000'
run consume plain --log "$log" -p 0 -o 1000000000
expect_status 1
expect_err_like 'is not in the log of topic plain'
run consume nothing --log "$log"
expect_status 1
expect_err_like 'spate topic list --log'
run topic describe nothing --log "$log"
expect_status 1
expect_err_like "no topic 'nothing' in the log $log: .spate topic list --log"
run log dump "$log" plain -p 7
expect_status 1
expect_err_like 'partition 7'
run log ls --bus never
expect_status 1
[ ! -e "$SPATE_DIR/never" ] || fail "a bus was made"

finish
