/* topic_fuzz.c: arbitrary bytes as the topic file of a log, opened as a user does (SPATE_BUS_LOG), and its first partition consumed.
 *
 * Input: what to put right (1 byte: 1 magic and version, 2 the identity, 4 the checksum), 7 bytes unused, then the file. */
#include <stddef.h>
#include <stdint.h>

#include "fuzz_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void consume(spate_topic *topic)
{
    static const int32_t partition;
    struct spate_consumer_options options;
    struct spate_record records[8];
    struct spate_topic_info info;
    spate_consumer *consumer;

    fuzz_need(spate_topic_describe(topic, &info) == 0 && info.partitions >= 1 && info.partitions <= SPATE_PARTITIONS_MAX);
    fuzz_need(strcmp(info.name, LOG_DIR_TOPIC) == 0); /* else another directory would be read */
    spate_consumer_options_init(&options);
    options.partitions = &partition;
    options.partitions_count = 1;
    options.start = SPATE_START_BEGINNING;
    if (spate_consumer_open(topic, &options, &consumer) != 0)
        return;
    for (int i = 0; i < 50; i++) {
        const int n = spate_poll(consumer, records, 8, 0);
        if (n <= 0 && n != -EOVERFLOW)
            break;
    }
    spate_consumer_close(consumer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_log_topic file;
    struct spate_topic_config config;
    struct spate_bus_options options;
    spate_topic *topic;
    spate_bus *bus;
    char path[sizeof fuzz_dir.path + 32];

    if (size < 8)
        return 0;
    fuzz_log_open();
    memset(&file, 0, sizeof file);
    memcpy(&file, data + 8, size - 8 < sizeof file ? size - 8 : sizeof file);
    if (data[0] & 1) {
        file.magic = SP_LOG_TOPIC_MAGIC;
        file.version = SP_LOG_VERSION;
    }
    if (data[0] & 2)
        memcpy(file.id, fuzz_dir.id, sizeof file.id);
    if (data[0] & 4)
        file.crc = fuzz_crc(&file, sizeof file, offsetof(struct sp_log_topic, crc));
    const bool is_good = sp_log_topic_take(&file, &config) == NULL;
    snprintf(path, sizeof path, "%s/" LOG_DIR_TOPIC "/topic", fuzz_dir.path);
    fuzz_log_write(path, &file, size - 8 < sizeof file && !is_good ? size - 8 : sizeof file);
    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_LOG;
    fuzz_need(spate_bus_open(fuzz_dir.path, &options, &bus) == 0);
    if (spate_topic_open(bus, LOG_DIR_TOPIC, &topic) == 0) {
        fuzz_need(is_good);
        consume(topic);
        spate_topic_close(topic);
    }
    spate_bus_close(bus);
    return 0;
}
