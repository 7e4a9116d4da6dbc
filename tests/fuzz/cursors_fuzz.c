/* cursors_fuzz.c: arbitrary contents of a cursors file beside a good ring: frontier, claims, reading, repair.
 *
 * Input: the file from its first byte, as far as it goes; the rest stays as it was. Any consumer may write this file, so everything in it
 * is hostile to producers. The slots that the header admits must lie in the mapping; a cursor may hold writers up or not, nothing else.
 * */
#include <stddef.h>
#include <stdint.h>

#include "fuzz_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_ring ring;
    /* the file is longer than the block: it is rounded to a page; the slots are not */
    const uint64_t file_size = sp_cursors_file_size(static_ring_defaults.consumers_max, 4096);

    fuzz_ring_restore();
    memcpy(fuzz_ring.cursors, data, size < fuzz_ring.cursors_size ? size : fuzz_ring.cursors_size);
    if (sp_cursors_header_check(fuzz_ring.cursors, file_size, "fuzz") != 0 ||
        fuzz_ring.cursors->consumers_max > fuzz_ring.ring.consumers_max)
        return 0;
    sp_ring_init(&ring, fuzz_ring.header, fuzz_ring.data, fuzz_ring.cursors);
    fuzz_run(&ring);
    /* whatever cursors say, what was committed stays as it was: the first unread record is whole or overwritten by a later one */
    struct sp_place tail = sp_ring_tail(&ring);
    if (tail.position < fuzz_gate.next.position)
        abort();
    return 0;
}
