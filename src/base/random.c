/* random.c: see random.h; getrandom until the buffer is full.
 *
 * Owns nothing. getrandom may give less than asked for above 256 bytes or when a signal comes, hence the loop. */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

int sp_random(void *buffer, size_t size)
{
    unsigned char *byte = buffer;
    while (size > 0) {
        ssize_t got = getrandom(byte, size, 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        byte += got;
        size -= (size_t)got;
    }
    return 0;
}
