/* segment_fuzz.c: arbitrary bytes as a segment's file: its header, its blocks, compressed ones too, and the records in them.
 *
 * Input: what to put right (1 byte: 1 the segment's header, 2 the chain, 4 checksums of data, 8 checksums of blocks' headers), an offset
 * and a time to seek to (1 byte), 6 bytes unused, then the file's image. It is walked as recovery does, and read as consumers do; both have
 * to see the same blocks. */
#include <stddef.h>
#include <stdint.h>

#include "fuzz_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPAIR_SEGMENT = 1, REPAIR_CHAIN = 2, REPAIR_DATA = 4, REPAIR_HEADERS = 8 };

static void repair_segment(uint8_t *image)
{
    struct sp_segment_header *header = (struct sp_segment_header *)(void *)image;
    header->magic = SP_SEGMENT_MAGIC;
    header->version = SP_LOG_VERSION;
    header->base_offset = 0; /* as its name says */
    header->crc = fuzz_crc(image, sizeof *header, offsetof(struct sp_segment_header, crc));
}

/* Blocks begin where something with their magic lies at a multiple of the grain. */
static void repair_blocks(uint8_t *image, size_t size, uint8_t what)
{
    const struct sp_segment_header *segment = (const struct sp_segment_header *)(const void *)image;
    uint32_t previous = segment->crc;

    for (uint64_t at = sizeof *segment; at + sizeof(struct sp_block_header) <= size;) {
        struct sp_block_header *header = (struct sp_block_header *)(void *)(image + at);
        if ((header->kind & 0xffffff00) != SP_BLOCK_MAGIC) {
            at += SP_LOG_GRAIN;
            continue;
        }
        const bool fits = header->stored_size <= size - at - sizeof *header;
        if (what & REPAIR_CHAIN)
            header->previous = previous;
        if (what & REPAIR_DATA && fits)
            header->data_crc = sp_crc32c(0, image + at + sizeof *header, header->stored_size);
        if (what & REPAIR_HEADERS)
            sp_block_seal(header, segment->salt);
        previous = header->header_crc;
        at += fits ? sp_block_size(header) : SP_LOG_GRAIN;
    }
}

/* The blocks that a walk from the beginning finds. */
struct walked {
    struct sp_block_header headers[32];
    uint32_t count, seen;
    bool is_off; /* a block could not be unpacked, which a walk does not try */
};

static uint64_t walk(const uint8_t *image, size_t size, struct walked *walked)
{
    struct sp_scan_source keep, source = log_dir_memory(image, size, &keep);
    struct sp_segment_identity identity;
    struct sp_block_header header;
    const char *reason;

    walked->count = walked->seen = 0;
    walked->is_off = false;
    if (size < sizeof(struct sp_segment_header) || sp_segment_header_check((const void *)image, &identity) != NULL)
        return 0;
    struct sp_scan_place place = sp_scan_begin(&identity), later;
    while (walked->count < 32) {
        const struct sp_scan_place before = place;
        const int error = sp_scan_block(&source, &identity, &place, &header, &reason);
        fuzz_need(error == 0 || error == -EBADMSG || error == -ENODATA);
        if (error) {
            fuzz_need(place.at == before.at && (reason != NULL) == (error == -EBADMSG));
            break;
        }
        fuzz_need(place.at > before.at && place.next.offset > before.next.offset);
        walked->headers[walked->count++] = header;
    }
    if (sp_scan_later(&source, &identity, place, &later) == 0)
        fuzz_need(later.at > place.at && later.at < size);
    return place.next.offset;
}

static void compare(void *context, const struct sp_log *log)
{
    struct walked *walked = context;

    while (walked->seen < walked->count && walked->headers[walked->seen].base_offset < log->block.header.base_offset) {
        fuzz_need(sp_block_codec(&walked->headers[walked->seen]) != SPATE_COMPRESSION_NONE); /* else it was left out */
        walked->seen++;
    }
    if (walked->seen < walked->count)
        fuzz_need(memcmp(&walked->headers[walked->seen++], &log->block.header, sizeof log->block.header) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_log log;
    struct sp_place end;
    struct walked walked;
    uint64_t first;

    if (size < 8)
        return 0;
    fuzz_log_open();
    size_t image_size = size - 8;
    void *image = NULL;
    fuzz_need(posix_memalign(&image, 4096, image_size + 1) == 0);
    memcpy(image, data + 8, image_size);
    if (image_size >= sizeof(struct sp_segment_header)) {
        if (data[0] & REPAIR_SEGMENT)
            repair_segment(image);
        repair_blocks(image, image_size, data[0]);
    }
    const uint64_t walked_end = walk(image, image_size, &walked);
    fuzz_log_write(log_dir_name(&fuzz_dir, 0, "log"), image, image_size);
    fuzz_need(sp_log_open(&log, fuzz_root, LOG_DIR_TOPIC, 0, NULL) == 0);
    fuzz_need(sp_log_end(&log, &end) == 0 && end.offset == FUZZ_LOG_END); /* the other segment's */
    fuzz_need(sp_log_first(&log, &first) == 0 && first == 0);
    if (sp_log_seek(&log, 0) == 0)
        fuzz_read_log(&log, walked_end > FUZZ_LOG_END ? walked_end : FUZZ_LOG_END, compare, &walked);
    if (sp_log_seek(&log, data[1]) == 0)
        fuzz_read_log(&log, data[1] + 100u, NULL, NULL);
    if (sp_log_seek_time(&log, data[1], UINT64_MAX / 2) == 0)
        fuzz_read_log(&log, log.next_offset + 100, NULL, NULL);
    sp_log_close(&log);
    free(image);
    return 0;
}
