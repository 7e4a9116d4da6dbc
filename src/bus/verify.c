/* verify.c: spate_verify: the invariants of a bus, one small function each: here those of the bus file, of topics and of files
 * as a whole.
 *
 * Only looks: files are mapped read-only, on a handle of either kind. A file that fails a rule about its header is not looked
 * at any further, for what follows rests on it. Called by `spate verify`, by tests after every crash, and by whoever got an
 * -EBADMSG. */
#include "bus/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "bus/path.h"
#include "shm/descriptor.h"
#include "shm/handle.h"

#define LOOKS 3
#define NAP (2 * SP_NS_PER_MS)
#define NAPS 500u

/* ------------------------------------------------------------------------------------------------------- the machine */

bool sp_broken(char *detail, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, SP_DETAIL_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

void sp_verify_nap(struct sp_verify *verify)
{
    if (verify->naps_left == 0)
        return;
    verify->naps_left--;
    sp_sleep(NAP);
}

void sp_verify_report(struct sp_verify *verify, const char *rule, const char *format, ...)
{
    struct spate_violation violation = {.file = verify->file, .rule = rule};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(violation.detail, sizeof violation.detail, format, arguments);
    va_end(arguments);
    verify->result.violations++;
    if (verify->visit && !verify->stopped)
        verify->stopped = verify->visit(verify->context, &violation);
}

bool sp_verify_rule(struct sp_verify *verify, const struct sp_rule *rule, const struct sp_subject *subject)
{
    char detail[SP_DETAIL_SIZE] = "";

    verify->result.rules_checked++;
    for (int look = 1;; look++) {
        if (rule->holds(subject, detail))
            return true;
        if (look == LOOKS)
            break;
        sp_verify_nap(verify);
    }
    sp_verify_report(verify, rule->name, "%s", detail);
    return false;
}

bool sp_verify_rules(struct sp_verify *verify, const struct sp_rule *rules, bool all, const struct sp_subject *subject)
{
    bool hold = true;

    for (; rules->name && !verify->stopped && (hold || all); rules++)
        hold &= sp_verify_rule(verify, rules, subject);
    return hold && !verify->stopped;
}

/* What could not be looked at is told at the end, when everything else was. */
static void note(struct sp_verify *verify, int error)
{
    if (verify->error)
        return;
    verify->error = error;
    snprintf(verify->text, sizeof verify->text, "%s", spate_last_error());
}

bool sp_is_known_owner(const struct sp_registry *registry, uint64_t owner)
{
    if (owner == 0)
        return true;
    if (SP_OWNER_SLOT(owner) >= registry->participants_max || SP_OWNER_GENERATION(owner) == 0)
        return false;
    /* E11 owner: it was a participant before its word went anywhere else */
    uint64_t current = atomic_load_explicit(&registry->participants[SP_OWNER_SLOT(owner)].owner, memory_order_acquire);
    return SP_OWNER_GENERATION(owner) <= SP_OWNER_GENERATION(current);
}

/* ---------------------------------------------------------------------------------------------- files: common headers */

static bool file_magic(const struct sp_subject *s, char *detail)
{
    uint64_t magic = atomic_load_explicit(&s->header->magic, memory_order_acquire); /* E10 format */
    return magic == s->magic || sp_broken(detail, "magic %016llx, expected %016llx: foreign, unfinished or damaged",
                                          (unsigned long long)magic, (unsigned long long)s->magic);
}

static bool file_version(const struct sp_subject *s, char *detail)
{
    uint32_t version = s->header->version;
    return version == SP_LAYOUT_VERSION || sp_broken(detail, "layout version %u, this build has %u", version, SP_LAYOUT_VERSION);
}

static bool file_checksum(const struct sp_subject *s, char *detail)
{
    uint32_t crc = s->header->layout_crc;
    return crc == sp_layout_crc() || sp_broken(detail, "layout checksum %08x, this build has %08x", crc, sp_layout_crc());
}

static bool file_size(const struct sp_subject *s, char *detail)
{
    uint64_t size = s->header->file_size;
    return size == s->size || sp_broken(detail, "%llu bytes, its header says %llu: truncated or extended",
                                        (unsigned long long)s->size, (unsigned long long)size);
}

static const struct sp_rule file_rules[] = {{"file-magic", file_magic},
                                            {"file-version", file_version},
                                            {"file-checksum", file_checksum},
                                            {"file-size", file_size},
                                            {NULL, NULL}};

/* The checks that attaching makes give their reason as the last error. */
static bool because_of(char *detail, int error)
{
    return error == 0 || sp_broken(detail, "%s", spate_last_error());
}

/* --------------------------------------------------------------------------------------------------------- the bus file */

static bool bus_header(const struct sp_subject *s, char *detail)
{
    return because_of(detail, sp_bus_header_check(s->registry->header, s->registry->map.size, "bus"));
}

static bool bus_counters(const struct sp_subject *s, char *detail)
{
    static const uint32_t words[] = {SP_RING_COUNTERS, SP_PRODUCER_COUNTERS, SP_CONSUMER_COUNTERS};
    const struct sp_bus_header *header = s->registry->header;
    uint32_t count = header->counters_count;

    for (uint32_t i = 0; i < count && i < SP_COUNTER_DESCRIPTORS_MAX; i++) {
        struct sp_counter_descriptor row;
        memcpy(&row, &header->counters[i], sizeof row);
        if (row.scope > SPATE_SCOPE_CONSUMER || row.kind > SPATE_GAUGE || row.index >= words[row.scope] || row.name[0] == 0 ||
            !memchr(row.name, 0, sizeof row.name) || !memchr(row.unit, 0, sizeof row.unit))
            return sp_broken(detail, "descriptor %u (id %u): scope %u, kind %u, word %u, or its name", i, row.id, row.scope,
                             row.kind, row.index);
    }
    return true;
}

static const struct sp_rule bus_rules[] = {{"bus-header", bus_header}, {"bus-counters", bus_counters}, {NULL, NULL}};

static bool participant_state(const struct sp_subject *s, char *detail)
{
    /* E11 owner */
    uint32_t state = atomic_load_explicit(&s->registry->participants[s->index].state, memory_order_acquire);
    return state <= SP_PARTICIPANT_JOINED || sp_broken(detail, "participant %u: state %u", s->index, state);
}

static bool participant_owner(const struct sp_subject *s, char *detail)
{
    const struct sp_participant *participant = &s->registry->participants[s->index];
    uint32_t state = atomic_load_explicit(&participant->state, memory_order_acquire); /* E11 owner */
    uint64_t owner = atomic_load_explicit(&participant->owner, memory_order_acquire); /* E11 owner */

    if (owner == 0 ? state == SP_PARTICIPANT_JOINED : SP_OWNER_SLOT(owner) != s->index || SP_OWNER_GENERATION(owner) == 0)
        return sp_broken(detail, "participant %u: owner word %llx in state %u", s->index, (unsigned long long)owner, state);
    return true;
}

static bool participant_name(const struct sp_subject *s, char *detail)
{
    const char *name = s->registry->participants[s->index].name;
    return memchr(name, 0, SP_NAME_SIZE) || sp_broken(detail, "participant %u: its name has no end", s->index);
}

static const struct sp_rule participant_rules[] = {{"participant-state", participant_state},
                                                   {"participant-owner", participant_owner},
                                                   {"participant-name", participant_name},
                                                   {NULL, NULL}};

static bool wake_owner(const struct sp_subject *s, char *detail)
{
    uint64_t owner = atomic_load_explicit(&s->registry->wakes[s->index].owner, memory_order_acquire); /* E11 owner */
    return sp_is_known_owner(s->registry, owner) ||
           sp_broken(detail, "wake slot %u: no participant ever had owner word %llx", s->index, (unsigned long long)owner);
}

static bool wake_kind(const struct sp_subject *s, char *detail)
{
    uint32_t kind = atomic_load_explicit(&s->registry->wakes[s->index].kind, memory_order_acquire); /* E11 owner */
    return kind <= SP_WAKE_PIPE || sp_broken(detail, "wake slot %u: kind %u", s->index, kind);
}

static const struct sp_rule wake_rules[] = {{"wake-owner", wake_owner}, {"wake-kind", wake_kind}, {NULL, NULL}};

static void verify_bus(struct sp_verify *verify)
{
    struct sp_registry *registry = &verify->bus->registry;
    struct sp_subject subject = {
        .registry = registry, .header = &registry->header->file, .magic = SP_BUS_MAGIC, .size = registry->map.size};

    snprintf(verify->file, sizeof verify->file, "bus");
    verify->result.files++;
    (void)sp_verify_rules(verify, file_rules, false, &subject);
    (void)sp_verify_rules(verify, bus_rules, true, &subject);
    for (subject.index = 0; subject.index < registry->participants_max && !verify->stopped; subject.index++)
        (void)sp_verify_rules(verify, participant_rules, true, &subject);
    for (subject.index = 0; subject.index < registry->wakes_max && !verify->stopped; subject.index++)
        (void)sp_verify_rules(verify, wake_rules, true, &subject);
}

/* ---------------------------------------------------------------------------------------------------- files of a topic */

static bool topic_config(const struct sp_subject *s, char *detail)
{
    return because_of(detail, sp_topic_file_check((const struct sp_topic_file *)s->header, "topic"));
}

static bool topic_name(const struct sp_subject *s, char *detail)
{
    const struct sp_topic_file *file = (const struct sp_topic_file *)s->header;
    return strncmp(file->name, s->name, sizeof file->name) == 0 ||
           sp_broken(detail, "calls itself \"%.64s\": somebody renamed its directory", file->name);
}

static bool topic_state(const struct sp_subject *s, char *detail)
{
    /* E11 owner */
    uint32_t state = atomic_load_explicit(&((const struct sp_topic_file *)s->header)->state, memory_order_acquire);
    return state <= SP_STATE_DELETED || sp_broken(detail, "state %u", state);
}

static const struct sp_rule topic_rules[] = {
    {"topic-config", topic_config}, {"topic-name", topic_name}, {"topic-state", topic_state}, {NULL, NULL}};

static bool file_identity(const struct sp_subject *s, char *detail)
{
    uint32_t partition = s->header->partition;
    if (partition != s->partition)
        return sp_broken(detail, "says it is of partition %u: somebody renamed it", partition);
    return memcmp(s->header->id, s->topic->id, sizeof s->topic->id) == 0 ||
           sp_broken(detail, "belongs to another topic: somebody copied it");
}

static bool ring_header(const struct sp_subject *s, char *detail)
{
    return because_of(detail, sp_ring_header_check((const struct sp_ring_header *)s->header, s->size, "ring"));
}

static bool ring_config(const struct sp_subject *s, char *detail)
{
    const struct sp_ring_header *header = (const struct sp_ring_header *)s->header;
    uint64_t capacity = header->capacity;
    uint32_t mode = header->mode, shift = header->unit_shift, timestamp = header->timestamp, producers = header->producers_max;

    if (capacity == s->topic->ring_capacity && mode == s->topic->mode && shift < 32 && 1u << shift == s->topic->alignment &&
        timestamp == s->topic->timestamp && producers == s->topic->producers_max)
        return true;
    return sp_broken(detail,
                     "ring and topic disagree: capacity %llu and %llu, mode %u and %u, alignment 2^%u and %u, timestamp %u and %u, "
                     "producers %u and %u",
                     (unsigned long long)capacity, (unsigned long long)s->topic->ring_capacity, mode, s->topic->mode, shift,
                     s->topic->alignment, timestamp, s->topic->timestamp, producers, s->topic->producers_max);
}

static bool cursors_header(const struct sp_subject *s, char *detail)
{
    return because_of(detail, sp_cursors_header_check((const struct sp_cursors_header *)s->header, s->size, "cursors"));
}

static bool cursors_config(const struct sp_subject *s, char *detail)
{
    uint32_t consumers = ((const struct sp_cursors_header *)s->header)->consumers_max;
    return consumers == s->topic->consumers_max ||
           sp_broken(detail, "cursors and topic disagree: consumers %u and %u", consumers, s->topic->consumers_max);
}

static const struct sp_rule ring_rules[] = {
    {"file-identity", file_identity}, {"ring-header", ring_header}, {"ring-config", ring_config}, {NULL, NULL}};
static const struct sp_rule cursors_rules[] = {
    {"file-identity", file_identity}, {"cursors-header", cursors_header}, {"cursors-config", cursors_config}, {NULL, NULL}};

/* One topic while it is looked at. */
struct look {
    struct sp_verify *verify;
    const char *name;
    char directory[SPATE_TOPIC_NAME_MAX + 8];
    int dir_fd;
};

/* Whether the topic was deleted (or made anew) since we began: then a file may be missing. */
static bool is_deleted(const struct look *look)
{
    struct stat ours, found;
    return fstat(look->dir_fd, &ours) < 0 ||
           fstatat(look->verify->bus->registry.dir_fd, look->directory, &found, AT_SYMLINK_NOFOLLOW) < 0 ||
           ours.st_ino != found.st_ino || ours.st_dev != found.st_dev;
}

/* What a failed mapping or attaching means. */
static void take_error(const struct look *look, const char *rule, int error)
{
    if ((error == -ENOENT || error == -ESTALE) && is_deleted(look))
        return;
    if (error == -EBADMSG || error == -EPROTO || error == -ENOENT)
        sp_verify_report(look->verify, rule, "%s", spate_last_error());
    else
        note(look->verify, error);
}

/* Maps one file of the topic and checks what all files have, then the rules of its kind. */
static bool verify_file(const struct look *look, const char *file, uint64_t magic, uint64_t least, const struct sp_rule *rules,
                        struct sp_subject *subject)
{
    struct sp_verify *verify = look->verify;
    struct sp_map map;

    snprintf(verify->file, sizeof verify->file, "%s/%s", look->directory, file);
    int error = sp_map_file(look->dir_fd, file, false, least, look->directory, &map);
    if (error) {
        take_error(look, error == -ENOENT ? "file-present" : "file-size", error);
        return false;
    }
    verify->result.files++;
    subject->header = map.address;
    subject->size = map.size;
    subject->magic = magic;
    bool hold = sp_verify_rules(verify, file_rules, false, subject) && sp_verify_rules(verify, rules, false, subject);
    sp_unmap(&map);
    return hold;
}

static void verify_partition(const struct look *look, struct spate_topic *topic, uint32_t partition)
{
    struct sp_subject subject = {.registry = &look->verify->bus->registry, .topic = &topic->info, .partition = partition};
    struct sp_attachment *attachment;
    char file[32];

    snprintf(file, sizeof file, "%u.cursors", partition);
    bool hold = verify_file(look, file, SP_CURSORS_MAGIC, sizeof(struct sp_cursors_header), cursors_rules, &subject);
    snprintf(file, sizeof file, "%u.ring", partition);
    hold = verify_file(look, file, SP_RING_MAGIC, SP_RING_HEADER_SIZE, ring_rules, &subject) && hold;
    if (!hold)
        return;
    int error = sp_attach(topic, partition, SP_ACCESS_OBSERVE, &attachment);
    if (error) {
        take_error(look, "attach", error);
        return;
    }
    sp_verify_ring(look->verify, topic, partition, &attachment->ring);
    sp_detach(topic, partition, SP_ACCESS_OBSERVE);
}

static int verify_topic(void *context, const char *name)
{
    struct sp_verify *verify = context;
    struct look look = {.verify = verify, .name = name};
    struct sp_subject subject = {.registry = &verify->bus->registry, .name = name};
    spate_topic *topic;

    sp_topic_directory(name, look.directory);
    look.dir_fd = sp_open_at(verify->bus->registry.dir_fd, look.directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (look.dir_fd < 0) {
        int error = -errno;
        if (error != -ENOENT) /* deleted since it was listed */
            note(verify, sp_fail(error, "cannot open topic %s: %s", name, strerror(-error)));
        return 0;
    }
    if (verify_file(&look, "topic", SP_TOPIC_MAGIC, sizeof(struct sp_topic_file), topic_rules, &subject)) {
        int error = spate_topic_open(verify->bus, name, &topic);
        if (error) {
            take_error(&look, "attach", error);
        } else {
            for (uint32_t i = 0; i < topic->info.partitions && !verify->stopped; i++)
                verify_partition(&look, topic, i);
            spate_topic_close(topic);
        }
    }
    close(look.dir_fd);
    return verify->stopped;
}

int spate_verify(spate_bus *bus, const char *topic, struct spate_verify_result *ret_result,
                 int (*visit)(void *, const struct spate_violation *), void *context)
{
    struct sp_verify verify = {.bus = bus, .visit = visit, .context = context, .naps_left = NAPS};
    char directory[SPATE_TOPIC_NAME_MAX + 8];
    int result = 0;

    if (!bus || bus->magic != SP_BUS_HANDLE)
        return sp_handle_error(bus, "bus");
    if (topic) {
        result = sp_topic_name_check(topic);
        if (result)
            return result;
        sp_topic_directory(topic, directory);
        if (faccessat(bus->registry.dir_fd, directory, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            return sp_fail(-errno, "cannot look at topic %s on bus %s: %s", topic, bus->registry.path, strerror(errno));
    }
    verify_bus(&verify);
    if (!verify.stopped)
        result = topic ? verify_topic(&verify, topic) : spate_topic_list(bus, verify_topic, &verify);
    if (ret_result)
        *ret_result = verify.result;
    if (verify.stopped)
        return verify.stopped;
    return verify.error ? sp_fail(verify.error, "%s", verify.text) : result;
}
