/* config_test.c: what a configuration file may say, what is refused and how, and that printing it loses nothing.
 *
 * Files live in memory (memfd); run by ctest with the label `unit`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ini.h>
#include <spate/spate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "config.h"

extern int ini_max_line __attribute__((weak)); /* as in config.c */

#define MIB ((size_t)1024 * 1024)

static struct config config;

static int begin(void **state)
{
    (void)state;
    config_init(&config);
    return 0;
}

static int end(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

/* load: a file of these bytes. */
static int load_bytes(const void *bytes, size_t size)
{
    char path[64];
    const int fd = memfd_create("config", MFD_CLOEXEC);

    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int error = config_load(path, &config);
    close(fd);
    return error;
}

static int load(const char *text)
{
    return load_bytes(text, strlen(text));
}

static void must_say(const char *part)
{
    if (strstr(spate_last_error(), part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", spate_last_error(), part);
}

/* The file is refused with -EINVAL, on that line, for that reason. */
static void must_refuse_bytes(const void *bytes, size_t size, const char *line, const char *reason)
{
    assert_int_equal(load_bytes(bytes, size), -EINVAL);
    must_say(line);
    must_say(reason);
}

static void must_refuse(const char *text, const char *line, const char *reason)
{
    must_refuse_bytes(text, strlen(text), line, reason);
}

static void must_load(const char *text)
{
    if (load(text) != 0)
        fail_msg("%s", spate_last_error());
}

/* ------------------------------------------------------------------------------------------------------ what it may say */

static void without_a_file_everything_has_its_default(void **state)
{
    (void)state;
    assert_null(config.bus.name);
    assert_null(config.bus.dir);
    assert_null(config.log.dir);
    assert_int_equal(config.log.threads, 0);
    assert_int_equal(config.log.memory, 16 * MIB);
    assert_int_equal(config.log.block_size, 256 * 1024);
    assert_int_equal(config.log.io, CONFIG_IO_AUTO);
    assert_int_equal(config.log.direct, CONFIG_DIRECT_AUTO);
    assert_int_equal(config.log.retention_interval, 10 * SP_NS_PER_S);
    assert_int_equal(config.log.scan_interval, 100 * SP_NS_PER_MS);
    assert_int_equal(config_check(&config), 0);
}

static const char full_file[] = "; a comment\n"
                                "[bus]\n"
                                "name = trading\n"
                                "dir = /dev/shm/elsewhere\n"
                                "\n"
                                "[log]\n"
                                "dir = /var/lib/spate logs/a;b#c=d:e\n"
                                "threads = 64\n"
                                "memory = 4G\n"
                                "block_size = 4M\n"
                                "io = uring\n"
                                "direct = no\n"
                                "retention_interval = 1d\n"
                                "scan_interval = 10ms\n";

static void must_be_full(void)
{
    assert_string_equal(config.bus.name, "trading");
    assert_string_equal(config.bus.dir, "/dev/shm/elsewhere");
    assert_string_equal(config.log.dir, "/var/lib/spate logs/a;b#c=d:e");
    assert_int_equal(config.log.threads, 64);
    assert_true(config.log.memory == UINT64_C(1) << 32);
    assert_int_equal(config.log.block_size, 4 * MIB);
    assert_int_equal(config.log.io, CONFIG_IO_URING);
    assert_int_equal(config.log.direct, CONFIG_DIRECT_NO);
    assert_true(config.log.retention_interval == 86400 * SP_NS_PER_S);
    assert_int_equal(config.log.scan_interval, 10 * SP_NS_PER_MS);
}

static void a_file_sets_every_key(void **state)
{
    (void)state;
    must_load(full_file);
    must_be_full();
}

static void what_a_file_does_not_mention_stays(void **state)
{
    (void)state;
    must_load("[log]\nthreads = 3\ndir = /a\n");
    must_load("[log]\nmemory = 8M\n");
    assert_int_equal(config.log.threads, 3);
    assert_string_equal(config.log.dir, "/a");
    assert_int_equal(config.log.memory, 8 * MIB);
    must_load("");
    must_load("# nothing\n\n");
    assert_int_equal(config.log.threads, 3);
}

static void blanks_comments_and_colons_are_taken_as_people_write_them(void **state)
{
    (void)state;
    must_load("  [log]   ; the log\n"
              "\tdir:/a:b  ; here\n"
              "    # an indented line goes on nothing\n"
              "    threads   =   7\n"
              "[bus] # and the bus\n"
              "name=x\n"
              "[log]\n"
              "memory=2m\n");
    assert_string_equal(config.log.dir, "/a:b");
    assert_int_equal(config.log.threads, 7);
    assert_string_equal(config.bus.name, "x");
    assert_int_equal(config.log.memory, 2 * MIB);
}

static void dos_line_ends_a_byte_order_mark_and_no_last_newline_change_nothing(void **state)
{
    (void)state;
    must_load("\xef\xbb\xbf[log]\r\ndir = /a\r\n\r\nthreads = 5");
    assert_string_equal(config.log.dir, "/a");
    assert_int_equal(config.log.threads, 5);
    must_load("\xef\xbb\xbf");
    must_load("[log]\r\nthreads = 6\r");
    assert_int_equal(config.log.threads, 6);
}

static void utf_8_is_kept_as_it_is(void **state)
{
    (void)state;
    must_load("[log]\ndir = /Gr\xc3\xbc\xc3\x9f"
              "e \xe2\x82\xac\n");
    assert_string_equal(config.log.dir, "/Gr\xc3\xbc\xc3\x9f"
                                        "e \xe2\x82\xac");
}

static void a_long_comment_is_a_comment(void **state)
{
    (void)state;
    char text[6000];
    const int size = snprintf(text, sizeof text, "# %05000d\n; %0500d\n[log]\nthreads = 9\n", 0, 0);
    assert_int_equal(load_bytes(text, (size_t)size), 0);
    assert_int_equal(config.log.threads, 9);
}

/* ------------------------------------------------------------------------------------------------------ what is refused */

static void what_is_no_line_of_a_configuration_is_refused_with_its_number(void **state)
{
    (void)state;
    must_refuse("[log]\nthreads = 1\nthreads 2\n", ":3: ", "neither key = value, nor a [section], nor a comment");
    must_refuse("[log\n", ":1: ", "neither");
    must_refuse("[log]\n\n\nio", ":4: ", "neither");
    must_refuse("[log]\r\n\r\nio\r\n", ":3: ", "neither");
    must_refuse("[log]\nio = auto\n  more\n", ":3: ", "neither"); /* inih would take it for more of the value before */
}

static void of_several_errors_the_first_is_told(void **state)
{
    (void)state;
    must_refuse("[log]\nio\nthreads = 99\n", ":2: ", "neither");
    must_refuse("[log]\nthreads = 99\nio\n", ":2: ", "log.threads = 99");
    must_refuse("[log]\nthreads = 99\nio = never\n", ":2: ", "log.threads = 99");
    must_refuse("[log]\nio\n[lgo]\n", ":2: ", "neither");
}

static void an_unknown_section_is_refused_with_the_nearest_one(void **state)
{
    (void)state;
    must_refuse("[bus]\n[lgo]\nthreads = 1\n", ":2: ", "there is no section [lgo]; did you mean [log]?");
    must_refuse("[lgo]\n", ":1: ", "did you mean [log]?"); /* no key in it, so inih would not tell */
    must_refuse("[LOG]\nthreads = 1\n", ":1: ", "there is no section [LOG]");
    must_refuse("[something else]\n", ":1: ", "there is no section [something else]; spated --help-config lists them");
    must_refuse("[]\n", ":1: ", "there is no section []");
    must_refuse("[an unknown section with a name of more than fifty bytes, where inih cuts]\n",
                ":1: ", "there is no section [an unknown");
}

static void text_behind_a_section_is_refused(void **state)
{
    (void)state;
    must_refuse("[log] threads = 2\n", ":1: ", "its own line");
}

static void an_unknown_key_is_refused_with_the_nearest_one(void **state)
{
    (void)state;
    must_refuse("[log]\nthreds = 1\n", ":2: ", "there is no key threds in [log]; did you mean threads?");
    must_refuse("[log]\nblock-size = 1M\n", ":2: ", "did you mean block_size?");
    must_refuse("[log]\nThreads = 1\n", ":2: ", "did you mean threads?");
    must_refuse("[bus]\nthreads = 1\n", ":2: ", "there is no key threads in [bus]; it belongs in [log]");
    must_refuse("[log]\npartitions_of_everything = 1\n", ":2: ", "spated --help-config lists them");
    must_refuse("threads = 1\n[log]\n", ":1: ", "threads stands before the first [section]");
    must_refuse("[log]\n= 1\n", ":2: ", "there is no key  in [log]");
}

static void a_key_given_twice_is_refused_with_both_lines(void **state)
{
    (void)state;
    must_refuse("[log]\nthreads = 1\nio = auto\nthreads = 1\n", ":4: ", "log.threads was given on line 2 already");
    must_refuse("[log]\nthreads = 1\n[bus]\n[log]\nthreads = 2\n", ":5: ", "given on line 2");
}

static void a_value_out_of_range_is_refused_with_what_is_allowed(void **state)
{
    (void)state;
    must_refuse("[log]\n\nthreads = 65\n", ":3: ", "log.threads = 65: allowed are auto, 1 to 64");
    must_refuse("[log]\nio = epoll\n", ":2: ", "log.io = epoll: allowed are auto, uring, plain");
    must_refuse("[log]\ndirect = maybe\n", ":2: ", "allowed are auto, yes, no");
    must_refuse("[log]\nblock_size = 65537\n", ":2: ", "allowed are 64K to 4M, a power of two");
    must_refuse("[log]\nmemory = 1M\n", ":2: ", "allowed are 2M to 4G");
    must_refuse("[log]\nscan_interval = 2m\n", ":2: ", "allowed are 10ms to 1m");
    must_refuse("[log]\nretention_interval = 2d\n", ":2: ", "allowed are 100ms to 1d");
    must_refuse("[log]\nthreads = 4 # four\n", ":2: ", "log.threads = 4 # four: allowed");
    must_refuse("[log]\nthreads =\n", ":2: ", "allowed are auto");
    must_refuse("[log]\ndir =\n", ":2: ", "log.dir = : it must not be empty");
}

static void control_characters_are_refused_wherever_they_are(void **state)
{
    (void)state;
    static const char in_value[] = "[log]\ndir = /a\0b\n", in_comment[] = "[log]\n# a\0b\nthreads = 1\n", at_end[] = "[log]\n\0";
    must_refuse_bytes(in_value, sizeof in_value - 1, ":2: ", "control character 0x00");
    must_refuse_bytes(in_comment, sizeof in_comment - 1, ":2: ", "control character 0x00");
    must_refuse_bytes(at_end, sizeof at_end - 1, ":2: ", "control character 0x00");
    must_refuse("[log]\ndir = /a\x1b[0m\n", ":2: byte 9 ", "0x1b");
    must_refuse("[log]\nthreads = 1\vio = auto\n", ":2: ", "0x0b");
    must_refuse("[log]\rthreads = 1\r", ":1: ", "0x0d");                  /* lines that end in CR alone */
    must_refuse_bytes("\xff\xfe[\0l\0o\0g\0]\0\n\0", 14, ":1: ", "0x00"); /* UTF-16 */
}

static void a_long_line_is_read_whole_or_refused_but_never_cut(void **state)
{
    (void)state;
    static char path[5000], text[5100];

    for (size_t size = 1; size < sizeof path; size += size < 300 || (size > 3900 && size < 4200) ? 1 : 97) {
        memset(path, '/', size);
        path[size] = '\0';
        snprintf(text, sizeof text, "[bus]\nname = x\n[log]\ndir = %s\nthreads = 2\n", path);
        if (load(text) == 0) {
            assert_string_equal(config.log.dir, path);
        } else {
            assert_true(size > (&ini_max_line != NULL ? 4000 : 180));
            must_say(":4: ");
            must_say(size > 4088 ? "more than the" : "longer than 4000 bytes");
        }
    }
    if (&ini_max_line != NULL)
        assert_int_equal(strlen(config.log.dir), 4000);
}

/* Why ours reads the lines: if this changes, the reader can become simpler. */
struct lines {
    const char *next;
    int keys;
};

static char *read_as_fgets(char *buffer, int size, void *stream)
{
    struct lines *lines = stream;
    const size_t length = strcspn(lines->next, "\n"), room = (size_t)size - 1;
    const size_t take = length + 1 < room ? length + (lines->next[length] == '\n') : room;

    if (take == 0)
        return NULL;
    memcpy(buffer, lines->next, take);
    buffer[take] = '\0';
    lines->next += take;
    return buffer;
}

static int count_keys(void *user, const char *section, const char *key, const char *value)
{
    (void)section;
    (void)key;
    (void)value;
    ((struct lines *)user)->keys++;
    return 1;
}

static void inih_alone_passes_over_an_unknown_section_and_text_behind_it(void **state)
{
    (void)state;
    struct lines lines = {.next = "[unknown] threads = 2\n"};
    assert_int_equal(ini_parse_stream(read_as_fgets, &lines, count_keys, &lines), 0);
    assert_int_equal(lines.keys, 0);
}

static void an_error_leaves_the_configuration_untouched(void **state)
{
    (void)state;
    must_load(full_file);
    const struct config before = config;
    must_refuse("[bus]\nname = other\ndir = /b\n[log]\ndir = /c\nthreads = 1\nmemory = 3M\nio = plain\nscan_interval = 9ms\n",
                ":9: ", "");
    assert_memory_equal(&before, &config, sizeof config);
    must_be_full();
    assert_int_equal(config_set(&config, "log.threads", "0"), -EINVAL);
    assert_int_equal(config_set(&config, "log.dir", ""), -EINVAL);
    assert_memory_equal(&before, &config, sizeof config);
    must_be_full();
}

static void every_beginning_of_a_file_is_loaded_or_refused_as_a_whole(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof full_file; size++) {
        config_free(&config);
        config_init(&config);
        const struct config before = config;
        if (load_bytes(full_file, size) != 0)
            assert_memory_equal(&before, &config, sizeof config);
    }
    must_be_full();
}

static void a_file_that_cannot_be_read_is_told_from_one_that_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(config_load("/nonexistent/spated.conf", &config), -ENOENT);
    must_say("/nonexistent/spated.conf");
    assert_int_equal(config_load("/", &config), -EISDIR);

    char *large = malloc(2 * MIB);
    assert_non_null(large);
    memset(large, '\n', 2 * MIB);
    assert_int_equal(load_bytes(large, MIB), 0);
    assert_int_equal(load_bytes(large, MIB + 1), -EFBIG);
    free(large);
}

static void a_file_without_permission_is_refused_with_eacces(void **state)
{
    (void)state;
    char path[] = "/tmp/config_test.XXXXXX";
    const uid_t user = geteuid();
    const int fd = mkstemp(path);

    assert_true(fd >= 0 && fchmod(fd, 0) == 0);
    close(fd);
    if (user == 0 && seteuid(65534) != 0) {
        unlink(path);
        skip(); /* root may read everything, and cannot become anybody else here */
    }
    const int error = config_load(path, &config);
    assert_int_equal(seteuid(user), 0);
    unlink(path);
    assert_int_equal(error, -EACCES);
    must_say(path);
}

/* ------------------------------------------------------------------------------------------------------ the command line */

static void set_takes_and_refuses_the_same_as_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *key, *good[5], *bad[12];
    } cases[] = {
        {"log.threads", {"auto", "1", "64"}, {"0", "65", "-1", "+1", " 1", "1 ", "1K", "", "AUTO", "0x1", "1e1"}},
        {"log.memory",
         {"2M", "4G", "2097152", "3MiB", "5mb"},
         {"2097151", "4294967297", "4096M1", "5G", "-2M", "2 M", "M", "99999999999999999999", "18014398509481984M", "2T"}},
        {"log.block_size", {"64K", "4M", "65536", "128k", "1MiB"}, {"32K", "8M", "65K", "96K", "3M", "0", "64ms", ""}},
        {"log.io", {"auto", "uring", "plain"}, {"", "Uring", "uring ", "0"}},
        {"log.direct", {"auto", "yes", "no"}, {"", "true", "1"}},
        {"log.retention_interval",
         {"100ms", "1d", "24h", "86400s", "1m"},
         {"99ms", "25h", "2d", "10", "10S", "10 s", "-1s", "1.5s", "0s", "s", "20000000000d"}},
        {"log.scan_interval", {"10ms", "1m", "60s"}, {"9ms", "61s", "2m", "0ms", ""}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (const char *const *good = cases[i].good; good < cases[i].good + 5 && *good != NULL; good++)
            if (config_set(&config, cases[i].key, *good) != 0)
                fail_msg("%s", spate_last_error());
        for (const char *const *bad = cases[i].bad; *bad != NULL; bad++) {
            if (config_set(&config, cases[i].key, *bad) != -EINVAL)
                fail_msg("%s = \"%s\" was taken", cases[i].key, *bad);
            must_say(": allowed are ");
        }
    }
}

static void set_refuses_texts_that_a_file_could_not_say(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   " /a",   "/a ",   "/a\t",   "/a\nb",  "/a\x7f", ";a",
                                      "#a", "/a ;b", "/a #b", "/a\t;b", "\"/a\"", "'/a'"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (config_set(&config, "log.dir", bad[i]) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        must_say("log.dir = ");
    }
    assert_null(config.log.dir);
    assert_int_equal(config_set(&config, "log.dir", "/a;b #"), -EINVAL);
    assert_int_equal(config_set(&config, "log.dir", "/a;b#"), 0);
    assert_int_equal(config_set(&config, "log.dir", "/b"), 0);
    assert_string_equal(config.log.dir, "/b");
}

static void set_suggests_the_nearest_key(void **state)
{
    (void)state;
    assert_int_equal(config_set(&config, "log.thread", "1"), -EINVAL);
    must_say("there is no setting log.thread; did you mean log.threads?");
    assert_int_equal(config_set(&config, "lgo.dir", "/a"), -EINVAL);
    must_say("did you mean log.dir?");
    assert_int_equal(config_set(&config, "xyzzy", "1"), -EINVAL);
    must_say("spated --help-config lists them");
    assert_int_equal(config_set(&config, "", "1"), -EINVAL);
}

static void memory_that_holds_fewer_than_two_blocks_is_refused(void **state)
{
    (void)state;
    must_load("[log]\nmemory = 8M\nblock_size = 4M\n");
    assert_int_equal(load("[log]\nmemory = 7M\n"), -EINVAL);
    must_say("log.memory = 7M has no room for two blocks of log.block_size = 4M");
    assert_int_equal(config.log.memory, 8 * MIB);
    assert_int_equal(config_set(&config, "log.memory", "2M"), 0); /* the next option may give the block size */
    assert_int_equal(config_check(&config), -EINVAL);
}

/* -------------------------------------------------------------------------------------------------------------- printing */

/* A print function's output. */
static char *printed(bool is_help)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    if (is_help)
        config_print_help(file);
    else
        config_print(&config, file);
    fclose(file);
    return text;
}

static void must_come_back(void)
{
    char *text = printed(false);
    struct config printed_one = config;

    config_init(&config); /* the texts are printed_one's now */
    must_load(text);
    assert_null(config_needs_restart(&printed_one, &config));
    assert_true(config.log.retention_interval == printed_one.log.retention_interval);
    assert_true(config.log.scan_interval == printed_one.log.scan_interval);
    config_free(&printed_one);
    free(text);
}

static void what_is_printed_is_read_back_to_the_same(void **state)
{
    (void)state;
    must_come_back();
    must_load(full_file);
    must_come_back();
    must_be_full();
    must_load("[log]\nmemory = 2097153\nblock_size = 64K\nretention_interval = 90s\nscan_interval = 1001ms\nthreads = auto\nio = "
              "plain\ndirect = yes\n");
    must_come_back();
    assert_int_equal(config.log.memory, 2097153);
    assert_int_equal(config.log.io, CONFIG_IO_PLAIN);
    assert_int_equal(config.log.direct, CONFIG_DIRECT_YES);
}

static void values_are_printed_in_their_largest_unit(void **state)
{
    (void)state;
    must_load("[log]\nmemory = 1024M\nblock_size = 1024K\nretention_interval = 120s\n");
    char *text = printed(false);
    assert_non_null(strstr(text, "\nmemory = 1G\n"));
    assert_non_null(strstr(text, "\nblock_size = 1M\n"));
    assert_non_null(strstr(text, "\nretention_interval = 2m\n"));
    assert_non_null(strstr(text, "\nthreads = auto\n"));
    assert_non_null(strstr(text, "\n# dir is not set: "));
    free(text);
}

static void the_help_names_every_key_within_100_columns(void **state)
{
    (void)state;
    static const char *const keys[] = {"\n  name ",           "\n  dir ",  "\n  threads ", "\n  memory ",
                                       "\n  block_size ",     "\n  io ",   "\n  direct ",  "\n  retention_interval* ",
                                       "\n  scan_interval* ", "\n[bus]\n", "\n[log]\n"};
    char *text = printed(true);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strstr(text, keys[i]) == NULL)
            fail_msg("the help lacks \"%s\"", keys[i]);
    assert_non_null(strstr(text, "size: 64K to 4M, a power of two; default 256K"));
    assert_non_null(strstr(text, "number: auto, 1 to 64; default auto"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > 100)
            fail_msg("%zu columns: %s", strcspn(line, "\n"), line);
        assert_true(line[0] == '\n' || line[strcspn(line, "\n") - 1] != ' ');
    }
    free(text);
}

/* ---------------------------------------------------------------------------------------------------------------- reload */

static void only_the_intervals_change_without_a_restart(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        bool needs_restart;
    } cases[] = {
        {"bus.name", "x", true},
        {"bus.dir", "/x", true},
        {"log.dir", "/x", true},
        {"log.threads", "2", true},
        {"log.memory", "4G", true},
        {"log.block_size", "64K", true},
        {"log.io", "plain", true},
        {"log.direct", "no", true},
        {"log.retention_interval", "1s", false},
        {"log.scan_interval", "1s", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config loaded;
        config_init(&loaded);
        assert_null(config_needs_restart(&config, &loaded));
        assert_int_equal(config_set(&loaded, cases[i].key, cases[i].value), 0);
        const char *there = config_needs_restart(&config, &loaded), *back = config_needs_restart(&loaded, &config);
        config_free(&loaded);
        if (cases[i].needs_restart) {
            assert_string_equal(there, cases[i].key);
            assert_string_equal(back, cases[i].key);
        } else {
            assert_null(there);
            assert_null(back);
        }
    }
}

static void equal_texts_need_no_restart_and_the_first_difference_is_named(void **state)
{
    (void)state;
    struct config loaded;
    config_init(&loaded);
    assert_int_equal(config_set(&config, "log.dir", "/a") | config_set(&loaded, "log.dir", "/a"), 0);
    assert_null(config_needs_restart(&config, &loaded));
    assert_int_equal(config_set(&loaded, "log.dir", "/b") | config_set(&loaded, "log.direct", "no"), 0);
    const char *key = config_needs_restart(&config, &loaded);
    config_free(&loaded);
    assert_string_equal(key, "log.dir");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_everything_has_its_default),
        TEST(a_file_sets_every_key),
        TEST(what_a_file_does_not_mention_stays),
        TEST(blanks_comments_and_colons_are_taken_as_people_write_them),
        TEST(dos_line_ends_a_byte_order_mark_and_no_last_newline_change_nothing),
        TEST(utf_8_is_kept_as_it_is),
        TEST(a_long_comment_is_a_comment),
        TEST(what_is_no_line_of_a_configuration_is_refused_with_its_number),
        TEST(of_several_errors_the_first_is_told),
        TEST(an_unknown_section_is_refused_with_the_nearest_one),
        TEST(text_behind_a_section_is_refused),
        TEST(an_unknown_key_is_refused_with_the_nearest_one),
        TEST(a_key_given_twice_is_refused_with_both_lines),
        TEST(a_value_out_of_range_is_refused_with_what_is_allowed),
        TEST(control_characters_are_refused_wherever_they_are),
        TEST(a_long_line_is_read_whole_or_refused_but_never_cut),
        TEST(inih_alone_passes_over_an_unknown_section_and_text_behind_it),
        TEST(an_error_leaves_the_configuration_untouched),
        TEST(every_beginning_of_a_file_is_loaded_or_refused_as_a_whole),
        TEST(a_file_that_cannot_be_read_is_told_from_one_that_is_wrong),
        TEST(a_file_without_permission_is_refused_with_eacces),
        TEST(set_takes_and_refuses_the_same_as_a_file),
        TEST(set_refuses_texts_that_a_file_could_not_say),
        TEST(set_suggests_the_nearest_key),
        TEST(memory_that_holds_fewer_than_two_blocks_is_refused),
        TEST(what_is_printed_is_read_back_to_the_same),
        TEST(values_are_printed_in_their_largest_unit),
        TEST(the_help_names_every_key_within_100_columns),
        TEST(only_the_intervals_change_without_a_restart),
        TEST(equal_texts_need_no_restart_and_the_first_difference_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
