/* main.c: spated, the daemon beside the ring: its command line, its place in the system, its beginning and its end.
 *
 * Runs in the foreground; whoever starts it (systemd, a container, a shell) keeps it. SIGTERM and SIGINT end it when everything is
 * written and flushed, SIGHUP reads the configuration again. Messages go to standard error, one line each, with the priority prefixes
 * that systemd understands when it is the reader. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/error.h"
#include "bus/path.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/tool.h"
#include "shm/descriptor.h"
#include "supervisor.h"

#define LOCK_NAME "~lock"
#define LINK_NAME SP_LOG_LINK

static bool for_journal; /* standard error goes to systemd's journal, which adds the time */

void message(bool is_error, const char *format, ...)
{
    char line[1200], when[40] = "";
    int size = 0;
    va_list arguments;

    if (for_journal) {
        size = snprintf(line, sizeof line, "%s", is_error ? SD_ERR : SD_INFO);
    } else {
        const time_t now = time(NULL);
        struct tm local;
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &local));
        size = snprintf(line, sizeof line, "%s spated: %s", when, is_error ? "error: " : "");
    }
    va_start(arguments, format);
    size += vsnprintf(line + size, sizeof line - (size_t)size - 1, format, arguments);
    va_end(arguments);
    if (size > (int)sizeof line - 2)
        size = (int)sizeof line - 2;
    line[size++] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)size); /* in one piece, so that threads do not mix */
}

struct daemon_options {
    const char *config_path, *log_dir;
    bool help_config, print_config, version;
};

/* ----------------------------------------------------------------------------------------------------- who else runs */

/* A lock file with the holder's process in it. Returns 0, -EBUSY (with a text that names who holds it), -errno. */
static int take_lock(int dir_fd, const char *what, struct sp_lock *ret)
{
    char holder[64] = "";

    int fd = sp_open_at(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
    if (fd < 0)
        return sp_fail(-errno, "cannot make %s/" LOCK_NAME ": %s", what, strerror(errno));
    int error = sp_lock_open(ret, dir_fd, LOCK_NAME, O_RDWR);
    if (!error) {
        error = sp_lock_try(ret, 0);
        if (error == -EAGAIN) {
            const ssize_t size = pread(fd, holder, sizeof holder - 1, 0);
            holder[size > 0 ? size : 0] = 0;
            error = sp_fail(-EBUSY, "another spated, process %s, has %s", holder[0] ? holder : "?", what);
        }
        if (error)
            sp_lock_close(ret);
    }
    if (!error) {
        const int size = snprintf(holder, sizeof holder, "%lld", (long long)getpid());
        if (ftruncate(fd, 0) == 0)
            (void)!pwrite(fd, holder, (size_t)size, 0);
    }
    close(fd);
    return error;
}

/* Where readers find the log: a link in the bus directory. */
static int link_log(const struct spate_bus *bus, const char *log_dir)
{
    char target[SP_PATH_SIZE];
    const ssize_t size = readlinkat(bus->registry.dir_fd, LINK_NAME, target, sizeof target - 1);

    if (size > 0) {
        target[size] = 0;
        if (strcmp(target, log_dir) == 0)
            return 0;
        message(false, "the log of this bus was in %s: from now on it is in %s, and what is only there is not read any more",
                target, log_dir);
        (void)unlinkat(bus->registry.dir_fd, LINK_NAME, 0);
    }
    if (symlinkat(log_dir, bus->registry.dir_fd, LINK_NAME) < 0)
        return sp_fail(-errno, "cannot link the log into %s: %s", bus->registry.path, strerror(errno));
    return 0;
}

/* ------------------------------------------------------------------------------------------------------ the directory */

/* The bus's own name, for the default log directory. */
static void name_of_bus(const char *path, char name[SPATE_TOPIC_NAME_MAX + 1])
{
    const char *slash = strrchr(path, '/');
    snprintf(name, SPATE_TOPIC_NAME_MAX + 1, "%.*s", SPATE_TOPIC_NAME_MAX, slash && slash[1] ? slash + 1 : path);
}

static int default_log_dir(const char *bus_path, char path[SP_PATH_SIZE])
{
    char name[SPATE_TOPIC_NAME_MAX + 1];
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int size;

    name_of_bus(bus_path, name);
    if (geteuid() == 0)
        size = snprintf(path, SP_PATH_SIZE, "/var/lib/spate/%s", name);
    else if (state && state[0] == '/')
        size = snprintf(path, SP_PATH_SIZE, "%s/spate/%s", state, name);
    else if (home && home[0] == '/')
        size = snprintf(path, SP_PATH_SIZE, "%s/.local/state/spate/%s", home, name);
    else
        return sp_fail(-EINVAL, "no directory for the log: neither XDG_STATE_HOME nor HOME is set; give --log-dir");
    return size < SP_PATH_SIZE ? 0 : sp_fail(-ENAMETOOLONG, "the path of the log directory is too long: give --log-dir");
}

static int make_path(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        const int made = mkdir(path, 0755);
        const int error = errno;
        *at = '/';
        if (made < 0 && error != EEXIST)
            return sp_fail(-error, "cannot make the log directory %s: %s", path, strerror(error));
    }
    return mkdir(path, 0755) < 0 && errno != EEXIST ? sp_fail(-errno, "cannot make the log directory %s: %s", path, strerror(errno))
                                                    : 0;
}

/* Where the log is to be: as it was given, or by default. */
static int choose_log_dir(const char *given, const char *bus_path, char path[SP_PATH_SIZE])
{
    if (!given)
        return default_log_dir(bus_path, path);
    if (snprintf(path, SP_PATH_SIZE, "%s", given) >= SP_PATH_SIZE)
        return sp_fail(-ENAMETOOLONG, "the path of the log directory is too long");
    return 0;
}

/* The log directory, made if need be; its path becomes absolute. */
static int open_log_dir(char path[SP_PATH_SIZE], int *ret_fd)
{
    char full[SP_PATH_SIZE];

    int error = make_path(path);
    if (error)
        return error;
    if (!realpath(path, full))
        return sp_fail(-errno, "cannot find the log directory %s: %s", path, strerror(errno));
    snprintf(path, SP_PATH_SIZE, "%s", full);
    *ret_fd = sp_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    return *ret_fd < 0 ? sp_fail(-errno, "cannot open the log directory %s: %s", path, strerror(errno)) : 0;
}

/* What realpath() will say of a path when it has been made; the root directory is "". Unlike realpath(), of what is not there yet too. */
static int resolve(const char *path, char ret[SP_PATH_SIZE])
{
    char words[SP_PATH_SIZE], full[SP_PATH_SIZE], *rest = words;

    ret[0] = 0;
    if (path[0] != '/' && !getcwd(ret, SP_PATH_SIZE))
        return sp_fail(-errno, "cannot tell which directory %s is relative to: %s", path, strerror(errno));
    size_t size = strcmp(ret, "/") == 0 ? 0 : strlen(ret);
    ret[size] = 0;
    snprintf(words, sizeof words, "%s", path);
    for (const char *word; (word = strsep(&rest, "/")) != NULL;) {
        if (strcmp(word, "") == 0 || strcmp(word, ".") == 0)
            continue;
        if (strcmp(word, "..") == 0) {
            char *slash = strrchr(ret, '/');
            size = slash ? (size_t)(slash - ret) : 0;
            ret[size] = 0;
            continue;
        }
        size += (size_t)snprintf(ret + size, SP_PATH_SIZE - size, "/%s", word);
        if (size >= SP_PATH_SIZE)
            return sp_fail(-ENAMETOOLONG, "the path %s is too long", path);
        if (realpath(ret, full)) /* a link leads elsewhere, and ".." from there */
            size = (size_t)snprintf(ret, SP_PATH_SIZE, "%s", strcmp(full, "/") == 0 ? "" : full);
    }
    return 0;
}

static bool is_within(const char *path, const char *directory)
{
    const size_t size = strlen(directory);
    return strncmp(path, directory, size) == 0 && (path[size] == 0 || path[size] == '/');
}

/* Places that are no good for a log. Nothing is made yet. Returns 0, -EINVAL, -errno */
static int judge_log_dir(const char *log_dir, const char *bus_path)
{
    char log[SP_PATH_SIZE], bus[SP_PATH_SIZE];

    int error = resolve(log_dir, log);
    if (!error)
        error = resolve(bus_path, bus);
    if (error)
        return error;
    const char *name = strrchr(bus, '/');
    const size_t root_size = name ? (size_t)(name - bus) : 0;
    const bool is_root = strlen(log) == root_size && strncmp(log, bus, root_size) == 0;
    if (!is_root && !is_within(log, bus))
        return 0;
    return sp_fail(-EINVAL, "%s is where buses are, in memory: the log needs a directory on a disk (--log-dir)", log_dir);
}

static void warn_of_memory(const char *log_dir, int log_fd)
{
    struct statfs system;
    if (fstatfs(log_fd, &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC))
        message(false, "%s is in memory: this log does not outlive the host", log_dir);
}

/* ---------------------------------------------------------------------------------------------------------------- run */

static void reload(struct supervisor *supervisor, struct config *config, const char *path)
{
    struct config loaded;

    config_init(&loaded);
    if (!path) {
        message(false, "SIGHUP: there is no configuration file (--config) to read again");
    } else if (config_load(path, &loaded) != 0) {
        message(true, "the configuration is left as it was: %s", spate_last_error());
    } else {
        const char *key = config_needs_restart(config, &loaded);
        if (key)
            message(false, "%s changed: that takes effect when spated is started anew", key);
        config->log.retention_interval = loaded.log.retention_interval;
        config->log.scan_interval = loaded.log.scan_interval;
        cleaner_configure(&supervisor->cleaner, config);
        message(false, "read %s again", path);
    }
    config_free(&loaded);
}

static void serve(struct supervisor *supervisor, struct config *config, const char *config_path, const sigset_t *signals)
{
    for (;;) {
        const struct timespec interval = {config->log.scan_interval / SP_NS_PER_S, config->log.scan_interval % SP_NS_PER_S};
        const int got = sigtimedwait(signals, NULL, &interval);
        if (got == SIGTERM || got == SIGINT)
            return;
        if (got == SIGHUP)
            reload(supervisor, config, config_path);
        supervisor_look(supervisor);
    }
}

/* Every partition has a few files open; what is allowed by default is made for select(). */
static void raise_files_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The bus and the log are there, the log is ours; log_fd is closed by the caller. */
static int run_bus(struct spate_bus *bus, struct config *config, const struct daemon_options *options, const char *log_dir,
                   int log_fd, const sigset_t *signals)
{
    struct supervisor supervisor;
    struct sp_lock bus_lock;

    if (take_lock(bus->registry.dir_fd, spate_bus_path(bus), &bus_lock) != 0)
        return tool_error("%s", spate_last_error());
    int error = link_log(bus, log_dir);
    if (!error)
        error = supervisor_start(&supervisor, bus, config, log_dir, log_fd);
    if (error)
        _exit(tool_error("%s", spate_last_error())); /* threads may be at work: nothing is taken back from under them */
    message(false, "bus %s, log %s: ready (%s%s, %u thread%s)", spate_bus_path(bus), log_dir, supervisor.workers[0].io->name,
            supervisor.workers[0].io->is_direct ? ", direct" : "", supervisor.workers_count,
            supervisor.workers_count == 1 ? "" : "s");
    (void)sd_notify(0, "READY=1");
    serve(&supervisor, config, options->config_path, signals);
    (void)sd_notify(0, "STOPPING=1");
    supervisor_stop(&supervisor);
    message(supervisor.has_failed,
            supervisor.has_failed ? "stopped; some logs had failed, see above" : "stopped: everything is written and flushed");
    sp_lock_close(&bus_lock);
    return supervisor.has_failed ? STATUS_FOUND : STATUS_OK;
}

/* NULL: what --bus and SPATE_BUS say, or the default. */
static const char *chosen_bus(const struct config *config)
{
    return getenv("SPATE_BUS") ? NULL : config->bus.name;
}

/* The log comes first, and is locked: a daemon that cannot have it leaves no bus behind. */
static int take_log_and_run(struct config *config, const struct daemon_options *options,
                            const struct spate_bus_options *bus_options, char log_dir[SP_PATH_SIZE], const sigset_t *signals)
{
    struct spate_bus *bus;
    struct sp_lock log_lock;
    int log_fd = -1, status;

    if (open_log_dir(log_dir, &log_fd) != 0)
        return tool_error("%s", spate_last_error());
    if (take_lock(log_fd, log_dir, &log_lock) != 0) {
        close(log_fd);
        return tool_error("%s", spate_last_error());
    }
    warn_of_memory(log_dir, log_fd);
    const int error = spate_bus_open(chosen_bus(config), bus_options, &bus);
    if (error) {
        status = tool_failed(error, "cannot open the bus");
    } else {
        status = run_bus(bus, config, options, log_dir, log_fd, signals);
        spate_bus_close(bus);
    }
    sp_lock_close(&log_lock);
    close(log_fd);
    return status;
}

static int open_and_run(struct config *config, const struct daemon_options *options, const struct spate_bus_options *bus_options,
                        const sigset_t *signals)
{
    char bus_path[SP_PATH_SIZE], log_dir[SP_PATH_SIZE];

    int error = sp_bus_path(chosen_bus(config), bus_options->dir, bus_path);
    if (!error)
        error = choose_log_dir(options->log_dir ? options->log_dir : config->log.dir, bus_path, log_dir);
    if (!error)
        error = judge_log_dir(log_dir, bus_path);
    if (!error)
        return take_log_and_run(config, options, bus_options, log_dir, signals);
    tool_error("%s", spate_last_error());
    return error == -EINVAL ? STATUS_USAGE : STATUS_FAILURE;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct daemon_options options;
    const struct option_spec specs[] = {
        {'c', "config", "FILE", "configuration file; --help-config lists what can be in it", set_text, &options.config_path},
        {'l', "log-dir", "DIR",
         "where the log is kept (default: /var/lib/spate/BUS for root,\n"
         "else $XDG_STATE_HOME/spate/BUS or ~/.local/state/spate/BUS)",
         set_text, &options.log_dir},
        {0, "help-config", NULL, "what a configuration file can say, with units and defaults", set_switch, &options.help_config},
        {0, "print-config", NULL, "print the configuration that is in effect, and end", set_switch, &options.print_config},
        {'V', "version", NULL, "the version of the library in use", set_switch, &options.version},
        {0},
    };
    struct config config;
    struct spate_bus_options bus_options;
    sigset_t signals;

    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    if (options.help_config) {
        config_print_help(stdout);
        return STATUS_OK;
    }
    if (options.version) {
        output_print("%s %s\n", program_invocation_short_name, spate_version());
        return STATUS_OK;
    }
    config_init(&config);
    if (options.config_path && config_load(options.config_path, &config) != 0) {
        tool_error("%s", spate_last_error());
        return STATUS_USAGE;
    }
    if (options.print_config) {
        config_print(&config, stdout);
        return STATUS_OK;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* for all threads: they are waited for in one place */
    signal(SIGPIPE, SIG_IGN);
    raise_files_limit();
    for_journal = getenv("JOURNAL_STREAM") != NULL;
    spate_bus_options_init(&bus_options);
    bus_options.participant_name = "spated";
    bus_options.dir = getenv("SPATE_DIR") ? NULL : config.bus.dir; /* --dir sets it, and the command line goes before the file */
    status = open_and_run(&config, &options, &bus_options, &signals);
    config_free(&config);
    return status;
}

static const struct command command_spated = {
    .path = "spated",
    .arguments = "",
    .summary = "write the logs of a bus's durable topics",
    .details =
        "Runs in the foreground until SIGTERM or SIGINT, and ends when everything is written and flushed. SIGHUP reads the\n"
        "configuration again. One spated runs for a bus. Producers and consumers need it for durable topics only, and do not\n"
        "notice when it is started anew.\n"
        "\n"
        "Exit status:\n"
        "  0    stopped in good order\n"
        "  1    it could not start; standard error says why and what to do\n"
        "  2    the command line or the configuration is wrong; nothing was touched\n"
        "  3    stopped, but the log of some partition had failed\n",
    .run = run,
};

int main(int argc, char **argv)
{
    return tool_main(&command_spated, argc, argv);
}
