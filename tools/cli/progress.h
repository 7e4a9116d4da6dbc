/* progress.h: a line on standard error that says how far long work is, when standard error is a terminal.
 *
 * Shown at most four times a second. Called by the commands' loops, once per batch: a call costs a clock reading, and nothing where it is
 * not shown. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool shown; /* whether there is anybody to show it to */
    bool drawn; /* whether the line is on the screen now */
    int64_t started, next_time;
    uint64_t records, bytes;
};

/* progress_start: `wanted` is whether it would not be in the way: not asked to be quiet, nothing else on the same terminal. */
void progress_start(struct progress *progress, bool wanted);
void progress_add(struct progress *progress, uint64_t records, uint64_t bytes);

/* progress_clear: take the line away, before a message and at the end. */
void progress_clear(struct progress *progress);

#endif
