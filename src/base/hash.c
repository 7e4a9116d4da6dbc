/* hash.c: Kafka's murmur2, and the public spate_partition_of on top of it.
 *
 * Owns nothing; pure functions, called by producers on any thread. The test vectors are Kafka's own. */
#include "base/hash.h"

#include <spate/spate.h>
#include <string.h>

#define MURMUR2_SEED 0x9747b28cu
#define MURMUR2_M 0x5bd1e995u

uint32_t sp_murmur2(const void *data, size_t size)
{
    const unsigned char *byte = data;
    uint32_t hash = MURMUR2_SEED ^ (uint32_t)size;
    for (; size >= 4; byte += 4, size -= 4) {
        uint32_t word;
        memcpy(&word, byte, sizeof word); /* little-endian, as arch.h demands and Kafka defines */
        word *= MURMUR2_M;
        word ^= word >> 24;
        word *= MURMUR2_M;
        hash *= MURMUR2_M;
        hash ^= word;
    }
    if (size > 0) {
        uint32_t word = 0;
        memcpy(&word, byte, size);
        hash ^= word;
        hash *= MURMUR2_M;
    }
    hash ^= hash >> 13;
    hash *= MURMUR2_M;
    hash ^= hash >> 15;
    return hash;
}

int32_t spate_partition_of(const void *key, size_t key_size, uint32_t partitions)
{
    if (partitions == 0) {
        return 0; /* no topic has none; a defined answer beats a division by zero */
    }
    return (int32_t)((sp_murmur2(key, key_size) & 0x7fffffffu) % partitions);
}
