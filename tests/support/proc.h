/* proc.h: what tests with several processes share: a bus directory of their own, children, checks that work in both, and records
 * that prove themselves.
 *
 * Used by tests/proc and whoever else forks. A test's fixture is proc_setup/proc_teardown: it makes a root directory under
 * /dev/shm, opens nothing, and afterwards kills the children that are left (by their pids) and removes the directory, also when
 * the test failed. Directories of test processes that died are removed by the next one that starts.
 *
 * Children run a function and exit with what it returns. They must open the bus anew (proc_open), as every process must. A check
 * that fails prints where and why; in the test's own process it fails the test, in a child it ends the child with status 1.
 *
 * Nothing here decides by time, but for an alarm that ends a test that hangs. */
#ifndef SPATE_TEST_PROC_H
#define SPATE_TEST_PROC_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "spate/spate.h"

#define PROC_S ((int64_t)1000000000)
#define PROC_MS ((int64_t)1000000)
#define PROC_PATIENCE (60 * PROC_S) /* how long to wait for what must happen: far longer than it can take */

/* IS(call, value): the call gave that value, else its value and spate_last_error are shown. OK(call): it gave 0. */
#define IS(call, expected) proc_expect((int64_t)(call), (int64_t)(expected), #call, __FILE__, __LINE__)
#define OK(call) IS(call, 0)
#define CHECK(condition) ((condition) ? (void)0 : proc_fail(__FILE__, __LINE__, "not so: %s", #condition))
#define CHECKF(condition, ...) ((condition) ? (void)0 : proc_fail(__FILE__, __LINE__, __VA_ARGS__))
/* SAYS(text): the latest error text of the library has these words in it. */
#define SAYS(text) proc_says(text, __FILE__, __LINE__)

void proc_expect(int64_t value, int64_t expected, const char *what, const char *file, int line);
void proc_says(const char *text, const char *file, int line);
void proc_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

int proc_setup(void **state);
int proc_teardown(void **state);
#define PROC_TEST(function) cmocka_unit_test_setup_teardown(function, proc_setup, proc_teardown)

/* proc_skip: skip the test, with the reason shown; proc_alarm: give this test more seconds before it is called hung (default
 * 120). */
void proc_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
void proc_alarm(unsigned seconds);

/* proc_is_full: SPATE_FULL=1. proc_is_slow: built with a sanitizer, so take less of everything. */
bool proc_is_full(void);
bool proc_is_slow(void);

/* The fixture's root directory, and the path of the bus in it. */
const char *proc_root(void);
const char *proc_bus_path(void);
/* proc_file: "<bus>/<format>"; valid until the eighth call after it. */
const char *proc_file(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The usual handles, checked. */
spate_bus *proc_open(void);
struct spate_topic_config proc_config(uint32_t partitions, uint64_t ring_capacity, uint32_t mode);
void proc_create(spate_bus *bus, const char *name, uint32_t partitions, uint64_t ring_capacity, uint32_t mode);
spate_topic *proc_topic(spate_bus *bus, const char *name);
spate_producer *proc_producer(spate_topic *topic);
spate_consumer *proc_consumer(spate_topic *topic, uint32_t policy, uint32_t start, int64_t value);

/* A bus, one topic of it and a producer, all opened anew: what most children want. */
struct proc_handles {
    spate_bus *bus;
    spate_topic *topic;
};
struct proc_handles proc_join(const char *topic);
void proc_leave(struct proc_handles handles);

/* Children. */
pid_t proc_start(int (*body)(void *argument), void *argument);
int proc_wait(pid_t pid);  /* exit status, or 128 + signal */
void proc_kill(pid_t pid); /* SIGKILL, and reap; fails when it had ended before */
bool proc_is_running(pid_t pid);

/* proc_shared: zeroed memory that this process and children started later share; freed by the teardown. */
void *proc_shared(size_t size);
void proc_nap(int64_t ns);
int64_t proc_now(void); /* CLOCK_MONOTONIC */
/* Wait until *word >= value; fails after PROC_PATIENCE. proc_add: add 1. proc_get: load. */
typedef _Atomic uint64_t proc_word;
void proc_await(proc_word *word, uint64_t value);
uint64_t proc_get(proc_word *word);
void proc_add(proc_word *word);
void proc_set(proc_word *word, uint64_t value);

/* Random numbers that a seed determines. proc_seed: $SPATE_SEED, or a new one; printed. */
uint64_t proc_seed(void);
uint64_t proc_random(uint64_t *state);
uint64_t proc_below(uint64_t *state, uint64_t limit);

/* Values that prove themselves: who wrote them, which in a row, and bytes that follow from those two and the size. */
#define PROC_VALUE_MIN 32u
void proc_fill(void *value, uint32_t size, uint64_t producer, uint64_t sequence);
bool proc_is_whole(const void *value, uint32_t size, uint64_t *ret_producer, uint64_t *ret_sequence);

/* Publish one such value, waiting for room as long as it takes. Returns its offset. */
int64_t proc_publish(spate_producer *producer, int32_t partition, uint32_t size, uint64_t id, uint64_t sequence);
/* Publish text as value; returns its offset. */
int64_t proc_publish_text(spate_producer *producer, int32_t partition, const char *text);

#endif
