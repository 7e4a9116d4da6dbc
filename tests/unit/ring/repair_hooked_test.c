/* repair_hooked_test.c: the table "killed after step" of ring.h, row by row: what readers see before the repair, what the repair leaves,
 * and that both are the same.
 *
 * Run by ctest with the label `unit`, linked with the race hooks: a producer dies by leaving its claim through longjmp at a named point.
 * A story (see static_ring_story) has one letter an offset: r read, - hole; then . end, w wait, ! damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/hook.h"
#include "static_ring.h"

static struct static_ring s;
static struct sp_writer live, dead[3];

static int open_ring(void **state)
{
    struct static_ring_config config = static_ring_defaults;
    (void)state;
    config.consumers_max = 16;
    config.producers_max = 6;
    static_ring_open(&s, &config);
    static_ring_attach_writer(&s, &live);
    for (int i = 0; i < 3; i++)
        static_ring_attach_writer(&s, &dead[i]);
    return 0;
}

static int close_ring(void **state)
{
    (void)state;
    static_ring_close(&s);
    return 0;
}

static struct sp_record_header *record_at(uint64_t position)
{
    return (struct sp_record_header *)(void *)(s.data + (position & s.ring.mask));
}

static struct sp_repair_result repair(void)
{
    struct sp_repair_result result;
    sp_ring_repair(&s.ring, static_ring_liveness(&s), &result);
    return result;
}

/* The story from the beginning, told to a reader that just came. */
static void assert_story_from_start(const char *expected)
{
    struct sp_reader reader;
    char text[256];
    assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0}), 0);
    static_ring_story(&s, &reader, text, sizeof text);
    static_ring_detach_reader(&s, &reader);
    assert_string_equal(text, expected);
}

/* Everything that must hold after the deaths of `deaths` producers were told as `story` and then repaired. */
static void assert_repaired_as(const char *story, unsigned deaths, unsigned aborted)
{
    struct sp_reader early;
    char text[256];

    assert_story_from_start(story);
    static_ring_attach_reader(&s, &early, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_story(&s, &early, text, sizeof text); /* by verdict */
    struct sp_place by_verdict = early.next;
    struct sp_repair_result result = repair();
    assert_int_equal(result.producers, deaths);
    assert_int_equal(result.aborted, aborted);
    assert_int_equal(result.unresolved, 0);
    assert_int_equal(atomic_load(&s.header->counters[SP_RING_PRODUCERS_DEAD]), deaths);
    assert_int_equal(atomic_load(&s.header->counters[SP_RING_ABORTED]), aborted);
    assert_int_equal(atomic_load(&s.header->counters[SP_RING_DAMAGED]), 0);
    assert_story_from_start(story); /* by the aborted records */
    result = repair();
    assert_int_equal(result.producers + result.consumers + result.aborted, 0);
    static_ring_story(&s, &early, text, sizeof text);
    assert_string_equal(text, ".");
    assert_int_equal(early.next.position, by_verdict.position);
    assert_int_equal(early.next.position, sp_ring_tail(&s.ring).position);
    assert_int_equal(early.next.offset, sp_ring_tail(&s.ring).offset);
    assert_int_equal(sp_ring_published(&s.ring).position, sp_ring_tail(&s.ring).position);
    /* no slot and no byte leaked: three laps, and every slot can be taken again */
    for (unsigned i = 0; i < deaths; i++)
        static_ring_attach_writer(&s, &dead[i]);
    while (sp_ring_tail(&s.ring).position < 3 * s.ring.capacity) {
        assert_int_equal(static_ring_publish(&live, 48, NULL), 0);
        static_ring_story(&s, &early, text, sizeof text);
        assert_string_equal(text, "r.");
    }
}

static void publish(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(static_ring_publish(&live, 20 + i, NULL), 0);
}

static void publish_one(void *context)
{
    (void)context;
    assert_int_equal(static_ring_publish(&live, 77, NULL), 0);
}

static bool die(int i, const char *point, uint32_t value_size, uint32_t count)
{
    return static_ring_die_claiming(&s, &dead[i], value_size, count, point, NULL, NULL);
}

static void killed_before_step_1_leaves_nothing(void **state)
{
    (void)state;
    publish(2);
    static_ring_kill_writer(&s, &dead[0]);
    publish(1);
    assert_repaired_as("rrr.", 1, 0);
}

static void killed_with_intent_but_without_claim_owns_nothing(void **state)
{
    (void)state;
    publish(2);
    assert_true(die(0, "claim:intent", 100, 1));
    assert_story_from_start("rr."); /* and at the end it is no reason to wait */
    publish(2);
    assert_repaired_as("rrrr.", 1, 0);
}

static void killed_between_claim_and_its_notice_leaves_a_gap_that_is_judged_exactly(void **state)
{
    (void)state;
    publish(2);
    assert_true(die(0, "claim:added", 100, 1));
    publish(2);
    assert_repaired_as("rr-rr.", 1, 1);
}

static void killed_between_claim_and_its_notice_as_the_last(void **state)
{
    (void)state;
    publish(2);
    assert_true(die(0, "claim:added", 100, 3));
    assert_repaired_as("rr---.", 1, 3);
}

static void killed_after_it_was_overtaken_between_intent_and_swap(void **state)
{
    (void)state; /* INTENT names a boundary that another has claimed and committed since */
    publish(2);
    assert_true(static_ring_die_claiming(&s, &dead[0], 100, 2, "claim:intent", publish_one, NULL));
    publish(1);
    assert_repaired_as("rrrr.", 1, 0);
}

static void killed_with_the_claim_in_its_slot(void **state)
{
    (void)state;
    publish(2);
    assert_true(die(0, "claim:claimed", 100, 1));
    publish(2);
    assert_repaired_as("rr-rr.", 1, 1);
}

static void killed_while_filling(void **state)
{
    (void)state;
    publish(1);
    assert_int_equal(static_ring_claim(&dead[0], 3000, NULL), 0); /* header word and payload are there, the stamp is not */
    publish(1);
    static_ring_kill_writer(&s, &dead[0]);
    assert_repaired_as("r-r.", 1, 1);
}

static void killed_after_some_stamps_of_a_batch(void **state)
{
    (void)state;
    for (uint32_t stamped = 0; stamped <= 4; stamped++) {
        uint32_t sizes[4];
        struct sp_place place;
        char expected[16] = "r----r.";
        publish(1);
        assert_int_equal(static_ring_claim_batch(&dead[0], 30, 4, sizes, &place), 0);
        publish(1);
        for (uint32_t i = 0; i < stamped; i++) {
            atomic_store(&record_at(place.position)->stamp, sp_stamp(place.offset, s.ring.salt));
            expected[1 + i] = 'r';
            place.position += sizes[i];
            place.offset++;
        }
        assert_story_from_start(stamped == 0   ? "rw"
                                : stamped == 1 ? "rrw"
                                : stamped == 2 ? "rrrw"
                                : stamped == 3 ? "rrrrw"
                                               : "rrrrrr.");
        static_ring_kill_writer(&s, &dead[0]);
        assert_repaired_as(expected, 1, 4 - stamped);
        close_ring(state);
        open_ring(state);
    }
}

static void killed_between_stamp_and_idle(void **state)
{
    struct sp_place place;
    (void)state;
    publish(1);
    assert_int_equal(static_ring_claim(&dead[0], 30, &place), 0);
    atomic_store(&record_at(place.position)->stamp, sp_stamp(place.offset, s.ring.salt));
    static_ring_kill_writer(&s, &dead[0]);
    publish(1);
    assert_repaired_as("rrr.", 1, 0);
}

static void killed_after_idle_leaves_whole_records(void **state)
{
    (void)state;
    assert_int_equal(static_ring_publish(&dead[0], 30, NULL), 0);
    publish(1);
    static_ring_kill_writer(&s, &dead[0]);
    assert_repaired_as("rr.", 1, 0);
}

static void a_large_claim_that_was_overtaken_looks_again(void **state)
{
    (void)state; /* compare-and-swap instead of fetch-add; dead between its second INTENT and its success */
    publish(1);
    static_ring_die_claiming(&s, &dead[0], 10000, 1, "claim:intent", publish_one, NULL);
    assert_repaired_as("rr.", 1, 0);
}

static void a_repairer_may_die_before_its_stamp(void **state)
{
    (void)state;
    publish(1);
    assert_true(die(0, "claim:claimed", 100, 2));
    publish(1);
    /* the aborted word without its stamp */
    uint64_t size = static_ring_record_size(&s.ring, 100) * 2;
    uint64_t position = atomic_load(&dead[0].slot->claim) & ~(uint64_t)SP_PHASE_MASK;
    atomic_store(&record_at(position)->word, sp_record_word((uint32_t)(size >> s.ring.unit_shift), 2, SP_RECORD_ABORTED));
    assert_repaired_as("r--r.", 1, 2);
}

static void a_repairer_may_die_between_its_stamp_and_freeing_the_slot(void **state)
{
    static const char *const points[] = {"claim:added", "claim:claimed"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        publish(1);
        struct sp_place place = sp_ring_tail(&s.ring);
        assert_true(die(0, points[i], 100, 2));
        publish(1);
        sp_ring_write_aborted(&s.ring, place, static_ring_record_size(&s.ring, 100) * 2, 2);
        assert_repaired_as("r--r.", 1, 0);
        close_ring(state);
        open_ring(state);
    }
}

static void a_repairer_may_die_between_idle_and_freeing_the_slot(void **state)
{
    (void)state;
    publish(1);
    assert_true(die(0, "claim:added", 100, 2));
    uint64_t owner = atomic_load(&dead[0].slot->owner);
    assert_int_equal(repair().producers, 1);
    atomic_store(&dead[0].slot->owner, owner); /* as if it had died before this store */
    assert_int_equal(repair().producers, 1);
    assert_int_equal(atomic_load(&dead[0].slot->owner), 0);
    assert_story_from_start("r--.");
}

static void two_deaths_with_intent_are_told_apart(void **state)
{
    (void)state;
    publish(1);
    assert_true(die(0, "claim:added", 100, 1));
    assert_true(die(1, "claim:added", 300, 2));
    publish(1);
    assert_repaired_as("r---r.", 2, 3);
}

static void two_deaths_with_intent_at_the_end_of_the_stream(void **state)
{
    (void)state;
    publish(1);
    assert_true(die(0, "claim:added", 100, 1));
    assert_true(die(1, "claim:added", 300, 2));
    assert_repaired_as("r---.", 2, 3);
}

static void two_deaths_with_a_committed_record_between_them(void **state)
{
    (void)state;
    publish(1);
    assert_true(die(0, "claim:added", 100, 1));
    publish(1);
    assert_true(die(1, "claim:added", 20, 2));
    publish(1);
    assert_repaired_as("r-r--r.", 2, 3);
}

static void three_deaths_one_of_which_claimed_nothing(void **state)
{
    (void)state;
    publish(1);
    assert_true(die(2, "claim:intent", 2000, 7));
    assert_true(die(0, "claim:added", 100, 1));
    assert_true(die(1, "claim:claimed", 20, 2));
    publish(1);
    assert_repaired_as("r---r.", 3, 3);
}

static void a_dead_intent_that_claimed_nothing_is_not_blamed_for_anothers_gap(void **state)
{
    struct sp_place place;
    (void)state;
    publish(1);
    assert_true(die(1, "claim:intent", 2000, 7));
    assert_int_equal(static_ring_claim(&dead[0], 100, &place), 0); /* alive and claimed */
    publish(1);
    assert_story_from_start("rw");
    struct sp_repair_result result = repair();
    assert_int_equal(result.aborted, 0);
    assert_int_equal(result.producers, 1); /* the place is another's: nothing to wait for */
    assert_int_equal(result.unresolved, 0);
    assert_story_from_start("rw");
    sp_writer_commit(&dead[0]);
    assert_story_from_start("rrr.");
    assert_int_equal(atomic_load(&dead[1].slot->owner), 0);
}

struct judged {
    enum sp_verdict verdict;
    uint32_t slot;
    struct sp_repair_result repair;
};

static void judge_now(void *context)
{
    struct judged *judged = context;
    struct sp_judgement judgement;
    struct sp_place place;
    /* another claims, and dies before it could say where */
    assert_int_equal(static_ring_claim(&dead[1], 100, &place), 0);
    atomic_store(&dead[1].slot->claim, place.position | SP_PHASE_INTENT);
    static_ring_kill_writer(&s, &dead[1]);
    sp_ring_judge(&s.ring, (struct sp_place){static_ring_record_size(&s.ring, 20), 1}, static_ring_liveness(&s), &judgement);
    judged->verdict = judgement.verdict;
    judged->slot = judgement.slot;
    judged->repair = repair();
    assert_int_equal(sp_ring_published(&s.ring).offset, 1); /* not behind a claim that may be below the tail */
}

static void a_live_intent_is_waited_for_and_named(void **state)
{
    struct judged judged = {0};
    (void)state;
    publish(1);
    assert_true(static_ring_die_claiming(&s, &dead[0], 100, 1, "claim:intent", judge_now, &judged));
    assert_int_equal(judged.verdict, SP_VERDICT_WAIT); /* nobody can tell whose it is while one of the two lives */
    assert_int_equal(judged.slot, 1);                  /* slot 0 is `live` */
    assert_int_equal(judged.repair.unresolved, 1);
    assert_int_equal(judged.repair.producers, 0);
    assert_repaired_as("r-.", 2, 1);
}

static void a_live_claim_between_two_dead_ones_is_neither_overtaken_nor_touched(void **state)
{
    struct sp_place place;
    (void)state;
    publish(1);
    assert_true(die(0, "claim:added", 100, 1));
    assert_int_equal(static_ring_claim(&dead[2], 200, &place), 0);
    assert_true(die(1, "claim:claimed", 20, 2));
    publish(1);
    assert_story_from_start("r-w");
    struct sp_repair_result result = repair();
    assert_int_equal(result.producers, 2);
    assert_int_equal(result.aborted, 3);
    assert_story_from_start("r-w");
    sp_writer_commit(&dead[2]);
    assert_story_from_start("r-r--r.");
}

static void a_live_claimant_that_is_stopped_keeps_its_bytes(void **state)
{
    struct sp_place place;
    (void)state;
    publish(1);
    assert_int_equal(static_ring_claim(&dead[0], 100, &place), 0);
    while (static_ring_publish(&live, 1000, NULL) == 0) {
    }
    assert_int_equal(live.blocker.kind, SP_BLOCKER_PRODUCER);
    assert_int_equal(live.blocker.slot, 1);
    repair();
    assert_int_not_equal(static_ring_publish(&live, 1000, NULL), 0);
    struct sp_judgement judgement;
    sp_ring_judge(&s.ring, place, static_ring_liveness(&s), &judgement);
    assert_int_equal(judgement.verdict, SP_VERDICT_WAIT);
    assert_int_equal(judgement.slot, 1);
    assert_int_equal(judgement.owner_size, static_ring_record_size(&s.ring, 100));
    assert_int_equal(judgement.owner_count, 1);
    sp_writer_commit(&dead[0]);
    assert_int_equal(static_ring_publish(&live, 1000, NULL), 0);
}

static void a_death_frees_the_space_that_it_held_once_repaired(void **state)
{
    (void)state;
    publish(1);
    assert_true(die(0, "claim:added", 100, 1));
    while (static_ring_publish(&live, 1000, NULL) == 0) {
    }
    assert_int_equal(live.blocker.kind, SP_BLOCKER_PRODUCER);
    assert_int_equal(repair().aborted, 1);
    assert_int_equal(static_ring_publish(&live, 1000, NULL), 0);
}

/* ---- Stopped for long, and alive. */

static const struct sp_place far_place = {.position = ((uint64_t)1 << 36) + 4096, .offset = ((uint64_t)1 << 31) + 12345};

/* What others do while one is stopped between look and claim: 2^31 records, bases raised on the way. */
static void others_go_far(const char *point)
{
    if (strcmp(point, "claim:looked") != 0)
        return;
    sp_hook = NULL;
    uint64_t units = far_place.position >> s.ring.unit_shift;
    atomic_store(&s.header->records_base, far_place.offset - 1000);
    atomic_store(&s.header->units_base, units - 1000);
    atomic_store(&s.header->reserved, far_place.position + 2 * s.ring.chunk_size);
    atomic_store(&s.header->tail, sp_tail_pack(units, far_place.offset));
}

static void a_claim_stopped_while_2_to_the_31_records_passed_knows_its_place(void **state)
{
    struct sp_place place;
    (void)state;
    publish(1);
    sp_hook = others_go_far;
    assert_int_equal(static_ring_claim(&live, 20, &place), 0);
    assert_null(sp_hook);
    assert_int_equal(place.position, far_place.position);
    assert_int_equal(place.offset, far_place.offset);
    sp_writer_commit(&live);
    assert_true(sp_ring_is_committed(&s.ring, far_place));
    assert_int_equal(static_ring_publish(&live, 20, &place), 0);
    assert_int_equal(place.offset, far_place.offset + 1);
}

/* ---- What is published ends before every claim, also one that is just made while somebody looks. */

static void make_the_claim(const char *point)
{
    if (strcmp(point, "published:slot") != 0)
        return;
    sp_hook = NULL;
    uint64_t claim = atomic_load(&live.slot->claim);
    atomic_store(&live.slot->claim, (claim & ~(uint64_t)SP_PHASE_MASK) | SP_PHASE_CLAIMED);
}

static void an_intent_that_becomes_a_claim_is_not_published(void **state)
{
    struct sp_place place;
    (void)state;
    publish(3);
    assert_int_equal(static_ring_claim(&live, 20, &place), 0);
    atomic_store(&live.slot->claim, place.position | SP_PHASE_INTENT); /* as it was just before */
    sp_hook = make_the_claim;
    struct sp_place published = sp_ring_published(&s.ring);
    assert_null(sp_hook);
    assert_int_equal(published.position, place.position);
    assert_int_equal(published.offset, place.offset);
    sp_writer_commit(&live);
    /* an INTENT of somebody who was overtaken is in nobody's way */
    atomic_store(&live.slot->offset, place.offset);
    atomic_store(&live.slot->claim, place.position | SP_PHASE_INTENT);
    assert_int_equal(sp_ring_published(&s.ring).offset, place.offset + 1);
    atomic_store(&live.slot->claim, SP_PHASE_IDLE);
}

/* ---- A stale INTENT: see ring.h. The dead one looked at the tail, was stopped for laps, stored INTENT, and died. It owns nothing: a
 * swap from there would have failed. */

static void stale_death(uint64_t laps_bytes)
{
    struct sp_reader gate;
    char text[256];
    struct sp_place stale;

    static_ring_attach_reader(&s, &gate, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    publish(3);
    stale = sp_ring_tail(&s.ring);
    do {
        publish(1);
        static_ring_story(&s, &gate, text, sizeof text);
        assert_null(strpbrk(text, "-!T"));
    } while (sp_ring_tail(&s.ring).position < stale.position + laps_bytes);
    uint64_t size = static_ring_record_size(&s.ring, 100);
    atomic_store(&dead[0].slot->extent, size >> s.ring.unit_shift << 32 | 1);
    atomic_store(&dead[0].slot->offset, stale.offset);
    atomic_store(&dead[0].slot->claim, stale.position | SP_PHASE_INTENT);
    static_ring_kill_writer(&s, &dead[0]);
    static_ring_publish(&live, 8, NULL); /* as far as the frontier lets it */
    struct sp_repair_result result = repair();
    assert_int_equal(result.producers, 1);
    assert_int_equal(result.aborted, 0);
    assert_int_equal(result.unresolved, 0);
    for (int i = 0; i < 3000; i++) {
        publish(1);
        static_ring_story(&s, &gate, text, sizeof text);
        assert_null(strpbrk(text, "-T!wob"));
    }
}

static void a_stale_intent_owns_nothing(void **state)
{
    static const uint64_t laps[] = {0, 1000, 30000, 60000, 64000, 65400, 65536, 70000, 131072, 500000, 5000000};
    for (size_t i = 0; i < sizeof laps / sizeof laps[0]; i++) {
        stale_death(laps[i]);
        close_ring(state);
        open_ring(state);
    }
}

/* Several that died with INTENT at one place, of which one won it: whose size counts? */
static void of_several_dead_with_one_place_the_next_boundary_tells_the_size(void **state)
{
    static const uint32_t sizes[3] = {100, 300, 20}, counts[3] = {2, 1, 3};
    (void)state;
    for (int winner = 0; winner < 3; winner++) {
        for (int followed = 0; followed < 4; followed++) {
            publish(1);
            struct sp_place place = sp_ring_tail(&s.ring);
            for (int i = 0; i < 3; i++) {
                uint64_t size = static_ring_record_size(&s.ring, sizes[i]) * counts[i];
                atomic_store(&dead[i].slot->extent, size >> s.ring.unit_shift << 32 | counts[i]);
                atomic_store(&dead[i].slot->offset, place.offset);
                atomic_store(&dead[i].slot->claim, place.position | SP_PHASE_INTENT);
            }
            uint64_t size = static_ring_record_size(&s.ring, sizes[winner]) * counts[winner];
            atomic_fetch_add(&s.header->tail, sp_tail_pack(size >> s.ring.unit_shift, counts[winner]));
            char story[16] = "r";
            memset(story + 1, '-', counts[winner]);
            if (followed == 1) /* by a committed record */
                publish(1);
            if (followed == 2) /* by a live claim that commits later */
                assert_int_equal(static_ring_claim(&live, 50, NULL), 0);
            if (followed == 3) { /* by a committed one and more */
                publish(2);
                strcat(story, "r");
            }
            strcat(story, followed == 0 ? "." : followed == 2 ? "w" : "r.");
            for (int i = 0; i < 3; i++)
                static_ring_kill_writer(&s, &dead[i]);
            if (followed == 2) {
                assert_story_from_start(story);
                struct sp_repair_result result = repair();
                assert_int_equal(result.producers, 3);
                assert_int_equal(result.aborted, counts[winner]);
                assert_story_from_start(story);
                sp_writer_commit(&live);
                strcpy(strchr(story, 'w'), "r.");
                assert_story_from_start(story);
            } else {
                assert_repaired_as(story, 3, counts[winner]);
            }
            close_ring(state);
            open_ring(state);
        }
    }
}

static void a_verdict_stays_true_when_a_stale_loser_dies_later(void **state)
{
    struct sp_reader reader;
    char text[64];
    (void)state;
    publish(1);
    struct sp_place seen = sp_ring_tail(&s.ring); /* dead[1] looks here, and is stopped */
    assert_true(die(0, "claim:added", 100, 1));
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_story(&s, &reader, text, sizeof text);
    assert_string_equal(text, "r-.");
    assert_true(die(2, "claim:added", 30, 2)); /* behind the verdict */
    uint64_t size = static_ring_record_size(&s.ring, 300);
    atomic_store(&dead[1].slot->extent, (2 * size) >> s.ring.unit_shift << 32 | 2);
    atomic_store(&dead[1].slot->offset, seen.offset);
    atomic_store(&dead[1].slot->claim, seen.position | SP_PHASE_INTENT);
    static_ring_kill_writer(&s, &dead[1]);
    struct sp_repair_result result = repair(); /* before the reader looks again */
    assert_int_equal(result.producers, 3);
    assert_int_equal(result.aborted, 3);
    publish(1);
    static_ring_story(&s, &reader, text, sizeof text);
    assert_string_equal(text, "--r.");
    assert_story_from_start("r---r.");
}

static void a_claim_without_an_owner_is_repaired(void **state)
{
    (void)state; /* a bit flip in a free slot would hold the frontier for ever */
    publish(3);
    atomic_store(&s.ring.producers[3].owner, 0);
    atomic_store(&s.ring.producers[3].claim, 32 | SP_PHASE_INTENT);
    atomic_store(&s.ring.producers[3].offset, 1);
    assert_int_equal(repair().producers, 1);
    assert_int_equal(atomic_load(&s.ring.producers[3].claim), SP_PHASE_IDLE);
    assert_story_from_start("rrr.");
}

static void memory_that_nobody_claimed_is_called_damaged_and_left_behind(void **state)
{
    struct sp_judgement judgement;
    struct sp_place place;
    (void)state; /* the planted bug for the verdicts: a stamp vanishes though no slot ever named it */
    publish(1);
    static_ring_publish(&live, 20, &place);
    publish(1);
    atomic_store(&record_at(place.position)->stamp, 0x1234567);
    assert_story_from_start("r!");
    sp_ring_judge(&s.ring, place, static_ring_liveness(&s), &judgement);
    assert_int_equal(judgement.verdict, SP_VERDICT_DAMAGED);
    assert_int_equal(judgement.size, static_ring_record_size(&s.ring, 20));
    assert_int_equal(judgement.count, 1);
    struct sp_place next = sp_ring_next_boundary(&s.ring, place);
    assert_int_equal(next.offset, 2);
}

static void the_story_shows_a_torn_value(void **state)
{
    (void)state; /* the planted bug for the stories of these tests */
    publish(3);
    s.data[16 + 5] ^= 1;
    assert_story_from_start("Trr.");
}

static void cursors_of_dead_consumers_are_dropped(void **state)
{
    struct sp_reader alive, gone;
    (void)state;
    static_ring_attach_reader(&s, &alive, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_attach_reader(&s, &gone, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    while (static_ring_publish(&live, 1000, NULL) == 0) {
        char text[8];
        static_ring_story(&s, &alive, text, sizeof text);
    }
    assert_int_equal(live.blocker.slot, 1);
    static_ring_kill_reader(&s, &gone);
    struct sp_repair_result result = repair();
    assert_int_equal(result.consumers, 1);
    assert_int_equal(result.producers, 0);
    assert_int_equal(atomic_load(&gone.cursor->owner), 0);
    assert_int_equal(sp_cursor_state(atomic_load(&gone.cursor->state)), SP_CURSOR_FREE);
    assert_int_equal(sp_cursor_state(atomic_load(&alive.cursor->state)), SP_CURSOR_ACTIVE);
    assert_int_equal(static_ring_publish(&live, 1000, NULL), 0);
    assert_int_equal(repair().consumers, 0);
}

int main(void)
{
#define ON_RING(test) cmocka_unit_test_setup_teardown(test, open_ring, close_ring)
    const struct CMUnitTest tests[] = {
        ON_RING(killed_before_step_1_leaves_nothing),
        ON_RING(killed_with_intent_but_without_claim_owns_nothing),
        ON_RING(killed_between_claim_and_its_notice_leaves_a_gap_that_is_judged_exactly),
        ON_RING(killed_between_claim_and_its_notice_as_the_last),
        ON_RING(killed_after_it_was_overtaken_between_intent_and_swap),
        ON_RING(killed_with_the_claim_in_its_slot),
        ON_RING(killed_while_filling),
        ON_RING(killed_after_some_stamps_of_a_batch),
        ON_RING(killed_between_stamp_and_idle),
        ON_RING(killed_after_idle_leaves_whole_records),
        ON_RING(a_large_claim_that_was_overtaken_looks_again),
        ON_RING(a_repairer_may_die_before_its_stamp),
        ON_RING(a_repairer_may_die_between_its_stamp_and_freeing_the_slot),
        ON_RING(a_repairer_may_die_between_idle_and_freeing_the_slot),
        ON_RING(two_deaths_with_intent_are_told_apart),
        ON_RING(two_deaths_with_intent_at_the_end_of_the_stream),
        ON_RING(two_deaths_with_a_committed_record_between_them),
        ON_RING(three_deaths_one_of_which_claimed_nothing),
        ON_RING(a_dead_intent_that_claimed_nothing_is_not_blamed_for_anothers_gap),
        ON_RING(a_live_intent_is_waited_for_and_named),
        ON_RING(a_live_claim_between_two_dead_ones_is_neither_overtaken_nor_touched),
        ON_RING(a_live_claimant_that_is_stopped_keeps_its_bytes),
        ON_RING(a_death_frees_the_space_that_it_held_once_repaired),
        ON_RING(an_intent_that_becomes_a_claim_is_not_published),
        ON_RING(a_claim_stopped_while_2_to_the_31_records_passed_knows_its_place),
        ON_RING(a_stale_intent_owns_nothing),
        ON_RING(of_several_dead_with_one_place_the_next_boundary_tells_the_size),
        ON_RING(a_verdict_stays_true_when_a_stale_loser_dies_later),
        ON_RING(a_claim_without_an_owner_is_repaired),
        ON_RING(memory_that_nobody_claimed_is_called_damaged_and_left_behind),
        ON_RING(the_story_shows_a_torn_value),
        ON_RING(cursors_of_dead_consumers_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
