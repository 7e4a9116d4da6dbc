/* record_fuzz.c: arbitrary bytes as one record: DATA, ABORTED, and the headers block.
 *
 * Input: unit shift (1 byte), 7 bytes unused, then the record as it would lie in the ring: stamp, word, rest. Everything behind the
 * input's end is AddressSanitizer's. What is decoded is touched byte by byte, and asked back: pieces lie inside the record, in order. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ring/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const void *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        __asm__ volatile("" : : "r"(((const uint8_t *)bytes)[i])); /* a load that is not left out */
}

/* A piece of a decoded record must lie in the record. */
static void need_inside(const uint8_t *at, uint64_t record_size, const void *piece, uint64_t piece_size)
{
    if (!piece) {
        if (piece_size)
            abort();
        return;
    }
    const uint8_t *begin = piece;
    if (begin < at + SP_RECORD_HEADER_SIZE || begin > at + record_size || piece_size > (uint64_t)(at + record_size - begin))
        abort();
    touch(piece, piece_size);
}

static void decode(const uint8_t *at, uint64_t word, uint64_t size_max, uint32_t unit)
{
    struct spate_record record;
    struct spate_header header;
    uint64_t size = sp_record_decode(at, word, size_max, unit, &record);

    if (size == 0)
        return;
    if (size > size_max || size % unit)
        abort();
    need_inside(at, size, record.key, record.key_size);
    need_inside(at, size, record.value, record.value_size);
    need_inside(at, size, record.headers_block, record.headers_block_size);
    uint32_t good = 0;
    while (good < 100 &&
           sp_record_headers_decode(record.headers_block, record.headers_block_size, record.headers_count, good, &header) == 0) {
        touch(header.name, header.name_size);
        touch(header.value, header.value_size);
        good++;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8 + SP_RECORD_HEADER_SIZE)
        return 0;
    uint32_t unit = 8u << (data[0] % 5);
    size_t left = size - 8;
    void *memory = NULL;
    if (posix_memalign(&memory, 128, left) != 0)
        return 0;
    memcpy(memory, data + 8, left);
    uint64_t word;
    memcpy(&word, data + 16, sizeof word);
    decode(memory, word, left, unit);
    uint64_t aborted_size;
    uint32_t count;
    if (sp_aborted_decode(word, 65536, (uint32_t)__builtin_ctz(unit), &aborted_size, &count) &&
        (aborted_size > 65536 || aborted_size < SP_RECORD_HEADER_SIZE || count == 0))
        abort();
    free(memory);
    return 0;
}
