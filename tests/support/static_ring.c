/* static_ring.c: see static_ring.h; the mirror, the fake kernel, and publishing in one call.
 *
 * Linked to every test executable, so it needs nothing but the library under test and libc: no cmocka. */
#include "static_ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hook.h"

#define PAGE_SIZE 4096u

const struct static_ring_config static_ring_defaults = {
    .capacity = SPATE_RING_MIN,
    .salt = 0x5a17f00dcafe1234u,
    .mode = SPATE_MODE_CONCURRENT,
    .unit_shift = 4,
    .timestamp = SPATE_TIMESTAMP_NONE,
    .producers_max = 4,
    .consumers_max = 4,
};

static void need(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "static_ring: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static void *zeroed(size_t size)
{
    void *memory = NULL;
    need(posix_memalign(&memory, PAGE_SIZE, size) == 0, "no memory");
    memset(memory, 0, size);
    return memory;
}

/* capacity bytes, twice in a row, with an unreadable page before and behind */
static void map_data(struct static_ring *s, uint64_t capacity)
{
    int file = memfd_create("static_ring", MFD_CLOEXEC);
    need(file >= 0 && ftruncate(file, (off_t)capacity) == 0, "memfd_create");
    s->reserved_size = 2 * capacity + 2 * PAGE_SIZE;
    s->reserved_space = mmap(NULL, s->reserved_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(s->reserved_space != MAP_FAILED, "mmap");
    s->data = s->reserved_space + PAGE_SIZE;
    for (int half = 0; half < 2; half++) {
        void *at = s->data + (uint64_t)half * capacity;
        need(mmap(at, capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == at, "mmap of the mirror");
    }
    close(file);
}

void static_ring_open(struct static_ring *s, const struct static_ring_config *config)
{
    if (!config)
        config = &static_ring_defaults;
    memset(s, 0, sizeof *s);
    s->header_size = SP_RING_HEADER_SIZE + config->producers_max * sizeof(struct sp_producer_slot);
    s->cursors_size = sizeof(struct sp_cursors_header) + config->consumers_max * sizeof(struct sp_cursor);
    s->header = zeroed(s->header_size);
    s->cursors = zeroed(s->cursors_size);
    s->next_generation = 1;
    map_data(s, config->capacity);
    struct sp_ring_config ring_config = {.capacity = config->capacity,
                                         .salt = config->salt,
                                         .mode = config->mode,
                                         .unit_shift = config->unit_shift,
                                         .timestamp = config->timestamp,
                                         .producers_max = config->producers_max,
                                         .consumers_max = config->consumers_max,
                                         .page_size = PAGE_SIZE,
                                         .is_durable = config->is_durable,
                                         .begin = config->begin};
    sp_ring_format(s->header, &ring_config);
    s->header->file.page_size = PAGE_SIZE;
    s->cursors->file.page_size = PAGE_SIZE;
    s->cursors->consumers_max = config->consumers_max;
    if (config->start.position != 0 || config->start.offset != 0) {
        uint64_t units = config->start.position >> config->unit_shift;
        atomic_store(&s->header->tail, sp_tail_pack(units, config->start.offset));
        atomic_store(&s->header->records_base, config->start.offset);
        atomic_store(&s->header->units_base, units);
        atomic_store(&s->header->reserved, config->start.position);
    }
    sp_ring_init(&s->ring, s->header, s->data, s->cursors);
}

void static_ring_close(struct static_ring *s)
{
    munmap(s->reserved_space, s->reserved_size);
    free(s->header);
    free(s->cursors);
    memset(s, 0, sizeof *s);
}

uint64_t static_ring_join(struct static_ring *s)
{
    for (uint32_t i = 1; i < STATIC_RING_OWNERS; i++) {
        if (atomic_load(&s->alive[i]) == 0) {
            uint64_t owner = s->next_generation++ << SP_OWNER_SLOT_BITS | i;
            atomic_store(&s->alive[i], owner);
            return owner;
        }
    }
    need(false, "too many owners");
    return 0;
}

void static_ring_kill(struct static_ring *s, uint64_t owner)
{
    uint32_t i = SP_OWNER_SLOT(owner);
    need(i < STATIC_RING_OWNERS && atomic_load(&s->alive[i]) == owner, "killing somebody who does not live");
    atomic_store(&s->alive[i], 0);
}

static bool is_alive(void *context, uint64_t owner)
{
    struct static_ring *s = context;
    uint32_t i = SP_OWNER_SLOT(owner);
    atomic_fetch_add(&s->alive_calls, 1);
    return owner != 0 && i < STATIC_RING_OWNERS && atomic_load(&s->alive[i]) == owner;
}

struct sp_liveness static_ring_liveness(struct static_ring *s)
{
    return (struct sp_liveness){.alive = is_alive, .context = s};
}

uint32_t static_ring_attach_writer(struct static_ring *s, struct sp_writer *writer)
{
    for (uint32_t i = 0; i < s->ring.producers_max; i++) {
        struct sp_producer_slot *slot = &s->ring.producers[i];
        if (atomic_load(&slot->owner) != 0)
            continue;
        need(atomic_load(&slot->claim) == SP_PHASE_IDLE, "a free producer slot is not idle");
        if (atomic_load(&s->header->producers_used) < i + 1)
            atomic_store(&s->header->producers_used, i + 1);
        atomic_store(&slot->owner, static_ring_join(s));
        sp_writer_init(writer, &s->ring, i);
        return i;
    }
    need(false, "no free producer slot");
    return 0;
}

void static_ring_detach_writer(struct static_ring *s, struct sp_writer *writer)
{
    static_ring_kill_writer(s, writer);
    atomic_store(&writer->slot->owner, 0);
}

void static_ring_kill_writer(struct static_ring *s, const struct sp_writer *writer)
{
    static_ring_kill(s, atomic_load(&writer->slot->owner));
}

int static_ring_attach_reader(struct static_ring *s, struct sp_reader *reader, enum spate_policy policy, struct sp_place place)
{
    for (uint32_t i = 0; i < s->ring.consumers_max; i++) {
        struct sp_cursor *cursor = &s->cursors->slots[i];
        if (atomic_load(&cursor->owner) != 0)
            continue;
        cursor->policy = policy;
        cursor->gate_timeout = SPATE_FOREVER;
        if (atomic_load(&s->cursors->consumers_used) < i + 1)
            atomic_store(&s->cursors->consumers_used, i + 1);
        atomic_store(&cursor->owner, static_ring_join(s));
        sp_reader_init(reader, &s->ring, cursor, policy == SPATE_POLICY_GATE, 0);
        return sp_reader_place(reader, place, NULL);
    }
    need(false, "no free cursor");
    return 0;
}

void static_ring_detach_reader(struct static_ring *s, struct sp_reader *reader)
{
    static_ring_kill_reader(s, reader);
    atomic_store(&reader->cursor->state, SP_CURSOR_FREE);
    atomic_store(&reader->cursor->owner, 0);
}

void static_ring_kill_reader(struct static_ring *s, const struct sp_reader *reader)
{
    static_ring_kill(s, atomic_load(&reader->cursor->owner));
}

uint64_t static_ring_record_size(const struct sp_ring *ring, uint32_t value_size)
{
    uint64_t timestamp = ring->timestamp == SPATE_TIMESTAMP_NONE ? 0 : 8;
    return sp_align_up(SP_RECORD_HEADER_SIZE + timestamp + value_size, (uint64_t)1 << ring->unit_shift);
}

static uint8_t byte_of(uint64_t offset, uint32_t i)
{
    return (uint8_t)(i < 8 ? offset >> (8 * i) : offset * 31 + i * 7);
}

void static_ring_fill(uint8_t *value, uint32_t size, uint64_t offset)
{
    for (uint32_t i = 0; i < size; i++)
        value[i] = byte_of(offset, i);
}

__attribute__((no_sanitize("thread"))) void static_ring_fill_racy(uint8_t *value, uint32_t size, uint64_t offset)
{
    for (uint32_t i = 0; i < size; i++) {
        value[i] = (uint8_t)(i < 8 ? offset >> (8 * i) : offset * 31 + i * 7);
        __asm__ volatile("" ::: "memory"); /* else the compiler may make a memset of it, which is watched again */
    }
}

bool static_ring_is_whole(const uint8_t *value, uint32_t size, uint64_t offset)
{
    for (uint32_t i = 0; i < size; i++) {
        if (value[i] != byte_of(offset, i))
            return false;
    }
    return true;
}

int static_ring_claim(struct sp_writer *writer, uint32_t value_size, struct sp_place *ret_place)
{
    uint32_t size;
    return static_ring_claim_batch(writer, value_size, 1, &size, ret_place);
}

int static_ring_publish(struct sp_writer *writer, uint32_t value_size, struct sp_place *ret_place)
{
    int error = static_ring_claim(writer, value_size, ret_place);
    if (error == 0)
        sp_writer_commit(writer);
    return error;
}

int static_ring_claim_batch(struct sp_writer *writer, uint32_t value_size, uint32_t count, uint32_t *ret_sizes,
                            struct sp_place *ret_place)
{
    struct sp_ring *ring = writer->ring;
    const struct spate_record record = {.value = "", .value_size = value_size};
    struct sp_record_shape shape;
    struct sp_place place;

    need(sp_record_plan(&record, ring->timestamp != SPATE_TIMESTAMP_NONE, false, 1u << ring->unit_shift, UINT32_MAX, &shape) == 0,
         "plan");
    int error = sp_writer_claim(writer, shape.size * count, count, &place);
    if (error)
        return error;
    if (ret_place)
        *ret_place = place;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *value = sp_record_encode(ring->data + (place.position & ring->mask), &record, &shape, (int64_t)place.offset);
        static_ring_fill(value, value_size, place.offset);
        ret_sizes[i] = (uint32_t)shape.size;
        place.position += shape.size;
        place.offset++;
    }
    return 0;
}

/* One look for a story: polls once; appends letters; returns the letter that ends it, or 0. */
static char story_step(struct static_ring *s, struct sp_reader *reader, char *text, size_t *at, size_t size)
{
    struct spate_record records[16];
    uint64_t offset = reader->next.offset;

    int n = sp_reader_poll(reader, records, 16);
    if (n == -EOVERFLOW)
        return 'o';
    if (n == -EBADMSG)
        return 'b';
    for (int i = 0; i < n && *at < size; i++, offset++) {
        for (; offset < (uint64_t)records[i].offset && *at < size; offset++)
            text[(*at)++] = '-';
        if (*at < size)
            text[(*at)++] = static_ring_is_whole(records[i].value, records[i].value_size, offset) ? 'r' : 'T';
    }
    for (; offset < reader->next.offset && *at < size; offset++)
        text[(*at)++] = '-';
    sp_reader_release(reader);
    if (n > 0)
        return 0;
    struct sp_judgement judgement;
    sp_ring_judge(&s->ring, reader->next, static_ring_liveness(s), &judgement);
    if (judgement.verdict == SP_VERDICT_READY)
        return 0;
    if (judgement.verdict != SP_VERDICT_DEAD)
        return judgement.verdict == SP_VERDICT_END ? '.' : judgement.verdict == SP_VERDICT_WAIT ? 'w' : '!';
    sp_reader_skip_dead(reader, judgement.size, judgement.count);
    for (uint64_t i = 0; i < judgement.count && *at < size; i++)
        text[(*at)++] = '-';
    return 0;
}

void static_ring_story(struct static_ring *s, struct sp_reader *reader, char *text, size_t size)
{
    size_t at = 0;
    char end = 0;

    size -= 2; /* the last letter and the NUL */
    while (!end)
        end = at < size ? story_step(s, reader, text, &at, size) : '~';
    text[at] = end;
    text[at + 1] = 0;
}

uint64_t static_ring_seed(uint64_t fallback)
{
    const char *text = getenv("SPATE_SEED");
    return text ? strtoull(text, NULL, 0) : fallback;
}

#if defined(SP_HOOKS) && SP_HOOKS
static struct {
    jmp_buf back;
    const char *point;
    void (*before)(void *context);
    void *context;
} death;

static void die_here(const char *point)
{
    if (strcmp(point, death.point) != 0)
        return;
    sp_hook = NULL; /* others may run through the same point meanwhile */
    if (death.before)
        death.before(death.context);
    longjmp(death.back, 1);
}

bool static_ring_die_claiming(struct static_ring *s, struct sp_writer *writer, uint32_t value_size, uint32_t count,
                              const char *point, void (*before)(void *context), void *context)
{
    struct sp_place place;

    death.point = point;
    death.before = before;
    death.context = context;
    if (setjmp(death.back) == 0) {
        sp_hook = die_here;
        sp_writer_claim(writer, static_ring_record_size(writer->ring, value_size) * count, count, &place);
        sp_hook = NULL;
        return false;
    }
    static_ring_kill_writer(s, writer);
    return true;
}
#endif
