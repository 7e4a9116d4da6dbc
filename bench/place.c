/* place.c: the machine as hwloc sees it.
 *
 * Owns the topology, loaded once. */
#include "place.h"

#include <errno.h>
#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tool.h"

static hwloc_topology_t topology;

static hwloc_obj_t object_of(int cpu)
{
    return hwloc_get_pu_obj_by_os_index(topology, (unsigned)cpu);
}

/* The object of a type above a processor; NULL when the system shows none. */
static hwloc_obj_t above(int cpu, hwloc_obj_type_t type)
{
    hwloc_obj_t unit = object_of(cpu);
    return unit ? hwloc_get_ancestor_obj_by_type(topology, type, unit) : NULL;
}

static bool share(int a, int b, hwloc_obj_type_t type)
{
    hwloc_obj_t of_a = above(a, type);
    return of_a && of_a == above(b, type);
}

static bool share_node(int a, int b)
{
    hwloc_obj_t unit_a = object_of(a), unit_b = object_of(b);
    return unit_a && unit_b && hwloc_bitmap_isequal(unit_a->nodeset, unit_b->nodeset);
}

enum place_relation place_relate(int a, int b)
{
    if (a == b)
        return PLACE_SAME_CPU;
    if (share(a, b, HWLOC_OBJ_CORE))
        return PLACE_SAME_CORE;
    if (share(a, b, HWLOC_OBJ_L3CACHE))
        return PLACE_SAME_L3;
    return share_node(a, b) ? PLACE_SAME_NODE : PLACE_OTHER_NODE;
}

const char *place_relation_name(enum place_relation relation)
{
    static const char *const names[] = {
        [PLACE_SAME_CPU] = "one processor",        [PLACE_SAME_CORE] = "SMT siblings", [PLACE_SAME_L3] = "two cores of one L3",
        [PLACE_SAME_NODE] = "two L3s of one node", [PLACE_OTHER_NODE] = "two nodes",
    };
    return names[relation];
}

/* Processors in hwloc's order, that is by node, cache and core; the second thread of a core comes after all first ones. */
static void list_cpus(struct place *place, const cpu_set_t *allowed)
{
    for (int thread = 0, added = 1; added; thread++) {
        added = 0;
        for (hwloc_obj_t core = NULL; (core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != NULL;) {
            hwloc_obj_t unit = hwloc_get_obj_inside_cpuset_by_type(topology, core->cpuset, HWLOC_OBJ_PU, (unsigned)thread);
            if (!unit)
                continue;
            added = 1;
            if (unit->os_index < CPU_SETSIZE && CPU_ISSET(unit->os_index, allowed) && place->count < PLACE_CPUS_MAX)
                place->cpus[place->count++] = (int)unit->os_index;
        }
    }
}

int place_load(struct place *ret)
{
    cpu_set_t allowed;

    *ret = (struct place){.model = "unknown processor"};
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || hwloc_topology_init(&topology) < 0 ||
        hwloc_topology_load(topology) < 0) {
        tool_error("cannot learn which processors there are: %s", strerror(errno));
        return -errno;
    }
    list_cpus(ret, &allowed);
    hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    if (model)
        snprintf(ret->model, sizeof ret->model, "%s", model);
    return ret->count > 0 ? 0 : -ENODEV;
}

/* One "N" or "N-M" of a list. Returns what follows it, or NULL when it is none. */
static const char *parse_range(const char *text, int *ret_first, int *ret_last)
{
    char *end;
    long first = strtol(text, &end, 10), last = first;

    if (end == text)
        return NULL;
    if (*end == '-') {
        text = end + 1;
        last = strtol(text, &end, 10);
        if (end == text)
            return NULL;
    }
    if (first < 0 || last < first || last >= CPU_SETSIZE || (*end && *end != ','))
        return NULL;
    *ret_first = (int)first;
    *ret_last = (int)last;
    return *end ? end + 1 : end;
}

bool place_check_list(const char *list)
{
    cpu_set_t allowed;
    int first, last;

    if (!*list || sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return false;
    for (const char *at = list; *at;) {
        at = parse_range(at, &first, &last);
        if (!at)
            return false;
        for (int cpu = first; cpu <= last; cpu++)
            if (!CPU_ISSET((size_t)cpu, &allowed))
                return false;
    }
    return true;
}

void place_choose(const struct place *place, const char *list, int *cpus, int count)
{
    int chosen[PLACE_CPUS_MAX], n = 0, first = 0, last = -1;

    for (const char *at = list; at && *at;) {
        at = parse_range(at, &first, &last);
        for (int cpu = first; at && cpu <= last && n < PLACE_CPUS_MAX; cpu++)
            chosen[n++] = cpu;
    }
    for (int i = 0; i < count; i++)
        cpus[i] = n > 0 ? chosen[i % n] : place->cpus[i % place->count];
}

void place_spread(const int cpus[2], uint32_t producers, uint32_t consumers, int *ret)
{
    for (uint32_t i = 0; i < producers + consumers; i++)
        ret[i] = cpus[i >= producers];
    if (consumers == 3)
        ret[1] = cpus[0]; /* two consumers on one, a consumer and the producer on the other */
}

int place_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) < 0 ? -errno : 0;
}
