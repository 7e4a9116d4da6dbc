/* descriptors_test.c: a process without standard input, output or error does not print into the bus.
 *
 * The next file that is opened gets the lowest free number. If that were a file of the bus, the program's own printf would ruin the
 * bus for everybody. */
#include "proc.h"

#include <fcntl.h>

/* Uses all of the library with 0, 1 and 2 closed; then they must still be free, whatever was opened meanwhile. */
static int without_standard_descriptors(void *argument)
{
    struct spate_record got;
    struct spate_topic_config config = proc_config(2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    spate_producer *producer = NULL;
    spate_consumer *consumer = NULL;
    (void)argument;

    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    bool fine = spate_bus_open(proc_bus_path(), NULL, &bus) == 0 && spate_topic_create(bus, "own", &config) == 0 &&
                spate_topic_open(bus, "own", &topic) == 0 && spate_producer_open(topic, NULL, &producer) == 0 &&
                spate_consumer_open(topic, NULL, &consumer) == 0 && spate_consumer_fd(consumer) > 2;
    struct spate_record record = {.partition = 1, .value = "x", .value_size = 1};
    fine = fine && spate_publish(producer, &record, 0, NULL) == 0 && spate_poll(consumer, &got, 1, PROC_PATIENCE) == 1;
    for (int fd = 0; fd <= 2; fd++)
        fine = fine && fcntl(fd, F_GETFD) < 0 && errno == EBADF;
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    return fine ? 0 : 1;
}

static void standard_descriptors_stay_free(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    IS(proc_wait(proc_start(without_standard_descriptors, NULL)), 0);
    spate_topic *topic = proc_topic(bus, "own"); /* and all is as it should be */
    spate_topic_close(topic);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(standard_descriptors_stay_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
