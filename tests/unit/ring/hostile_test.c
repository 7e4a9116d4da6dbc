/* hostile_test.c: the bits of a small ring's shared memory are flipped, one by one and many at once, and then everything is run on it:
 * nothing may read or write outside the mapping, crash, or fail to come to an end.
 *
 * Run by ctest with the label `unit`. The judges are AddressSanitizer (header and cursors are heap blocks of exactly their size), guard
 * pages around the data, UndefinedBehaviorSanitizer, and an alarm. What the calls return is not judged: garbage in, garbage out, inside
 * the fence. The view (struct sp_ring) was made before, as at attach, where the headers were checked: layout_test.c and fuzz/ring_fuzz.c
 * do that part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arch.h"
#include "static_ring.h"

#define SECONDS_MAX 300 /* the whole file, on a busy machine or under valgrind; one endless loop uses it up */
#define STEPS_MAX 50

struct scene {
    struct static_ring s;
    struct sp_writer writer, stuck;
    struct sp_reader gate, skip;
    uint8_t *header, *cursors, *data; /* copies of the intact memory */
    struct sp_place places[3];        /* of the dead, the stuck and the first record */
};

static uint8_t *copy_of(const void *from, size_t size)
{
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, from, size);
    return copy;
}

/* A ring in its second lap: a dead INTENT, a dead CLAIMED, a live claim, records of several kinds, two readers. */
static void open_scene(struct scene *scene, enum spate_mode mode)
{
    struct static_ring_config config = static_ring_defaults;
    struct sp_writer dead[2];
    uint32_t sizes[3];
    char text[4096];

    memset(scene, 0, sizeof *scene);
    config.mode = mode;
    static_ring_open(&scene->s, &config);
    static_ring_attach_writer(&scene->s, &scene->writer);
    static_ring_attach_reader(&scene->s, &scene->skip, SPATE_POLICY_SKIP, (struct sp_place){0, 0});
    static_ring_attach_reader(&scene->s, &scene->gate, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    while (sp_ring_tail(&scene->s.ring).position < config.capacity + 3000) {
        static_ring_publish(&scene->writer, 1000, NULL);
        static_ring_story(&scene->s, &scene->gate, text, sizeof text);
    }
    static_ring_publish(&scene->writer, 30, &scene->places[2]);
    if (mode == SPATE_MODE_CONCURRENT) {
        static_ring_attach_writer(&scene->s, &scene->stuck);
        for (int i = 0; i < 2; i++)
            static_ring_attach_writer(&scene->s, &dead[i]);
        static_ring_claim(&dead[0], 100, &scene->places[0]);
        static_ring_publish(&scene->writer, 30, NULL);
        static_ring_claim_batch(&dead[1], 50, 3, sizes, NULL);
        static_ring_claim(&scene->stuck, 64, &scene->places[1]);
        atomic_store(&dead[0].slot->claim, scene->places[0].position | SP_PHASE_INTENT);
        static_ring_kill_writer(&scene->s, &dead[0]);
        static_ring_kill_writer(&scene->s, &dead[1]);
    }
    static_ring_claim_batch(&scene->writer, 3, 3, sizes, NULL);
    sp_writer_commit_batch(&scene->writer, sizes);
    scene->header = copy_of(scene->s.header, scene->s.header_size);
    scene->cursors = copy_of(scene->s.cursors, scene->s.cursors_size);
    scene->data = copy_of(scene->s.data, config.capacity);
}

static void close_scene(struct scene *scene)
{
    free(scene->header);
    free(scene->cursors);
    free(scene->data);
    static_ring_close(&scene->s);
}

/* A load that the compiler may not leave out. */
static void load(const uint8_t *byte)
{
    __asm__ volatile("" : : "r"(*byte));
}

/* One byte of each page, and the last: the fence around the data has the grain of a page. */
static void touch(const void *bytes, uint32_t size)
{
    for (uint64_t i = 0; i < size; i += 4096)
        load((const uint8_t *)bytes + i);
    if (size)
        load((const uint8_t *)bytes + size - 1);
}

static void read_with(struct scene *scene, struct sp_reader reader)
{
    struct sp_ring *ring = &scene->s.ring;
    struct spate_record records[4];
    struct sp_judgement judgement;

    for (int step = 0; step < STEPS_MAX; step++) {
        int n = sp_reader_poll(&reader, records, 4);
        for (int i = 0; i < n; i++) {
            touch(records[i].key, records[i].key_size);
            touch(records[i].value, records[i].value_size);
            touch(records[i].headers_block, records[i].headers_block_size);
        }
        if (n > 0) {
            sp_reader_release(&reader);
            continue;
        }
        if (n == -EOVERFLOW) {
            if (sp_reader_place(&reader, sp_mark_oldest(ring, sp_ring_oldest_position(ring)), NULL) != 0)
                return;
            continue;
        }
        sp_ring_judge(ring, reader.next, static_ring_liveness(&scene->s), &judgement);
        if (judgement.verdict == SP_VERDICT_DEAD)
            sp_reader_skip_dead(&reader, judgement.size, judgement.count);
        else if (judgement.verdict == SP_VERDICT_DAMAGED || n == -EBADMSG)
            sp_reader_place(&reader, sp_ring_next_boundary(ring, reader.next), NULL);
        else if (judgement.verdict != SP_VERDICT_READY)
            return;
    }
}

static void write_with(struct sp_writer writer)
{
    for (uint32_t i = 0; i < 8; i++) {
        if (static_ring_claim(&writer, i * 300, NULL) == 0) {
            if (i % 3)
                sp_writer_commit(&writer);
            else
                sp_writer_abort(&writer);
        }
    }
}

static void run_everything(struct scene *scene)
{
    struct sp_ring *ring = &scene->s.ring;
    struct sp_liveness liveness = static_ring_liveness(&scene->s);
    struct sp_judgement judgement;
    struct sp_repair_result result;
    struct sp_blocker blocker;
    struct sp_writer writer;

    struct sp_place tail = sp_ring_tail(ring);
    sp_ring_published(ring);
    sp_ring_frontier(ring, tail, &blocker);
    sp_mark_oldest(ring, sp_ring_oldest_position(ring));
    sp_mark_before(ring, sp_ring_oldest_position(ring), tail.offset);
    sp_mark_before(ring, 0, scene->places[2].offset);
    for (int i = 0; i < 3; i++)
        sp_ring_judge(ring, scene->places[i], liveness, &judgement);
    sp_ring_judge(ring, tail, liveness, &judgement);
    read_with(scene, scene->gate);
    read_with(scene, scene->skip);
    if (ring->mode == SPATE_MODE_CONCURRENT && scene->stuck.claim_count) {
        writer = scene->stuck;
        sp_writer_commit(&writer);
    }
    write_with(scene->writer);
    sp_ring_repair(ring, liveness, &result);
    sp_ring_repair(ring, liveness, &result);
    read_with(scene, scene->gate);
    sp_writer_init(&writer, ring, 0);
    write_with(writer);
    read_with(scene, scene->gate);
}

static void restore(struct scene *scene)
{
    memcpy(scene->s.header, scene->header, scene->s.header_size);
    memcpy(scene->s.cursors, scene->cursors, scene->s.cursors_size);
    memcpy(scene->s.data, scene->data, scene->s.ring.capacity);
}

/* Each bit of `size` bytes at `at`; every `stride`-th one. */
static void flip_each_bit(struct scene *scene, void *at, size_t size, size_t stride)
{
    uint8_t *bytes = at;
    for (size_t bit = 0; bit < size * 8; bit += stride) {
        restore(scene);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        run_everything(scene);
    }
}

static void one_flipped_bit_never_leads_outside(void **state)
{
    static const enum spate_mode modes[] = {SPATE_MODE_CONCURRENT, SPATE_MODE_EXCLUSIVE};
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct scene scene;
        open_scene(&scene, modes[m]);
        size_t stride = getenv("SPATE_FULL") ? 1 : m ? 5 : 3; /* prime to 8: every position within a byte comes up */
        flip_each_bit(&scene, &scene.s.header->tail, 24, stride);
        flip_each_bit(&scene, &scene.s.header->reserved, 8, stride);
        flip_each_bit(&scene, &scene.s.header->state, 16, stride);
        flip_each_bit(&scene, scene.s.header->marks, sizeof scene.s.header->marks / 4, stride);
        flip_each_bit(&scene, scene.s.ring.producers, 4 * sizeof(struct sp_producer_slot), stride);
        flip_each_bit(&scene, &scene.s.cursors->notice, 8, stride);
        flip_each_bit(&scene, scene.s.cursors->slots, 2 * sizeof(struct sp_cursor), stride);
        uint64_t first = scene.places[2].position & scene.s.ring.mask;
        flip_each_bit(&scene, scene.s.data + first, 900, stride); /* the last records, with their headers */
        close_scene(&scene);
    }
}

/* A value that a hostile process would choose: near an edge, or near what was there. */
static uint64_t nasty(uint64_t old, uint64_t *seed)
{
    static const uint64_t edges[] = {
        0, 1, 7, 8, 16, 65535, 65536, 65537, 131072, UINT32_MAX, (uint64_t)1 << 32, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX};
    uint64_t random = static_ring_random(seed);
    switch (random % 5) {
    case 0: return edges[random / 8 % (sizeof edges / sizeof edges[0])];
    case 1: return old + (uint64_t)((int64_t)(random / 8 % 17) - 8);
    case 2: return old ^ (uint64_t)1 << random / 8 % 64;
    case 3: return old + edges[random / 8 % (sizeof edges / sizeof edges[0])];
    default: return static_ring_random(seed) >> random / 8 % 64;
    }
}

static void many_hostile_words_never_lead_outside(void **state)
{
    uint64_t seed = static_ring_seed(7);
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct scene scene;
        open_scene(&scene, m ? SPATE_MODE_EXCLUSIVE : SPATE_MODE_CONCURRENT);
        for (int run = 0; run < (m ? 2000 : 5000) * (getenv("SPATE_FULL") ? 4 : 1); run++) {
            restore(&scene);
            for (uint64_t n = 1 + static_ring_random(&seed) % 8; n > 0; n--) {
                uint64_t *words;
                size_t count;
                switch (static_ring_random(&seed) % 5) {
                case 0: words = (uint64_t *)(void *)&scene.s.header->tail, count = 17; break;
                case 1: words = (uint64_t *)(void *)scene.s.header->marks, count = 32; break;
                case 2: words = (uint64_t *)(void *)scene.s.ring.producers, count = 64; break;
                case 3: words = (uint64_t *)(void *)&scene.s.cursors->notice, count = 48 + 64; break;
                default:
                    words = (uint64_t *)(void *)(scene.s.data + (scene.places[2].position & scene.s.ring.mask));
                    count = 128;
                    break;
                }
                uint64_t *word = &words[static_ring_random(&seed) % count];
                *word = nasty(*word, &seed);
            }
            run_everything(&scene);
        }
        close_scene(&scene);
    }
}

static void a_step_beyond_the_mapping_would_be_noticed(void **state)
{
    (void)state; /* the planted bug: each way out must end the process */
    for (int way = 0; way < 3; way++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct scene scene;
            alarm(5);
            for (int number = 1; number < 32; number++) /* neither cmocka nor a sanitizer may catch it and go on */
                signal(number, SIG_DFL);
            close(STDERR_FILENO);
            open_scene(&scene, SPATE_MODE_CONCURRENT);
            if (way == 0)
                load(scene.s.data + 2 * scene.s.ring.capacity);
            else if (way == 1)
                load(scene.s.data - 1);
            else
                alarm(1);
            while (way == 2)
                pause();
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
}

int main(void)
{
    alarm(getenv("SPATE_FULL") ? 10 * SECONDS_MAX : SECONDS_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_beyond_the_mapping_would_be_noticed),
        cmocka_unit_test(one_flipped_bit_never_leads_outside),
        cmocka_unit_test(many_hostile_words_never_lead_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
