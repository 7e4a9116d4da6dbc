/* index_fuzz.c: arbitrary bytes as the index of a segment that is good: whatever it says, reading from an offset gives the same.
 *
 * Input: what to put right (1 byte: 1 magic, version and salt, 2 the count, 4 the checksum), 7 bytes unused, then the file. By time it may
 * lead elsewhere, for whole segments are left out by what it says; but nowhere outside, and reading ends. */
#include <stddef.h>
#include <stdint.h>

#include "fuzz_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPAIR_IDENTITY = 1, REPAIR_COUNT = 2, REPAIR_CRC = 4 };

static void repair(struct sp_index_header *header, size_t size, uint8_t what)
{
    if (what & REPAIR_IDENTITY) {
        header->magic = SP_INDEX_MAGIC;
        header->version = SP_LOG_VERSION;
        header->salt = fuzz_dir.segment_salt;
    }
    if (what & REPAIR_COUNT)
        header->count = (size - sizeof *header) / sizeof(struct sp_index_entry);
    if (what & REPAIR_CRC)
        header->crc = fuzz_crc(header, size, offsetof(struct sp_index_header, crc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_log log;
    void *file = NULL;

    if (size < 8)
        return 0;
    fuzz_log_open();
    size_t file_size = size - 8;
    fuzz_need(posix_memalign(&file, 64, file_size + 1) == 0);
    memcpy(file, data + 8, file_size);
    if (file_size >= sizeof(struct sp_index_header)) {
        if (data[0] & REPAIR_COUNT)
            file_size -= (file_size - sizeof(struct sp_index_header)) % sizeof(struct sp_index_entry);
        repair(file, file_size, data[0]);
        (void)sp_index_check(file, file_size);
    }
    fuzz_log_write(log_dir_name(&fuzz_dir, 0, "index"), file, file_size);
    free(file);
    fuzz_need(sp_log_open(&log, fuzz_root, LOG_DIR_TOPIC, 0, NULL) == 0);
    for (uint64_t offset = 0; offset < FUZZ_LOG_END; offset += 3) {
        fuzz_need(sp_log_seek(&log, offset) == 0);
        for (uint64_t base = offset / 5 * 5; base < FUZZ_LOG_END; base += 5)
            fuzz_need(sp_log_next(&log, FUZZ_LOG_END) == 0 && log.block.header.base_offset == base);
        fuzz_need(sp_log_next(&log, FUZZ_LOG_END) == -ENODATA);
    }
    for (int64_t time = -1; time < 10 * (int64_t)FUZZ_LOG_END; time += 33)
        if (sp_log_seek_time(&log, time, FUZZ_LOG_END) == 0)
            fuzz_read_log(&log, FUZZ_LOG_END, NULL, NULL);
    sp_log_close(&log);
    return 0;
}
