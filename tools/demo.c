/* demo.c: `spate demo FILE`: the whole of Spate in one run, on real input.
 *
 * Reads a file of Debian control stanzas (a dpkg status file, a package list), and streams its lines, keyed by package name,
 * from two producer processes to several consumer processes. In mid-stream one producer is killed with SIGKILL and a fresh
 * one goes on. Then some lines are sent once more at a fixed rate, to measure latency without a queue in front. Prints a
 * short summary. tools/quickstart runs it and checks the consumers' files. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/tool.h"
#include "commands.h"

#define RING_CAPACITY ((uint64_t)32 << 20)

struct demo {
    struct demo_plan plan;
    struct demo_shared *shared;
    pid_t producers[DEMO_SOURCES], paced, consumers[DEMO_CONSUMERS_MAX]; /* 0: not running */
    size_t lines, packages;
};

/* ---------------------------------------------------------------------------------------------------------------- input */

static int map_input(const char *path, const char **ret_data, size_t *ret_size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return tool_error("cannot open %s: %s", path, strerror(errno));
    if (status.st_size == 0)
        return tool_error("%s is empty", path);
    void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        return tool_error("cannot map %s: %s", path, strerror(errno));
    *ret_data = data;
    *ret_size = (size_t)status.st_size;
    return STATUS_GO_ON;
}

/* Lines become records: the key is the package of the latest "Package:" line; packages go to the sources in turn. */
static void split_input(struct demo *demo, const char *data, size_t size)
{
    struct demo_plan *plan = &demo->plan;
    const char *key = "", *end = data + size;
    uint32_t key_size = 0;
    size_t capacity = 1;

    for (const char *at = data; at < end; at++)
        capacity += *at == '\n';
    for (int source = 0; source < DEMO_SOURCES; source++)
        plan->lines[source] = tool_allocate(capacity, sizeof *plan->lines[source]);
    for (const char *at = data; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline != NULL ? newline + 1 : end;
        size_t length = (size_t)((newline != NULL ? newline : end) - at);
        if (length > 9 && memcmp(at, "Package: ", 9) == 0) {
            key = at + 9;
            key_size = (uint32_t)(length - 9);
            demo->packages++;
        }
        uint32_t source = demo->packages % DEMO_SOURCES;
        plan->lines[source][plan->counts[source]++] =
            (struct demo_line){.key = key, .key_size = key_size, .text = at, .text_size = (uint32_t)length};
        demo->lines++;
        at = next;
    }
}

/* ------------------------------------------------------------------------------------------------------------ processes */

enum role { ROLE_PRODUCER, ROLE_FRESH_PRODUCER, ROLE_PACED_PRODUCER, ROLE_CONSUMER };

static pid_t start(struct demo *demo, enum role role, uint32_t index)
{
    int status = STATUS_FAILURE;
    const pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* however this command ends, its children end with it */
    if (getppid() != parent)
        _exit(STATUS_FAILURE);
    signal(SIGINT, SIG_DFL); /* they only end; the command tidies up */
    signal(SIGTERM, SIG_DFL);
    switch (role) {
    case ROLE_PRODUCER:
    case ROLE_FRESH_PRODUCER: status = demo_produce(&demo->plan, demo->shared, index, role == ROLE_FRESH_PRODUCER); break;
    case ROLE_PACED_PRODUCER: status = demo_produce_paced(&demo->plan, demo->shared); break;
    case ROLE_CONSUMER: status = demo_consume(&demo->plan, demo->shared, index); break;
    }
    _exit(status);
}

static void nap(void)
{
    struct timespec millisecond = {.tv_nsec = NS_PER_MS};
    nanosleep(&millisecond, NULL);
}

/* Waits for a child and forgets it. A signal that asks to stop ends the wait, whenever it comes. */
static bool finished_well(pid_t *pid)
{
    int status = 0;
    pid_t ended = 0;

    if (*pid <= 0)
        return false;
    while (!tool_stopped() && (ended = waitpid(*pid, &status, WNOHANG)) == 0)
        nap();
    if (ended == 0)
        return false;
    *pid = 0;
    return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void end_child(pid_t *pid)
{
    if (*pid <= 0)
        return;
    kill(*pid, SIGKILL);
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
        /* it is dead already */
    }
    *pid = 0;
}

static void end_children(struct demo *demo)
{
    for (uint32_t i = 0; i < DEMO_SOURCES; i++)
        end_child(&demo->producers[i]);
    end_child(&demo->paced);
    for (uint32_t i = 0; i < demo->plan.consumers; i++)
        end_child(&demo->consumers[i]);
}

static bool is_running(pid_t *pid)
{
    if (*pid <= 0 || waitpid(*pid, NULL, WNOHANG) == 0)
        return *pid > 0;
    *pid = 0;
    return false;
}

static bool start_consumers(struct demo *demo)
{
    for (uint32_t i = 0; i < demo->plan.consumers; i++)
        demo->consumers[i] = start(demo, ROLE_CONSUMER, i);
    while (atomic_load(&demo->shared->consumers_ready) < demo->plan.consumers) {
        for (uint32_t i = 0; i < demo->plan.consumers; i++)
            if (tool_stopped() || !is_running(&demo->consumers[i]))
                return false;
        nap();
    }
    return true;
}

/* Two producers; when a quarter of everything is published the second is killed, and a fresh one goes on. */
static bool publish_and_kill(struct demo *demo)
{
    struct demo_shared *shared = demo->shared;
    pid_t *victim = &demo->producers[DEMO_VICTIM];

    for (uint32_t i = 0; i < DEMO_SOURCES; i++)
        demo->producers[i] = start(demo, ROLE_PRODUCER, i);
    const size_t wanted = demo->lines < 4 ? 1 : demo->lines / 4;
    while (atomic_load(&shared->consumers[0].records) < wanted && is_running(victim) && !tool_stopped()) {
        /* looks without pause: the kill should come in mid-stream */
    }
    atomic_store(&shared->killed_ns, (uint64_t)tool_clock());
    end_child(victim);
    bool fine = !tool_stopped();
    if (fine)
        *victim = start(demo, ROLE_FRESH_PRODUCER, DEMO_VICTIM);
    for (uint32_t i = 0; fine && i < DEMO_SOURCES; i++)
        fine &= finished_well(&demo->producers[i]);
    return fine;
}

/* Streams everything, with a death in the middle. */
static int stream(struct demo *demo)
{
    struct demo_shared *shared = demo->shared;

    bool fine = start_consumers(demo) && publish_and_kill(demo);
    while (fine && atomic_load(&shared->consumers[0].records) < demo->lines && !tool_stopped()) {
        fine = is_running(&demo->consumers[0]);
        nap();
    }
    if (fine && !tool_stopped()) {
        demo->paced = start(demo, ROLE_PACED_PRODUCER, 0);
        fine = finished_well(&demo->paced);
    }
    atomic_store(&shared->done, true);
    for (uint32_t i = 0; fine && i < demo->plan.consumers; i++)
        fine &= finished_well(&demo->consumers[i]);
    if (tool_stopped())
        return tool_error("stopped before the end; nothing is left behind");
    return fine ? STATUS_GO_ON : tool_error("a producer or consumer failed; what it said is above");
}

/* --------------------------------------------------------------------------------------------------------------- report */

static void print_latency(const char *label, const struct histogram *latency)
{
    output_print("  %-28s p50 %.1f us   p99 %.1f us   p99.9 %.1f us   max %.1f us\n", label,
                 (double)histogram_at(latency, 0.5) / 1e3, (double)histogram_at(latency, 0.99) / 1e3,
                 (double)histogram_at(latency, 0.999) / 1e3, (double)latency->max / 1e3);
}

static void print_stream(const struct demo *demo, uint64_t span)
{
    if (span < NS_PER_MS) {
        output_print("  published                    too few lines to tell how fast\n");
        return;
    }
    const double rate = (double)demo->lines * 1e9 / (double)span;
    output_print("  published                    %.0f records/s, each read by every consumer: %.0f reads/s\n", rate,
                 rate * demo->plan.consumers);
}

static void print_death(const struct demo *demo, uint64_t recovered)
{
    const struct demo_shared *shared = demo->shared;

    if (shared->resumed_ns == 0) {
        output_print("  killed in mid-stream         nobody: a producer had published all of its few lines before\n");
        return;
    }
    output_print("  killed in mid-stream         1 producer (SIGKILL); the next record reached every consumer after %.3f ms\n",
                 (double)recovered / 1e6);
    output_print("  a fresh producer             went on at line %llu of its %zu, %.1f ms after the kill\n",
                 (unsigned long long)shared->resumed_at, demo->plan.counts[DEMO_VICTIM],
                 (double)(shared->resumed_ns - shared->killed_ns) / 1e6);
}

static int report(const struct demo *demo)
{
    static struct histogram busy, paced;
    uint64_t holes = 0, duplicates = 0, recovered = 0, span = 0;
    bool equal = true;

    for (uint32_t i = 0; i < demo->plan.consumers; i++) {
        const struct demo_consumer_result *result = &demo->shared->consumers[i];
        histogram_merge(&busy, &result->busy);
        histogram_merge(&paced, &result->paced);
        equal &= result->records == demo->lines;
        holes = result->holes > holes ? result->holes : holes;
        duplicates += result->duplicates;
        recovered = result->recovered_ns > recovered ? result->recovered_ns : recovered;
        span = result->last_ns - result->first_ns > span ? result->last_ns - result->first_ns : span;
    }
    output_print("  records                      %zu lines of %zu packages, %u producers, %u consumers, %d partitions\n",
                 demo->lines, demo->packages, DEMO_SOURCES, demo->plan.consumers, DEMO_PARTITIONS);
    print_stream(demo, span);
    print_death(demo, recovered);
    print_latency("latency, full speed", &busy);
    char label[64];
    snprintf(label, sizeof label, "latency, %u records/s", demo->plan.paced_rate);
    print_latency(label, &paced);
    output_print("  offsets                      dense; %llu holes where the killed one had a claim, %llu duplicates\n",
                 (unsigned long long)holes, (unsigned long long)duplicates);
    if (!equal || duplicates != 0)
        return tool_error("not every consumer saw every line exactly once: this is a bug, please report it");
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ run */

static int create_topic(const struct demo_plan *plan)
{
    struct spate_topic_config config;
    spate_bus *bus;

    int error = spate_bus_open(plan->bus, NULL, &bus);
    if (error != 0)
        return tool_failed(error, "cannot open a bus");
    spate_topic_config_init(&config);
    config.partitions = DEMO_PARTITIONS;
    config.ring_capacity = RING_CAPACITY;
    config.alignment = 16;
    error = spate_topic_create(bus, DEMO_TOPIC, &config);
    spate_bus_close(bus);
    return error != 0 ? tool_failed(error, "cannot create topic " DEMO_TOPIC) : STATUS_GO_ON;
}

static void remove_bus(const char *path)
{
    spate_bus *bus;
    if (spate_bus_open(path, NULL, &bus) == 0) {
        (void)spate_topic_delete(bus, DEMO_TOPIC, SPATE_DELETE_FORCE);
        spate_bus_close(bus);
    }
    char root[4096];
    struct spate_gc_result result;
    snprintf(root, sizeof root, "%s", path);
    char *slash = strrchr(root, '/');
    *slash = 0;
    (void)spate_gc_dir(root, 0, &result, NULL, NULL);
    (void)rmdir(root);
}

static int run_demo(const struct command *command, int argc, char **argv)
{
    struct demo demo = {.plan = {.consumers = 3, .paced = 40000, .paced_rate = 20000}};
    const char *output = NULL, *data = NULL;
    uint64_t consumers = 3;
    char root[2048], bus[sizeof root + 8];
    size_t size = 0;
    const struct option_spec specs[] = {
        {'O', "output", "DIR", "directory for a file per consumer and partition with the lines it saw; needed", set_text, &output},
        {0, "consumers", "N", "consumer processes, 1 to 16; default 3", set_count, &consumers},
        {0},
    };

    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    if (output == NULL)
        return options_mistake(command, "--output DIR is needed");
    if (consumers > DEMO_CONSUMERS_MAX)
        return options_mistake(command, "--consumers %llu: at most %d", (unsigned long long)consumers, DEMO_CONSUMERS_MAX);
    status = map_input(argv[0], &data, &size);
    if (status != STATUS_GO_ON)
        return status;
    split_input(&demo, data, size);
    const char *dir = getenv("SPATE_DIR");
    snprintf(root, sizeof root, "%s/spate-demo.XXXXXX", dir != NULL && *dir ? dir : "/dev/shm");
    if (access(output, W_OK | X_OK) != 0)
        return tool_error("cannot write into %s: %s", output, strerror(errno));
    demo.shared = mmap(NULL, sizeof *demo.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (demo.shared == MAP_FAILED)
        return tool_error("no memory for results: %s", strerror(errno));
    tool_catch_signals();
    if (mkdtemp(root) == NULL)
        return tool_error("cannot make %s: %s (it has to be on a memory file system: --dir, SPATE_DIR)", root, strerror(errno));
    snprintf(bus, sizeof bus, "%s/demo", root);
    demo.plan.bus = bus;
    demo.plan.output = output;
    demo.plan.consumers = (uint32_t)consumers;
    if (demo.plan.paced > demo.plan.counts[0])
        demo.plan.paced = demo.plan.counts[0];
    status = create_topic(&demo.plan);
    if (status == STATUS_GO_ON)
        status = stream(&demo);
    end_children(&demo);
    if (status == STATUS_GO_ON)
        status = report(&demo);
    remove_bus(bus);
    return status;
}

const struct command command_demo = {
    .path = "spate demo",
    .arguments = "FILE",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "stream a package list between processes, kill one, and report",
    .details = "FILE holds Debian control stanzas: /var/lib/dpkg/status, or the output of `apt-cache dumpavail`. The bus is a "
               "temporary one in\n"
               "/dev/shm, or in --dir when that is given; --bus does not matter here.\n",
    .run = run_demo,
};
