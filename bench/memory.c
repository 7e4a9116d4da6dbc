/* memory.c: `spate-bench memory`: what huge pages and the choice of a NUMA node do to throughput.
 *
 * Each case with and without, in the same round. */
#include <hwloc.h>
#include <stdio.h>

#include "cli/output.h"
#include "commands.h"
#include "flow.h"
#include "rounds.h"

#define NODES_MAX 8

struct memory_case {
    char name[64], limit[64]; /* the latter empty where nothing is compared */
    struct flow_spec flow;
};

struct memory {
    struct rounds rounds;
    struct memory_case cases[FIGURES_CASES_MAX];
    struct figure figures[FIGURES_CASES_MAX];
    uint32_t count;
    bool lacks_huge_pages; /* they were asked for and not given */
};

static const struct {
    const char *name;
    uint32_t value_size;
    uint64_t ring;
} shapes[] = {
    {"64 B, ring of 8 MiB", 64, (uint64_t)8 << 20},
    {"64 B, ring of 256 MiB", 64, (uint64_t)256 << 20},
    {"16 KiB, ring of 256 MiB", 16384, (uint64_t)256 << 20},
};

static void add_case(struct memory *memory, size_t shape, uint32_t huge_pages, uint32_t node, const char *how, const char *limit)
{
    struct memory_case *each = &memory->cases[memory->count];

    snprintf(each->name, sizeof each->name, "%s, %s", shapes[shape].name, how);
    if (limit)
        snprintf(each->limit, sizeof each->limit, "%s, %s", shapes[shape].name, limit);
    each->flow = (struct flow_spec){.mode = SPATE_MODE_EXCLUSIVE,
                                    .producers = 1,
                                    .consumers = 1,
                                    .value_size = shapes[shape].value_size,
                                    .batch = 1,
                                    .alignment = 16,
                                    .wait = SPATE_WAIT_SPIN,
                                    .api = shapes[shape].value_size > 64 ? FLOW_CLAIM : FLOW_PUBLISH,
                                    .huge_pages = huge_pages,
                                    .node = node,
                                    .ring = shapes[shape].ring,
                                    .records = 64000000 / shapes[shape].value_size};
    memory->figures[memory->count++] =
        (struct figure){.name = each->name, .unit = "records/s", .limit = limit ? each->limit : NULL};
}

/* Nodes that have memory, as the system numbers them. */
static int list_nodes(uint32_t nodes[NODES_MAX])
{
    hwloc_topology_t topology;
    int count = 0;

    if (hwloc_topology_init(&topology) < 0 || hwloc_topology_load(topology) < 0)
        return 0;
    for (hwloc_obj_t node = NULL; count < NODES_MAX && (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node));)
        nodes[count++] = node->os_index;
    hwloc_topology_destroy(topology);
    return count;
}

static int add_cases(struct memory *memory)
{
    uint32_t nodes[NODES_MAX];
    const int count = list_nodes(nodes);

    for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++) {
        add_case(memory, shape, SPATE_HUGE_NONE, 0, "plain pages", NULL);
        add_case(memory, shape, SPATE_HUGE_TRY, 0, "huge pages", "plain pages");
        for (int i = 0; count > 1 && i < count; i++) {
            char how[32];
            snprintf(how, sizeof how, "on node %u", nodes[i]);
            add_case(memory, shape, SPATE_HUGE_NONE, nodes[i] + 1, how, "plain pages");
        }
    }
    return count;
}

static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct memory *memory = context;
    struct flow_spec *flow = &memory->cases[index].flow;
    struct flow_result result;

    const int error = flow_measure(memory->rounds.cpus, flow, &result);
    if (error)
        return error;
    flow->records = (uint64_t)(result.rate * memory->rounds.slice) + 64;
    if (flow->huge_pages && !result.has_huge_pages)
        memory->lacks_huge_pages = true;
    else
        ret->value = result.rate;
    return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct memory memory;
    struct option_spec specs[ROUNDS_OPTIONS + 1] = {0};

    rounds_options(&memory.rounds, specs);
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&memory.rounds);
    if (status != STATUS_GO_ON)
        return status;
    const int nodes = add_cases(&memory);
    status = rounds_run(&memory.rounds, "memory", memory.figures, memory.count, measure, &memory, 20);
    if (memory.rounds.json)
        return status;
    if (memory.lacks_huge_pages)
        output_print(
            "\nNo huge pages were given for shared memory: /sys/kernel/mm/transparent_hugepage/shmem_enabled must be advise,\n"
            "within_size or always.\n");
    if (nodes < 2)
        output_print("\nThere is one NUMA node: nothing to compare.\n");
    return status;
}

const struct command command_memory = {
    .path = "spate-bench memory",
    .arguments = "",
    .summary = "huge pages, and on which NUMA node a ring lies",
    .details =
        "One producer, one consumer. ratio is to the same on plain pages that the first touch places. Nodes are compared where\n"
        "there are several.\n"
        "\n"
        "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .run = run,
};
