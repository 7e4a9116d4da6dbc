/* crc32c.h: the checksum of layout tables, log blocks and Kafka record batches (Castagnoli polynomial).
 *
 * Owns nothing; a pure function, called by every module on any thread. Uses the processor's instruction where there is one. */
#ifndef SP_BASE_CRC32C_H
#define SP_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* sp_crc32c: the CRC32C of data, continued.
 *   crc        0 to begin, or the result for the bytes before: sp_crc32c(sp_crc32c(0, a), b) is that of a followed by b
 *   data       may be NULL when size is 0 */
uint32_t sp_crc32c(uint32_t crc, const void *data, size_t size);

/* sp_crc32c_portable: the same from a table, on any processor; here so that tests can hold the two against each other. */
uint32_t sp_crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
