/* machine.c: see machine.h.
 *
 * From hwloc, uname and a few files of the kernel; what a system does not show is left out. Names nobody's host. */
#include "report/machine.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include "cli/json.h"

/* The first line of a file; false when it cannot be read. */
static bool read_line(const char *path, char *text, int size)
{
    FILE *file = fopen(path, "re");
    const bool read = file && fgets(text, size, file);

    if (file)
        fclose(file);
    if (read)
        text[strcspn(text, "\n")] = 0;
    return read;
}

/* One line of /proc/cpuinfo has all flags of a processor. */
static bool is_virtual(void)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    static char line[16384];
    bool found = false;

    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, "flags", 5) == 0 && strstr(line, " hypervisor");
    if (file)
        fclose(file);
    return found;
}

static void describe_caches(json_t *machine, hwloc_topology_t topology)
{
    static const struct {
        const char *name;
        hwloc_obj_type_t type;
    } caches[] = {{"L1", HWLOC_OBJ_L1CACHE}, {"L2", HWLOC_OBJ_L2CACHE}, {"L3", HWLOC_OBJ_L3CACHE}};
    char text[128] = "";

    for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++) {
        const hwloc_obj_t cache = hwloc_get_obj_by_type(topology, caches[i].type, 0);
        const size_t length = strlen(text);
        if (cache)
            snprintf(text + length, sizeof text - length, "%s%s %llu KiB × %d", length ? ", " : "", caches[i].name,
                     (unsigned long long)cache->attr->cache.size >> 10, hwloc_get_nbobjs_by_type(topology, caches[i].type));
    }
    if (*text)
        json_set_text(machine, "caches", text);
}

static void describe_topology(json_t *machine, const struct place *place)
{
    hwloc_topology_t topology;
    char text[128];

    if (hwloc_topology_init(&topology) < 0)
        return;
    if (hwloc_topology_load(topology) == 0) {
        snprintf(text, sizeof text, "%d processors used, %d cores, %d NUMA node(s)", place->count,
                 hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE), hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE));
        json_set_text(machine, "processors", text);
        describe_caches(machine, topology);
    }
    hwloc_topology_destroy(topology);
}

static void describe_kernel(json_t *machine)
{
    struct utsname names;
    struct sysinfo info;
    char text[512];

    if (sysinfo(&info) == 0) {
        snprintf(text, sizeof text, "%.1f GiB", (double)info.totalram * info.mem_unit / (1 << 30));
        json_set_text(machine, "memory", text);
    }
    if (uname(&names) == 0) {
        snprintf(text, sizeof text, "%s %s %s", names.sysname, names.release, names.machine);
        json_set_text(machine, "kernel", text);
    }
    json_set_text(machine, "virtual machine", is_virtual() ? "yes: processors may be moved, and others may use them" : "no");
    if (read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text, sizeof text))
        json_set_text(machine, "frequency governor", text);
    if (read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof text))
        json_set_text(machine, "huge pages of shared memory", text);
}

json_t *machine_describe(const struct place *place)
{
    json_t *machine = json_new();
    char text[64];
    const time_t now = time(NULL);
    struct tm utc;

    json_set_text(machine, "processor", place->model);
    describe_topology(machine, place);
    describe_kernel(machine);
    snprintf(text, sizeof text, "Spate %s, built with %s", spate_version(), __VERSION__);
    json_set_text(machine, "version", text);
    if (gmtime_r(&now, &utc) && strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc) > 0)
        json_set_text(machine, "measured", text);
    return machine;
}
