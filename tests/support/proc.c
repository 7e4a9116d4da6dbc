/* proc.c: see proc.h: bus directories, children and checks for tests with several processes.
 *
 * Owns the list of children and of shared memory of the running test. Used by one thread of the test's process; children inherit
 * copies that they do not touch. */
#include "proc.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PREFIX "spate-proc."
#define CHILDREN_MAX 1024
#define SHARED_MAX 16

static pid_t main_pid;
static char root[64], bus_path[128];
static pid_t children[CHILDREN_MAX];
static int children_count;
static struct {
    void *address;
    size_t size;
} shared[SHARED_MAX];
static int shared_count;

void proc_fail(const char *file, int line, const char *format, ...)
{
    char text[1600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (getpid() == main_pid) {
        print_error("%s\n", text);
        _fail(file, line);
    }
    dprintf(STDERR_FILENO, "child %d: %s:%d: %s\n", (int)getpid(), file, line, text);
    _exit(1);
}

void proc_expect(int64_t value, int64_t expected, const char *what, const char *file, int line)
{
    if (value != expected)
        proc_fail(file, line, "%s is %lld (%s), expected %lld; last error: %s", what, (long long)value,
                  value < 0 && value > -4096 ? strerrorname_np((int)-value) : "", (long long)expected, spate_last_error());
}

void proc_says(const char *text, const char *file, int line)
{
    if (!strstr(spate_last_error(), text))
        proc_fail(file, line, "the error text should say \"%s\", but is: %s", text, spate_last_error());
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    (void)remove(path); /* what others removed meanwhile is gone all the same */
    return 0;
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Directories of test processes that are no more. */
static void sweep(void)
{
    DIR *directory = opendir("/dev/shm");
    char path[512];

    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
            continue;
        long pid = strtol(entry->d_name + strlen(PREFIX), NULL, 10);
        if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH) {
            snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
            remove_tree(path);
        }
    }
    if (directory)
        closedir(directory);
}

static void end_children(void)
{
    for (int i = 0; i < children_count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    children_count = 0;
}

static void on_alarm(int signal_number)
{
    static const char text[] = "the test hangs: it was ended by its alarm\n";

    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        /* nothing to be done */
    }
    if (getpid() == main_pid) {
        end_children();
        remove_tree(root);
    }
    _exit(99);
}

int proc_setup(void **state)
{
    (void)state;
    main_pid = getpid();
    setvbuf(stdout, NULL, _IOLBF, 0);
    sweep();
    unsetenv("SPATE_BUS");
    unsetenv("SPATE_DIR");
    snprintf(root, sizeof root, "/dev/shm/" PREFIX "%d.XXXXXX", (int)main_pid);
    if (!mkdtemp(root))
        return -1;
    if (chmod(root, 0755) < 0)
        return -1;
    snprintf(bus_path, sizeof bus_path, "%s/bus", root);
    signal(SIGALRM, on_alarm);
    alarm(120);
    return 0;
}

int proc_teardown(void **state)
{
    (void)state;
    if (getpid() != main_pid)
        _exit(1);
    alarm(0);
    end_children();
    for (int i = 0; i < shared_count; i++)
        munmap(shared[i].address, shared[i].size);
    shared_count = 0;
    remove_tree(root);
    return 0;
}

void proc_skip(const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_message("skipped: %s\n", text);
    skip();
}

void proc_alarm(unsigned seconds)
{
    alarm(seconds);
}

bool proc_is_full(void)
{
    const char *full = getenv("SPATE_FULL");
    return full && strcmp(full, "1") == 0;
}

bool proc_is_slow(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

const char *proc_root(void)
{
    return root;
}

const char *proc_bus_path(void)
{
    return bus_path;
}

const char *proc_file(const char *format, ...)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    va_list arguments;

    int size = snprintf(path, sizeof paths[0], "%s/", bus_path);
    va_start(arguments, format);
    vsnprintf(path + size, sizeof paths[0] - (size_t)size, format, arguments);
    va_end(arguments);
    return path;
}

spate_bus *proc_open(void)
{
    spate_bus *bus = NULL;
    OK(spate_bus_open(bus_path, NULL, &bus));
    return bus;
}

struct spate_topic_config proc_config(uint32_t partitions, uint64_t ring_capacity, uint32_t mode)
{
    struct spate_topic_config config;
    spate_topic_config_init(&config);
    config.partitions = partitions;
    config.ring_capacity = ring_capacity;
    config.mode = mode;
    return config;
}

void proc_create(spate_bus *bus, const char *name, uint32_t partitions, uint64_t ring_capacity, uint32_t mode)
{
    struct spate_topic_config config = proc_config(partitions, ring_capacity, mode);
    OK(spate_topic_create(bus, name, &config));
}

spate_topic *proc_topic(spate_bus *bus, const char *name)
{
    spate_topic *topic = NULL;
    OK(spate_topic_open(bus, name, &topic));
    return topic;
}

spate_producer *proc_producer(spate_topic *topic)
{
    spate_producer *producer = NULL;
    OK(spate_producer_open(topic, NULL, &producer));
    return producer;
}

spate_consumer *proc_consumer(spate_topic *topic, uint32_t policy, uint32_t start, int64_t value)
{
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;

    spate_consumer_options_init(&options);
    options.policy = policy;
    options.start = start;
    options.start_value = value;
    OK(spate_consumer_open(topic, &options, &consumer));
    return consumer;
}

struct proc_handles proc_join(const char *topic)
{
    struct proc_handles handles;
    handles.bus = proc_open();
    handles.topic = proc_topic(handles.bus, topic);
    return handles;
}

void proc_leave(struct proc_handles handles)
{
    spate_topic_close(handles.topic);
    spate_bus_close(handles.bus);
}

pid_t proc_start(int (*body)(void *argument), void *argument)
{
    const pid_t parent = getpid();

    CHECK(children_count < CHILDREN_MAX);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        /* cmocka's handlers would jump into the test that this is not */
        for (int i = 1; i < 32; i++)
            signal(i, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent && getppid() != 0)
            _exit(1);
        _exit(body(argument));
    }
    CHECKF(pid > 0, "fork: %s", strerror(errno));
    if (parent == main_pid)
        children[children_count++] = pid;
    return pid;
}

static void forget(pid_t pid)
{
    for (int i = 0; i < children_count; i++)
        if (children[i] == pid)
            children[i--] = children[--children_count];
}

int proc_wait(pid_t pid)
{
    int status;
    pid_t ended;

    do {
        ended = waitpid(pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    CHECKF(ended == pid, "waitpid(%d): %s", (int)pid, strerror(errno));
    forget(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void proc_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    IS(proc_wait(pid), 128 + SIGKILL);
}

bool proc_is_running(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

void *proc_shared(size_t size)
{
    CHECK(shared_count < SHARED_MAX);
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(address != MAP_FAILED);
    shared[shared_count].address = address;
    shared[shared_count++].size = size;
    return address;
}

void proc_nap(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / PROC_S, .tv_nsec = ns % PROC_S};
    nanosleep(&time, NULL);
}

int64_t proc_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * PROC_S + time.tv_nsec;
}

void proc_await(proc_word *word, uint64_t value)
{
    const int64_t start = proc_now();

    while (proc_get(word) < value) {
        if (proc_now() - start > PROC_PATIENCE)
            proc_fail(__FILE__, __LINE__, "waited in vain for a count of %llu, it is %llu", (unsigned long long)value,
                      (unsigned long long)proc_get(word));
        proc_nap(100000);
    }
}

uint64_t proc_get(proc_word *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

void proc_add(proc_word *word)
{
    atomic_fetch_add_explicit(word, 1, memory_order_acq_rel);
}

void proc_set(proc_word *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

uint64_t proc_seed(void)
{
    const char *given = getenv("SPATE_SEED");
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    uint64_t seed =
        given ? strtoull(given, NULL, 0) : (uint64_t)time.tv_nsec ^ (uint64_t)time.tv_sec << 20 ^ (uint64_t)getpid() << 40;
    print_message("seed: SPATE_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* splitmix64 */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t proc_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return mix(*state);
}

uint64_t proc_below(uint64_t *state, uint64_t limit)
{
    return proc_random(state) % limit;
}

/* producer, sequence, their check, and a fourth word that binds the size; then bytes that continue from there. */
void proc_fill(void *value, uint32_t size, uint64_t producer, uint64_t sequence)
{
    uint64_t words[4] = {producer, sequence, mix(producer * 31 + sequence), mix(producer ^ sequence << 1 ^ (uint64_t)size << 40)};
    uint64_t state = words[3];
    uint8_t *at = value;

    memcpy(at, words, sizeof words);
    for (uint32_t i = sizeof words; i < size; i += 8) {
        uint64_t next = proc_random(&state);
        memcpy(at + i, &next, size - i < 8 ? size - i : 8);
    }
}

bool proc_is_whole(const void *value, uint32_t size, uint64_t *ret_producer, uint64_t *ret_sequence)
{
    const uint8_t *at = value;
    uint64_t words[4];

    if (size < sizeof words)
        return false;
    memcpy(words, at, sizeof words);
    if (words[2] != mix(words[0] * 31 + words[1]) || words[3] != mix(words[0] ^ words[1] << 1 ^ (uint64_t)size << 40))
        return false;
    uint64_t state = words[3];
    for (uint32_t i = sizeof words; i < size; i += 8) {
        uint64_t next = proc_random(&state);
        if (memcmp(at + i, &next, size - i < 8 ? size - i : 8) != 0)
            return false;
    }
    if (ret_producer)
        *ret_producer = words[0];
    if (ret_sequence)
        *ret_sequence = words[1];
    return true;
}

int64_t proc_publish(spate_producer *producer, int32_t partition, uint32_t size, uint64_t id, uint64_t sequence)
{
    struct spate_record record = {.partition = partition, .value_size = size};
    struct spate_claim claim;
    int error;

    while ((error = spate_claim(producer, &record, &claim)) == -EAGAIN)
        OK(spate_producer_wait(producer, PROC_PATIENCE));
    OK(error);
    proc_fill(claim.value, size, id, sequence);
    OK(spate_commit(producer));
    return claim.offset;
}

int64_t proc_publish_text(spate_producer *producer, int32_t partition, const char *text)
{
    struct spate_record record = {.partition = partition, .value = text, .value_size = (uint32_t)strlen(text)};
    int64_t offset = -1;

    OK(spate_publish(producer, &record, PROC_PATIENCE, &offset));
    return offset;
}
