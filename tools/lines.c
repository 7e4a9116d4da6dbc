/* lines.c: the line reader (see lines.h): one buffer, read(2) into its end, memchr (memmem for long delimiters) over what is new.
 *
 * Owns the buffer. The start of an unfinished line is moved to the front before each read; it is
 * searched only once, however many reads it takes to complete it. */
#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tool.h"

enum {
    BUFFER_SIZE = 1 << 20, /* and as much in the pipe, where the system allows it: fewer, larger reads */
    READ_SIZE_MIN = 64 << 10,
    LOOK_MS = 200, /* how often a wait looks whether it was asked to stop: a signal just before the wait would go unseen */
};

void lines_init(struct lines *lines, struct bytes delimiter, size_t size_max)
{
    *lines = (struct lines){.delimiter = delimiter, .size_max = size_max, .capacity = BUFFER_SIZE};
    lines->data = tool_allocate(BUFFER_SIZE, 1);
    (void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, BUFFER_SIZE); /* fails where it is no pipe or not allowed: nothing is lost */
}

void lines_free(struct lines *lines)
{
    free(lines->data);
}

bool lines_next(struct lines *lines, struct bytes *ret_line)
{
    size_t delimiter_size = lines->delimiter.size;
    char *from = lines->data + lines->searched;
    size_t size = lines->end - lines->searched;
    char *found = delimiter_size == 1 ? memchr(from, lines->delimiter.data[0], size)
                                      : memmem(from, size, lines->delimiter.data, delimiter_size);
    char *line = lines->data + lines->start;
    if (found != NULL) {
        *ret_line = (struct bytes){line, (size_t)(found - line)};
        lines->start = (size_t)(found - lines->data) + delimiter_size;
        lines->searched = lines->start;
        return true;
    }
    if (lines->at_end && lines->start != lines->end) {
        *ret_line = (struct bytes){line, lines->end - lines->start};
        lines->start = lines->searched = lines->end;
        return true;
    }
    /* A delimiter may begin in the last bytes and go on in the next read. */
    if (size >= delimiter_size)
        lines->searched = lines->end - (delimiter_size - 1);
    return false;
}

/* make_room: move the unfinished line to the front; grow when it fills the buffer. */
static void make_room(struct lines *lines)
{
    if (lines->start != 0) {
        memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
        lines->searched -= lines->start;
        lines->end -= lines->start;
        lines->start = 0;
    }
    if (lines->capacity - lines->end < READ_SIZE_MIN) {
        char *data = realloc(lines->data, lines->capacity * 2);
        if (data == NULL)
            tool_out_of_memory();
        lines->data = data;
        lines->capacity *= 2;
    }
}

static int wait_for_input(void)
{
    struct pollfd poll_input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!tool_stopped())
        if (poll(&poll_input, 1, LOOK_MS) > 0)
            return 0;
    return -EINTR;
}

int lines_fill(struct lines *lines)
{
    if (lines->end - lines->start > lines->size_max + lines->delimiter.size)
        return -EMSGSIZE;
    make_room(lines);
    for (;;) {
        int error = wait_for_input();
        if (error != 0)
            return error;
        ssize_t size = read(STDIN_FILENO, lines->data + lines->end, lines->capacity - lines->end);
        if (size >= 0) {
            lines->at_end = size == 0;
            lines->end += (size_t)size;
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}
