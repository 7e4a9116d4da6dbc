#!/bin/bash
# spated.sh: the daemon as an operator meets it: its command line and configuration, one instance, signals, deaths, restarts, and disks that
# are full, read-only or gone. Called by ctest (label cli). Disks are small tmpfs mounts, for which it has to be root; otherwise these are
# skipped and said so.
source "$(dirname "$0")/lib.sh"

daemon_program=$SPATE_BUILD/bin/spated
[ -x "$daemon_program" ] || { echo "skipped: $daemon_program is not built"; exit 77; }
log=$scratch/log
mounts=()
unmount() {
    local mount
    for mount in "${mounts[@]}"; do umount -l "$mount" 2>/dev/null; done
}
trap 'unmount; clean_up' EXIT

# spated: run to its end. Leaves $status and the files $scratch/out and $scratch/err.
spated() {
    last_command="spated $*"
    timeout 20 "$daemon_program" "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
}

# start: spated in the background; messages to $scratch/daemon.err. Leaves $daemon when it is ready.
start() {
    : >"$scratch/daemon.err"
    "$daemon_program" --log-dir "$log" "$@" 2>>"$scratch/daemon.err" >/dev/null &
    daemon=$!
    pids+=("$daemon")
    eventually grep -q ': ready' "$scratch/daemon.err"
}

stop() {
    kill -TERM "$daemon"
    end "$daemon"
}

said() { grep -qE -- "$1" "$scratch/daemon.err"; }

# --------------------------------------------------------------------------------------------------------- command line

it "explains itself, its options and its configuration"
spated --help
expect_status 0
for word in '--config FILE' '--log-dir DIR' '--bus NAME' '--dir PATH' 'Exit status'; do expect_out_like "${word//-/\\-}"; done
spated --help-config
expect_status 0
for word in '\[bus\]' '\[log\]' 'threads' 'block_size' 'scan_interval'; do expect_out_like "$word"; done
spated --version
expect_out_like '^spated [0-9]+\.[0-9]+\.[0-9]+$'

it "refuses unknown options and arguments"
spated --lgo-dir x
expect_usage_error 'did you mean --log-dir'
spated surplus
expect_usage_error 'surplus'

it "refuses bad configuration with the line and what is allowed, and touches nothing"
printf '[log]\nthreds = 2\n' >"$scratch/bad.ini"
spated --config "$scratch/bad.ini" --log-dir "$log"
expect_usage_error 'threads'
printf '[log]\nblock_size = 100K\n' >"$scratch/bad.ini"
spated --config "$scratch/bad.ini" --log-dir "$log"
expect_usage_error 'block_size'
spated --config "$scratch/none.ini" --log-dir "$log"
expect_usage_error 'none.ini'
[ ! -e "$log" ] || fail "it made the log directory"
[ -z "$(ls -A "$SPATE_DIR")" ] || fail "it made a bus"

it "refuses what is no name of a bus or of a log, and leaves nothing behind"
nothing_made() {
    [ -z "$(ls -A "$SPATE_DIR")" ] && return
    fail "it made $(find "$SPATE_DIR" -mindepth 1 | head -3)"
    rm -rf "${SPATE_DIR:?}"/*
}
spated --bus 'a b' --log-dir "$log"
expect_usage_error 'is not a bus name'
spated --log-dir ''
expect_usage_error 'it must not be empty'
[ ! -e "$log" ] || fail "it made the log directory"
spated --log-dir /proc/none
expect_status 1
expect_err_like 'cannot make the log directory'
nothing_made

it "refuses a log where buses are, however that is spelled, and leaves nothing behind"
refuses() {
    spated "$@"
    expect_usage_error 'is where buses are'
    nothing_made
}
ln -s "$SPATE_DIR" "$scratch/link"
for place in "$SPATE_DIR" "$SPATE_DIR/default/log" "$SPATE_DIR/" "$SPATE_DIR//" "/$SPATE_DIR" "$SPATE_DIR/." "$SPATE_DIR/none/.." \
    "$SPATE_DIR//default//log/" "$SPATE_DIR/./default" "$scratch/link" "$scratch/link/default/log" "$scratch/none/../link/default"; do
    refuses --log-dir "$place"
done
refuses --bus "$SPATE_DIR/x/" --log-dir "$SPATE_DIR/x/log"
refuses --bus "$SPATE_DIR/x//" --log-dir "$SPATE_DIR"
refuses --bus "$scratch/link/x" --log-dir "$SPATE_DIR/x/log"
refuses --dir "$SPATE_DIR/" --log-dir "$SPATE_DIR/default"
cd "$SPATE_DIR" || exit 1
refuses --log-dir .
refuses --log-dir default/log
refuses --bus ./x --log-dir "$SPATE_DIR/x/log"
cd "$scratch" || exit 1
refuses --log-dir link/default
cd / || exit 1
refuses --log-dir "${SPATE_DIR#/}/default"
cd - >/dev/null || exit 1

it "keeps a log beside a bus that is not in memory"
start --bus "$scratch/beside/"
stop
expect_status 0
rm -r "$scratch/beside" "$log"

it "prints the configuration that is in effect"
printf '[log]\nthreads = 2\n' >"$scratch/good.ini"
spated --config "$scratch/good.ini" --print-config
expect_status 0
expect_out_like '^threads = 2$'

# ----------------------------------------------------------------------------------------------------- life and restart

it "keeps a log from the first record on, and ends with everything written and flushed"
start
run topic create t --durable --ring 64K --config segment_size=1M --config alignment=8
seq 1 100000 | run produce t --acks written
expect_status 0
stop
expect_status 0
said 'everything is written and flushed' || fail "it did not say so"
run consume t --log "$log"
seq 1 100000 | cmp -s - "$scratch/out" || fail "the log is not what was published"

it "tells a service manager when it is ready, and when it stops"
cat >"$scratch/notify.py" <<'END'
import os, signal, socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
listener.settimeout(20)
daemon = subprocess.Popen(sys.argv[2:], env=dict(os.environ, NOTIFY_SOCKET=sys.argv[1]), stderr=subprocess.DEVNULL)
print(listener.recv(100).decode())
daemon.send_signal(signal.SIGTERM)
print(listener.recv(100).decode())
sys.exit(daemon.wait(20))
END
timeout 60 python3 "$scratch/notify.py" "$scratch/notify" "$daemon_program" --log-dir "$log" >"$scratch/out" 2>"$scratch/err"
status=$?
expect_status 0
expect_out $'READY=1\nSTOPPING=1'

it "does without io_uring where that is forbidden, and says so in one line"
cat >"$scratch/forbid.py" <<'END'
# No io_uring_setup (425) in this process and those it becomes: seccomp, as container runtimes do it.
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
program = b"".join(struct.pack("HBBI", *i) for i in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050000 | 1), (0x06, 0, 0, 0x7fff0000)))
code = ctypes.create_string_buffer(program)
class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_void_p)]
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(Filter(4, ctypes.addressof(code))), 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
END
: >"$scratch/daemon.err"
python3 "$scratch/forbid.py" "$daemon_program" --log-dir "$log" 2>>"$scratch/daemon.err" >/dev/null &
daemon=$!
pids+=("$daemon")
eventually grep -q ': ready (pwrite' "$scratch/daemon.err"
[ "$(grep -c 'io_uring is not to be had here' "$scratch/daemon.err")" = 1 ] || fail "it did not say so once"
run produce t --acks durable --quiet <<<"by pwrite"
expect_status 0
stop
expect_status 0
run consume t --log "$log"
(seq 1 100000; echo "by pwrite") | cmp -s - "$scratch/out" || fail "the log is not what was published"

it "writes many partitions by several threads"
printf '[log]\nthreads = 3\n' >"$scratch/three.ini"
start --config "$scratch/three.ini"
said '3 threads' || fail "it did not say that it has three threads"
run topic create parts --durable --ring 64K --partitions 16 --config alignment=8
seq 1 100000 | run produce parts --acks durable --quiet
expect_status 0
run consume parts --exit
sort -n "$scratch/out" | cmp -s - <(seq 1 100000) || fail "the partitions together are not what was published"
run topic delete parts
stop
expect_status 0

it "is one to a bus, and one to a log directory; a second one says who"
start
spated --log-dir "$scratch/other"
expect_status 1
expect_err_like "another spated, process $daemon"
spated --bus elsewhere --log-dir "$log"
expect_status 1
expect_err_like "another spated, process $daemon, has $log"
[ ! -e "$SPATE_DIR/elsewhere" ] || fail "it made a bus that it then cannot serve"

it "reads its configuration again on SIGHUP"
stop
start --config "$scratch/good.ini"
printf '[log]\nthreads = 3\nscan_interval = 20ms\n' >"$scratch/good.ini"
kill -HUP "$daemon"
eventually said 'log.threads changed: that takes effect when'
eventually said 'read .*good.ini again'
printf '[log]\nnonsense\n' >"$scratch/good.ini"
kill -HUP "$daemon"
eventually said 'the configuration is left as it was'
stop
expect_status 0

it "ends at once, and looks at its logs more often from a reload on, also while they are looked at once a minute"
printf '[log]\nscan_interval = 60s\nretention_interval = 100ms\n' >"$scratch/slow.ini"
ends_soon() {
    local before=$SECONDS
    stop
    expect_status 0
    [ $((SECONDS - before)) -le 5 ] || fail "it took $((SECONDS - before)) s to end"
}
start --config "$scratch/slow.ini"
sleep 0.2 # so that its threads are asleep
ends_soon
run topic create slow --durable --ring 64K --config cleanup=compact --config segment_age=100ms --config alignment=8
start --config "$scratch/slow.ini"
printf 'k:1\nk:2\n' | run produce slow --key-delimiter : --acks durable --quiet
sleep 0.2
sed -i 's/60s/20ms/' "$scratch/slow.ini"
kill -HUP "$daemon"
eventually said 'topic slow, partition 0: compacted 1 segments: 1 records superseded'
run topic delete slow
ends_soon

expected() { seq 1 100000; echo "by pwrite"; seq 100001 500000; echo "the last"; }

it "is killed again and again while records are published, and nothing is lost"
start
(
    for i in $(seq 1 40); do
        seq $((i * 10000 + 100000 - 9999)) $((i * 10000 + 100000))
        sleep 0.05
    done
) >"$scratch/stream.in" &
wait $!
input=$scratch/stream.in
background stream produce t --quiet
input=/dev/null
stream=$pid
for i in 1 2 3 4 5 6; do
    sleep 0.1
    kill_hard "$daemon"
    start
done
end "$stream"
expect_status 0
run produce t --acks durable --quiet <<<"the last"
run consume t --exit
expected | cmp -s - "$scratch/out" || fail "records were lost, repeated or changed"
stop
run consume t --log "$log"
expected | cmp -s - "$scratch/out" || fail "the log lost, repeated or changed records"

it "makes the bus anew from its log when the memory is lost"
start
run topic create looked-at --durable --ring 64K --config producer_mode=0644 --config consumer_mode=0664
run produce looked-at --acks durable <<<"x"
stop
modes() { (cd "$SPATE_DIR" && find . -path '*/looked-at/*' -printf '%p %m\n' | sort); }
modes >"$scratch/modes"
rm -rf "${SPATE_DIR:?}"/*
start
grep -q '0\.ring 644' "$scratch/modes" || fail "the topic was made with other modes: $(cat "$scratch/modes")"
modes | cmp -s - "$scratch/modes" || fail "the topic's files have other modes: $(modes), not $(cat "$scratch/modes")"
said 'topic t: made on the bus from its log' || fail "it did not say so"
run produce t --acks durable --quiet <<<"after"
run consume t --exit --offset -2 -f '%o %s\n'
expect_out $'500001 the last\n500002 after'
run consume t --exit
(expected; echo after) | cmp -s - "$scratch/out" || fail "the log is another"
run topic describe t
expect_out_like 'segment_size'

it "does not notice producers and consumers of topics that are not durable, nor they it"
run topic create plain
run produce plain <<<"x"
kill_hard "$daemon"
run consume plain --exit
expect_out x

it "removes the log of a topic that was deleted while it did not run"
run topic delete t
start
eventually test ! -e "$log/t"
said 'topic t was deleted, and its log with it' || fail "it did not say so"
stop

it "leaves the log of another topic of that name alone, and says why"
start
run topic create u --durable --ring 64K
run produce u --acks durable <<<"old"
stop
rm -rf "${SPATE_DIR:?}"/*
run topic create u --durable --ring 64K
start
eventually said 'is the log of another topic of that name'
run consume u --log "$log"
expect_out old
stop
expect_status 3
rm -rf "${SPATE_DIR:?}"/* "$log"

it "keeps a segment whose header was damaged, says so, and goes on behind it"
start
run topic create v --durable --ring 64K
seq 1 100 | run produce v --acks durable --quiet
stop
printf '\377' | dd of="$log/v/0/00000000000000000000.log" bs=1 seek=40 conv=notrunc 2>/dev/null
rm -rf "${SPATE_DIR:?}"/*
start
said 'the segment that ends at offset 100 is damaged' || fail "it did not say so"
stop # with nothing written meanwhile
start
said 'the segment that ends at offset 100 is damaged' || fail "it did not say so again"
run produce v --acks durable --quiet <<<"goes on"
run consume v --exit
expect_status 3
expect_out "goes on"
expect_err_like 'offsets 0\.\.99'
stop
run log repair "$log" --yes
run consume v --log "$log"
(seq 1 100; echo "goes on") | cmp -s - "$scratch/out" || fail "repair did not bring the records back"
rm -rf "${SPATE_DIR:?}"/* "$log"

it "touches nothing that was durable, whatever a disk did to it, and says what is missing"
start
run topic create v --durable --ring 64K
for line in 1 2 3 4 5 6 7 8; do run produce v --acks durable --quiet <<<"$line"; done
stop
start
stop # with nothing written
segment=$log/v/0/00000000000000000000.log
printf '\377' | dd of="$segment" bs=1 seek=$((4 * 4096 + 90)) conv=notrunc 2>/dev/null # in the fourth block
cp "$segment" "$scratch/flipped.log"
rm -rf "${SPATE_DIR:?}"/*
start
run produce v --acks durable --quiet <<<"9"
stop
cmp -s "$segment" "$scratch/flipped.log" || fail "the segment was changed"
run consume v --log "$log"
expect_status 3
expect_out $'1\n2\n3\n5\n6\n7\n8\n9'
expect_err_like 'offsets 3\.\.3'
rm -rf "${SPATE_DIR:?}"/* "$log"
start
run topic create v --durable --ring 64K
for line in 1 2 3; do run produce v --acks durable --quiet <<<"$line"; done
stop
truncate -s $((2 * 4096)) "$segment"
rm -rf "${SPATE_DIR:?}"/*
start
said 'ends at offset 3 is damaged: it is shorter than what was flushed' || fail "it did not say that the file is short"
run produce v --acks durable --quiet <<<"4"
stop
run consume v --log "$log"
expect_out $'1\n4'
expect_err_like 'offsets 1\.\.2'
rm -rf "${SPATE_DIR:?}"/* "$log"/v/0/*.log
start
said 'offsets 0 to 3 were durable and are missing' || fail "it did not say what is missing"
run produce v --acks durable --quiet <<<"5"
run consume v --exit
expect_out '5'
stop
rm -rf "${SPATE_DIR:?}"/* "$log"

it "deletes and compacts what is old also when nothing more is written"
printf '[log]\nretention_interval = 100ms\n' >"$scratch/often.ini"
start --config "$scratch/often.ini"
run topic create old --durable --ring 64K --config retention_time=1s
seq 1 10 | run produce old --acks written --quiet
run topic create keyed --durable --ring 64K --config cleanup=compact --config segment_age=500ms
printf 'k:1\nk:2\nj:3\nk:4\n' | run produce keyed --key-delimiter : --acks written --quiet
eventually said 'topic keyed, partition 0: compacted 1 segments: 2 records superseded'
is_gone() { run consume old --exit; expect_status 0; [ ! -s "$scratch/out" ]; }
eventually is_gone
run consume keyed --log "$log" # what is still in the ring is read from there as it was published
expect_out $'3\n4'
seq 11 12 | run produce old --acks durable --quiet
run consume old --exit
expect_out $'11\n12'
stop
expect_status 0
rm -rf "${SPATE_DIR:?}"/* "$log"

it "keeps a null value while a segment before it is damaged and may have the key's older value"
start --config "$scratch/often.ini"
run topic create keyed --durable --ring 64K --config cleanup=compact --config tombstone_delay=0s
run produce keyed -K : --acks durable --quiet <<<"k:1"
run produce keyed -K : --acks durable --quiet <<<"x:1"
stop
printf '\377' | dd of="$log/keyed/0/00000000000000000000.log" bs=1 seek=$((2 * 4096 + 90)) conv=notrunc 2>/dev/null # in the block of x
start --config "$scratch/often.ini"
run produce keyed -K : -Z --acks durable --quiet <<<"k:"
run produce keyed -K : --acks durable --quiet <<<"y:1"
stop
start --config "$scratch/often.ini"
eventually said 'topic keyed, partition 0: compacted 1 segments'
stop
run consume keyed --log "$log" -J
grep -q '"payload": *null' "$scratch/out" || fail "the null value is gone: $(cat "$scratch/out")"
run log repair "$log" --yes
expect_status 0
start --config "$scratch/often.ini"
eventually said 'topic keyed, partition 0: compacted'
stop
run consume keyed --log "$log" -J
grep '"key": *"k"' "$scratch/out" | tail -n 1 | grep -q '"payload": *"1"' && fail "the key is back: $(cat "$scratch/out")"
rm -rf "${SPATE_DIR:?}"/* "$log"

it "says which memory is too small to compact with"
printf '[log]\nretention_interval = 100ms\nkeys_memory = 1M\n' >"$scratch/keys.ini"
start --config "$scratch/keys.ini"
run topic create keyed --durable --config cleanup=compact --config segment_age=500ms
run produce keyed -K : --acks durable --quiet <<<"k:1"
eventually said 'topic keyed, partition 0: compacted 1 segments'
seq -f '%g:1' 1 30000 | run produce keyed -K : --acks durable --quiet
eventually said 'the keys of one segment do not fit .* log.keys_memory'
stop
rm -rf "${SPATE_DIR:?}"/* "$log"

it "deletes nothing for what a damaged index says"
start --config "$scratch/often.ini"
run topic create v --durable --ring 64K --config segment_age=300ms
seq 1 10 | run produce v --acks durable --quiet
eventually [ -s "$log/v/0/00000000000000000000.index" ]
printf '\003' | dd of="$log/v/0/00000000000000000000.index" bs=1 seek=48 conv=notrunc 2>/dev/null # the offset behind its last record
run topic trim v --partition 0 --offset 5
expect_status 0
sleep 0.5 # a few rounds
[ -e "$log/v/0/00000000000000000000.log" ] || fail "it deleted the only segment"
stop
run consume v --log "$log"
expect_out $'6\n7\n8\n9\n10'
rm -rf "${SPATE_DIR:?}"/* "$log"

it "takes up what it could not open for want of descriptors when there are some again"
descriptors() { ls "/proc/$daemon/fd" | wc -l; }
limit_descriptors() { prlimit --pid "$daemon" --nofile="$1:20000"; }
start
run topic create early --durable --ring 64K
eventually said 'topic early: writing its log'
sleep 0.2 # its worker opens a few more
used=$(descriptors)
for spare in 0 1 2; do # each is too few at another place
    : >"$scratch/daemon.err"
    limit_descriptors $((used + spare))
    run topic create "late$spare" --durable --ring 64K
    expect_status 0
    eventually said 'this is tried again until it can'
    seq 1 100 >"$scratch/lines"
    "$SPATE_BUILD/bin/spate" produce "late$spare" --acks durable --quiet <"$scratch/lines" 2>"$scratch/err" & # it waits, and is not refused
    waiting=$!
    sleep 0.3
    limit_descriptors 1000
    eventually said "topic late$spare, partition 0: its log is open now|topic late$spare: writing its log"
    status=0
    wait "$waiting" || status=$?
    expect_status 0
    sleep 0.2
    used=$(descriptors)
done
for spare in 0 1 2; do # and one that is deleted while it waits
    : >"$scratch/daemon.err"
    used=$(descriptors)
    limit_descriptors $((used + spare))
    run topic create gone --durable --ring 64K
    eventually said 'this is tried again until it can'
    run topic delete gone
    limit_descriptors 1000
    sleep 1.5
done
stop
expect_status 0
rm -rf "${SPATE_DIR:?}"/* "$log"

# ---------------------------------------------------------------------------------------------------------------- disks

if [ "$(id -u)" != 0 ] || ! (mkdir -p "$scratch/disk" && mount -t tmpfs -o size=6M none "$scratch/disk") 2>/dev/null; then
    echo "skipped: disks that are full, read-only or gone need root and mount"
    finish
fi
mounts+=("$scratch/disk")
log=$scratch/disk/log

it "makes a topic on the bus when there is memory for it, if there was none at first"
mkdir "$scratch/memory"
mount -t tmpfs -o size=40M none "$scratch/memory"
mounts+=("$scratch/memory")
start --dir "$scratch/memory"
run topic create v --durable --ring 16M --dir "$scratch/memory"
run produce v --acks durable --quiet --dir "$scratch/memory" <<<"1"
expect_status 0
stop
rm -rf "${scratch:?}/memory/default"
mount -o remount,size=4M "$scratch/memory"
start --dir "$scratch/memory"
said 'topic v is in the log directory and cannot be made .*; this is tried again' || fail "it did not say so"
mount -o remount,size=40M "$scratch/memory"
eventually said 'topic v: made on the bus from its log'
eventually said 'topic v: writing its log'
run produce v --acks durable --quiet --dir "$scratch/memory" <<<"2"
run consume v --exit --dir "$scratch/memory"
expect_out $'1\n2'
stop
rm -rf "${log:?}"

it "takes little of the disk for a topic in which little happens"
mount -o remount,size=24M "$scratch/disk"
start
run topic create little --durable --ring 64K --config segment_age=200ms
for line in 1 2 3 4 5 6; do
    run produce little --acks durable --quiet <<<"$line"
    sleep 0.4
done
said 'the file system is full' && fail "six lines filled 24 MB"
stop
rm -rf "${SPATE_DIR:?}"/* "$log"
mount -o remount,size=6M "$scratch/disk"

it "refuses records when ring and disk are full, and goes on by itself when there is room"
start
run topic create f --durable --ring 64K --config segment_size=1M --config alignment=8
run topic create g --durable --ring 64K --config segment_size=1M --config alignment=8
seq 1 300000 >"$scratch/many"
run produce f --quiet <"$scratch/many"
expect_status 1
expect_err_like 'file system is full'
said 'the file system is full' || fail "it did not say so"
published=$(sed -n 's/.*published so far: \([0-9]*\).*/\1/p' "$scratch/err")
run stat
expect_status 3
stop
expect_status 3
said 'are in the ring only' || fail "it did not say what it could not write"
dd if=/dev/zero of="$scratch/disk/filler" bs=4K 2>/dev/null # also what the next segment had been promised
start
eventually said 'the file system is full'
run topic create each --durable --ring 64K --config flush=each
run produce each --quiet <<<"waits for room"
eventually said 'topic each.*the file system is full'
ticks() { awk '{ print $14 + $15 }' "/proc/$daemon/stat"; }
before=$(ticks)
sleep 2
used=$(($(ticks) - before))
[ "$used" -lt "$(getconf CLK_TCK)" ] || fail "waiting for room took $used ticks of the processor in 2 s"
mount -o remount,size=64M "$scratch/disk"
eventually said 'there is room on the file system again'
eventually said 'topic each: writing its log|topic each, partition 0: its log is open now'
run produce each --acks durable --quiet <<<"and was there"
expect_status 0
run produce f --acks durable --quiet <<<"more"
expect_status 0
run consume f --exit
(head -n "$published" "$scratch/many"; echo more) | cmp -s - "$scratch/out" || fail "what was acknowledged is not what is there"
run stat
expect_status 0

it "takes up a topic that was made while the disk was full, when there is room"
mount -o remount,size=128M "$scratch/disk"
dd if=/dev/zero of="$scratch/disk/filler" bs=64K 2>/dev/null
run topic create h --durable --ring 64K
eventually said 'topic h: no log is written: the file system is full'
run stat
expect_status 3
run produce h --quiet <<<"published on a full disk"
expect_status 0
rm "$scratch/disk/filler"
eventually said 'topic h: writing its log'
run produce h --acks durable --quiet <<<"and afterwards"
expect_status 0
run consume h --exit
expect_out $'published on a full disk\nand afterwards'
run stat
expect_status 0

it "stops for good, per partition, where its files were removed; the others go on"
rm -rf "$log/f"
run produce f --acks durable --quiet <"$scratch/many"
expect_status 1
run produce g --acks durable --quiet <<<"g goes on"
expect_status 0
run stat
expect_status 3
stop
expect_status 3

it "does not start on a read-only file system, which can still be read"
rm -rf "${SPATE_DIR:?}"/* "$log"
start
run topic create r --durable --ring 64K --config segment_size=1M
run produce r --acks durable --quiet <<<"before"
stop
mount -o remount,ro "$scratch/disk"
spated --log-dir "$log"
expect_status 1
expect_err_like 'Read-only file system'
run consume r --log "$log"
expect_out before

finish
