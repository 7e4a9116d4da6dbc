/* inspect.c: what a bus looks like right now: participants, rings, producers, cursors, counters.
 *
 * Implements the looking part of inspect.h, for tools and monitoring. Works on bus handles of either kind (SPATE_BUS_OBSERVE
 * or not) and maps everything read-only. What it reads is changed by others meanwhile, perhaps by hostile ones: each value is
 * read once, and whatever leads to another place in memory is checked against the private copies that were checked at attach.
 * */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/error.h"
#include "bus/internal.h"
#include "ring/bias.h"
#include "ring/extent.h"
#include "shm/handle.h"

#define SECOND_LOOK SP_NS_PER_MS /* between the two looks that tell a claim that stands still */

/* A name from shared memory, with an end. */
static void copy_name(char name[SP_NAME_SIZE], const char *shared)
{
    memcpy(name, shared, SP_NAME_SIZE);
    name[SP_NAME_SIZE - 1] = 0;
}

/* Name and pid of whoever holds a slot: as the slot says, else as the participant does. Returns whether it lives. */
static int find_owner(struct spate_bus *bus, uint64_t owner, const char *slot_name, char name[SP_NAME_SIZE], int64_t *ret_pid)
{
    char own_name[SP_NAME_SIZE];

    sp_registry_name(&bus->registry, owner, name, ret_pid);
    copy_name(own_name, slot_name);
    if (own_name[0])
        memcpy(name, own_name, SP_NAME_SIZE);
    return owner != 0 && sp_registry_alive(&bus->registry, owner);
}

/* ----------------------------------------------------------------------------------------------- bus, participants */

/* One participant slot; false when nobody holds it. */
static bool look_at_participant(struct spate_bus *bus, uint32_t slot, struct spate_participant_info *ret)
{
    const struct sp_participant *participant = &bus->registry.participants[slot];
    uint32_t state = atomic_load_explicit(&participant->state, memory_order_acquire); /* E11 owner */
    uint64_t owner = atomic_load_explicit(&participant->owner, memory_order_acquire); /* E11 owner */

    if (state == SP_PARTICIPANT_FREE || owner == 0)
        return false;
    *ret = (struct spate_participant_info){
        .slot = slot,
        .generation = SP_OWNER_GENERATION(owner),
        .pid = participant->pid,
        .pid_namespace = participant->pid_namespace,
        .uid = participant->uid,
        .joined = participant->joined,
        .alive = SP_OWNER_SLOT(owner) == slot && sp_registry_alive(&bus->registry, owner),
    };
    copy_name(ret->name, participant->name);
    return true;
}

static int check_bus(const struct spate_bus *bus)
{
    return bus && bus->magic == SP_BUS_HANDLE ? 0 : sp_handle_error(bus, "bus");
}

int spate_inspect_bus(spate_bus *bus, struct spate_bus_info *ret_info)
{
    struct spate_participant_info participant;

    int error = check_bus(bus);
    if (error)
        return error;
    if (!ret_info)
        return sp_fail(-EINVAL, "ret_info is NULL");
    const struct sp_bus_header *header = bus->registry.header;
    struct spate_bus_info info = {
        .created = header->file.created,
        .layout_version = header->file.version,
        .participants_max = bus->registry.participants_max,
    };
    snprintf(info.path, sizeof info.path, "%s", bus->registry.path);
    memcpy(info.id, header->file.id, sizeof info.id);
    for (uint32_t i = 0; i < bus->registry.participants_max; i++) {
        if (!look_at_participant(bus, i, &participant))
            continue;
        info.participants_alive += participant.alive != 0;
        info.participants_dead += participant.alive == 0;
    }
    *ret_info = info;
    return 0;
}

int spate_inspect_participants(spate_bus *bus, int (*visit)(void *, const struct spate_participant_info *), void *context)
{
    struct spate_participant_info participant;

    int result = check_bus(bus);
    if (!result && !visit)
        result = sp_fail(-EINVAL, "visit is NULL");
    for (uint32_t i = 0; !result && i < bus->registry.participants_max; i++)
        if (look_at_participant(bus, i, &participant))
            result = visit(context, &participant);
    return result;
}

/* --------------------------------------------------------------------------------------------------------- one ring */

/* A producer slot at one moment: its words belong together. */
struct claim_view {
    uint64_t owner, claim, extent, offset;
};

static struct claim_view look_at_claim(const struct sp_producer_slot *slot)
{
    struct claim_view view;

    for (int tries = 0; tries < 16; tries++) {
        view.owner = atomic_load_explicit(&slot->owner, memory_order_acquire);      /* E11 owner */
        view.claim = atomic_load_explicit(&slot->claim, memory_order_acquire);      /* E4 slot */
        view.extent = atomic_load_explicit(&slot->extent, memory_order_acquire);    /* E4 slot */
        view.offset = atomic_load_explicit(&slot->offset, memory_order_acquire);    /* E4 slot */
        if (atomic_load_explicit(&slot->claim, memory_order_acquire) == view.claim) /* E4 slot */
            break; /* else it works hard: what was read is near enough after some tries */
    }
    return view;
}

static void fill_producer(struct spate_bus *bus, const struct sp_ring *ring, uint32_t index, const struct claim_view *view,
                          struct spate_producer_info *ret)
{
    *ret = (struct spate_producer_info){.slot = index};
    ret->alive = find_owner(bus, view->owner, ring->producers[index].name, ret->name, &ret->pid);
    switch (view->claim & SP_PHASE_MASK) {
    case SP_PHASE_IDLE: return;
    case SP_PHASE_CLAIMED:
        ret->claim_state = SPATE_CLAIM_CLAIMED;
        ret->claim_offset = (int64_t)view->offset;
        break;
    default: ret->claim_state = SPATE_CLAIM_INTENT; break;
    }
    ret->claim_position = view->claim & ~(uint64_t)SP_PHASE_MASK;
    ret->claim_count = (uint32_t)view->extent;
    ret->claim_size = (view->extent >> 32) << ring->unit_shift;
}

/* Slots that were used at some time; a hostile value is bounded by the table. */
static uint32_t count_used(const _Atomic uint32_t *word, uint32_t max)
{
    uint32_t value = atomic_load_explicit(word, memory_order_acquire); /* E11 owner */
    return value < max ? value : max;
}

/* The first look finds who is there; the second, if any claim is open, which of them did not move. */
static int visit_producers(struct spate_bus *bus, const struct sp_ring *ring,
                           int (*visit)(void *, const struct spate_producer_info *), void *context)
{
    const uint32_t used = count_used(&ring->header->producers_used, ring->producers_max);
    uint64_t first[1024];
    bool is_open = false;
    int result = 0;

    for (uint32_t i = 0; i < used; i++) {
        first[i] = atomic_load_explicit(&ring->producers[i].claim, memory_order_acquire); /* E4 slot */
        is_open |= (first[i] & SP_PHASE_MASK) != SP_PHASE_IDLE;
    }
    if (is_open)
        sp_sleep(SECOND_LOOK);
    const struct sp_place tail = sp_ring_tail(ring);
    for (uint32_t i = 0; !result && i < used; i++) {
        struct claim_view view = look_at_claim(&ring->producers[i]);
        struct spate_producer_info info;
        if (view.owner == 0 && view.claim == SP_PHASE_IDLE)
            continue;
        fill_producer(bus, ring, i, &view, &info);
        /* at the tail nobody waits for it yet, unless they wait for the bias that it has */
        info.stalled = info.claim_state != SPATE_CLAIM_IDLE && view.claim == first[i] &&
                       (info.claim_position < tail.position || sp_bias_owner(ring) == (int64_t)i);
        result = visit(context, &info);
    }
    return result;
}

static int visit_cursors(struct spate_bus *bus, const struct sp_ring *ring, int (*visit)(void *, const struct spate_cursor_info *),
                         void *context)
{
    const struct sp_place tail = sp_ring_tail(ring);
    int result = 0;

    for (uint32_t i = 0, used = count_used(&ring->cursors->consumers_used, ring->consumers_max); !result && i < used; i++) {
        const struct sp_cursor *cursor = &ring->cursors->slots[i];
        uint64_t owner = atomic_load_explicit(&cursor->owner, memory_order_acquire); /* E11 owner */
        if (owner == 0)
            continue;
        const uint32_t policy = cursor->policy;
        struct spate_cursor_info info = {
            .slot = i,
            .policy = policy <= SPATE_POLICY_SPILL ? (enum spate_policy)policy : SPATE_POLICY_SKIP,
            .evicted =
                sp_cursor_state(atomic_load_explicit(&cursor->state, memory_order_acquire)) == SP_CURSOR_EVICTED, /* E12 evict */
            .asleep = atomic_load_explicit(&cursor->asleep, memory_order_acquire) != 0,                           /* E7 sleep */
            .position = atomic_load_explicit(&cursor->read_position, memory_order_acquire),                       /* E2 release */
            /* relaxed: for people; may be newer than the position */
            .offset = (int64_t)atomic_load_explicit(&cursor->read_offset, memory_order_relaxed),
            .gate_timeout = cursor->gate_timeout,
        };
        info.lag = tail.offset > (uint64_t)info.offset ? (int64_t)(tail.offset - (uint64_t)info.offset) : 0;
        info.alive = find_owner(bus, owner, cursor->name, info.name, &info.pid);
        result = visit(context, &info);
    }
    return result;
}

/* Bytes between the slowest gating consumer and the tail. */
static uint64_t count_bytes_used(const struct sp_ring *ring)
{
    uint64_t used = 0;

    for (uint32_t i = 0, n = count_used(&ring->cursors->consumers_used, ring->consumers_max); i < n; i++) {
        const struct sp_cursor *cursor = &ring->cursors->slots[i];
        if (sp_cursor_state(atomic_load_explicit(&cursor->state, memory_order_acquire)) != SP_CURSOR_ACTIVE || /* E12 evict */
            cursor->policy != SPATE_POLICY_GATE)
            continue;
        const uint64_t tail = sp_ring_tail(ring).position; /* before the position, as it moves on */
        uint64_t position = atomic_load_explicit(&cursor->read_position, memory_order_acquire);         /* E2 release */
        uint64_t behind = (int64_t)(tail - position) > 0 ? sp_min(tail - position, ring->capacity) : 0; /* as sp_ring_frontier */
        if (behind > used)
            used = behind;
    }
    return used;
}

static uint32_t count_alive(struct spate_bus *bus, const struct sp_ring *ring, bool producers)
{
    const uint32_t used = producers ? count_used(&ring->header->producers_used, ring->producers_max)
                                    : count_used(&ring->cursors->consumers_used, ring->consumers_max);
    uint32_t count = 0;

    for (uint32_t i = 0; i < used; i++) {
        uint64_t owner = atomic_load_explicit(producers ? &ring->producers[i].owner : &ring->cursors->slots[i].owner,
                                              memory_order_acquire); /* E11 owner */
        count += owner != 0 && sp_registry_alive(&bus->registry, owner);
    }
    return count;
}

/* Whether the kernel maps this ring with huge pages: the lines of /proc/self/smaps about its mapping say so. Asked only for
 * rings that want them. */
static bool has_huge_pages(const struct spate_topic *topic, const struct sp_attachment *attachment)
{
    const uintptr_t start = (uintptr_t)attachment->data_map.address;
    unsigned long long from, to, kilobytes;
    bool is_ours = false, found = false;
    char line[512];

    if (sp_page_size(topic->dir_fd) > (uint32_t)sysconf(_SC_PAGESIZE))
        return true; /* hugetlbfs */
    if (topic->info.huge_pages == SPATE_HUGE_NONE)
        return false;
    /* relaxed: read for the page fault, which maps a huge page if there is one */
    (void)atomic_load_explicit(&sp_ring_record(&attachment->ring, 0)->stamp, memory_order_relaxed);
    FILE *smaps = fopen("/proc/self/smaps", "re");
    while (smaps && !found && fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            is_ours = from <= start && start < to;
        else if (is_ours &&
                 (sscanf(line, "ShmemPmdMapped: %llu", &kilobytes) == 1 || sscanf(line, "FilePmdMapped: %llu", &kilobytes) == 1))
            found = kilobytes > 0;
    }
    if (smaps)
        fclose(smaps);
    return found;
}

static int64_t read_counter(const struct sp_ring *ring, enum sp_ring_counter counter)
{
    return (int64_t)atomic_load_explicit(&ring->header->counters[counter], memory_order_relaxed); /* relaxed: only reported */
}

/* How far the log is behind the ring, and who writes it. */
static struct spate_ring_log look_at_log(struct spate_bus *bus, const struct sp_ring *ring)
{
    const uint64_t owner = atomic_load_explicit(&ring->header->log.owner, memory_order_acquire); /* E11 owner */
    const struct sp_place written = sp_log_place(ring, SP_LOG_WRITTEN);
    char name[SP_NAME_SIZE];
    int error;
    struct spate_ring_log log = {
        .durable = 1,
        .bytes = (uint64_t)read_counter(ring, SP_RING_LOG_BYTES),
        .blocks = (uint64_t)read_counter(ring, SP_RING_LOG_BLOCKS),
        .flushes = (uint64_t)read_counter(ring, SP_RING_LOG_FLUSHES),
        .flush_p50 = read_counter(ring, SP_RING_LOG_FLUSH_P50),
        .flush_p99 = read_counter(ring, SP_RING_LOG_FLUSH_P99),
        .flush_max = read_counter(ring, SP_RING_LOG_FLUSH_MAX),
    };

    sp_registry_name(&bus->registry, owner, name, &log.pid);
    log.alive = owner != 0 && sp_registry_alive(&bus->registry, owner);
    log.marks = (struct spate_watermarks){
        .durable = (int64_t)sp_log_offset(ring, SP_LOG_DURABLE),
        .replicated = (int64_t)sp_log_offset(ring, SP_LOG_REPLICATED),
        .written = (int64_t)written.offset,
        .start = (int64_t)sp_log_start(ring),
        .state = (uint32_t)sp_log_state(ring, &error),
    };
    if (!log.alive && log.marks.state != SPATE_LOG_FAILED)
        log.marks.state = SPATE_LOG_IDLE;
    log.marks.error = log.marks.state == SPATE_LOG_IDLE ? 0 : error;
    const struct sp_place published = sp_ring_published(ring); /* last, so that it is the largest */
    log.marks.published = (int64_t)published.offset;
    log.lag_records = published.offset > written.offset ? (int64_t)(published.offset - written.offset) : 0;
    log.lag_bytes = published.position > written.position ? published.position - written.position : 0;
    return log;
}

static int attach_to_look(struct spate_topic *topic, int32_t partition, struct sp_attachment **ret)
{
    if (!topic || topic->magic != SP_TOPIC_HANDLE)
        return sp_handle_error(topic, "topic");
    if (partition < 0 || (uint32_t)partition >= topic->info.partitions)
        return sp_fail(-ERANGE, "partition %d: topic %s has 0..%u", partition, topic->info.name, topic->info.partitions - 1);
    return sp_attach(topic, (uint32_t)partition, SP_ACCESS_OBSERVE, ret);
}

int spate_inspect_ring(spate_topic *topic, int32_t partition, struct spate_ring_info *ret_info,
                       int (*producer)(void *, const struct spate_producer_info *),
                       int (*cursor)(void *, const struct spate_cursor_info *), void *context)
{
    struct sp_attachment *attachment = NULL;

    int result = attach_to_look(topic, partition, &attachment);
    if (result || !attachment)
        return result;
    const struct sp_ring *ring = &attachment->ring;
    if (ret_info) {
        const struct sp_place oldest = sp_mark_oldest(ring, sp_ring_oldest_position(ring));
        const uint64_t used = count_bytes_used(ring);
        const struct sp_place published = sp_ring_published(ring);
        const struct sp_place claimed = sp_ring_tail(ring); /* last, so that it is the largest */
        *ret_info = (struct spate_ring_info){
            .partition = partition,
            .capacity = ring->capacity,
            .claimed_position = claimed.position,
            .claimed_offset = (int64_t)claimed.offset,
            .published_position = published.position,
            .oldest_position = oldest.position,
            .oldest_offset = (int64_t)oldest.offset,
            .used = used,
            .producers = count_alive(topic->bus, ring, true),
            .consumers = count_alive(topic->bus, ring, false),
            .huge_pages = has_huge_pages(topic, attachment),
        };
        if (topic->info.durable)
            ret_info->log = look_at_log(topic->bus, ring);
    }
    if (producer)
        result = visit_producers(topic->bus, ring, producer, context);
    if (!result && cursor)
        result = visit_cursors(topic->bus, ring, cursor, context);
    sp_detach(topic, (uint32_t)partition, SP_ACCESS_OBSERVE);
    return result;
}

/* --------------------------------------------------------------------------------------------------------- counters */

/* The bus's own table of counters, as a private copy that was checked. */
struct counter_table {
    uint32_t count;
    struct sp_counter_descriptor rows[SP_COUNTER_DESCRIPTORS_MAX];
};

static void copy_table(const struct spate_bus *bus, struct counter_table *ret)
{
    static const uint32_t words[] = {SP_RING_COUNTERS, SP_PRODUCER_COUNTERS, SP_CONSUMER_COUNTERS};
    const struct sp_bus_header *header = bus->registry.header;
    uint32_t count = header->counters_count;

    ret->count = 0;
    for (uint32_t i = 0; i < count && i < SP_COUNTER_DESCRIPTORS_MAX; i++) {
        struct sp_counter_descriptor *row = &ret->rows[ret->count];
        memcpy(row, &header->counters[i], sizeof *row);
        row->name[sizeof row->name - 1] = 0;
        row->unit[sizeof row->unit - 1] = 0;
        ret->count += row->scope <= SPATE_SCOPE_CONSUMER && row->index < words[row->scope];
    }
}

/* What the producer of a slot has written and not counted yet (sp_writer_settle): stat shows the records of a slow producer at once. */
struct unsettled {
    uint64_t records, bytes;
};

static struct unsettled find_unsettled(const struct sp_ring *ring, uint32_t slot)
{
    if (ring->mode == SPATE_MODE_EXCLUSIVE ? slot != 0 : sp_bias_owner(ring) != (int64_t)slot)
        return (struct unsettled){0};
    const struct sp_place settled = sp_ring_claimed(ring), tail = sp_ring_tail(ring);
    return (struct unsettled){tail.offset - settled.offset, tail.position - settled.position};
}

/* All counters of one ring, producer slot or cursor. `info` has everything but the descriptor's part and the value. */
static int visit_words(const struct counter_table *table, const _Atomic uint64_t *words, struct unsettled unsettled,
                       struct spate_counter_info *info, int (*visit)(void *, const struct spate_counter_info *), void *context)
{
    int result = 0;

    for (uint32_t i = 0; !result && i < table->count; i++) {
        const struct sp_counter_descriptor *row = &table->rows[i];
        if (row->scope != (uint8_t)info->scope)
            continue;
        info->id = row->id;
        info->name = row->name;
        info->unit = row->unit;
        info->kind = row->kind == SPATE_GAUGE ? SPATE_GAUGE : SPATE_COUNTER;
        info->value = atomic_load_explicit(&words[row->index], memory_order_relaxed); /* relaxed: only reported */
        if (info->scope == SPATE_SCOPE_PRODUCER && row->index == SP_PRODUCER_RECORDS)
            info->value += unsettled.records;
        if (info->scope == SPATE_SCOPE_PRODUCER && row->index == SP_PRODUCER_BYTES)
            info->value += unsettled.bytes;
        result = visit(context, info);
    }
    return result;
}

/* Slots that somebody holds, or held: their counters stay. */
static int visit_slots(const struct counter_table *table, const struct sp_ring *ring, struct spate_counter_info *info,
                       int (*visit)(void *, const struct spate_counter_info *), void *context)
{
    const bool producers = info->scope == SPATE_SCOPE_PRODUCER;
    const uint32_t used = producers ? count_used(&ring->header->producers_used, ring->producers_max)
                                    : count_used(&ring->cursors->consumers_used, ring->consumers_max);
    char name[SP_NAME_SIZE];
    int result = 0;

    info->owner = name;
    for (uint32_t i = 0; !result && i < used; i++) {
        const struct sp_producer_slot *slot = &ring->producers[i];
        const struct sp_cursor *cursor = &ring->cursors->slots[i];
        copy_name(name, producers ? slot->name : cursor->name);
        info->slot = i;
        const struct unsettled unsettled = producers ? find_unsettled(ring, i) : (struct unsettled){0};
        result = visit_words(table, producers ? slot->counters : cursor->counters, unsettled, info, visit, context);
    }
    info->owner = "";
    return result;
}

int spate_inspect_counters(spate_topic *topic, int (*visit)(void *, const struct spate_counter_info *), void *context)
{
    struct sp_attachment *attachment;
    struct counter_table table;
    int result = 0;

    if (!topic || topic->magic != SP_TOPIC_HANDLE)
        return sp_handle_error(topic, "topic");
    if (!visit)
        return sp_fail(-EINVAL, "visit is NULL");
    copy_table(topic->bus, &table);
    for (uint32_t i = 0; !result && i < topic->info.partitions; i++) {
        struct spate_counter_info info = {.topic = topic->info.name, .partition = (int32_t)i, .owner = ""};
        result = attach_to_look(topic, (int32_t)i, &attachment);
        if (result)
            return result;
        result = visit_words(&table, attachment->ring.header->counters, (struct unsettled){0}, &info, visit, context);
        for (info.scope = SPATE_SCOPE_PRODUCER; !result && info.scope <= SPATE_SCOPE_CONSUMER; info.scope++)
            result = visit_slots(&table, &attachment->ring, &info, visit, context);
        sp_detach(topic, i, SP_ACCESS_OBSERVE);
    }
    return result;
}
