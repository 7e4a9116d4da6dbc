/* crc32c.c: CRC32C by instruction (SSE4.2, ARMv8 CRC), by three streams of it, by folding (AVX-512) or by table.
 *
 * Owns constant tables. The implementation is chosen per call by well-predicted tests of feature words that libc or the compiler's
 * runtime filled before main: no init function, no lock, nothing that could race. Together with arch.h the only file with processor
 * specifics. Called by every module, any thread.
 *
 * The arithmetic. A message is a polynomial over GF(2), its first bit being the highest power; the bits of a byte are counted from its
 * least significant one. In the register of the checksum bit 31 is x^0; it holds what is left of the message times x^32 after division by
 * the polynomial P. All below is modulo P. Words are read in the same way, their highest bit being x^0. The carry-less product of two words
 * of w bits has 2w - 1 bits; read as a word of 2w bits it therefore is their product times x. From this follow all constants:
 *
 *   by instruction   crc32(r, word) = (r * x^32 + word) * x^32: eight bytes in three cycles, of which one could begin in each.
 *   by streams       Hence three registers over three blocks of n bits, the second and third begun with zero. To join them, the first has
 *                    to be moved by 2n bits and the second by n. As crc32(0, a times k) = a * k * x * x^32, k is x^(2n-33) and x^(n-33).
 *   by folding       Nothing is divided: 16 bytes of the message (the first 8 being f, the last 8 being l) are moved by n bits onto the 16
 *                    that are so far behind them, f * x^64 * x^n + l * x^n being replaced by something equal that is as narrow as they: f
 *                    times x^(n+63), l times x^(n-1). A register of AVX-512 holds four such lanes, and four registers keep the multiplier
 *                    busy. In the end they are moved onto one another until 16 bytes are left, whose checksum the instruction computes. */
#include "base/crc32c.h"

#include <string.h>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <immintrin.h>
#endif

/* X<n> is x^n modulo P. The unit test computes them anew, and those of combining, from the list that follows. */
#define X127 0x3171d430
#define X191 0x3743f7bd
#define X255 0xa2158b34
#define X319 0x33ccbbbc
#define X479 0x9e4addf8
#define X511 0x75bba45b
#define X575 0x1c19243b
#define X991 0x0d3b6092
#define X1023 0x7417153f
#define X1087 0x6577b245
#define X2015 0xb9e02b86
#define X2047 0x1426a815
#define X2111 0xe9a5d8be
#define X4063 0xdd7e3b0c
#define X8159 0x170076fa
#define X16351 0xa51b6135

/* First x^(2^i), i = 0 .. 30, for combining; the next one would be the first again. Then the constants above. */
const struct sp_crc32c_power sp_crc32c_powers[] = {
    {1u << 0, 0x40000000},
    {1u << 1, 0x20000000},
    {1u << 2, 0x08000000},
    {1u << 3, 0x00800000},
    {1u << 4, 0x00008000},
    {1u << 5, 0x82f63b78},
    {1u << 6, 0x6ea2d55c},
    {1u << 7, 0x18b8ea18},
    {1u << 8, 0x510ac59a},
    {1u << 9, 0xb82be955},
    {1u << 10, 0xb8fdb1e7},
    {1u << 11, 0x88e56f72},
    {1u << 12, 0x74c360a4},
    {1u << 13, 0xe4172b16},
    {1u << 14, 0x0d65762a},
    {1u << 15, 0x35d73a62},
    {1u << 16, 0x28461564},
    {1u << 17, 0xbf455269},
    {1u << 18, 0xe2ea32dc},
    {1u << 19, 0xfe7740e6},
    {1u << 20, 0xf946610b},
    {1u << 21, 0x3c204f8f},
    {1u << 22, 0x538586e3},
    {1u << 23, 0x59726915},
    {1u << 24, 0x734d5309},
    {1u << 25, 0xbc1ac763},
    {1u << 26, 0x7d0722cc},
    {1u << 27, 0xd289cabe},
    {1u << 28, 0xe94ca9bc},
    {1u << 29, 0x05b74f3f},
    {1u << 30, 0xa51e1f42},
    {127, X127},
    {191, X191},
    {255, X255},
    {319, X319},
    {479, X479},
    {511, X511},
    {575, X575},
    {991, X991},
    {1023, X1023},
    {1087, X1087},
    {2015, X2015},
    {2047, X2047},
    {2111, X2111},
    {4063, X4063},
    {8159, X8159},
    {16351, X16351},
    {0, 0},
};

/* From how many bytes on folding pays, folding aligned lines, and streams. */
enum { FOLD_MIN = 96, ALIGN_MIN = 512, STREAMS_MIN = 3 * 64 };
#define LINE ((size_t)64) /* bytes of a cache line, and of a register of AVX-512 */
_Static_assert(FOLD_MIN >= LINE && ALIGN_MIN >= 2 * LINE, "folding begins with a whole line");

/* -------------------------------------------------------------------------------------------------------------- table */

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

/* ---------------------------------------------------------------------------------------------------------- combining */

/* a * b: the sum of b * x^i over the powers in a; times x is a shift to the right, and P (without its x^32) for what falls off. */
static uint32_t product(uint32_t a, uint32_t b)
{
    uint32_t sum = 0;
    for (; a != 0; a <<= 1) {
        sum ^= b & (0 - (a >> 31));
        b = (b >> 1) ^ (0x82f63b78 & (0 - (b & 1)));
    }
    return sum;
}

/* a is moved by 8 * size_b bits. What both checksums have been inverted by at either end cancels out. */
uint32_t sp_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b)
{
    for (unsigned i = 3; size_b != 0; i = (i + 1) % 31, size_b >>= 1) {
        if (size_b & 1) {
            crc_a = product(crc_a, sp_crc32c_powers[i].value);
        }
    }
    return crc_a ^ crc_b;
}

/* -------------------------------------------------------------------------- what each processor calls the instructions */

#if defined(__x86_64__)

#define WITH_CRC __attribute__((target("sse4.2")))
#define WITH_PRODUCT __attribute__((target("sse4.2,pclmul")))

static bool have_crc(void)
{
    return __builtin_cpu_supports("sse4.2");
}

static bool have_product(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

WITH_CRC static inline uint64_t crc_word(uint64_t crc, uint64_t word)
{
    return __builtin_ia32_crc32di(crc, word);
}

WITH_CRC static inline uint64_t crc_byte(uint64_t crc, unsigned char byte)
{
    return __builtin_ia32_crc32qi((uint32_t)crc, byte);
}

WITH_PRODUCT static inline uint64_t wide_product(uint64_t a, uint64_t b)
{
    return (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)a), _mm_cvtsi64_si128((int64_t)b), 0));
}

#elif defined(__aarch64__)

/* By hand, because gcc and clang give the intrinsics different names and conditions. The assembler has to be told that the instructions
 * are meant, since the file is compiled for processors without them too. */
#define WITH_CRC
#define WITH_PRODUCT

static bool have_crc(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

static bool have_product(void)
{
    return (getauxval(AT_HWCAP) & (HWCAP_CRC32 | HWCAP_PMULL)) == (HWCAP_CRC32 | HWCAP_PMULL);
}

static inline uint64_t crc_word(uint64_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint64_t crc_byte(uint64_t crc, unsigned char byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
    return crc;
}

static inline uint64_t wide_product(uint64_t a, uint64_t b)
{
    typedef uint64_t pair __attribute__((vector_size(16)));
    pair result;
    __asm__(".arch_extension aes\n\tpmull %0.1q, %1.1d, %2.1d" : "=w"(result) : "w"((pair){a, 0}), "w"((pair){b, 0}));
    return result[0];
}

#else

#define WITH_CRC
#define WITH_PRODUCT

static bool have_crc(void)
{
    return false;
}

static bool have_product(void)
{
    return false;
}

static inline uint64_t crc_word(uint64_t crc, uint64_t word)
{
    return ~sp_crc32c_portable(~(uint32_t)crc, &word, sizeof word);
}

static inline uint64_t crc_byte(uint64_t crc, unsigned char byte)
{
    return ~sp_crc32c_portable(~(uint32_t)crc, &byte, sizeof byte);
}

static inline uint64_t wide_product(uint64_t a, uint64_t b)
{
    return a & b; /* nobody asks */
}

#endif

#define INLINE static inline __attribute__((always_inline))

/* ------------------------------------------------------------------------------------------- by instruction, by streams */

/* By words and bytes, copied to `to` if `store`. The compiler must not read one again for the checksum, as it may have changed. */
WITH_CRC INLINE uint32_t one_stream(uint32_t crc, unsigned char *to, const unsigned char *from, size_t size, bool store)
{
    uint64_t wide = ~crc, word;
    size_t at = 0;
    for (; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, from + at, sizeof word);
        if (store) {
            __asm__("" : "+r"(word));
            memcpy(to + at, &word, sizeof word);
        }
        wide = crc_word(wide, word);
    }
    for (; at < size; at++) {
        unsigned byte = from[at];
        if (store) {
            __asm__("" : "+r"(byte));
            to[at] = (unsigned char)byte;
        }
        wide = crc_byte(wide, (unsigned char)byte);
    }
    return ~(uint32_t)wide;
}

WITH_CRC static uint32_t by_instruction(uint32_t crc, const void *data, size_t size)
{
    return one_stream(crc, NULL, data, size, false);
}

WITH_CRC static uint32_t copy_by_instruction(uint32_t crc, void *to, const void *from, size_t size)
{
    return one_stream(crc, to, from, size, true);
}

WITH_CRC INLINE uint64_t crc_at(uint64_t crc, const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return crc_word(crc, word);
}

/* As many times three blocks as there are. `by_one` and `by_two` move a register by that many blocks. Returns the bytes done. */
WITH_PRODUCT INLINE size_t three_blocks(uint64_t *crc, const unsigned char *byte, size_t size, size_t block, uint32_t by_one,
                                        uint32_t by_two)
{
    size_t done = 0;
    for (; size - done >= 3 * block; done += 3 * block) {
        const unsigned char *at = byte + done;
        uint64_t first = *crc, second = 0, third = 0;
        for (size_t i = 0; i < block; i += 8) {
            first = crc_at(first, at + i);
            second = crc_at(second, at + block + i);
            third = crc_at(third, at + 2 * block + i);
        }
        *crc = third ^ crc_word(0, wide_product(first, by_two) ^ wide_product(second, by_one));
    }
    return done;
}

/* Blocks long enough that joining costs little, then shorter ones, so that little is left for one stream. */
WITH_PRODUCT static uint32_t by_streams(uint32_t crc, const void *data, size_t size)
{
    if (size < STREAMS_MIN) {
        return by_instruction(crc, data, size);
    }
    const unsigned char *byte = data;
    uint64_t wide = ~crc;
    size_t done = 0;
    done += three_blocks(&wide, byte, size, 1024, X8159, X16351);
    done += three_blocks(&wide, byte + done, size - done, 256, X2015, X4063);
    done += three_blocks(&wide, byte + done, size - done, 64, X479, X991);
    return by_instruction(~(uint32_t)wide, byte + done, size - done);
}

/* A page at a time, so that the checksum finds it in the first-level cache; and from `to`, for `from` may have changed. */
static uint32_t copy_by_pages(uint32_t crc, void *to, const void *from, size_t size)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    for (size_t page; size > 0; target += page, source += page, size -= page) {
        page = size < 4096 ? size : 4096;
        memcpy(target, source, page);
        crc = sp_crc32c(crc, target, page);
    }
    return crc;
}

/* -------------------------------------------------------------------------------------------------------------- folding */

#if defined(__x86_64__)

#define WITH_FOLDING __attribute__((target("sse4.2,pclmul,avx512f,avx512bw,avx512vl,avx512vbmi2,vpclmulqdq")))

static bool have_folding(void)
{
    return __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512f") && have_product();
}

/* The line at `from`; copied to `to` if `store`. The compiler must not read it again for the checksum, as it may have changed. */
WITH_FOLDING INLINE __m512i take(unsigned char *to, const unsigned char *from, size_t at, bool store)
{
    __m512i line = _mm512_loadu_si512(from + at);
    if (store) {
        __asm__("" : "+v"(line));
        _mm512_storeu_si512(to + at, line);
    }
    return line;
}

/* What moves a lane: for its first and last eight bytes. A constant is in the upper half of its word, where bit 63 is x^0. */
WITH_FOLDING INLINE __m128i distance(uint32_t first, uint32_t last)
{
    return _mm_set_epi64x((int64_t)((uint64_t)last << 32), (int64_t)((uint64_t)first << 32));
}

/* The lanes of `line`, moved, onto those of `onto`. */
WITH_FOLDING INLINE __m512i fold(__m512i line, __m512i by, __m512i onto)
{
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(line, by, 0x00), _mm512_clmulepi64_epi128(line, by, 0x11), onto,
                                     0x96);
}

/* The bytes that fill no line, 1 .. 63, up to `to_end` and `from_end`. Moved in as into a shift register: the bytes that they push out of
 * `line` stand in front of what then is a whole line, with zeros before them, which weigh nothing. */
WITH_FOLDING INLINE __m512i fold_tail(__m512i line, unsigned char *to_end, const unsigned char *from_end, size_t size, bool store)
{
    const __mmask64 behind = ~(__mmask64)0 << (LINE - size);
    __m512i tail = _mm512_maskz_loadu_epi8(behind, from_end - LINE);
    if (store) {
        __asm__("" : "+v"(tail));
        _mm512_mask_storeu_epi8(to_end - LINE, behind, tail);
    }
    __m512i pushed_out = _mm512_maskz_expand_epi8(behind, line);
    __m512i whole = _mm512_xor_si512(_mm512_maskz_compress_epi8(~(__mmask64)0 << size, line), tail);
    return fold(pushed_out, _mm512_broadcast_i32x4(distance(X575, X511)), whole);
}

/* The register of the checksum: four lanes onto two, these onto one, that by instruction. */
WITH_FOLDING INLINE uint32_t reduce(__m512i line)
{
    __m256i by_256 = _mm256_broadcastsi128_si256(distance(X319, X255)), half = _mm512_castsi512_si256(line);
    half = _mm256_clmulepi64_epi128(half, by_256, 0x00) ^ _mm256_clmulepi64_epi128(half, by_256, 0x11) ^
           _mm512_extracti64x4_epi64(line, 1);
    __m128i by_128 = distance(X191, X127), lane = _mm256_castsi256_si128(half);
    lane = _mm_clmulepi64_si128(lane, by_128, 0x00) ^ _mm_clmulepi64_si128(lane, by_128, 0x11) ^ _mm256_extracti128_si256(half, 1);
    return (uint32_t)crc_word(crc_word(0, (uint64_t)_mm_cvtsi128_si64(lane)), (uint64_t)_mm_extract_epi64(lane, 1));
}

/* At least one line. The checksum so far is added to the first four bytes. Where many lines follow, the first is filled up in front by
 * zeros, which weigh nothing, so far that the others are aligned (by copying: where they are stored); bytes of it are taken again then, and
 * what is stored last is what counts. For the sake of the checksum it keeps at least four bytes. */
WITH_FOLDING INLINE uint32_t fold_all(uint32_t crc, unsigned char *to, const unsigned char *from, size_t size, bool store)
{
    const __m512i by_512 = _mm512_broadcast_i32x4(distance(X575, X511));
    __m512i a = _mm512_xor_si512(take(to, from, 0, store), _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc)));
    size_t at = LINE;
    if (size >= ALIGN_MIN) {
        at = -(uintptr_t)(store ? to : from) % LINE;
        at = at < 4 ? LINE : at;
        a = _mm512_maskz_expand_epi8(~(__mmask64)0 << (LINE - at), a);
    }
    if (size - at >= 3 * LINE) {
        const __m512i by_1024 = _mm512_broadcast_i32x4(distance(X1087, X1023));
        const __m512i by_2048 = _mm512_broadcast_i32x4(distance(X2111, X2047));
        __m512i b = take(to, from, at, store), c = take(to, from, at + LINE, store), d = take(to, from, at + 2 * LINE, store);
        for (at += 3 * LINE; size - at >= 4 * LINE; at += 4 * LINE) {
            a = fold(a, by_2048, take(to, from, at, store));
            b = fold(b, by_2048, take(to, from, at + LINE, store));
            c = fold(c, by_2048, take(to, from, at + 2 * LINE, store));
            d = fold(d, by_2048, take(to, from, at + 3 * LINE, store));
        }
        a = fold(fold(a, by_1024, c), by_512, fold(b, by_1024, d));
    }
    for (; size - at >= LINE; at += LINE) {
        a = fold(a, by_512, take(to, from, at, store));
    }
    if (at != size) {
        a = fold_tail(a, store ? to + size : NULL, from + size, size - at, store);
    }
    return ~reduce(a);
}

WITH_FOLDING static uint32_t by_folding(uint32_t crc, const void *data, size_t size)
{
    return size < FOLD_MIN ? by_instruction(crc, data, size) : fold_all(crc, NULL, data, size, false);
}

WITH_FOLDING static uint32_t copy_by_folding(uint32_t crc, void *to, const void *from, size_t size)
{
    return size < FOLD_MIN ? copy_by_instruction(crc, to, from, size) : fold_all(crc, to, from, size, true);
}

#else

static bool have_folding(void)
{
    return false;
}

#define by_folding sp_crc32c_portable
#define copy_by_folding copy_by_pages

#endif

/* --------------------------------------------------------------------------------------------------------------- choice */

static bool have_table(void)
{
    return true;
}

const struct sp_crc32c_way sp_crc32c_ways[] = {
    {"table", have_table, sp_crc32c_portable, copy_by_pages},
    {"instruction", have_crc, by_instruction, copy_by_instruction},
    {"streams", have_product, by_streams, copy_by_pages},
    {"folding", have_folding, by_folding, copy_by_folding},
    {0},
};

uint32_t sp_crc32c(uint32_t crc, const void *data, size_t size)
{
    if (size >= FOLD_MIN) {
        if (have_folding()) {
            return by_folding(crc, data, size);
        }
        if (have_product()) {
            return by_streams(crc, data, size);
        }
    }
    return have_crc() ? by_instruction(crc, data, size) : sp_crc32c_portable(crc, data, size);
}

uint32_t sp_crc32c_copy(uint32_t crc, void *to, const void *from, size_t size)
{
    if (size >= FOLD_MIN) {
        return have_folding() ? copy_by_folding(crc, to, from, size) : copy_by_pages(crc, to, from, size);
    }
    return have_crc() ? copy_by_instruction(crc, to, from, size) : copy_by_pages(crc, to, from, size);
}
