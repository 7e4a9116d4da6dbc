/* verify_test.c: every rule of spate_verify finds the damage that is planted for it, and none finds any where there is none.
 *
 * A checker that finds nothing proves nothing: so there is a table of damages, one or more for each rule, and a test that reads
 * the rules' names from the library's sources and wants each of them in the table. Damage is written into the files through a
 * mapping of the test's own, and taken back afterwards. Healthy buses: idle, lapped, exclusive, half-dead, and with producers
 * and consumers at full speed. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "layout/topic_layout.h"
#include "proc.h"
#include "ring/record.h"
#include "ring/ring.h"
#include "spate/inspect.h"

/* ------------------------------------------------------------------------------------------------ what verify reported */

struct found {
    char rules[64][32], files[64][64];
    char text[4096];
    uint32_t count;
};

static int add(void *context, const struct spate_violation *violation)
{
    struct found *found = context;
    size_t used = strlen(found->text);
    if (found->count < 64) {
        snprintf(found->rules[found->count], 32, "%s", violation->rule);
        snprintf(found->files[found->count++], 64, "%s", violation->file);
    }
    snprintf(found->text + used, sizeof found->text - used, "  %s: %s: %s\n", violation->file, violation->rule, violation->detail);
    return 0;
}

static bool has(const struct found *found, const char *rule, const char *file)
{
    for (uint32_t i = 0; i < found->count; i++)
        if (strcmp(found->rules[i], rule) == 0 && strcmp(found->files[i], file) == 0)
            return true;
    return false;
}

static struct spate_verify_result expect_healthy(spate_bus *bus, const char *topic)
{
    struct spate_verify_result result;
    struct found found = {0};

    OK(spate_verify(bus, topic, &result, add, &found));
    CHECKF(found.count == 0 && result.violations == 0, "violations where there are none:\n%s", found.text);
    CHECK(result.rules_checked > 100 && result.files > 0);
    return result;
}

/* ------------------------------------------------------------------------------------------------------- the patient */

/* One file of the bus, mapped, with a copy of how it was. */
struct part {
    char name[64];
    uint8_t *bytes, *before;
    size_t size;
};

static void open_part(struct part *part, const char *name)
{
    struct stat status;
    int fd = open(proc_file("%s", name), O_RDWR | O_CLOEXEC);

    snprintf(part->name, sizeof part->name, "%s", name);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    part->size = (size_t)status.st_size;
    part->bytes = mmap(NULL, part->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    part->before = malloc(part->size);
    CHECK(part->bytes != MAP_FAILED && part->before);
    memcpy(part->before, part->bytes, part->size);
    close(fd);
}

static void close_part(struct part *part)
{
    munmap(part->bytes, part->size);
    free(part->before);
}

enum { BUS, TOPIC, RING, CURSORS, LAPPED, SINGLE, PARTS };

/* Topics: "v" with some records, a producer and a gate; "lapped", written over many times; "single", exclusive. */
struct patient {
    struct part parts[PARTS];
    spate_bus *bus;
    spate_topic *topics[3];
    spate_producer *producers[3];
    spate_consumer *consumer;
    uint64_t owner; /* our word */
    /* views of the parts */
    struct sp_bus_header *bus_header;
    struct sp_participant *participants;
    struct sp_wake *wakes;
    struct sp_topic_file *topic;
    struct sp_ring_header *ring, *lapped, *single;
    struct sp_producer_slot *slots;
    struct sp_cursors_header *cursors;
    uint64_t tail; /* position of v's */
};

#define RECORDS 20u

static void publish_all_kinds(spate_producer *producer)
{
    static const char value[200];
    const struct spate_header header = {.name = "name", .name_size = 4, .value = "value", .value_size = 5};

    for (uint32_t i = 0; i < RECORDS; i++) {
        struct spate_record record = {.partition = 0, .value = value, .value_size = 100 + i, .key = "a key", .key_size = 5};
        if (i % 2) {
            record.headers = &header;
            record.headers_count = 1;
        }
        OK(spate_publish(producer, &record, 0, NULL));
    }
}

static void open_patient(struct patient *p)
{
    static const char *const names[] = {"v", "lapped", "single"};
    static const char *const files[] = {"bus", "v/topic", "v/0.ring", "v/0.cursors", "lapped/0.ring", "single/0.ring"};

    *p = (struct patient){.bus = proc_open()};
    for (uint32_t i = 0; i < 3; i++) {
        struct spate_topic_config config = proc_config(1, 64 << 10, i == 2 ? SPATE_MODE_EXCLUSIVE : SPATE_MODE_CONCURRENT);
        config.producers_max = 4;
        config.consumers_max = 4;
        OK(spate_topic_create(p->bus, names[i], &config));
        p->topics[i] = proc_topic(p->bus, names[i]);
        p->producers[i] = proc_producer(p->topics[i]);
    }
    p->consumer = proc_consumer(p->topics[0], SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    publish_all_kinds(p->producers[0]);
    publish_all_kinds(p->producers[2]);
    for (uint64_t i = 0; i < 200; i++) /* so that the first ones are settled: what is not cannot be told from nothing */
        proc_publish(p->producers[2], 0, 100, 0, i);
    for (uint64_t i = 0; i < 5000; i++)
        proc_publish(p->producers[1], 0, 100, 0, i);
    for (int i = 0; i < PARTS; i++)
        open_part(&p->parts[i], files[i]);
    p->bus_header = (void *)p->parts[BUS].bytes;
    struct sp_bus_regions regions =
        sp_bus_regions(p->bus_header->participants_max, p->bus_header->wakes_max, p->bus_header->file.page_size);
    p->participants = (void *)(p->parts[BUS].bytes + regions.participants);
    p->wakes = (void *)(p->parts[BUS].bytes + regions.wakes);
    p->topic = (void *)p->parts[TOPIC].bytes;
    p->ring = (void *)p->parts[RING].bytes;
    p->lapped = (void *)p->parts[LAPPED].bytes;
    p->single = (void *)p->parts[SINGLE].bytes;
    p->slots = (void *)(p->parts[RING].bytes + SP_RING_HEADER_SIZE);
    p->cursors = (void *)p->parts[CURSORS].bytes;
    p->owner = p->participants[0].owner;
    p->tail = (p->ring->tail >> 30) << p->ring->unit_shift;
}

static void close_patient(struct patient *p)
{
    for (int i = 0; i < PARTS; i++)
        close_part(&p->parts[i]);
    spate_consumer_close(p->consumer);
    for (int i = 0; i < 3; i++) {
        spate_producer_close(p->producers[i]);
        spate_topic_close(p->topics[i]);
    }
    spate_bus_close(p->bus);
}

static void heal(struct patient *p)
{
    for (int i = 0; i < PARTS; i++)
        memcpy(p->parts[i].bytes, p->parts[i].before, p->parts[i].size);
}

/* The header of the index-th record of v, counted from the ring's beginning. */
static struct sp_record_header *record_at(const struct patient *p, uint32_t index, uint64_t *ret_position)
{
    uint64_t position = 0;
    struct spate_record ignored;

    for (;; index--) {
        struct sp_record_header *header = (void *)(p->parts[RING].bytes + p->ring->data_offset + position);
        if (ret_position)
            *ret_position = position;
        if (index == 0)
            return header;
        position += sp_record_decode((const uint8_t *)header, header->word, 4096, 64, &ignored);
    }
}

static void change_flags(struct sp_record_header *header, uint32_t clear)
{
    header->word &= ~((uint64_t)clear << 48);
}

/* -------------------------------------------------------------------------------------------------------- the damages */

#define DAMAGE(name) static void name(struct patient *p)
DAMAGE(magic_of_topic)
{
    p->topic->file.magic ^= 1;
}
DAMAGE(magic_of_bus)
{
    p->bus_header->file.magic = 0;
}
DAMAGE(version_of_ring)
{
    p->ring->file.version = 99;
}
DAMAGE(checksum_of_cursors)
{
    p->cursors->file.layout_crc ^= 1;
}
DAMAGE(size_of_ring)
{
    p->ring->file.file_size += 4096;
}
DAMAGE(participants_max)
{
    p->bus_header->participants_max = 7;
}
DAMAGE(counters_table)
{
    p->bus_header->counters[3].scope = 9;
}
DAMAGE(counters_name)
{
    memset(p->bus_header->counters[5].name, 'x', sizeof p->bus_header->counters[5].name);
}
DAMAGE(participant_state)
{
    p->participants[9].state = 7;
}
DAMAGE(participant_owner)
{
    p->participants[9].owner = (uint64_t)1 << SP_OWNER_SLOT_BITS | 3;
}
DAMAGE(participant_without_owner)
{
    p->participants[9].state = SP_PARTICIPANT_JOINED;
}
DAMAGE(participant_name)
{
    memset(p->participants[9].name, 'x', SP_NAME_SIZE);
}
DAMAGE(wake_owner)
{
    p->wakes[5].owner = (uint64_t)99 << SP_OWNER_SLOT_BITS;
}
DAMAGE(wake_kind)
{
    p->wakes[5].kind = 9;
}
DAMAGE(topic_config)
{
    p->topic->alignment = 65;
}
DAMAGE(topic_name)
{
    p->topic->name[0] = 'w';
}
DAMAGE(topic_state)
{
    p->topic->state = 5;
}
DAMAGE(identity_of_ring)
{
    p->ring->file.id[3] ^= 1;
}
DAMAGE(partition_of_cursors)
{
    p->cursors->file.partition = 1;
}
DAMAGE(ring_header)
{
    p->ring->chunk_size++;
}
DAMAGE(ring_alignment)
{
    p->ring->unit_shift--;
}
DAMAGE(topic_mode)
{
    p->topic->mode = SPATE_MODE_EXCLUSIVE;
}
DAMAGE(cursors_header)
{
    p->cursors->consumers_max = 5000;
}
DAMAGE(cursors_count)
{
    p->cursors->consumers_max++;
}
DAMAGE(ring_state)
{
    p->ring->state = 2;
}
DAMAGE(ring_repairer)
{
    p->ring->repairer = (uint64_t)77 << SP_OWNER_SLOT_BITS;
}
DAMAGE(producers_used)
{
    p->ring->producers_used = 5;
}
DAMAGE(records_base)
{
    p->ring->records_base += 1000;
}
DAMAGE(units_base)
{
    p->ring->units_base += 100000;
}
DAMAGE(units_base_of_lapped)
{
    p->lapped->units_base -= 2000;
}
DAMAGE(tail_of_too_many)
{
    p->ring->tail += 2000;
}
DAMAGE(reserved_too_high)
{
    p->ring->reserved = p->tail + p->ring->capacity + 64;
}
DAMAGE(reserved_too_low)
{
    p->ring->reserved = p->tail - 64;
}
DAMAGE(claims_overlap)
{
    for (int i = 1; i <= 2; i++) {
        p->slots[i].owner = p->owner;
        p->slots[i].claim = (uint64_t)(p->tail - 64u * (uint32_t)i) | SP_PHASE_CLAIMED;
        p->slots[i].extent = (uint64_t)i << 32 | 1;
        p->slots[i].offset = RECORDS - 1;
    }
    p->ring->producers_used = 3;
}
DAMAGE(mark_of_another_chunk)
{
    p->ring->marks[2].position = 64;
}
DAMAGE(mark_beyond_the_tail)
{
    p->lapped->marks[1].position += p->lapped->capacity;
}
DAMAGE(mark_in_a_payload)
{
    struct sp_ring ring;
    uint64_t position;
    struct sp_record_header *inside = record_at(p, 9, &position) + 64 / sizeof(struct sp_record_header);
    inside->stamp = sp_stamp(7, p->ring->salt);
    p->ring->marks[0].position = p->ring->capacity; /* so that it may be written */
    sp_ring_init(&ring, p->ring, p->parts[RING].bytes, p->cursors);
    sp_mark_write(&ring, (struct sp_place){position + 64, 7});
}
DAMAGE(slot_owner)
{
    p->slots[0].owner = (uint64_t)99 << SP_OWNER_SLOT_BITS;
}
DAMAGE(slot_owner_of_no_slot)
{
    p->slots[0].owner = (uint64_t)1 << SP_OWNER_SLOT_BITS | 0xfff0;
}
DAMAGE(slot_name)
{
    memset(p->slots[0].name, 'x', SP_NAME_SIZE);
}
DAMAGE(claim_without_phase)
{
    p->slots[0].claim = 5;
}
DAMAGE(claim_without_owner)
{
    p->slots[0].owner = 0;
    p->slots[0].claim = SP_PHASE_INTENT;
}
DAMAGE(claim_beyond_the_tail)
{
    p->slots[0].claim = (p->tail + 64) | SP_PHASE_CLAIMED;
}
DAMAGE(claim_of_a_lap_ago)
{
    struct sp_producer_slot *slots = (void *)(p->parts[LAPPED].bytes + SP_RING_HEADER_SIZE);
    slots[0].claim = SP_PHASE_CLAIMED;
}
DAMAGE(claim_in_exclusive_mode)
{
    struct sp_producer_slot *slots = (void *)(p->parts[SINGLE].bytes + SP_RING_HEADER_SIZE);
    slots[0].claim = SP_PHASE_INTENT;
}
DAMAGE(extent_of_nothing)
{
    p->slots[0].claim = SP_PHASE_INTENT;
    p->slots[0].extent = 0;
}
DAMAGE(extent_beyond_the_tail)
{
    p->slots[0].claim = (p->tail - 64) | SP_PHASE_CLAIMED;
    p->slots[0].extent = (uint64_t)2 << 32 | 1;
    p->slots[0].offset = RECORDS - 1;
}
DAMAGE(cursors_used)
{
    p->cursors->consumers_used = 5;
}
DAMAGE(cursor_owner)
{
    p->cursors->slots[0].owner = (uint64_t)99 << SP_OWNER_SLOT_BITS;
}
DAMAGE(cursor_state)
{
    p->cursors->slots[0].state = 7; /* low bits 3: none of the three */
}
DAMAGE(cursor_without_owner)
{
    p->cursors->slots[0].owner = 0;
}
DAMAGE(cursor_policy)
{
    p->cursors->slots[0].policy = 9;
}
DAMAGE(cursor_beyond_the_tail)
{
    p->cursors->slots[0].read_position = p->tail + 64;
}
DAMAGE(cursor_unaligned)
{
    p->cursors->slots[0].read_position = 8;
}
DAMAGE(gate_of_a_lap_ago)
{
    /* the gate of v stands at 0; let v's tail be more than a ring further, with all that belongs to it */
    p->ring->units_base += 2048;
    p->ring->tail += (uint64_t)2048 << 30;
    p->ring->reserved += 2048 * 64;
}
DAMAGE(cursor_asleep_nowhere)
{
    p->cursors->slots[0].asleep = 1;
    p->cursors->slots[0].wake_slot = 1 << 30;
}
DAMAGE(cursor_name)
{
    memset(p->cursors->slots[0].name, 'x', SP_NAME_SIZE);
}
DAMAGE(record_of_no_type)
{
    record_at(p, 4, NULL)->word = 0;
}
DAMAGE(record_too_large)
{
    record_at(p, 4, NULL)->word |= 0xfffffff0u;
}
DAMAGE(stamp_of_a_later_offset)
{
    record_at(p, 4, NULL)->stamp = sp_stamp(6, p->ring->salt);
}
DAMAGE(stamp_of_nothing)
{
    record_at(p, 4, NULL)->stamp = 0x1234567812345678u;
}
DAMAGE(stamp_in_exclusive_mode)
{
    ((struct sp_record_header *)(void *)(p->parts[SINGLE].bytes + p->single->data_offset))->stamp = 0;
}
DAMAGE(key_without_flag)
{
    change_flags(record_at(p, 4, NULL), SP_RECORD_KEY);
}
DAMAGE(value_of_a_tombstone)
{
    record_at(p, 4, NULL)->word |= (uint64_t)SP_RECORD_NULL_VALUE << 48;
}
DAMAGE(no_timestamp)
{
    change_flags(record_at(p, 4, NULL), SP_RECORD_TIMESTAMP);
}
DAMAGE(headers_count)
{
    uint64_t *sizes = (uint64_t *)(void *)(record_at(p, 5, NULL) + 1) + 1; /* behind the timestamp */
    *sizes += (uint64_t)1 << 32;
}
DAMAGE(last_record_too_long)
{
    record_at(p, RECORDS - 1, NULL)->word += 64;
}
DAMAGE(all_records_gone)
{
    memset(p->parts[LAPPED].bytes + p->lapped->data_offset, 0, p->lapped->capacity);
}

static const struct damage {
    const char *rule;
    const char *file;
    void (*inflict)(struct patient *);
} damages[] = {
    {"file-magic", "v/topic", magic_of_topic},
    {"file-magic", "bus", magic_of_bus},
    {"file-version", "v/0.ring", version_of_ring},
    {"file-checksum", "v/0.cursors", checksum_of_cursors},
    {"file-size", "v/0.ring", size_of_ring},
    {"bus-header", "bus", participants_max},
    {"bus-counters", "bus", counters_table},
    {"bus-counters", "bus", counters_name},
    {"participant-state", "bus", participant_state},
    {"participant-owner", "bus", participant_owner},
    {"participant-owner", "bus", participant_without_owner},
    {"participant-name", "bus", participant_name},
    {"wake-owner", "bus", wake_owner},
    {"wake-kind", "bus", wake_kind},
    {"topic-config", "v/topic", topic_config},
    {"topic-name", "v/topic", topic_name},
    {"topic-state", "v/topic", topic_state},
    {"file-identity", "v/0.ring", identity_of_ring},
    {"file-identity", "v/0.cursors", partition_of_cursors},
    {"ring-header", "v/0.ring", ring_header},
    {"ring-config", "v/0.ring", ring_alignment},
    {"ring-config", "v/0.ring", topic_mode},
    {"cursors-header", "v/0.cursors", cursors_header},
    {"cursors-config", "v/0.cursors", cursors_count},
    {"ring-state", "v/0.ring", ring_state},
    {"ring-repairer", "v/0.ring", ring_repairer},
    {"slots-used", "v/0.ring", producers_used},
    {"tail-bases", "v/0.ring", records_base},
    {"tail-bases", "v/0.ring", units_base},
    {"tail-bases", "lapped/0.ring", units_base_of_lapped},
    {"tail-place", "v/0.ring", tail_of_too_many},
    {"ring-reserved", "v/0.ring", reserved_too_high},
    {"ring-reserved", "v/0.ring", reserved_too_low},
    {"claims-disjoint", "v/0.ring", claims_overlap},
    {"mark-place", "v/0.ring", mark_of_another_chunk},
    {"mark-place", "lapped/0.ring", mark_beyond_the_tail},
    {"mark-boundary", "v/0.ring", mark_in_a_payload},
    {"slot-owner", "v/0.ring", slot_owner},
    {"slot-owner", "v/0.ring", slot_owner_of_no_slot},
    {"slot-name", "v/0.ring", slot_name},
    {"slot-claim", "v/0.ring", claim_without_phase},
    {"slot-claim", "v/0.ring", claim_without_owner},
    {"slot-claim", "v/0.ring", claim_beyond_the_tail},
    {"slot-claim", "lapped/0.ring", claim_of_a_lap_ago},
    {"slot-claim", "single/0.ring", claim_in_exclusive_mode},
    {"slot-extent", "v/0.ring", extent_of_nothing},
    {"slot-extent", "v/0.ring", extent_beyond_the_tail},
    {"cursors-used", "v/0.cursors", cursors_used},
    {"cursor-owner", "v/0.cursors", cursor_owner},
    {"cursor-state", "v/0.cursors", cursor_state},
    {"cursor-state", "v/0.cursors", cursor_without_owner},
    {"cursor-policy", "v/0.cursors", cursor_policy},
    {"cursor-position", "v/0.cursors", cursor_beyond_the_tail},
    {"cursor-position", "v/0.cursors", cursor_unaligned},
    {"cursor-position", "v/0.cursors", gate_of_a_lap_ago},
    {"cursor-wake", "v/0.cursors", cursor_asleep_nowhere},
    {"cursor-name", "v/0.cursors", cursor_name},
    {"record-shape", "v/0.ring", record_of_no_type},
    {"record-shape", "v/0.ring", record_too_large},
    {"offsets-dense", "v/0.ring", stamp_of_a_later_offset},
    {"place-owned", "v/0.ring", stamp_of_nothing},
    {"place-owned", "single/0.ring", stamp_in_exclusive_mode},
    {"record-flags", "v/0.ring", key_without_flag},
    {"record-flags", "v/0.ring", value_of_a_tombstone},
    {"record-timestamp", "v/0.ring", no_timestamp},
    {"record-headers", "v/0.ring", headers_count},
    {"walk-end", "v/0.ring", last_record_too_long},
    {"walk-start", "lapped/0.ring", all_records_gone},
};
#define DAMAGES (sizeof damages / sizeof damages[0])

/* ---------------------------------------------------------------------------------------------------------- the tests */

static spate_bus *observe(void)
{
    struct spate_bus_options options;
    spate_bus *bus = NULL;

    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_OBSERVE;
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    return bus;
}

static void each_rule_reports_the_damage_planted_for_it(void **state)
{
    (void)state;
    struct patient p;

    open_patient(&p);
    spate_bus *observer = observe();
    IS(expect_healthy(p.bus, NULL).records, expect_healthy(observer, NULL).records);
    IS(expect_healthy(p.bus, "v").records, RECORDS);
    for (size_t i = 0; i < DAMAGES; i++) {
        struct spate_verify_result result;
        struct found found = {0};
        damages[i].inflict(&p);
        OK(spate_verify(i % 2 ? p.bus : observer, NULL, &result, add, &found));
        CHECKF(has(&found, damages[i].rule, damages[i].file), "damage %zu: no violation of %s in %s, but:\n%s", i, damages[i].rule,
               damages[i].file, found.text);
        CHECK(result.violations >= found.count);
        heal(&p);
    }
    expect_healthy(p.bus, NULL);
    spate_bus_close(observer);
    close_patient(&p);
}

/* Without marks a walk begins at the first thing that looks like a record. What an earlier lap left behind is none. */
static void a_stale_stamp_is_no_record(void **state)
{
    (void)state;
    struct patient p;
    struct sp_ring ring;
    struct found found = {0};
    struct spate_verify_result result;

    open_patient(&p);
    struct sp_ring_header *header = p.lapped;
    sp_ring_init(&ring, header, p.parts[LAPPED].bytes + header->data_offset, p.cursors);
    const uint64_t lowest = sp_ring_oldest_position(&ring), unit = (uint64_t)1 << ring.unit_shift;
    const struct sp_place tail = sp_ring_claimed(&ring), first = sp_mark_oldest(&ring, lowest);
    CHECK(lowest > 0 && first.position < tail.position);
    uint64_t size;
    uint32_t count;
    CHECK(sp_ring_step(&ring, first, &size, &count) && size > unit);
    memset(header->marks, 0, sizeof header->marks);
    /* what lies before the first record is the end of one that is half overwritten; without it, put it into that record */
    const uint64_t stale = first.position > lowest ? lowest : first.position + unit;
    struct sp_record_header *planted = (void *)(ring.data + (stale & ring.mask));
    planted->stamp = sp_stamp(tail.offset - 200, ring.salt);
    planted->word = sp_record_word(100, 0, SP_RECORD_DATA);
    if (stale != lowest) /* and begin there */
        ((struct sp_record_header *)(void *)(ring.data + (first.position & ring.mask)))->stamp = 0;
    OK(spate_verify(p.bus, "lapped", &result, add, &found));
    CHECKF(found.count == 0 && result.records > 100, "%llu records, and:\n%s", (unsigned long long)result.records, found.text);
    heal(&p);
    close_patient(&p);
}

/* Words in quotes with a hyphen in them are the rules' names. */
static void check_source(const char *name)
{
    char path[4096], line[1024];
    snprintf(path, sizeof path, "%s/src/bus/%s", getenv("SPATE_SOURCE"), name);
    FILE *source = fopen(path, "re");
    uint32_t rules = 0;

    CHECKF(source != NULL, "no %s", path);
    while (fgets(line, sizeof line, source)) {
        for (char *quote = strchr(line, '"'); quote; quote = strchr(quote + 1, '"')) {
            size_t length = strspn(quote + 1, "abcdefghijklmnopqrstuvwxyz-");
            char *rule = quote + 1;
            if (length < 3 || rule[length] != '"' || !memchr(rule, '-', length))
                continue;
            rule[length] = 0;
            bool known = strcmp(rule, "file-present") == 0; /* has a test of its own */
            for (size_t i = 0; i < DAMAGES; i++)
                known |= strcmp(damages[i].rule, rule) == 0;
            CHECKF(known, "no damage is planted for rule %s", rule);
            rules++;
            quote = rule + length;
        }
    }
    fclose(source);
    CHECK(rules > 5);
}

static void each_rule_has_a_planted_damage(void **state)
{
    (void)state;
    if (!getenv("SPATE_SOURCE"))
        proc_skip("SPATE_SOURCE is not set: run by ctest");
    check_source("verify.c");
    check_source("verify_ring.c");
    check_source("verify_walk.c");
}

static int stop(void *context, const struct spate_violation *violation)
{
    (void)violation;
    ++*(int *)context;
    return 21;
}

static void files_that_are_missing_or_cut_are_violations(void **state)
{
    (void)state;
    struct spate_verify_result result;
    struct found found = {0};
    int visits = 0;
    spate_bus *bus = proc_open();

    proc_create(bus, "t", 2, 64 << 10, SPATE_MODE_CONCURRENT);
    proc_create(bus, "u", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    CHECK(rename(proc_file("t/1.ring"), proc_file("away")) == 0);
    CHECK(truncate(proc_file("t/0.cursors"), 100) == 0);
    CHECK(mkdir(proc_file("w"), 0700) == 0);
    OK(spate_verify(bus, NULL, &result, add, &found));
    CHECKF(has(&found, "file-present", "t/1.ring") && has(&found, "file-size", "t/0.cursors") &&
               has(&found, "file-present", "w/topic") && found.count == 3,
           "%s", found.text);
    expect_healthy(bus, "u");
    IS(spate_verify(bus, NULL, &result, stop, &visits), 21);
    IS(visits, 1);
    OK(spate_verify(bus, "t", NULL, NULL, NULL));
    IS(spate_verify(bus, "nothing", &result, add, &found), -ENOENT);
    IS(spate_verify(bus, "no/name", &result, add, &found), -EINVAL);
    IS(spate_verify(NULL, NULL, &result, add, &found), -EINVAL);
    spate_bus_close(bus);
}

static int die_claiming(void *argument)
{
    struct proc_handles handles = proc_join("t");
    spate_producer *producer = proc_producer(handles.topic);
    struct spate_record record = {.value_size = 1000};
    struct spate_claim claim;

    proc_consumer(handles.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    OK(spate_claim(producer, &record, &claim));
    proc_add(argument);
    for (;;)
        pause();
    return 0;
}

static void what_the_dead_leave_is_no_violation(void **state)
{
    (void)state;
    proc_word *ready = proc_shared(sizeof *ready);
    spate_bus *bus = proc_open();

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    pid_t child = proc_start(die_claiming, ready);
    proc_await(ready, 1);
    proc_publish_text(producer, 0, "behind");
    IS(expect_healthy(bus, NULL).records, 1);
    proc_kill(child);
    IS(expect_healthy(bus, NULL).aborted, 1);
    OK(spate_gc(bus, NULL));
    IS(expect_healthy(bus, NULL).aborted, 1);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

struct busy {
    proc_word stop, started;
};

static int produce(void *argument)
{
    struct busy *busy = argument;
    struct proc_handles handles = proc_join("t");
    spate_producer *producer = proc_producer(handles.topic);
    uint64_t seed = (uint64_t)getpid();

    proc_add(&busy->started);
    for (uint64_t i = 0; !proc_get(&busy->stop); i++) {
        struct spate_record records[8] = {0};
        struct spate_claim claims[8];
        uint32_t count = 1 + (uint32_t)proc_below(&seed, 8);
        for (uint32_t j = 0; j < count; j++)
            records[j].value_size = (uint32_t)proc_below(&seed, 300);
        if (spate_claim_batch(producer, records, count, claims) != 0)
            continue;
        OK(proc_below(&seed, 16) ? spate_commit(producer) : spate_abort(producer));
    }
    return 0;
}

static int consume(void *argument)
{
    struct busy *busy = argument;
    struct proc_handles handles = proc_join("t");
    struct spate_record records[64];
    uint64_t seed = (uint64_t)getpid();

    proc_add(&busy->started);
    while (!proc_get(&busy->stop)) {
        spate_consumer *consumer =
            proc_consumer(handles.topic, proc_below(&seed, 2) ? SPATE_POLICY_GATE : SPATE_POLICY_SKIP, SPATE_START_BEGINNING, 0);
        for (int i = 0; i < 200; i++)
            (void)spate_poll(consumer, records, 64, PROC_MS);
        spate_consumer_close(consumer);
    }
    return 0;
}

static void check_busy(uint32_t mode)
{
    struct busy *busy = proc_shared(sizeof *busy);
    spate_bus *bus = proc_open();
    pid_t children[4];
    uint64_t records = 0;

    proc_create(bus, "t", 1, 64 << 10, mode);
    for (int i = 0; i < 4; i++)
        children[i] = proc_start(i < (mode == SPATE_MODE_EXCLUSIVE ? 1 : 2) ? produce : consume, busy);
    proc_await(&busy->started, 4);
    for (int i = 0; i < (proc_is_slow() ? 20 : 150); i++) {
        records += expect_healthy(bus, NULL).records;
        if (mode == SPATE_MODE_CONCURRENT && i % 10 == 9) { /* somebody dies, somebody comes */
            proc_kill(children[i % 4]);
            children[i % 4] = proc_start(i % 4 < 2 ? produce : consume, busy);
        }
    }
    proc_set(&busy->stop, 1);
    for (int i = 0; i < 4; i++)
        IS(proc_wait(children[i]), 0);
    expect_healthy(bus, NULL);
    CHECK(records > 0);
    OK(spate_topic_delete(bus, "t", SPATE_DELETE_FORCE));
    spate_bus_close(bus);
}

static void a_busy_bus_has_no_violations(void **state)
{
    (void)state;
    check_busy(SPATE_MODE_CONCURRENT);
    check_busy(SPATE_MODE_EXCLUSIVE);
}

static int ignore_participant(void *context, const struct spate_participant_info *info)
{
    (void)context;
    return info->name[31];
}

static int ignore_producer(void *context, const struct spate_producer_info *info)
{
    (void)context;
    return info->name[31];
}

static int ignore_cursor(void *context, const struct spate_cursor_info *info)
{
    (void)context;
    return info->name[31];
}

static int ignore_counter(void *context, const struct spate_counter_info *info)
{
    (void)context;
    return strlen(info->name) > 40;
}

/* Everything that looks, on a bus where anything may be. */
static void look_at_everything(struct patient *p, spate_bus *bus)
{
    struct spate_bus_info bus_info;
    struct spate_ring_info ring_info;
    struct spate_verify_result result;
    struct found found = {0};
    spate_topic *topic;

    OK(spate_inspect_bus(bus, &bus_info));
    OK(spate_inspect_participants(bus, ignore_participant, NULL));
    OK(spate_verify(bus, NULL, &result, add, &found));
    for (int i = 0; i < 3; i++) {
        (void)spate_inspect_ring(p->topics[i], 0, &ring_info, ignore_producer, ignore_cursor, NULL);
        (void)spate_inspect_counters(p->topics[i], ignore_counter, NULL);
    }
    if (spate_topic_open(bus, "v", &topic) == 0) {
        (void)spate_inspect_ring(topic, 0, &ring_info, ignore_producer, ignore_cursor, NULL);
        spate_topic_close(topic);
    }
}

static void damage_of_any_kind_is_survived(void **state)
{
    (void)state;
    uint64_t seed = proc_seed();
    struct patient p;

    open_patient(&p);
    spate_bus *observer = observe();
    for (int i = 0; i < (proc_is_slow() ? 10 : 60); i++) {
        for (uint64_t changes = 1 + proc_below(&seed, 6); changes > 0; changes--) {
            const struct part *part = &p.parts[proc_below(&seed, PARTS)];
            uint64_t word = proc_below(&seed, 2) ? proc_random(&seed) : proc_below(&seed, 4);
            size_t at = proc_below(&seed, proc_below(&seed, 4) ? 6000 : part->size) & ~(size_t)7;
            memcpy(part->bytes + (at + 8 <= part->size ? at : 0), &word, 8);
        }
        look_at_everything(&p, i % 2 ? p.bus : observer);
        heal(&p);
    }
    expect_healthy(p.bus, NULL);
    spate_bus_close(observer);
    close_patient(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(each_rule_reports_the_damage_planted_for_it),
        PROC_TEST(each_rule_has_a_planted_damage),
        PROC_TEST(a_stale_stamp_is_no_record),
        PROC_TEST(files_that_are_missing_or_cut_are_violations),
        PROC_TEST(what_the_dead_leave_is_no_violation),
        PROC_TEST(a_busy_bus_has_no_violations),
        PROC_TEST(damage_of_any_kind_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
