/* hostile_producer_test.c: a producer goes on writing in a record that it has committed, while the daemon copies it. What is in the log is
 * then one of the versions, or a mixture, but it is a record that can be read: its checksum is that of what was copied.
 *
 * Records that are larger than a buffer are copied in pieces, with steps of the daemon in between: there it is done. The same lives as in
 * log_sim_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/align.h"
#include "base/crc32c.h"
#include "sim_world.h"

#define SEEDS 120u
#define AT 100u /* in its value, and in its first piece, which is copied last */

static uint64_t changes;

static void write_in_a_committed_record(struct world *world)
{
    const struct writer *writer = &world->writer;
    const struct sp_block_header *large = &writer->large;

    if (!world->is_open || writer->state != SP_LOG_OPEN || !large->raw_size || large->count != 1 ||
        large->base_offset >= world->count)
        return;
    struct world_record *record = &world->records[large->base_offset];
    uint8_t *bytes = world->ring.data + (large->position & world->ring.ring.mask);
    if (record->kind != RECORD_DATA || record->is_null || record->size != large->raw_size || record->position != large->position)
        return;
    bytes[AT] ^= (uint8_t)(1 + world_below(world, 255));
    record->crc = sp_crc32c(0, bytes, record->size);
    changes++;
}

static void the_log_can_be_read_whatever_a_producer_does_to_its_records(void **state)
{
    struct world_figures figures = {0};
    (void)state;

    for (uint64_t seed = 1; seed <= SIM_WORK(SEEDS); seed++) {
        struct world world;
        world_open(&world, seed, &figures);
        world.meddle = write_in_a_committed_record;
        world_live(&world, FAULT_SLOW, 150);
        world_end(&world);
    }
    world_print("hostile_producer", &figures);
    printf("records changed while they were copied: %llu times\n", (unsigned long long)changes);
    assert_int_equal(figures.violations, 0);
    assert_true(changes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_log_can_be_read_whatever_a_producer_does_to_its_records)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
