/* error.c: the thread's latest sentence, the meaning of every error number, and the version.
 *
 * Owns one text per thread. Called by every module when something fails, and by the user for spate_last_error, spate_strerror and
 * spate_version. Nothing here allocates or can fail itself. */
#include "base/error.h"

#include <errno.h>
#include <spate/spate.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_OF(x) #x
#define DOTTED(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

static _Thread_local char last_error[SP_ERROR_TEXT_SIZE];

static const struct {
    int error;
    const char *text;
} meanings[] = {
    {0, "no error"},
    {EACCES, "no permission: check the owner and mode of the bus directory and the topic's files (spate topic describe)"},
    {EAGAIN,
     "no room now: the ring is full up to a gating consumer or an unfinished claim: wait with spate_producer_wait, then again"},
    {EBADMSG, "shared memory or a file holds what no honest peer writes: run `spate verify`; delete or restore the file it names"},
    {EBUSY, "in use: a live process holds it, or this producer has an open claim: commit, abort or close first"},
    {ECHILD, "the handle was inherited over fork: open the bus anew in the child"},
    {EEXIST, "it exists already and was left as it is: open it, or delete it first"},
    {EINTR, "a signal came while waiting: call again to go on"},
    {EINVAL, "an argument is out of its range: the text of spate_last_error names it"},
    {EMSGSIZE, "too large: split the record (see spate_producer_max_size), or pass a larger buffer to spate_read"},
    {ENODATA, "the topic stores no timestamps: start by offset instead of by time"},
    {ENOENT, "there is no such thing: check the name with `spate topic list`, or create it"},
    {ENOMEM, "the process has no memory or address space left: raise its limits (ulimit -v, container memory)"},
    {ENOSPC, "the memory file system or a table is full: enlarge it (mount -o remount,size=..., docker --shm-size), or `spate gc`"},
    {ENOTSUP, "this system has no huge pages or no such NUMA node: provide them, or configure `try` or none"},
    {EOVERFLOW, "records were lost: spate_consumer_gap says which and why; the next poll goes on behind them"},
    {EPERM, "the bus is only observed: open it without SPATE_BUS_OBSERVE; or only root may give files to another user or group"},
    {EPROTO, "made by a build with another layout version: use matching builds, or remove the bus directory when nobody uses it"},
    {ERANGE, "no such partition, or the offset is no longer or not yet in the ring: see spate_offsets"},
    {ESTALE, "the topic was deleted: open it anew"},
    {ETIMEDOUT, "nothing happened in time: wait longer, or see with `spate stat` what holds it up"},
    {EUSERS, "every slot is taken by a live process: create the bus or the topic with more participants, producers or consumers"},
};

void sp_fail_text(int error, const char *format, ...)
{
    int saved_errno = errno;
    (void)error;                   /* told by the caller; the text is all there is to keep */
    char text[SP_ERROR_TEXT_SIZE]; /* apart from last_error, which an argument may point into */
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0) {
        text[0] = '\0';
    } else if ((size_t)size >= sizeof text) {
        memcpy(text + sizeof text - sizeof "...", "...", sizeof "...");
    }
    memcpy(last_error, text, sizeof text);
    errno = saved_errno;
}

const char *spate_last_error(void)
{
    return last_error;
}

const char *spate_strerror(int error)
{
    /* in unsigned arithmetic: negating INT_MIN would overflow */
    unsigned number = error < 0 ? 0u - (unsigned)error : (unsigned)error;
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if ((unsigned)meanings[i].error == number) {
            return meanings[i].text;
        }
    }
    /* strerrordesc_np rather than strerror: its text is static, and no other thread can change it */
    const char *text = number <= 4095 ? strerrordesc_np((int)number) : NULL;
    return text != NULL ? text : "unknown error";
}

const char *spate_version(void)
{
    return DOTTED(SPATE_VERSION_MAJOR, SPATE_VERSION_MINOR, SPATE_VERSION_PATCH);
}
