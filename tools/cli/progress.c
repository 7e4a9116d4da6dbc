/* progress.c: the progress line (see progress.h), rewritten in place.
 *
 * Owns nothing but what is on the screen. Called by the loops of produce, consume and dump. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/table.h"
#include "cli/tool.h"

enum { INTERVAL_MS = 250 };

void progress_start(struct progress *progress, bool wanted)
{
    *progress = (struct progress){.shown = wanted && isatty(STDERR_FILENO) == 1};
    if (progress->shown) {
        progress->started = tool_clock();
        progress->next_time = progress->started + NS_PER_S; /* short work shows nothing */
    }
}

void progress_add(struct progress *progress, uint64_t records, uint64_t bytes)
{
    progress->records += records;
    progress->bytes += bytes;
    if (!progress->shown)
        return;
    int64_t now = tool_clock();
    if (now < progress->next_time)
        return;
    double seconds = (double)(now - progress->started) / (double)NS_PER_S;
    char rate[32];
    fprintf(stderr, "\r\033[K%" PRIu64 " records, %.0f/s, %s/s", progress->records, (double)progress->records / seconds,
            table_size(rate, (unsigned long long)((double)progress->bytes / seconds)));
    progress->drawn = true;
    progress->next_time = now + INTERVAL_MS * NS_PER_MS;
}

void progress_clear(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
