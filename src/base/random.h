/* random.h: random bytes from the kernel, for identities and salts.
 *
 * Owns nothing; called when buses, topics and slots are created, on any thread; a system call, never on the hot path. */
#ifndef SP_BASE_RANDOM_H
#define SP_BASE_RANDOM_H

#include <stddef.h>

/* sp_random: fill buffer with random bytes.
 * Returns      0
 *              -ENOSYS or another -errno: the kernel refuses getrandom (no text is kept, the caller knows what it was for)
 *              on an error the buffer's content is undefined */
int sp_random(void *buffer, size_t size);

#endif
