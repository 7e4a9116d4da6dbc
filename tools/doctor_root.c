/* doctor_root.c: the directory of buses: whether it can be used, what it lies on, how much room there is, whether kernel locks work.
 *
 * Where the directory does not exist yet, its nearest existing ancestor answers, since that is where it will be made. The trials use an
 * unnamed file (O_TMPFILE), as the library does, so nothing is left behind. Called by doctor.c. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "doctor.h"
#include "cli/table.h"

enum {
    PATH_SIZE = 4096,
    TRIAL_SIZE = 64 << 10,
    LOW_SIZE = 16 << 20, /* not even two topics of the default size */
    SMALL_SIZE = 256 << 20,
};

/* find_root: the directory of buses, as the library chooses it; for a bus given as a path, that path. */
static void find_root(char *root)
{
    const char *bus = getenv("SPATE_BUS"), *dir = getenv("SPATE_DIR");
    if (bus != NULL && strchr(bus, '/') != NULL)
        dir = bus;
    snprintf(root, PATH_SIZE, "%s", dir != NULL && dir[0] != '\0' ? dir : "/dev/shm/spate");
}

/* find_existing: cut the path back to what exists. */
static void find_existing(const char *root, char *existing)
{
    snprintf(existing, PATH_SIZE, "%s", root);
    while (access(existing, F_OK) != 0 && errno == ENOENT) {
        char *slash = strrchr(existing, '/');
        if (slash == NULL)
            snprintf(existing, PATH_SIZE, ".");
        else
            slash[slash == existing ? 1 : 0] = '\0';
    }
}

static const char *file_system_name(long type)
{
    static const struct {
        long type;
        const char *name;
    } known[] = {
        {TMPFS_MAGIC, "tmpfs"},   {HUGETLBFS_MAGIC, "hugetlbfs"}, {RAMFS_MAGIC, "ramfs"},   {EXT4_SUPER_MAGIC, "ext4"},
        {XFS_SUPER_MAGIC, "xfs"}, {BTRFS_SUPER_MAGIC, "btrfs"},   {NFS_SUPER_MAGIC, "NFS"}, {OVERLAYFS_SUPER_MAGIC, "overlay"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].type == type)
            return known[i].name;
    return "another";
}

static void check_file_system(const char *existing)
{
    struct statfs fs;
    char total[32], available[32];
    if (statfs(existing, &fs) != 0)
        return;
    long type = (long)(unsigned int)fs.f_type;
    int memory = type == TMPFS_MAGIC || type == HUGETLBFS_MAGIC || type == RAMFS_MAGIC;
    doctor_report(memory ? FINDING_OK : FINDING_NOTE, "file system",
                  memory ? NULL
                         : "choose a directory on tmpfs or hugetlbfs (--dir, SPATE_DIR): here records are also written to a disk",
                  "%s is on %s", existing, file_system_name(type));
    unsigned long long free_size = (unsigned long long)fs.f_bavail * (unsigned long long)fs.f_bsize;
    table_size(total, (unsigned long long)fs.f_blocks * (unsigned long long)fs.f_bsize);
    table_size(available, free_size);
    const char *advice = "mount -o remount,size=... (Docker gives /dev/shm 64 MB: --shm-size=1g), or delete topics";
    if (type == RAMFS_MAGIC)
        doctor_report(FINDING_NOTE, "room", "prefer tmpfs: its size is bounded", "ramfs tells no size");
    else if (free_size < LOW_SIZE)
        doctor_report(FINDING_PROBLEM, "room", advice, "%s free of %s: no room for topics of the default size", available, total);
    else
        doctor_report(free_size < SMALL_SIZE ? FINDING_NOTE : FINDING_OK, "room", free_size < SMALL_SIZE ? advice : NULL,
                      "%s free of %s", available, total);
    if (fs.f_files != 0 && fs.f_ffree < 64)
        doctor_report(FINDING_PROBLEM, "inodes", "mount -o remount,nr_inodes=...", "%llu left", (unsigned long long)fs.f_ffree);
}

/* check_locks: liveness rests on them: one open file holds a byte, another must see that, and see it go. */
static void check_locks(int file)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    int holder = open(path, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 1}, seen = lock, after = lock;
    int error = holder < 0 || fcntl(holder, F_OFD_SETLK, &lock) != 0 || fcntl(file, F_OFD_GETLK, &seen) != 0 ? errno : 0;
    if (holder >= 0)
        close(holder); /* drops the lock, as death does */
    if (error == 0 && fcntl(file, F_OFD_GETLK, &after) != 0)
        error = errno;
    if (error == 0 && seen.l_type == F_WRLCK && after.l_type == F_UNLCK)
        doctor_report(FINDING_OK, "file locks", NULL, "open-file-description locks work");
    else
        doctor_report(FINDING_PROBLEM, "file locks", "use a local file system (tmpfs); Linux 3.15 or newer",
                      "open-file-description locks do not work here (%s): nobody could tell who is alive",
                      error != 0 ? strerror(error) : "another open file does not see them");
}

static void check_files(const char *existing)
{
    int file = open(existing, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) {
        int error = errno;
        const char *advice = error == EOPNOTSUPP || error == EISDIR ? "choose a directory on tmpfs or hugetlbfs (--dir, SPATE_DIR)"
                             : error == ENOTDIR                     ? "it is a file: choose a directory (--dir, SPATE_DIR)"
                             : error == ENOSPC                      ? "make room, or enlarge it: mount -o remount,size=..."
                                               : "choose a directory you may write to (--dir, SPATE_DIR), or have its mode changed";
        doctor_report(FINDING_PROBLEM, "directory", advice, "no file can be made in %s: %s", existing, strerror(error));
        return;
    }
    doctor_report(FINDING_OK, "directory", NULL, "files can be made in %s", existing);
    if (fallocate(file, 0, 0, TRIAL_SIZE) != 0 && errno != ENOSPC && errno != EINVAL) /* hugetlbfs takes whole pages only */
        doctor_report(FINDING_PROBLEM, "allocation", "choose a directory on tmpfs or hugetlbfs (--dir, SPATE_DIR)",
                      "space cannot be allocated there: %s", strerror(errno));
    check_locks(file);
    close(file);
}

void doctor_check_root(void)
{
    char root[PATH_SIZE], existing[PATH_SIZE];
    find_root(root);
    find_existing(root, existing);
    if (strcmp(root, existing) != 0)
        doctor_report(FINDING_OK, "root", NULL, "%s does not exist yet; it is made on first use", root);
    check_files(existing);
    check_file_system(existing);
}
