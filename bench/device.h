/* device.h: what the disk itself gives, measured by fio on the same file system: the ceiling that the log is held against.
 *
 * Called by log.c. Runs fio as a child process; writes a file and removes it. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

enum device_mode {
    DEVICE_OVERWRITE,         /* blocks that were written before */
    DEVICE_OVERWRITE_FLUSHED, /* with an fdatasync behind each */
    DEVICE_NEW_FILE,          /* blocks that are allocated and were never written, as those of a log's next segment */
};

/* device_write: large sequential direct writes, eight in flight.
 *   directory  on the file system
 *   seconds    how long
 *   ret_rate   bytes/s; 0 when fio is not installed
 * Returns      0, or -1 after a message */
int device_write(const char *directory, enum device_mode mode, double seconds, double *ret_rate);

/* device_flush: how long one write of 4 KiB and its flush take, in ns: the median of many. Returns 0, or -1 after a message. */
int device_flush(const char *directory, double seconds, double *ret_ns);

#endif
