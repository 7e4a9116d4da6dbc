/* device.h: what the disk itself gives, measured by fio on the same file system: the ceiling that the log is held against.
 *
 * Called by log.c. Runs fio as a child process; writes a file and removes it. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <stdbool.h>

/* device_write: large sequential direct writes over blocks that were written before, eight in flight.
 *   directory  on the file system
 *   flush      an fdatasync behind each write
 *   seconds    how long
 *   ret_rate   bytes/s; 0 when fio is not installed
 * Returns      0, or -1 after a message */
int device_write(const char *directory, bool flush, double seconds, double *ret_rate);

/* device_flush: how long one write of 4 KiB and its flush take, in ns: the median of many. Returns 0, or -1 after a message. */
int device_flush(const char *directory, double seconds, double *ret_ns);

#endif
