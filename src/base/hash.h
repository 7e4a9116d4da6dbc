/* hash.h: the hash that decides which partition a key belongs to.
 *
 * Owns nothing; pure functions, called by producers on any thread. Must stay equal to Kafka's, byte for byte: a key that C
 * programs and Kafka clients publish has to meet itself in one partition. */
#ifndef SP_BASE_HASH_H
#define SP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* sp_murmur2: MurmurHash2, 32 bit, with Kafka's seed.
 *   data       may be NULL when size is 0
 *   size       the low 32 bits go into the hash, as Kafka's int length does
 * Source       Austin Appleby's MurmurHash2 (public domain); seed and use from Kafka's Utils.murmur2 */
uint32_t sp_murmur2(const void *data, size_t size);

#endif
