/* fuzz_log.h: one small log directory for the fuzz targets, of which each replaces one file by its input, and everything that readers do
 * with a log.
 *
 * Included by segment_fuzz.c, index_fuzz.c, frontier_fuzz.c and topic_fuzz.c, each a program of its own, which is why the support source is
 * included here as well. The log has two segments, of which the second has compressed blocks: offsets 0 .. 39. */
#ifndef SP_TESTS_FUZZ_FUZZ_LOG_H
#define SP_TESTS_FUZZ_FUZZ_LOG_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"
#include "ring/reader.h"
#include "ring/record.h"

#include "log_dir.c" /* support/ */

#define FUZZ_LOG_END 40u

static struct log_dir fuzz_dir;
static int fuzz_root = -1;

static inline void fuzz_log_end(void)
{
    if (fuzz_root >= 0)
        log_dir_close(&fuzz_dir);
}

static inline void fuzz_need(bool condition)
{
    if (!condition)
        abort();
}

/* Makes the directory at the first call: in memory where that is to be had, for it is written once an input. */
static inline void fuzz_log_open(void)
{
    char path[] = "/dev/shm/spate-fuzz.XXXXXX";

    if (fuzz_root >= 0)
        return;
    log_dir_open(&fuzz_dir, mkdtemp(path) ? path : NULL);
    atexit(fuzz_log_end);
    fuzz_root = log_dir_fd(&fuzz_dir);
    for (int i = 0; i < 2; i++) {
        log_dir_begin(&fuzz_dir);
        log_dir_fill(&fuzz_dir, 4, 5, 700, i ? SPATE_COMPRESSION_LZ4 : SPATE_COMPRESSION_NONE);
        log_dir_finish(&fuzz_dir);
    }
    log_dir_frontier(&fuzz_dir, 0, true);
    log_dir_topic(&fuzz_dir, SPATE_COMPRESSION_LZ4);
}

static inline void fuzz_log_write(const char *path, const void *bytes, size_t size)
{
    write_file(path, bytes, size);
}

/* The input's first bytes steer; a struct with a checksum gets a right one when it is asked for, else nothing would come behind it. */
static inline uint32_t fuzz_crc(const void *bytes, size_t size, size_t crc_at)
{
    static const uint32_t zero;
    const uint32_t crc = sp_crc32c(sp_crc32c(0, bytes, crc_at), &zero, sizeof zero);
    return sp_crc32c(crc, (const uint8_t *)bytes + crc_at + sizeof zero, size - crc_at - sizeof zero);
}

static inline void fuzz_touch_all(const uint8_t *memory, uint64_t memory_size, const void *view, uint64_t size)
{
    const uint8_t *from = view;
    if (!view || !size)
        return;
    fuzz_need(from >= memory && from <= memory + memory_size && size <= (uint64_t)(memory + memory_size - from));
    for (uint64_t i = 0; i < size; i++)
        __asm__ volatile("" : : "r"(from[i])); /* a load that is not left out */
}

/* The records of a block, in memory of exactly their size: AddressSanitizer sees a step beyond. */
static inline void fuzz_read_block(const struct sp_log *log)
{
    static struct sp_ring_header ring_header;
    static struct sp_ring ring;
    const struct sp_block_header *header = &log->block.header;
    const struct sp_segment_identity *identity = &log->segment.identity;
    struct sp_reader reader;
    struct spate_record records[4];
    void *memory = NULL;
    int n;

    const struct sp_ring_config config = {
        .capacity = SPATE_RING_MIN, .salt = 1, .unit_shift = identity->unit_shift, .producers_max = 1, .page_size = 4096};
    memset(&ring_header, 0, sizeof ring_header);
    sp_ring_format(&ring_header, &config);
    sp_ring_init(&ring, &ring_header, NULL, NULL);
    ring.record_size_max = sp_ring_record_size_max(SPATE_RING_MAX);
    fuzz_need(posix_memalign(&memory, 128, header->raw_size) == 0);
    memcpy(memory, log->raw, header->raw_size);
    memset(&reader, 0, sizeof reader);
    sp_reader_init(&reader, &ring, NULL, false, 0);
    sp_reader_open_memory(&reader, memory, header->raw_size, (struct sp_place){header->position, header->base_offset},
                          identity->stamp_salt);
    while ((n = sp_reader_poll_memory(&reader, records, 4)) > 0) {
        for (int i = 0; i < n; i++) {
            fuzz_touch_all(memory, header->raw_size, records[i].key, records[i].key_size);
            fuzz_touch_all(memory, header->raw_size, records[i].value, records[i].value_size);
            fuzz_touch_all(memory, header->raw_size, records[i].headers_block, records[i].headers_block_size);
        }
    }
    fuzz_need(n == 0 || n == -EBADMSG);
    free(memory);
}

/* Read from where the log stands to its end. What is promised about any log, however damaged: offsets go on, nothing is told twice, and
 * it ends. Each good block is given to `visit`, if there is one. */
static inline void fuzz_read_log(struct sp_log *log, uint64_t end, void (*visit)(void *context, const struct sp_log *log),
                                 void *context)
{
    uint64_t next = log->next_offset;
    int error;

    for (uint32_t steps = 0; (error = sp_log_next(log, end)) != -ENODATA; steps++) {
        if (error != 0 && error != -EBADMSG)
            return; /* of a newer build */
        fuzz_need(steps < 100000);
        if (error == -EBADMSG) {
            fuzz_need(log->lost_first == next && log->lost_next > next && log->lost_next <= end);
            next = log->lost_next;
            continue;
        }
        const struct sp_block_header *header = &log->block.header;
        fuzz_need(header->base_offset <= next && header->base_offset + header->count > next);
        next = header->base_offset + header->count;
        fuzz_need(log->next_offset == next);
        fuzz_read_block(log);
        if (visit)
            visit(context, log);
    }
    fuzz_need(next >= end || log->next_offset >= end);
}

#endif
