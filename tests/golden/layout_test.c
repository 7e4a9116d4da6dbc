/* layout_test.c: the bytes of every shared-memory struct, written with fixed values through the library's own code and struct fields,
 * against the committed dump golden/layout.hex.
 *
 * Run by ctest with the label `golden`. A difference means that two builds would misread each other's memory: raise SP_LAYOUT_VERSION
 * (layout/layout.h), then write the dump anew: SPATE_GOLDEN_WRITE=1 <this test>. The layout checksum is part of it, so even a renamed
 * field is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/bus_layout.h"
#include "layout/topic_layout.h"
#include "spate/inspect.h"
#include "static_ring.h"

#define TEXT_MAX 65536

static char text[TEXT_MAX];
static size_t text_size;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_size += (size_t)vsnprintf(text + text_size, TEXT_MAX - text_size, format, arguments);
    va_end(arguments);
    assert_true(text_size < TEXT_MAX);
}

/* Sixteen bytes a line; lines of zeros are left out. */
static void dump(const char *name, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    say("%s: %zu bytes\n", name, size);
    for (size_t line = 0; line < size; line += 16) {
        size_t count = size - line < 16 ? size - line : 16;
        unsigned any = 0;
        for (size_t i = 0; i < count; i++)
            any |= byte[line + i];
        if (!any)
            continue;
        say("  %04zx ", line);
        for (size_t i = 0; i < count; i++)
            say(" %02x", byte[line + i]);
        say("\n");
    }
}

static const uint8_t id[16] = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};

static void dump_bus(void)
{
    static struct sp_bus_header bus;
    struct sp_bus_regions regions = sp_bus_regions(2, 8, 4096);
    struct sp_participant participant = {.owner = 0x0102030405060007,
                                         .state = SP_PARTICIPANT_JOINED,
                                         .flags = SP_PARTICIPANT_MEMBARRIER,
                                         .pid = 0x1112131415161718,
                                         .pid_namespace = 0x2122232425262728,
                                         .joined = 0x3132333435363738,
                                         .uid = 0x41424344,
                                         .name = "participant"};
    struct sp_wake wake = {.sequence = 0x51525354, .kind = SP_WAKE_PIPE, .owner = 0x6162636465666768};

    sp_file_header_format(&bus.file, regions.file_size, id, 0x0102030405060708, 0x11121314, 4096);
    sp_file_header_seal(&bus.file, SP_BUS_MAGIC);
    bus.participants_max = 2;
    bus.wakes_max = 8;
    bus.mode = 0660;
    bus.counters_count = 1; /* one of its own: the table grows without a new version, for it describes itself */
    bus.counters[0] = (struct sp_counter_descriptor){
        .id = 0x0a0b, .scope = SPATE_SCOPE_CONSUMER, .kind = SPATE_GAUGE, .index = 0x0c0d0e0f, .name = "counter", .unit = "unit"};
    dump("bus header", &bus, sizeof bus);
    dump("participant", &participant, sizeof participant);
    dump("wake", &wake, sizeof wake);
    say("bus regions: %llu %llu %llu\n", (unsigned long long)regions.participants, (unsigned long long)regions.wakes,
        (unsigned long long)regions.file_size);
}

static void dump_topic(void)
{
    static struct sp_topic_file topic;
    sp_file_header_format(&topic.file, sizeof topic, id, 0x0102030405060708, 0, 4096);
    sp_file_header_seal(&topic.file, SP_TOPIC_MAGIC);
    topic.state = SP_STATE_DELETED;
    topic.partitions = 0x0101;
    topic.ring_capacity = 0x1112131415161718;
    topic.mode = SPATE_MODE_EXCLUSIVE;
    topic.alignment = 64;
    topic.timestamp = SPATE_TIMESTAMP_NONE;
    topic.producers_max = 0x21222324;
    topic.consumers_max = 0x31323334;
    topic.numa_node = -1;
    topic.huge_pages = SPATE_HUGE_REQUIRE;
    topic.uid = 0x41424344;
    topic.gid = 0x51525354;
    topic.ring_file_mode = 0640;
    topic.cursors_file_mode = 0660;
    strcpy(topic.name, "topic.name");
    dump("topic file", &topic, sizeof topic);
}

/* A concurrent ring with one claim finished and one open, a mark, and one of each counter set. */
static void dump_ring(void)
{
    struct static_ring_config config = static_ring_defaults;
    struct static_ring s;
    struct sp_writer writers[2];
    struct sp_reader reader;
    uint32_t sizes[3];

    config.salt = 0xc0c1c2c3c4c5c6c7;
    config.unit_shift = 3;
    config.timestamp = SPATE_TIMESTAMP_CALLER;
    config.start = (struct sp_place){.position = ((uint64_t)1 << 40) + 4000, .offset = ((uint64_t)1 << 33) + 5};
    static_ring_open(&s, &config);
    struct sp_ring_regions regions = sp_ring_regions(4, config.capacity, 4096);
    sp_file_header_format(&s.header->file, regions.file_size, id, 0x0102030405060708, 7, 4096);
    sp_file_header_seal(&s.header->file, SP_RING_MAGIC);
    sp_file_header_format(&s.cursors->file, sp_cursors_file_size(4, 4096), id, 0x0102030405060708, 7, 4096);
    sp_file_header_seal(&s.cursors->file, SP_CURSORS_MAGIC);
    static_ring_attach_writer(&s, &writers[0]);
    static_ring_attach_writer(&s, &writers[1]);
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, config.start);
    static_ring_publish(&writers[0], 300, NULL);
    static_ring_claim(&writers[0], 30, NULL);
    sp_writer_abort(&writers[0]);
    static_ring_claim_batch(&writers[1], 10, 3, sizes, NULL);
    struct spate_record records[4];
    assert_int_equal(sp_reader_poll(&reader, records, 4), 1);
    sp_reader_release(&reader);
    strcpy(writers[0].slot->name, "producer");
    strcpy(reader.cursor->name, "consumer");
    for (uint32_t i = 0; i < SP_RING_COUNTERS; i++)
        atomic_store(&s.header->counters[i], 0x100 + i);
    for (uint32_t i = 0; i < SP_PRODUCER_COUNTERS; i++)
        atomic_store(&writers[0].slot->counters[i], 0x200 + i);
    for (uint32_t i = 0; i < SP_CONSUMER_COUNTERS; i++)
        atomic_store(&reader.cursor->counters[i], 0x300 + i);
    atomic_store(&s.header->repairer, 0x7172737475767778);
    reader.cursor->gate_timeout = -1;
    atomic_store(&reader.cursor->asleep, 1);
    atomic_store(&reader.cursor->wake_slot, 0x81828384);
    atomic_store(&s.cursors->notice, 1);
    atomic_store(&s.cursors->space_notice, 1);
    atomic_store(&s.cursors->space_sequence, 0x91929394);
    dump("ring header", s.header, sizeof *s.header);
    dump("producer slot, idle", writers[0].slot, sizeof *writers[0].slot);
    dump("producer slot, claimed", writers[1].slot, sizeof *writers[1].slot);
    dump("cursors header", s.cursors, sizeof *s.cursors);
    dump("cursor", reader.cursor, sizeof *reader.cursor);
    say("ring regions: %llu %llu %llu\n", (unsigned long long)regions.producers, (unsigned long long)regions.data,
        (unsigned long long)regions.file_size);
    dump("records", s.data + (config.start.position & s.ring.mask), 512);
    static_ring_close(&s);
}

static void dump_record(void)
{
    static const struct spate_header headers[] = {
        {.name = "a", .name_size = 1, .value = "xyz", .value_size = 3},
        {.name = "null", .name_size = 4, .value = NULL, .value_size = 0},
    };
    struct spate_record record = {
        .key = "key", .key_size = 3, .value = "some value", .value_size = 10, .headers = headers, .headers_count = 2};
    struct spate_record tombstone = {.key = "", .key_size = 0};
    struct sp_record_shape shape;
    _Alignas(16) uint8_t bytes[256] = {0};

    assert_int_equal(sp_record_plan(&record, true, false, 32, 1000, &shape), 0);
    memcpy(sp_record_encode(bytes, &record, &shape, 0x0102030405060708), record.value, record.value_size);
    atomic_store(&((struct sp_record_header *)(void *)bytes)->stamp, sp_stamp(0x1112131415161718, 0xff));
    dump("record with everything", bytes, shape.size);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(sp_record_plan(&tombstone, false, true, 16, 1000, &shape), 0);
    sp_record_encode(bytes, &tombstone, &shape, 0);
    dump("tombstone with an empty key", bytes, shape.size);
}

static void golden_path(char *path, size_t size)
{
    const char *source = getenv("SPATE_SOURCE");
    if (source)
        snprintf(path, size, "%s/tests/golden/layout.hex", source);
    else
        snprintf(path, size, "%.*slayout.hex", (int)(strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__);
}

/* NULL when equal, else the first line that is not. */
static const char *first_difference(const char *golden, const char *now)
{
    static char line[512];
    size_t i = 0, start = 0;
    for (; golden[i] && golden[i] == now[i]; i++)
        if (golden[i] == '\n')
            start = i + 1;
    if (golden[i] == now[i])
        return NULL;
    snprintf(line, sizeof line, "was `%.*s`, is `%.*s`", (int)strcspn(golden + start, "\n"), golden + start,
             (int)strcspn(now + start, "\n"), now + start);
    return line;
}

static char golden[TEXT_MAX];

static void the_layout_is_the_one_that_was_committed(void **state)
{
    char path[4096];
    (void)state;
    golden_path(path, sizeof path);
    text_size = 0;
    say("layout version %u, checksum %08x\n", SP_LAYOUT_VERSION, sp_layout_crc());
    dump_bus();
    dump_topic();
    dump_ring();
    dump_record();
    if (getenv("SPATE_GOLDEN_WRITE")) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(text, 1, text_size, out), text_size);
        assert_int_equal(fclose(out), 0);
    }
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing", path);
    golden[fread(golden, 1, TEXT_MAX - 1, file)] = 0;
    fclose(file);
    const char *difference = first_difference(golden, text);
    if (difference)
        fail_msg("the shared-memory layout changed: %s. Older builds would misread it: raise SP_LAYOUT_VERSION in "
                 "src/layout/layout.h, then write the "
                 "dump anew with SPATE_GOLDEN_WRITE=1",
                 difference);
}

static void a_changed_byte_would_be_seen(void **state)
{
    (void)state; /* the planted bug */
    char changed[] = "one\n  0000  00 01\ntwo\n";
    assert_null(first_difference(changed, "one\n  0000  00 01\ntwo\n"));
    assert_string_equal(first_difference(changed, "one\n  0000  00 03\ntwo\n"), "was `  0000  00 01`, is `  0000  00 03`");
    assert_non_null(first_difference(changed, "one\n  0000  00 01\ntwo\nthree\n"));
    assert_non_null(first_difference(changed, "one\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_is_the_one_that_was_committed),
        cmocka_unit_test(a_changed_byte_would_be_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
