/* map.c: creating, mapping and mirroring the files of a bus.
 *
 * Files are made nameless (O_TMPFILE), filled, and linked last; where the file system has no O_TMPFILE they get a name that
 * no topic can have, which gc removes. Called by src/bus when things are created and attached. */
#include "shm/descriptor.h"
#include "shm/map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#if defined(SP_HAVE_NUMA) && SP_HAVE_NUMA
#include <numa.h>
#include <numaif.h>
#endif

#include "base/align.h"
#include "base/error.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int cannot_open(int dir_fd, const char *name, const char *path, int error)
{
    struct stat status;

    if (error == EACCES && fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return sp_fail(-error, "no permission to open %s/%s: its mode is %o, its owner %u:%u", path, name, status.st_mode & 07777,
                       status.st_uid, status.st_gid);
    return sp_fail(-error, "cannot open %s/%s: %s", path, name, strerror(error));
}

int sp_map_file(int dir_fd, const char *name, bool writable, uint64_t least, const char *path, struct sp_map *ret)
{
    struct stat status;
    int fd = sp_open_at(dir_fd, name, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);

    if (fd < 0)
        return cannot_open(dir_fd, name, path, errno);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || (uint64_t)status.st_size < least) {
        close(fd);
        return sp_fail(-EBADMSG, "%s/%s is truncated or foreign (%lld bytes, at least %llu expected): %s", path, name,
                       (long long)status.st_size, (unsigned long long)least,
                       strcmp(name, "bus") == 0 ? "remove the bus directory when nobody uses it"
                                                : "delete the topic (`spate topic delete --force`)");
    }
    void *address = mmap(NULL, (size_t)status.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    int error = errno;
    close(fd);
    if (address == MAP_FAILED)
        return sp_fail(-error, "cannot map %s/%s: %s", path, name, strerror(error));
    *ret = (struct sp_map){address, (uint64_t)status.st_size};
    return 0;
}

void sp_unmap(struct sp_map *map)
{
    if (map->address)
        munmap(map->address, map->size);
    *map = (struct sp_map){0};
}

int sp_map_mirror(int fd, uint64_t offset, uint64_t size, uint64_t alignment, bool writable, struct sp_map *ret)
{
    const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    uint64_t room = 2 * size + alignment;
    uint8_t *reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (reserved == MAP_FAILED)
        return sp_fail(-ENOMEM, "no address space for a ring of %llu bytes, mapped twice: %s", (unsigned long long)size,
                       strerror(errno));
    uint8_t *start = (uint8_t *)(uintptr_t)sp_align_up((uintptr_t)reserved, alignment);
    for (int half = 0; half < 2; half++) {
        if (mmap(start + (uint64_t)half * size, size, protection, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED) {
            int error = errno;
            munmap(reserved, room);
            return sp_fail(-error, "cannot map a ring of %llu bytes: %s", (unsigned long long)size, strerror(error));
        }
    }
    if (start != reserved)
        munmap(reserved, (size_t)(start - reserved));
    if (start + 2 * size != reserved + room)
        munmap(start + 2 * size, (size_t)(reserved + room - (start + 2 * size)));
    *ret = (struct sp_map){start, 2 * size};
    return 0;
}

void sp_map_touch(const struct sp_map *map, uint64_t size, bool writable)
{
#if defined(MADV_POPULATE_READ) && defined(MADV_POPULATE_WRITE)
    (void)madvise(map->address, size, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
#else
    (void)map;
    (void)size;
    (void)writable;
#endif
}

static int bind_to_node(void *address, uint64_t size, int node)
{
#if defined(SP_HAVE_NUMA) && SP_HAVE_NUMA
    if (numa_available() < 0 || node > numa_max_node())
        return sp_fail(-ENOTSUP, "there is no NUMA node %d (nodes 0..%d): choose another, or none", node,
                       numa_available() < 0 ? 0 : numa_max_node());
    struct bitmask *mask = numa_allocate_nodemask();
    numa_bitmask_setbit(mask, (unsigned)node);
    long result = mbind(address, size, MPOL_BIND, mask->maskp, mask->size + 1, 0);
    int error = errno;
    numa_free_nodemask(mask);
    if (result < 0)
        return sp_fail(-ENOTSUP, "memory cannot be bound to NUMA node %d: %s", node, strerror(error));
    return 0;
#else
    (void)address;
    (void)size;
    return sp_fail(-ENOTSUP, "this build has no libnuma, so memory cannot be bound to NUMA node %d", node);
#endif
}

/* Memory that can be had without hurting anybody; all there is when the system does not say. */
static uint64_t available_memory(void)
{
    unsigned long long kib, available = UINT64_MAX >> 10, swap = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");

    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            available = kib;
        else if (sscanf(line, "SwapFree: %llu kB", &kib) == 1)
            swap = kib;
    }
    if (file)
        fclose(file);
    return (available + swap) << 10;
}

static uint64_t free_room(int dir_fd)
{
    struct statfs fs;
    if (fstatfs(dir_fd, &fs) != 0)
        return UINT64_MAX;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    if (fs.f_type == HUGETLBFS_MAGIC)
        return free_bytes;
    /* a tmpfs without a limit says that it has no blocks at all */
    return fs.f_blocks == 0 ? available_memory() : sp_min(free_bytes, available_memory());
}

static int no_space(int dir_fd, uint64_t size, int error)
{
    if (error == ENOSPC || error == EFBIG || error == EDQUOT || error == ENOMEM)
        return sp_fail(-ENOSPC,
                       "no room for %llu bytes: the memory file system, or the machine, has %llu free. Enlarge it (mount -o "
                       "remount,size=..., docker --shm-size), or choose fewer partitions or smaller rings",
                       (unsigned long long)size, (unsigned long long)free_room(dir_fd));
    return sp_fail(-error, "cannot allocate %llu bytes: %s", (unsigned long long)size, strerror(error));
}

int sp_check_room(int dir_fd, uint64_t size)
{
    return size > free_room(dir_fd) ? no_space(dir_fd, size, ENOSPC) : 0;
}

int sp_file_create(int dir_fd, uint64_t size, uint32_t mode, int numa_node, bool huge, bool *ret_huge, struct sp_new_file *ret)
{
    int error = sp_check_room(dir_fd, size);
    if (error)
        return error;
    int fd = sp_open_at(dir_fd, ".", O_TMPFILE | O_RDWR, 0600);

    if (fd < 0)
        return sp_fail(-errno, "cannot create a file in the bus directory: %s%s", strerror(errno),
                       errno == EOPNOTSUPP ? "; its file system must know O_TMPFILE (tmpfs and hugetlbfs do)" : "");
    void *address = MAP_FAILED;
    if (fchmod(fd, mode) < 0 || ftruncate(fd, (off_t)size) < 0) {
        error = no_space(dir_fd, size, errno);
        goto failed;
    }
    address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) {
        error = no_space(dir_fd, size, errno);
        goto failed;
    }
    if (numa_node >= 0)
        error = bind_to_node(address, size, numa_node);
    if (error)
        goto failed;
    if (huge)
        (void)madvise(address, size, MADV_HUGEPAGE);
    int result;
    do {
        result = fallocate(fd, 0, 0, (off_t)size);
    } while (result < 0 && errno == EINTR);
    if (result < 0) {
        error = no_space(dir_fd, size, errno);
        goto failed;
    }
    if (huge && ret_huge)
        *ret_huge = sp_page_size(dir_fd) > (uint32_t)sysconf(_SC_PAGESIZE) || madvise(address, size, MADV_COLLAPSE) == 0;
    *ret = (struct sp_new_file){fd, {address, size}};
    return 0;
failed:
    if (address != MAP_FAILED)
        munmap(address, size);
    close(fd);
    return error;
}

int sp_file_link(struct sp_new_file *file, int dir_fd, const char *name)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", file->fd);
    if (linkat(AT_FDCWD, self, dir_fd, name, AT_SYMLINK_FOLLOW) < 0)
        return errno == EEXIST ? -EEXIST
                               : sp_fail(-errno, "cannot give %s its name: %s (is /proc mounted?)", name, strerror(errno));
    return 0;
}

void sp_file_close(struct sp_new_file *file)
{
    sp_unmap(&file->map);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

uint32_t sp_page_size(int dir_fd)
{
    struct statfs fs;
    uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
    if (fstatfs(dir_fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > page)
        return (uint32_t)fs.f_bsize;
    return page;
}
