/* replay_main.c: runs a fuzz target over its corpus without libFuzzer.
 *
 * Linked to every X_fuzz.c in presets other than `fuzz`; ctest calls it with corpus directories or files. What once crashed is kept there
 * and stays tested with any compiler. A crash is turned into a message that names the input and exit status 1: a plain signal would fail
 * even the canary, which must fail in the ordinary way. A missing directory is an empty corpus: a new target has none yet. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char current[4096]; /* the input being replayed, for the signal handler */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        _exit(1);
    }
}

static void crashed(int signal_number)
{
    say("crash (");
    say(sigabbrev_np(signal_number));
    say(") on ");
    say(current);
    say("\n");
    _exit(1);
}

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1); /* exactly the input's size, so that ASan sees any step beyond it */
    if (data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "%s: cannot read it\n", path);
        return 1;
    }
    fclose(file);
    snprintf(current, sizeof current, "%s", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int replay_directory(const char *path, int *replayed)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return errno == ENOENT ? 0 : 1;
    }
    int failed = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char file[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        failed |= replay_file(file);
        ++*replayed;
    }
    closedir(directory);
    return failed;
}

int main(int argc, char **argv)
{
    signal(SIGABRT, crashed);
    signal(SIGILL, crashed);
    signal(SIGTRAP, crashed);
    signal(SIGFPE, crashed);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they report these two better themselves, and exit with 1 */
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
#endif
    int failed = 0;
    int replayed = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) == 0 && !S_ISDIR(status.st_mode)) {
            failed |= replay_file(argv[i]);
            replayed++;
        } else {
            failed |= replay_directory(argv[i], &replayed);
        }
    }
    printf("%d inputs replayed\n", replayed);
    return failed;
}
