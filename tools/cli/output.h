/* output.h: standard output, buffered by us.
 *
 * stdio would do, but consume must be able to take back what it rendered from a record that was overwritten meanwhile, to write a whole
 * batch with one system call, and to tell a reader that went away (quiet) from a full disk (an error). So: one growing buffer, and
 * nothing reaches the descriptor before output_settle or output_flush. All commands print through this; one thread. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* output_write, output_print, output_number: append; never fail (out of memory ends the process) and never write to the descriptor. */
void output_write(const void *data, size_t size);
void output_print(const char *text, ...) __attribute__((format(printf, 1, 2)));
void output_number(int64_t number);

/* output_mark, output_rewind: how much is buffered, and forgetting what came after that. No settle or flush in between. */
size_t output_mark(void);
void output_rewind(size_t mark);

/* output_settle: write the buffer out when it is large. output_flush: write it out.
 * Returns      true; false when nobody reads any more or writing failed: stop, and end with output_finish */
bool output_settle(void);
bool output_flush(void);

/* output_gone: whether the reader of standard output went away; a look that costs a system call and never waits. */
bool output_gone(void);

/* output_finish: flush at the end of a command. Returns `status`, or STATUS_FAILURE when output was lost for another reason than a
 * reader that went away (`spate consume ... | head -1` is no error). */
int output_finish(int status);

/* output_is_terminal: whether a person reads it; decides colours, never content. */
bool output_is_terminal(void);

#endif
