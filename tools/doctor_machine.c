/* doctor_machine.c: processors and clocks: how many cores this process may use, how they share caches, how fast they are allowed to be.
 *
 * hwloc is loaded once for the topology; everything else is read from /proc and /sys. Called by doctor.c. */
#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

enum { CPUS_MAX = 4096 };

/* read_usable: the cores this process may run on. Returns how many; `set` must hold CPUS_MAX. */
static int read_usable(cpu_set_t *set)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    CPU_ZERO_S(size, set);
    return sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
}

static void check_cores(int usable)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (usable >= 2)
        doctor_report(FINDING_OK, "cores", NULL, "%d usable of %ld online", usable, online);
    else
        doctor_report(FINDING_NOTE, "cores", "give it more (taskset, cpuset, the container's --cpuset-cpus), or use --wait block",
                      "%d usable of %ld online: producer and consumer take turns on it", usable, online);
}

/* check_quota: cgroup v2 may allow less time than the cores suggest; then spinning uses up what others need. */
static void check_quota(int usable)
{
    char text[64];
    long quota, period;
    doctor_read("/sys/fs/cgroup/cpu.max", text, sizeof(text));
    if (sscanf(text, "%ld %ld", &quota, &period) != 2 || period <= 0)
        return; /* "max", or no cgroup v2: no limit */
    double cores = (double)quota / (double)period;
    if (cores < usable)
        doctor_report(FINDING_NOTE, "CPU quota", "raise it (docker --cpus, cpu.max), or do not spin: --wait block",
                      "%.1f cores of time for %d usable cores", cores, usable);
}

static void check_topology(void)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0)
        return;
    if (hwloc_topology_load(topology) == 0) {
        int packages = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PACKAGE);
        int nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
        int caches = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_L3CACHE);
        int cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
        int threads = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
        const char *advice = nodes > 1    ? "keep those who talk to each other on one node, and the ring there: --config numa=N"
                             : caches > 1 ? "keep those who talk to each other on cores of one L3 cache (taskset)"
                                          : NULL;
        doctor_report(advice != NULL ? FINDING_NOTE : FINDING_OK, "topology", advice,
                      "packages %d, NUMA nodes %d, L3 groups %d, cores %d, hardware threads %d (SMT %s)", packages, nodes, caches,
                      cores, threads, threads > cores ? "on: two busy loops on one core slow each other" : "off or not shown");
    }
    hwloc_topology_destroy(topology);
}

static void check_governor(const cpu_set_t *set)
{
    char path[128], governor[64], other[64] = "";
    int seen = 0, slow = 0;
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!CPU_ISSET_S((size_t)cpu, CPU_ALLOC_SIZE(CPUS_MAX), set))
            continue;
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu);
        if (doctor_read(path, governor, sizeof(governor))[0] == '\0')
            continue;
        seen++;
        if (strcmp(governor, "performance") != 0) {
            slow++;
            memcpy(other, governor, sizeof(other));
        }
    }
    if (seen == 0)
        doctor_report(FINDING_OK, "CPU governor", NULL, "not shown here (a virtual machine or a container): the host decides");
    else if (slow == 0)
        doctor_report(FINDING_OK, "CPU governor", NULL, "performance");
    else
        doctor_report(FINDING_NOTE, "CPU governor", "for steady latency: cpupower frequency-set -g performance",
                      "'%s' on %d of %d cores: the first records after a pause are slow", other, slow, seen);
}

/* has_flags: whether the first processor of /proc/cpuinfo has both flags. */
static int has_flags(const char *first, const char *second)
{
    static char line[16384];
    FILE *file = fopen("/proc/cpuinfo", "re");
    int found = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "flags", 5) == 0) {
            found = strstr(line, first) != NULL && strstr(line, second) != NULL;
            break;
        }
    }
    if (file != NULL)
        fclose(file);
    return found;
}

static void check_clock(void)
{
    char source[64];
    doctor_read("/sys/devices/system/clocksource/clocksource0/current_clocksource", source, sizeof(source));
#if defined(__x86_64__)
    int invariant = has_flags(" constant_tsc", " nonstop_tsc");
    /* The vDSO reads the clock without a system call only from these. */
    int fast = source[0] == '\0' || strcmp(source, "tsc") == 0 || strncmp(source, "kvm-clock", 9) == 0 ||
               strncmp(source, "hyperv", 6) == 0;
    if (!fast)
        doctor_report(FINDING_NOTE, "clock",
                      "boot with clocksource=tsc if the hardware allows, or create topics with timestamp=none",
                      "source '%s': each timestamp is a system call", source);
    else
        doctor_report(invariant ? FINDING_OK : FINDING_NOTE, "clock",
                      invariant ? NULL : "do not compare time stamp counters between cores; timestamps of topics are not affected",
                      "%s time stamp counter%s%s", invariant ? "invariant" : "no invariant", source[0] != '\0' ? ", source " : "",
                      source);
#else
    (void)has_flags;
    doctor_report(FINDING_OK, "clock", NULL, "source %s", source[0] != '\0' ? source : "not shown");
#endif
}

void doctor_check_machine(void)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    if (set == NULL)
        return;
    int usable = read_usable(set);
    check_cores(usable);
    check_quota(usable);
    check_topology();
    check_governor(set);
    check_clock();
    CPU_FREE(set);
}
