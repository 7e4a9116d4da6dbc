/* frontier_fuzz.c: arbitrary bytes as the frontier of a log that is good: its two slots, and where the log then begins and ends.
 *
 * Input: what to put right (1 byte: 1, 2 magic and version of a slot, 4, 8 its checksum, 16 its topic), 7 bytes unused, then the two slots,
 * one behind the other. */
#include <stddef.h>
#include <stdint.h>

#include "fuzz_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(uint64_t first, uint64_t end)
{
    struct sp_log log;

    fuzz_need(sp_log_open(&log, fuzz_root, LOG_DIR_TOPIC, 0, fuzz_dir.id) == 0);
    if (sp_log_seek(&log, first) == 0)
        fuzz_read_log(&log, end, NULL, NULL);
    if (sp_log_seek_time(&log, 100, end) == 0)
        fuzz_read_log(&log, end, NULL, NULL);
    sp_log_close(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[SP_LOG_GRAIN + sizeof(struct sp_frontier)];
    struct sp_frontier slots[2];
    struct sp_log log;
    struct sp_place end;
    char path[sizeof fuzz_dir.path + 32];
    uint64_t first;

    if (size < 8)
        return 0;
    fuzz_log_open();
    memset(slots, 0, sizeof slots);
    memcpy(slots, data + 8, size - 8 < sizeof slots ? size - 8 : sizeof slots);
    for (int i = 0; i < 2; i++) {
        if (data[0] & 1 << i) {
            slots[i].magic = SP_FRONTIER_MAGIC;
            slots[i].version = SP_LOG_VERSION;
        }
        if (data[0] & 16)
            memcpy(slots[i].topic_id, fuzz_dir.id, sizeof fuzz_dir.id);
        if (data[0] & 4 << i)
            slots[i].crc = fuzz_crc(&slots[i], sizeof slots[i], offsetof(struct sp_frontier, crc));
        memcpy(file + (size_t)i * SP_LOG_GRAIN, &slots[i], sizeof slots[i]);
    }
    const struct sp_frontier *newest = sp_frontier_newest(&slots[0], &slots[1]);
    fuzz_need(!newest || sp_frontier_check(newest) == NULL);
    snprintf(path, sizeof path, "%s/" LOG_DIR_TOPIC "/0/frontier", fuzz_dir.path);
    fuzz_log_write(path, file, size >= 8 + sizeof slots ? sizeof file : SP_LOG_GRAIN);
    fuzz_need(sp_log_open(&log, fuzz_root, LOG_DIR_TOPIC, 0, fuzz_dir.id) == 0);
    fuzz_need(sp_log_first(&log, &first) == 0);
    fuzz_need(sp_log_end(&log, &end) == 0);
    /* one that is valid is believed: from it on there may be more */
    fuzz_need(end.offset <= INT64_MAX && (newest || end.offset == FUZZ_LOG_END));
    sp_log_close(&log);
    read_all(first, end.offset);
    return 0;
}
