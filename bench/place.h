/* place.h: which processors there are, how they lie to each other, and pinning.
 *
 * From hwloc, within what this process may use (taskset, cpusets). One thread, before children are started. */
#ifndef BENCH_PLACE_H
#define BENCH_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#define PLACE_CPUS_MAX 1024

enum place_relation { PLACE_SAME_CPU, PLACE_SAME_CORE, PLACE_SAME_L3, PLACE_SAME_NODE, PLACE_OTHER_NODE };

struct place {
    int cpus
        [PLACE_CPUS_MAX]; /* as the system numbers them, ordered: first one of each core of an L3 cache, then of the next, ... */
    int count;
    char model[128]; /* of the processor */
};

/* place_load: fill it in. Returns 0, or -errno after a message. */
int place_load(struct place *ret);

/* place_relation: how two processors lie to each other, as far as the system (or its hypervisor) shows; its name for people. */
enum place_relation place_relate(int a, int b);
const char *place_relation_name(enum place_relation relation);

/* place_choose: the first `count` of --pin's list, or else of the place, nearest together first. Fewer processors than that are used
 * several times. */
void place_choose(const struct place *place, const char *list, int *cpus, int count);

/* place_spread: producers and consumers on two processors, consumers last. Where more than two share them, the producer that everybody
 * waits for has one to itself if it is possible: of 2 + 1, the consumer has; of 1 + 3, a consumer keeps the producer company. */
void place_spread(const int cpus[2], uint32_t producers, uint32_t consumers, int *ret);

/* place_check_list: "0,2,3-5": whether it names processors of this place. For the option's set function. */
bool place_check_list(const char *list);

/* place_pin: this process runs on one processor from now on. Returns 0, -errno. */
int place_pin(int cpu);

#endif
