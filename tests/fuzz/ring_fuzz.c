/* ring_fuzz.c: a ring file as a hostile process would leave it: patches over a good one, then what attach does, then everything else.
 *
 * Input: a list of patches: where (1 byte: 0 header, 1 slots, 2 data, 3 data near the first unread record), place (2 bytes, in 8-byte
 * words), count (1 byte, up to 8 words), words. What sp_file_header_check and sp_ring_header_check let through must be harmless. The
 * judges: AddressSanitizer, guard pages around the data, libFuzzer's time limit. */
#include <stddef.h>
#include <stdint.h>

#include "fuzz_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void patch(uint8_t where, uint32_t place, const uint8_t *words, size_t size)
{
    uint8_t *region = (uint8_t *)fuzz_ring.header;
    uint64_t region_size = SP_RING_HEADER_SIZE;

    switch (where % 4) {
    case 0: break;
    case 1:
        region += SP_RING_HEADER_SIZE;
        region_size = fuzz_ring.header_size - SP_RING_HEADER_SIZE;
        break;
    case 2:
        region = fuzz_ring.data;
        region_size = fuzz_ring.ring.capacity;
        break;
    default:
        region = fuzz_ring.data + (fuzz_gate.next.position & fuzz_ring.ring.mask);
        region_size = 1024;
        break;
    }
    uint64_t at = (uint64_t)place * 8 % region_size;
    memcpy(region + at, words, at + size <= region_size ? size : region_size - at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_ring ring;
    const uint64_t file_size = sp_ring_regions(static_ring_defaults.producers_max, static_ring_defaults.capacity, 4096).file_size;

    fuzz_ring_restore();
    while (size >= 4) {
        size_t count = data[3] % 9 * 8u;
        if (count > size - 4)
            count = (size - 4) & ~(size_t)7;
        patch(data[0], (uint32_t)data[1] | (uint32_t)data[2] << 8, data + 4, count);
        data += 4 + count;
        size -= 4 + count;
    }
    if (sp_file_header_check(&fuzz_ring.header->file, SP_RING_MAGIC, file_size, "fuzz") != 0 ||
        sp_ring_header_check(fuzz_ring.header, file_size, "fuzz") != 0)
        return 0;
    sp_ring_init(&ring, fuzz_ring.header, fuzz_ring.data, fuzz_ring.cursors);
    if (ring.capacity != fuzz_ring.ring.capacity ||
        sp_ring_regions(ring.producers_max, ring.capacity, 4096).data > sp_align_up(fuzz_ring.header_size, 4096))
        abort(); /* the checks let through what the mapping cannot hold */
    if (ring.producers_max > fuzz_ring.ring.producers_max)
        return 0; /* in a file the table is padded to a page and these slots are free; here AddressSanitizer begins */
    fuzz_run(&ring);
    return 0;
}
