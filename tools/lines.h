/* lines.h: standard input cut at a delimiter, as fast as the pipe gives and no later.
 *
 * `produce` publishes every complete line that is buffered before it waits for more, so a line typed by hand goes out at once and a busy
 * pipe is published in large batches, with no timer. Lines are views into the buffer, valid until lines_fill. One thread. */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/parse.h"

struct lines {
    char *data;
    size_t capacity;
    size_t start, searched, end; /* data[start, end) is not taken yet; no delimiter begins in data[start, searched) */
    size_t size_max;             /* of a line without its delimiter */
    struct bytes delimiter;
    bool at_end; /* the descriptor gave end of file */
};

void lines_init(struct lines *lines, struct bytes delimiter, size_t size_max);
void lines_free(struct lines *lines);

/* lines_next: the next complete line, without its delimiter; at the end of the input also what follows the last delimiter, if anything.
 * Returns false when lines_fill is needed first (or, at_end, when there is nothing more). */
bool lines_next(struct lines *lines, struct bytes *ret_line);

/* lines_fill: read what standard input has; waits when it has nothing. Lines given before become invalid.
 * Returns      0 (also at the end of the input), -EMSGSIZE (a line is longer than size_max), -EINTR (asked to stop), another -errno */
int lines_fill(struct lines *lines);

#endif
