/* device.c: see device.h. The line for fio is the usual one for a log's device: nothing of ours is faster than the disk.
 * Owns nothing. */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/tool.h"

#define FIO                                                                                                           \
    "fio --name=log --filename='%s/spate-bench-fio' --ioengine=io_uring --direct=1 --rw=write --bs=256k --iodepth=8 " \
    "--runtime=%.0fms %s --output-format=json 2>/dev/null"

static const char *const modes[] = {
    [DEVICE_OVERWRITE] = "--size=512m --overwrite=1 --time_based --loops=1000000",
    [DEVICE_OVERWRITE_FLUSHED] = "--size=512m --overwrite=1 --time_based --loops=1000000 --fdatasync=1",
    [DEVICE_NEW_FILE] = "--size=4g --fallocate=native", /* ends with its time, or where the file does */
};

int device_write(const char *directory, enum device_mode mode, double seconds, double *ret_rate)
{
    char line[1024], path[512];

    *ret_rate = 0;
    if (system("command -v fio >/dev/null 2>&1") != 0)
        return 0;
    if (seconds < 0.5)
        seconds = 0.5;
    snprintf(line, sizeof line, FIO, directory, seconds * 1000, modes[mode]);
    FILE *pipe = popen(line, "re");
    if (!pipe)
        return tool_error("cannot run fio: %s", strerror(errno)), -1;
    json_t *result = json_loadf(pipe, JSON_DISABLE_EOF_CHECK, NULL);
    while (fgetc(pipe) != EOF) { /* fio takes it ill when what it prints is not read */
    }
    const int status = pclose(pipe);
    snprintf(path, sizeof path, "%s/spate-bench-fio", directory);
    (void)unlink(path);
    const json_t *write = json_object_get(json_array_get(json_object_get(result, "jobs"), 0), "write");
    *ret_rate = json_number_value(json_object_get(write, "bw_bytes"));
    json_decref(result);
    if (status != 0 || *ret_rate <= 0)
        return tool_error("fio failed in %s (status %d): its line is\n%s", directory, status, line), -1;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

#define FLUSHES_MAX 4096

static int measure_flushes(int file, void *page, double seconds, double *ret_ns)
{
    static int64_t times[FLUSHES_MAX];
    const int64_t end = tool_clock() + (int64_t)(seconds * 1e9);
    size_t count = 0;

    while (count < FLUSHES_MAX && (count < 16 || tool_clock() < end)) {
        const int64_t began = tool_clock();
        if (pwrite(file, page, 4096, (off_t)(count % 256 * 4096)) != 4096 || fdatasync(file) < 0)
            return -1;
        times[count++] = tool_clock() - began;
    }
    qsort(times, count, sizeof *times, compare);
    *ret_ns = (double)times[count / 2];
    return 0;
}

int device_flush(const char *directory, double seconds, double *ret_ns)
{
    char path[512];
    void *page = NULL;

    snprintf(path, sizeof path, "%s/spate-bench-flush", directory);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    if (file < 0)
        file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = file < 0 || posix_memalign(&page, 4096, 4096) != 0 ? -1 : 0;
    for (int i = 0; !error && i < 256; i++) { /* written once, so that later writes change no metadata */
        memset(page, i, 4096);
        error = pwrite(file, page, 4096, (off_t)i * 4096) == 4096 ? 0 : -1;
    }
    if (!error)
        error = fsync(file);
    if (!error)
        error = measure_flushes(file, page, seconds, ret_ns);
    if (error)
        tool_error("cannot write and flush in %s: %s", directory, strerror(errno));
    if (file >= 0)
        close(file);
    (void)unlink(path);
    free(page);
    return error ? -1 : 0;
}
