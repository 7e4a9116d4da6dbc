/* doctor_kernel.c: what the kernel offers and what this process is allowed: huge pages, membarrier, io_uring, limits.
 *
 * Each check asks the kernel itself where that is possible (a real io_uring_setup, a real membarrier query), because versions and settings
 * lie in containers. Called by doctor.c. */
#include <dirent.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "doctor.h"
#include "cli/table.h"

static void check_transparent_huge_pages(void)
{
    char text[128];
    doctor_read("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof(text));
    char *start = strchr(text, '['), *end = start != NULL ? strchr(start, ']') : NULL;
    if (end == NULL) {
        doctor_report(FINDING_NOTE, "shmem THP", "a kernel with CONFIG_TRANSPARENT_HUGEPAGE gives huge=try its pages",
                      "not offered by this kernel");
        return;
    }
    *end = '\0';
    const char *mode = start + 1;
    int off = strcmp(mode, "never") == 0 || strcmp(mode, "deny") == 0;
    doctor_report(off ? FINDING_NOTE : FINDING_OK, "shmem THP",
                  off ? "echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled, then large rings can have huge=try" : NULL,
                  "'%s'%s", mode, off ? ": rings get plain pages" : "");
}

static void check_huge_page_pools(void)
{
    char found[256] = "", path[512], total[32], available[32];
    size_t size = 0;
    DIR *directory = opendir("/sys/kernel/mm/hugepages");
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "hugepages-", 10) != 0)
            continue;
        snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/nr_hugepages", entry->d_name);
        doctor_read(path, total, sizeof(total));
        snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", entry->d_name);
        doctor_read(path, available, sizeof(available));
        if (strtol(total, NULL, 10) > 0 && size < sizeof(found))
            size += (size_t)snprintf(found + size, sizeof(found) - size, "%s%s: %s, %s free", size != 0 ? "; " : "",
                                     entry->d_name + 10, total, available);
    }
    if (directory != NULL)
        closedir(directory);
    doctor_report(FINDING_OK, "hugetlb pools", NULL, "%s",
                  size != 0 ? found : "none reserved (only a bus on hugetlbfs needs them)");
}

static void check_membarrier(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    const long needed = MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
    if (commands >= 0 && (commands & needed) == needed)
        doctor_report(FINDING_OK, "membarrier", NULL, "global expedited");
    else
        doctor_report(FINDING_NOTE, "membarrier", "Linux 4.16 or newer, and membarrier allowed in the container's seccomp profile",
                      "%s: each publish pays a fence instead", commands < 0 ? strerror(errno) : "no global expedited");
}

static void check_io_uring(void)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof(params));
    int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (ring >= 0) {
        close(ring);
        doctor_report(FINDING_OK, "io_uring", NULL, "works");
        return;
    }
    int error = errno;
    char disabled[16];
    doctor_read("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
    const char *advice = "only the log of spated uses it, and falls back to pwrite and fdatasync";
    if (error == ENOSYS)
        doctor_report(FINDING_NOTE, "io_uring", advice, "not in this kernel, or hidden by seccomp (ENOSYS)");
    else if (error == EPERM && disabled[0] != '\0' && disabled[0] != '0')
        doctor_report(FINDING_NOTE, "io_uring", "sysctl kernel.io_uring_disabled=0; until then spated uses pwrite and fdatasync",
                      "switched off by kernel.io_uring_disabled = %s (EPERM)", disabled);
    else if (error == EPERM)
        doctor_report(FINDING_NOTE, "io_uring",
                      "allow io_uring_setup, _enter, _register in the container's seccomp profile; until then spated uses pwrite",
                      "refused by seccomp, as Docker's default profile does (EPERM)");
    else
        doctor_report(FINDING_NOTE, "io_uring", advice, "%s", strerror(error));
}

static const char *format_limit(char *text, rlim_t limit)
{
    return limit == RLIM_INFINITY ? "unlimited" : table_size(text, limit);
}

static void check_limits(void)
{
    enum { MEMLOCK_LOW = 8 << 20, FILES_LOW = 1024 };
    struct rlimit limit;
    char soft[32], hard[32];
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
        int low = limit.rlim_cur < MEMLOCK_LOW;
        doctor_report(low ? FINDING_NOTE : FINDING_OK, "memlock",
                      low ? "to lock memory or register buffers: ulimit -l unlimited, LimitMEMLOCK=, docker --ulimit memlock=-1"
                          : NULL,
                      "%s (hard limit %s)", format_limit(soft, limit.rlim_cur), format_limit(hard, limit.rlim_max));
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        int low = limit.rlim_cur < FILES_LOW;
        doctor_report(low ? FINDING_NOTE : FINDING_OK, "open files",
                      low ? "each open partition takes a few: ulimit -n 65536, LimitNOFILE=, docker --ulimit nofile=65536" : NULL,
                      "%llu (hard limit %llu)", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
    }
}

void doctor_check_kernel(void)
{
    check_membarrier();
    check_transparent_huge_pages();
    check_huge_page_pools();
    check_limits();
    check_io_uring();
}
