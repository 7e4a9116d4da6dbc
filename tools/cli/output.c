/* output.c: standard output, buffered by us (why: see output.h).
 *
 * Owns the buffer. It grows to the largest batch a command renders between two settles, and is written with plain write(2). After the
 * first failed write everything is thrown away: a command sees `false`, stops, and output_finish turns it into the exit status. */
#include "cli/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tool.h"

enum {
    SETTLE_SIZE = 256 * 1024, /* large enough that system calls do not show, small enough to stay in L2 */
    STOPPED_PATIENCE_MS = 1000,
};

static struct {
    char *data;
    size_t size, capacity;
    int error; /* errno of the first failed write */
} buffer;

/* room: at least `size` free bytes at the end of the buffer. */
static char *room(size_t size)
{
    if (buffer.capacity - buffer.size < size) {
        size_t capacity = buffer.capacity != 0 ? buffer.capacity : (size_t)SETTLE_SIZE * 2;
        while (capacity - buffer.size < size)
            capacity *= 2;
        char *data = realloc(buffer.data, capacity);
        if (data == NULL)
            tool_out_of_memory();
        buffer.data = data;
        buffer.capacity = capacity;
    }
    return buffer.data + buffer.size;
}

void output_write(const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(room(size), data, size);
    buffer.size += size;
}

void output_print(const char *text, ...)
{
    va_list arguments, again;
    va_start(arguments, text);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, text, arguments);
    va_end(arguments);
    if (size >= 0) {
        vsnprintf(room((size_t)size + 1), (size_t)size + 1, text, again);
        buffer.size += (size_t)size;
    }
    va_end(again);
}

void output_number(int64_t number)
{
    char digits[24];
    char *start = digits + sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        *--start = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0)
        *--start = '-';
    output_write(start, (size_t)(digits + sizeof(digits) - start));
}

size_t output_mark(void)
{
    return buffer.size;
}

void output_rewind(size_t mark)
{
    buffer.size = mark;
}

/* may_go_on: after a write that wrote nothing; decides by errno, waiting where that helps. */
static bool may_go_on(void)
{
    struct pollfd poll_output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (errno == EAGAIN)
        return poll(&poll_output, 1, tool_stopped() ? STOPPED_PATIENCE_MS : -1) != 0;
    return errno == EINTR;
}

bool output_flush(void)
{
    size_t written = 0;
    while (buffer.error == 0 && written < buffer.size) {
        size_t size = buffer.size - written;
        if (tool_stopped()) {
            /* Asked to stop: print what we have, but do not wait for ever on a pipe that nobody empties. */
            struct pollfd poll_output = {.fd = STDOUT_FILENO, .events = POLLOUT};
            if (poll(&poll_output, 1, STOPPED_PATIENCE_MS) == 0)
                break;
            size = size < PIPE_BUF ? size : PIPE_BUF;
        }
        ssize_t result = write(STDOUT_FILENO, buffer.data + written, size);
        if (result >= 0)
            written += (size_t)result;
        else if (!may_go_on())
            buffer.error = errno;
    }
    buffer.size = 0;
    return buffer.error == 0;
}

bool output_settle(void)
{
    return buffer.size < SETTLE_SIZE ? buffer.error == 0 : output_flush();
}

bool output_gone(void)
{
    struct pollfd poll_output = {.fd = STDOUT_FILENO, .events = 0};
    return poll(&poll_output, 1, 0) == 1 && (poll_output.revents & (POLLERR | POLLNVAL)) != 0;
}

int output_finish(int status)
{
    output_flush();
    free(buffer.data);
    buffer.data = NULL;
    buffer.capacity = 0;
    if (buffer.error == 0 || buffer.error == EPIPE)
        return status;
    return tool_error("cannot write to standard output: %s: make room, or send it elsewhere", strerror(buffer.error));
}

bool output_is_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}
