/* layout.h: what all shared files have in common: the file header, and how every struct's place is pinned.
 *
 * Each struct of the shared-memory format stands in a file of this folder as: a table in prose (who writes it, how, in which
 * direction), the struct, and a list macro with one AT(struct, field, offset, size) row per field. The list makes the static
 * asserts, and layout.c makes the *layout checksum* of it: a CRC32C over all names, offsets and sizes. Two builds that
 * disagree about any field disagree about the checksum, also when somebody forgot to raise the version.
 *
 * Rules: no implicit padding; words of different writers on different 128-byte pairs; native (little-endian) byte order;
 * every access that another process can race with is _Atomic. A change of anything here raises SP_LAYOUT_VERSION; an older
 * build then refuses the file with
 * -EPROTO and names both versions. Files are never upgraded in place: a bus lives in memory and is made anew.
 *
 * Every file begins with struct sp_file_header:
 *
 * off size field        written by   access           may
 *   0    8 magic        creator      release, last    0 until formatted, then never change
 *   8    4 version      creator      plain            never change after format; all below too
 *  12    4 layout_crc   creator      plain            layout checksum of the build that made the file
 *  16    8 file_size    creator      plain            what stat(2) must say at least: smaller is a truncated file
 *  24   16 id           creator      plain            random: the bus's in `bus`, the topic's incarnation in the other files
 *  40    8 created      creator      plain            ns since 1970
 *  48    4 partition    creator      plain            ring and cursors: which partition
 *  52    4 page_size    creator      plain            page size that data_offset was rounded to
 *  56    8 unused       creator      plain            0 */
#ifndef SP_LAYOUT_LAYOUT_H
#define SP_LAYOUT_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* 1  the first
 * 2  a claim clears the stamps inside it, which readers rely on; cursor states carry a generation
 * 3  the tail lags behind the records of an exclusive producer, and of one that holds the new bias
 * 4  stamps are a golden step apart; a claim clears nothing
 * 5  durable topics: configuration of the log in the topic file, its watermarks in the ring; a ring may begin behind place 0 */
#define SP_LAYOUT_VERSION 5u

#define SP_MAGIC(a, b, c, d)                                                                                                      \
    ((uint64_t)'S' | (uint64_t)'P' << 8 | (uint64_t)'A' << 16 | (uint64_t)'T' << 24 | (uint64_t)(a) << 32 | (uint64_t)(b) << 40 | \
     (uint64_t)(c) << 48 | (uint64_t)(d) << 56)

#define SP_AT(type, field, offset, width)                                        \
    static_assert(offsetof(type, field) == (offset), #type "." #field " moved"); \
    static_assert(sizeof(((type *)0)->field) == (width), #type "." #field " changed its size");

struct sp_file_header {
    _Atomic uint64_t magic;
    uint32_t version;
    uint32_t layout_crc;
    uint64_t file_size;
    uint8_t id[16];
    int64_t created;
    uint32_t partition;
    uint32_t page_size;
    uint64_t unused;
};

#define SP_FILE_HEADER_FIELDS(AT)                \
    AT(struct sp_file_header, magic, 0, 8)       \
    AT(struct sp_file_header, version, 8, 4)     \
    AT(struct sp_file_header, layout_crc, 12, 4) \
    AT(struct sp_file_header, file_size, 16, 8)  \
    AT(struct sp_file_header, id, 24, 16)        \
    AT(struct sp_file_header, created, 40, 8)    \
    AT(struct sp_file_header, partition, 48, 4)  \
    AT(struct sp_file_header, page_size, 52, 4)  \
    AT(struct sp_file_header, unused, 56, 8)
SP_FILE_HEADER_FIELDS(SP_AT)
static_assert(sizeof(struct sp_file_header) == 64, "file header ABI");

/* sp_layout_crc: the layout checksum of this build. */
uint32_t sp_layout_crc(void);

/* sp_file_header_format: fill everything but the magic, which sp_file_header_seal stores last. */
void sp_file_header_format(struct sp_file_header *header, uint64_t file_size, const uint8_t id[16], int64_t created,
                           uint32_t partition, uint32_t page_size);
void sp_file_header_seal(struct sp_file_header *header, uint64_t magic);

/* sp_file_header_check: whether a mapped file is one that this build may touch. Reads each field once: another process may be
 * hostile.
 *   mapped_size  bytes that are mapped, >= sizeof *header
 *   path         for the error text
 * Returns 0, -EBADMSG (foreign, unfinished, truncated), -EPROTO (another version or layout: both are named) */
int sp_file_header_check(const struct sp_file_header *header, uint64_t magic, uint64_t mapped_size, const char *path);

#endif
