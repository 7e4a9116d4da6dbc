/* crc32c.c: CRC32C by instruction (SSE4.2, ARMv8 CRC) or by table.
 *
 * Owns a constant table. The implementation is chosen per call by one well-predicted test of a feature word that libc or the
 * compiler's runtime filled before main: no init function, no lock, nothing that could race. Together with arch.h the only file
 * with processor specifics. Called by every module, any thread. */
#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* One nibble per step: 16 entries that anyone can check, no generated 8 KiB; only machines without the instruction come here. */
static const uint32_t nibble_table[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t sp_crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const unsigned char *byte = data;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= byte[i];
        crc = (crc >> 4) ^ nibble_table[crc & 15];
        crc = (crc >> 4) ^ nibble_table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)

static bool have_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const unsigned char *byte, size_t size)
{
    uint64_t wide = ~crc;
    for (; size >= 8; byte += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, byte, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    for (; size > 0; byte++, size--) {
        narrow = __builtin_ia32_crc32qi(narrow, *byte);
    }
    return ~narrow;
}

#elif defined(__aarch64__)

static bool have_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

/* By hand, because gcc and clang give the intrinsic different names and conditions. The assembler has to be told that the
 * instruction is meant, since the file is compiled for processors without it too. */
static uint32_t by_instruction(uint32_t crc, const unsigned char *byte, size_t size)
{
    crc = ~crc;
    for (; size >= 8; byte += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, byte, sizeof word);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    }
    for (; size > 0; byte++, size--) {
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)*byte));
    }
    return ~crc;
}

#else

static bool have_instruction(void)
{
    return false;
}

static uint32_t by_instruction(uint32_t crc, const unsigned char *byte, size_t size)
{
    return sp_crc32c_portable(crc, byte, size);
}

#endif

uint32_t sp_crc32c(uint32_t crc, const void *data, size_t size)
{
    return have_instruction() ? by_instruction(crc, data, size) : sp_crc32c_portable(crc, data, size);
}
