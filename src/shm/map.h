/* map.h: files of the bus as memory: made whole, mapped, mapped twice in a row.
 *
 * Any thread. Errors come with their text. */
#ifndef SP_SHM_MAP_H
#define SP_SHM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sp_map {
    void *address;
    uint64_t size;
};

/* sp_map_file: map all of a file, which must have at least `least` bytes.
 *   writable  else read-only, so that a store faults
 * Returns 0, -ENOENT, -EACCES, -EBADMSG (too short), -ENOMEM */
int sp_map_file(int dir_fd, const char *name, bool writable, uint64_t least, const char *path, struct sp_map *ret);
void sp_unmap(struct sp_map *map);

/* sp_map_mirror: map `size` bytes at `offset` of a file twice in a row: 2 * size bytes of addresses. */
int sp_map_mirror(int fd, uint64_t offset, uint64_t size, uint64_t alignment, bool writable, struct sp_map *ret);

/* sp_map_touch: let the kernel make the page table entries of the first `size` bytes now: a fault costs a microsecond later, on the hot
 * path. A hint: where the kernel cannot (Linux before 5.14), faults come when they come. */
void sp_map_touch(const struct sp_map *map, uint64_t size, bool writable);

/* sp_check_room: whether `size` bytes can be allocated in a directory without driving the machine out of memory. A memory file
 * system may be as large as all memory, and fallocate would take every page there is before it fails. Returns 0, -ENOSPC. */
int sp_check_room(int dir_fd, uint64_t size);

/* sp_file_create: a new file of `size` bytes, all of them allocated now (ENOSPC here, never SIGBUS later), mapped writable.
 * It has no name until sp_file_link: a crash leaves nothing.
 *   numa_node   -1, or the node its memory is bound to
 *   huge        try huge pages; *ret_huge says whether they were got (may be NULL)
 * Returns 0, -ENOSPC, -ENOTSUP (no such node), -EACCES, -ENOMEM */
struct sp_new_file {
    int fd;
    struct sp_map map;
};
int sp_file_create(int dir_fd, uint64_t size, uint32_t mode, int numa_node, bool huge, bool *ret_huge, struct sp_new_file *ret);
/* sp_file_link: give it its name. Returns 0, -EEXIST, -errno. */
int sp_file_link(struct sp_new_file *file, int dir_fd, const char *name);
void sp_file_close(struct sp_new_file *file);

/* sp_page_size: what file offsets of mappings in that directory have to be multiples of: the file system's block on
 * hugetlbfs, else the page. */
uint32_t sp_page_size(int dir_fd);

#endif
