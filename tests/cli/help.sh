#!/bin/bash
# help.sh: every command explains itself, and a wrong command line is answered with exit 2, a message that helps, and nothing on standard
# output. Called by ctest (label cli). None of these may create a bus.
source "$(dirname "$0")/lib.sh"

commands=(topic "topic create" "topic list" "topic describe" "topic trim" "topic delete" produce consume stat dump verify log "log ls"
    "log dump" "log verify" "log repair" gc doctor)
for command in "${commands[@]}"; do
    it "$command --help explains itself"
    # shellcheck disable=SC2086
    run $command --help
    expect_status 0
    expect_no_err
    expect_out_like "^Usage: spate $command"
    expect_out_like '--bus NAME'
    expect_out_like '--dir PATH'

    it "$command refuses an unknown option"
    # shellcheck disable=SC2086
    run $command --no-such-thing </dev/null
    expect_usage_error 'no option --no-such-thing'

    it "$command refuses an unknown letter"
    # shellcheck disable=SC2086
    run $command -@ </dev/null
    expect_usage_error 'no option -@'
done

it "spate --help lists the commands and the exit statuses"
run --help
expect_status 0
for word in topic produce consume stat dump verify log gc doctor 'Exit status'; do
    expect_out_like "$word"
done

it "spate --version names the library's version"
run --version
expect_status 0
expect_out_like '^spate [0-9]+\.[0-9]+\.[0-9]+$'

it "spate help COMMAND is COMMAND --help"
run consume --help
cp "$scratch/out" "$scratch/expected"
run help consume
expect_same "$scratch/out" "$scratch/expected"

it "spate alone is a usage error"
run
expect_usage_error 'command is missing'

it "unknown commands get the nearest suggested"
run consum
expect_usage_error "did you mean 'consume'"
run topic crate x
expect_usage_error "did you mean 'create'"
run xyzzy
expect_usage_error "no command 'xyzzy'"

it "unknown options get the nearest suggested"
run consume --polcy gate x
expect_usage_error 'did you mean --policy'
run stat --jsn
expect_usage_error 'did you mean --json'
run stat --bsu x
expect_usage_error 'did you mean --bus'

it "arguments that are missing or too many are refused"
for words in consume produce "topic create" "topic delete" "topic describe" "consume a b" "topic list a" "topic create a b" "stat a b" \
    "gc a" "doctor a" "log ls a b" "log verify a b c" "log dump" "topic trim" dump "dump a --file b" "verify a b" "produce a b"; do
    # shellcheck disable=SC2086
    run $words </dev/null
    expect_usage_error .
done

it "numbers are parsed strictly"
for words in "-p 1x" "-p -1" "-p +1" "-p ''" "-p 99999" "-c 0" "-c 1.5" "-c 99999999999999999999" "-o 5x" "-o --5" "-o -0" "-o -" "-o @" \
    "-o @x" "-o @-5y" "-o @2020-02-30" "-o @2020-13-01" "-o @2020-1-1" "-o @2020-01-01T1:00" "-o @2020-01-01T00:00:00+2" \
    "-o 99999999999999999999" "-o @99999999999999999999" "-o middle" "--gate-timeout 5y" "--gate-timeout -1" "--gate-timeout ."; do
    eval "run consume t $words"
    expect_usage_error 'expected|whole number'
done

it "names of modes are parsed strictly"
for words in "--policy spil" "--wait sleep" "--policy ''"; do
    eval "run consume t $words"
    expect_usage_error 'one of'
done

it "formats and delimiters are checked"
for words in "-f %x" "-f %" "-f '\\q'" "-D '\\xg'" "-D ''" "-K ''" "-f %s -J" "-f %s -K :" "-f %s -D :"; do
    eval "run consume t $words"
    expect_usage_error .
done

it "options that need a value say so, switches take none"
run consume t -p
expect_usage_error '-p needs a value: PARTITION'
run consume t --exit=1
expect_usage_error '--exit takes no value'

it "configuration values are checked before anything is made"
run topic create t --config nonsense=1
expect_usage_error nonsense
run topic create t --config partitions
expect_usage_error 'KEY=VALUE'
run topic create t --partitions 0
expect_usage_error partitions
run topic create t --ring 5X
expect_usage_error .
run topic create t --mode fast
expect_usage_error concurrent

it "a value may begin with a minus sign, and -- ends the options"
run consume -o -5 -- -t
expect_status 1
expect_err_like "'-t'"

finish
