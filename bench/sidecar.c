/* sidecar.c: see sidecar.h. The child is ended by its process id, whatever happens to the measurement.
 * Owns the temporary directories. */
#include "sidecar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/tool.h"

static const char *const no_topics[] = {NULL};

static void run_daemon(const struct sidecar *sidecar, int cpu)
{
    char program[512];
    const ssize_t size = readlink("/proc/self/exe", program, sizeof program - 16);
    char *slash = size > 0 ? memrchr(program, '/', (size_t)size) : NULL;

    if (slash)
        snprintf(slash + 1, sizeof program - (size_t)(slash + 1 - program), "spated");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
    }
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    execl(program, program, "--bus", sidecar->bus_path, "--log-dir", sidecar->log_path, (char *)NULL);
    _exit(127);
}

static int wait_for_daemon(struct sidecar *sidecar)
{
    char link[TEMPORARY_PATH_SIZE + 8];
    int status;

    snprintf(link, sizeof link, "%s/~log", sidecar->bus_path);
    for (int i = 0; i < 1000; i++) {
        if (access(link, F_OK) == 0)
            return 0;
        if (waitpid(sidecar->process, &status, WNOHANG) == sidecar->process) {
            sidecar->process = 0;
            break;
        }
        usleep(5000);
    }
    return tool_error("spated did not start: is it built, beside spate-bench?");
}

int sidecar_start(struct sidecar *sidecar, const char *directory, int cpu)
{
    *sidecar = (struct sidecar){0};
    int status = temporary_create(sidecar->bus_path, no_topics, NULL);
    if (status)
        return status;
    snprintf(sidecar->log_path, sizeof sidecar->log_path, "%s/spate-bench-log.XXXXXX", directory);
    if (!mkdtemp(sidecar->log_path)) {
        status = tool_error("cannot make %s: %s; see --log-dir", sidecar->log_path, strerror(errno));
        *sidecar->log_path = 0;
        return status;
    }
    sidecar->process = fork();
    if (sidecar->process < 0)
        return tool_error("cannot start a process: %s", strerror(errno));
    if (sidecar->process == 0)
        run_daemon(sidecar, cpu);
    status = wait_for_daemon(sidecar);
    const int error = status ? 0 : spate_bus_open(sidecar->bus_path, NULL, &sidecar->bus);
    return error ? tool_failed(error, "cannot open the bus") : status;
}

/* What spated leaves: a few files, two levels deep. */
static void remove_tree(const char *path, int depth)
{
    DIR *directory = opendir(path);
    char inner[2 * TEMPORARY_PATH_SIZE];

    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if ((size_t)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= sizeof inner)
            continue;
        if (unlink(inner) < 0 && depth > 0)
            remove_tree(inner, depth - 1);
    }
    if (directory)
        closedir(directory);
    (void)rmdir(path);
}

void sidecar_stop(struct sidecar *sidecar)
{
    int status;

    spate_bus_close(sidecar->bus);
    if (sidecar->process > 0) {
        kill(sidecar->process, SIGTERM);
        (void)waitpid(sidecar->process, &status, 0);
    }
    if (*sidecar->log_path)
        remove_tree(sidecar->log_path, 3);
    if (*sidecar->bus_path)
        remove_tree(sidecar->bus_path, 3);
    *sidecar = (struct sidecar){0};
}

int sidecar_topic(struct sidecar *sidecar, const char *name, const struct spate_topic_config *config, spate_topic **ret_topic)
{
    int error = spate_topic_create(sidecar->bus, name, config);
    if (!error)
        error = spate_topic_open(sidecar->bus, name, ret_topic);
    if (error)
        return tool_failed(error, "cannot make a topic");
    for (int i = 0; config->durable && i < 2000; i++) {
        struct spate_watermarks marks;
        if (spate_topic_watermarks(*ret_topic, 0, &marks) == 0 && marks.state == SPATE_LOG_OPEN)
            return 0;
        usleep(5000);
    }
    return config->durable ? tool_error("spated does not write the log of a new topic") : 0;
}

double sidecar_seconds(const struct sidecar *sidecar)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)sidecar->process);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    const char *behind_name = size > 0 ? strrchr(text, ')') : NULL;
    if (behind_name && sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        user = system = 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}
