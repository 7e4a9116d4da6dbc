/* crc32c.h: the checksum of layout tables, log blocks and Kafka record batches (Castagnoli polynomial).
 *
 * Owns nothing; pure functions, called by every module on any thread. Uses what the processor has: its checksum instruction, the same in
 * three streams at once, or carry-less multiplication of whole cache lines, which is several times as fast as memory delivers.
 *
 * Sources of the ideas, not of the code: three streams after Intel, "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction"
 * (Gopal and others, 2011); folding after Intel, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Gopal and
 * others, 2009); streams of several lengths, and combining, after Mark Adler's crc32c.c and zlib's crc32_combine. */
#ifndef SP_BASE_CRC32C_H
#define SP_BASE_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sp_crc32c: the CRC32C of data, continued.
 *   crc        0 to begin, or the result for the bytes before: sp_crc32c(sp_crc32c(0, a), b) is that of a followed by b
 *   data       may be NULL when size is 0 */
uint32_t sp_crc32c(uint32_t crc, const void *data, size_t size);

/* sp_crc32c_copy: copy `size` bytes and return what sp_crc32c(crc, to, size) returns afterwards, in one pass.
 *   to, from   any alignment; they do not overlap; may be NULL when size is 0
 * The result is the checksum of exactly the bytes stored at `to`, even while another process changes those at `from`. */
uint32_t sp_crc32c_copy(uint32_t crc, void *to, const void *from, size_t size);

/* sp_crc32c_combine: the CRC32C of a followed by b, from those of a and b (each begun with 0) and the size of b; O(log size_b). */
uint32_t sp_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b);

/* sp_crc32c_portable: the same as sp_crc32c from a table, on any processor; here so that tests can hold the two against each other. */
uint32_t sp_crc32c_portable(uint32_t crc, const void *data, size_t size);

/* For tests only, from here on. */

/* sp_crc32c_ways: every implementation, slowest first; one without a name ends the list. Call only those that are usable here. */
struct sp_crc32c_way {
    const char *name;
    bool (*usable)(void);
    uint32_t (*crc)(uint32_t crc, const void *data, size_t size);
    uint32_t (*copy)(uint32_t crc, void *to, const void *from, size_t size);
};
extern const struct sp_crc32c_way sp_crc32c_ways[];

/* sp_crc32c_powers: every constant of the implementations but the table of nibbles: x^exponent modulo the polynomial, bit 31 being x^0.
 * An exponent of 0 ends the list. */
struct sp_crc32c_power {
    uint32_t exponent;
    uint32_t value;
};
extern const struct sp_crc32c_power sp_crc32c_powers[];

#endif
