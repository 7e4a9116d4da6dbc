/* config.c: one table of settings; the setter, the file reader, both printers and the comparison walk it.
 *
 * A new key is a member of struct config and a row of the table. A new section is a new name in the table, its rows side by side. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <ini.h>
#include <spate/spate.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/options.h"

#define FILE_SIZE_MAX ((size_t)1 << 20) /* a file beyond this is something else, given by mistake */
#define LINE_SIZE 4096                  /* of inih's buffer, where that can be chosen */
#define TEXT_SIZE_MAX 4000              /* a value's, so that it fits into a line with its key */
#define WORDS_SIZE 128                  /* room for what is allowed, in words */

#define MINUTE (60 * SP_NS_PER_S)
#define DAY (1440 * MINUTE)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Debian's inih can be told when the program runs how long a line may be (200 bytes otherwise, too few for many a path). Elsewhere that
 * was decided when inih was built, and there is no such variable. */
extern int ini_max_line __attribute__((weak));

/* ---------------------------------------------------------------------------------------------------------- the table */

/* What numbers are written with. The largest unit first, as printing takes the first that divides. */
struct units {
    const char *noun;
    bool any_case;
    struct {
        const char *name;
        uint64_t factor;
    } list[12]; /* ended by a NULL name */
};

static const struct units numbers = {"number", false, {{"", 1}}};
static const struct units sizes = {
    "size",
    true, /* 64k is what many people write, and topic settings take the same */
    {{"G", GIB}, {"M", MIB}, {"K", KIB}, {"", 1}, {"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {"GB", GIB}, {"MB", MIB}, {"KB", KIB}},
};
static const struct units times = {
    "time", false, {{"d", DAY}, {"h", 60 * MINUTE}, {"m", MINUTE}, {"s", SP_NS_PER_S}, {"ms", SP_NS_PER_MS}}};

struct setting {
    const char *section, *key, *name; /* name: "section.key" */
    size_t offset, size;              /* of the member */
    int (*set)(const struct setting *setting, void *member, const char *text);
    const char *noun;         /* text: what it is */
    const char *const *words; /* the names of the values 0, 1, ...; NULL: none */
    const struct units *units;
    uint64_t minimum, maximum; /* with units */
    bool is_power_of_two;
    bool is_live;               /* a running daemon takes it over */
    const char *value;          /* the default; NULL: no text */
    const char *value_if_unset; /* what a NULL text stands for */
    const char *help;
};

static int set_text_member(const struct setting *setting, void *member, const char *text);
static int set_value_member(const struct setting *setting, void *member, const char *text);

static const char *const auto_words[] = {"auto", NULL};
static const char *const io_words[] = {"auto", "uring", "plain", NULL}; /* enum config_io */
static const char *const direct_words[] = {"auto", "yes", "no", NULL};  /* enum config_direct */

/* NOLINTBEGIN(bugprone-macro-parentheses): they are names, no expressions */
#define MEMBER(section_, key_)                                                                                         \
    .section = #section_, .key = #key_, .name = #section_ "." #key_, .offset = offsetof(struct config, section_.key_), \
    .size = sizeof(((struct config *)NULL)->section_.key_)
/* NOLINTEND(bugprone-macro-parentheses) */
#define TEXT(section_, key_) MEMBER(section_, key_), .set = set_text_member
#define VALUE(section_, key_) MEMBER(section_, key_), .set = set_value_member

static const struct setting settings[] = {
    {TEXT(bus, name), .noun = "text", .value_if_unset = "$SPATE_BUS, or \"default\"",
     .help = "the bus whose durable topics are written; with a / in it, its path"},
    {TEXT(bus, dir), .noun = "path", .value_if_unset = "$SPATE_DIR, or /dev/shm/spate", .help = "the directory that buses are in"},
    {TEXT(log, dir), .noun = "path", .value_if_unset = "/var/lib/spate/BUS for root, else in $XDG_STATE_HOME",
     .help = "the directory that the log is kept in; made if need be"},
    {VALUE(log, threads), .words = auto_words, .units = &numbers, .minimum = 1, .maximum = 64, .value = "auto",
     .help = "threads that share the partitions; auto: as the processors allow"},
    {VALUE(log, memory), .units = &sizes, .minimum = 2 * MIB, .maximum = 4 * GIB, .value = "16M",
     .help = "for the buffers that blocks are made in, for each thread"},
    {VALUE(log, block_size), .units = &sizes, .minimum = 64 * KIB, .maximum = 4 * MIB, .is_power_of_two = true, .value = "256K",
     .help = "how much is gathered for one write, at most"},
    {VALUE(log, io), .words = io_words, .value = "auto",
     .help = "write through io_uring or plain system calls; auto: io_uring if allowed"},
    {VALUE(log, direct), .words = direct_words, .value = "auto",
     .help = "write past the page cache (O_DIRECT); auto: if the file system can"},
    {VALUE(log, retention_interval), .units = &times, .minimum = 100 * SP_NS_PER_MS, .maximum = DAY, .is_live = true,
     .value = "10s", .help = "how often segments to delete and compact are looked for"},
    {VALUE(log, keys_memory), .units = &sizes, .minimum = MIB, .maximum = 64 * GIB, .value = "64M",
     .help = "for the keys of one partition while it is compacted: 48 bytes each"},
    {VALUE(log, scan_interval), .units = &times, .minimum = 10 * SP_NS_PER_MS, .maximum = MINUTE, .is_live = true, .value = "100ms",
     .help = "how often new and deleted topics are looked for"},
};

#define SETTINGS_COUNT (sizeof settings / sizeof settings[0])
#define SETTINGS_END (settings + SETTINGS_COUNT)

static bool is_text(const struct setting *setting)
{
    return setting->set == set_text_member;
}

static void *member_of(struct config *config, const struct setting *setting)
{
    return (char *)config + setting->offset;
}

static const char *text_of(const struct config *config, const struct setting *setting)
{
    return *(char *const *)(const void *)((const char *)config + setting->offset);
}

static uint64_t value_of(const struct config *config, const struct setting *setting)
{
    const char *member = (const char *)config + setting->offset;
    uint32_t narrow;
    uint64_t wide;

    if (setting->size == sizeof narrow) {
        memcpy(&narrow, member, sizeof narrow);
        return narrow;
    }
    assert(setting->size == sizeof wide);
    memcpy(&wide, member, sizeof wide);
    return wide;
}

/* starts_section: it is the first of its section. */
static bool starts_section(const struct setting *setting)
{
    return setting == settings || strcmp(setting[-1].section, setting->section) != 0;
}

static const struct setting *find(const char *section, const char *key)
{
    for (const struct setting *s = settings; s < SETTINGS_END; s++)
        if (strcmp(s->section, section) == 0 && strcmp(s->key, key) == 0)
            return s;
    return NULL;
}

/* Candidates for options_nearest. */
static const char *get_section(const void *context, int index)
{
    (void)context;
    for (const struct setting *s = settings; s < SETTINGS_END; s++)
        if (starts_section(s) && index-- == 0)
            return s->section;
    return NULL;
}

static const char *get_key(const void *section, int index)
{
    for (const struct setting *s = settings; s < SETTINGS_END; s++)
        if (strcmp(s->section, section) == 0 && index-- == 0)
            return s->key;
    return NULL;
}

static const char *get_name(const void *context, int index)
{
    (void)context;
    return (size_t)index < SETTINGS_COUNT ? settings[index].name : NULL;
}

/* ------------------------------------------------------------------------------------------------- values, from and to text */

static bool parse_quantity(const struct units *units, const char *text, uint64_t *ret)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') /* strtoull would also take blanks and signs */
        return false;
    errno = 0;
    const unsigned long long count = strtoull(text, &end, 10);
    for (size_t i = 0; errno == 0 && units->list[i].name != NULL; i++) {
        const char *unit = units->list[i].name;
        if ((units->any_case ? strcasecmp(unit, end) : strcmp(unit, end)) == 0 && count <= UINT64_MAX / units->list[i].factor) {
            *ret = count * units->list[i].factor;
            return true;
        }
    }
    return false;
}

/* In the largest unit that divides it. */
static void format_quantity(const struct units *units, uint64_t value, char text[32])
{
    size_t i = 0;
    while (value % units->list[i].factor != 0 && units->list[i + 1].name != NULL)
        i++;
    snprintf(text, 32, "%" PRIu64 "%s", value / units->list[i].factor, units->list[i].name);
}

/* The words and the range: "auto, 1 to 64". */
static void describe_allowed(const struct setting *setting, char text[WORDS_SIZE])
{
    char minimum[32], maximum[32];
    int size = 0;

    text[0] = '\0';
    for (const char *const *word = setting->words; word != NULL && *word != NULL; word++)
        size += snprintf(text + size, (size_t)(WORDS_SIZE - size), "%s%s", size > 0 ? ", " : "", *word);
    if (setting->units != NULL) {
        format_quantity(setting->units, setting->minimum, minimum);
        format_quantity(setting->units, setting->maximum, maximum);
        snprintf(text + size, (size_t)(WORDS_SIZE - size), "%s%s to %s%s", size > 0 ? ", " : "", minimum, maximum,
                 setting->is_power_of_two ? ", a power of two" : "");
    }
}

static int set_value_member(const struct setting *setting, void *member, const char *text)
{
    char allowed[WORDS_SIZE];
    uint64_t value = 0;
    bool is_allowed = false;

    for (uint32_t i = 0; setting->words != NULL && setting->words[i] != NULL && !is_allowed; i++) {
        is_allowed = strcmp(setting->words[i], text) == 0;
        value = i;
    }
    if (!is_allowed && setting->units != NULL)
        is_allowed = parse_quantity(setting->units, text, &value) && value >= setting->minimum && value <= setting->maximum &&
                     (!setting->is_power_of_two || (value & (value - 1)) == 0);
    if (!is_allowed) {
        describe_allowed(setting, allowed);
        return sp_fail(-EINVAL, "%s = %.40s: allowed are %s", setting->name, text, allowed);
    }
    const uint32_t narrow = (uint32_t)value;
    memcpy(member, setting->size == sizeof narrow ? (const void *)&narrow : (const void *)&value, setting->size);
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A tab is none: it counts as a blank. */
static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* Why a text cannot be a value, or NULL. What a file could not say is not taken from the command line either, so that config_print can
 * always write it down. */
static const char *flaw_of(const char *text)
{
    const size_t size = strlen(text);

    if (size == 0)
        return "it must not be empty; leave it out to have the default";
    if (size > TEXT_SIZE_MAX)
        return "it is longer than 4000 bytes";
    if (text[0] == '"' || text[0] == '\'')
        return "quotes would be part of it; write it without";
    if (is_blank(text[0]) || is_blank(text[size - 1]))
        return "it must not begin or end with a blank";
    for (size_t i = 0; i < size; i++) {
        if (is_control(text[i]))
            return "it has a control character";
        if ((text[i] == ';' || text[i] == '#') && (i == 0 || is_blank(text[i - 1])))
            return "what begins with # or ; there is a comment in most files; put a comment on a line of its own";
    }
    return NULL;
}

static int set_text_member(const struct setting *setting, void *member, const char *text)
{
    const char *flaw = flaw_of(text);
    if (flaw != NULL)
        return sp_fail(-EINVAL, "%s = %.40s: %s", setting->name, text, flaw);
    char *copy = strdup(text);
    if (copy == NULL)
        return sp_fail(-ENOMEM, "no memory for %s", setting->name);
    char **owned = member;
    free(*owned);
    *owned = copy;
    return 0;
}

/* -------------------------------------------------------------------------------------------------------- the struct */

void config_init(struct config *config)
{
    *config = (struct config){0};
    for (const struct setting *s = settings; s < SETTINGS_END; s++) {
        const int error = s->value != NULL ? s->set(s, member_of(config, s), s->value) : 0;
        assert(error == 0);
        (void)error;
    }
}

void config_free(struct config *config)
{
    for (const struct setting *s = settings; s < SETTINGS_END; s++) {
        if (is_text(s)) {
            char **owned = member_of(config, s);
            free(*owned);
            *owned = NULL;
        }
    }
}

static int copy_config(const struct config *config, struct config *copy)
{
    int error = 0;

    *copy = *config;
    for (const struct setting *s = settings; s < SETTINGS_END; s++)
        if (is_text(s))
            *(char **)member_of(copy, s) = NULL;
    for (const struct setting *s = settings; s < SETTINGS_END && error == 0; s++)
        if (is_text(s) && text_of(config, s) != NULL)
            error = s->set(s, member_of(copy, s), text_of(config, s));
    if (error != 0)
        config_free(copy);
    return error;
}

int config_check(const struct config *config)
{
    char memory[32], block[32];

    if (config->log.memory / 2 >= config->log.block_size)
        return 0;
    format_quantity(&sizes, config->log.memory, memory);
    format_quantity(&sizes, config->log.block_size, block);
    return sp_fail(-EINVAL,
                   "log.memory = %s has no room for two blocks of log.block_size = %s: one is filled while another is written",
                   memory, block);
}

int config_set(struct config *config, const char *key, const char *value)
{
    for (const struct setting *s = settings; s < SETTINGS_END; s++)
        if (strcmp(s->name, key) == 0)
            return s->set(s, member_of(config, s), value);
    const char *nearest = options_nearest(key, get_name, NULL);
    return nearest != NULL ? sp_fail(-EINVAL, "there is no setting %.40s; did you mean %s?", key, nearest)
                           : sp_fail(-EINVAL, "there is no setting %.40s; spated --help-config lists them", key);
}

const char *config_needs_restart(const struct config *running, const struct config *loaded)
{
    for (const struct setting *s = settings; s < SETTINGS_END; s++) {
        if (s->is_live)
            continue;
        if (!is_text(s)) {
            if (value_of(running, s) != value_of(loaded, s))
                return s->name;
            continue;
        }
        const char *one = text_of(running, s), *other = text_of(loaded, s);
        if (one == NULL || other == NULL ? one != other : strcmp(one, other) != 0)
            return s->name;
    }
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------- the file */

struct parser {
    const char *path;
    const char *next, *end;            /* the file's text that is not read yet */
    unsigned line;                     /* the number of the one read last */
    unsigned given_on[SETTINGS_COUNT]; /* the line that has the key; 0: none yet */
    struct config *config;
    int error; /* the first one, at `line`; nothing is read after it */
};

__attribute__((format(printf, 2, 3))) static void refuse(struct parser *parser, const char *format, ...)
{
    char reason[SP_ERROR_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    parser->error = sp_fail(-EINVAL, "%.200s:%u: %s", parser->path, parser->line, reason);
}

/* inih would ignore what stands behind the heading, and say nothing of a section without keys. A heading without ] is left to it. */
static void check_heading(struct parser *parser, const char *line, size_t size)
{
    char section[50];
    const char *close = memchr(line, ']', size);

    if (close == NULL)
        return;
    const char *rest = close + 1;
    while (rest < line + size && is_blank(*rest))
        rest++;
    if (rest < line + size && *rest != ';' && *rest != '#') {
        refuse(parser, "nothing but a comment may stand behind a [section]; a key has its own line");
        return;
    }
    snprintf(section, sizeof section, "%.*s", (int)(close - line - 1), line + 1);
    for (int i = 0; get_section(NULL, i) != NULL; i++)
        if (strcmp(get_section(NULL, i), section) == 0)
            return;
    const char *nearest = options_nearest(section, get_section, NULL);
    if (nearest != NULL)
        refuse(parser, "there is no section [%s]; did you mean [%s]?", section, nearest);
    else
        refuse(parser, "there is no section [%s]; spated --help-config lists them", section);
}

/* take_line: the next line without blanks around it, checked. Returns its size. */
static size_t take_line(struct parser *parser, const char **ret_line)
{
    const char *line = parser->next;
    const char *newline = memchr(line, '\n', (size_t)(parser->end - line));
    const char *end = newline != NULL ? newline : parser->end;

    parser->next = newline != NULL ? newline + 1 : parser->end;
    parser->line++;
    if (end > line && end[-1] == '\r')
        end--;
    for (const char *at = line; at < end; at++) {
        if (is_control(*at)) {
            refuse(parser, "byte %zu is the control character 0x%02x: this is not a text file with Unix or DOS line ends",
                   (size_t)(at - line) + 1, (unsigned)(unsigned char)*at);
            break;
        }
    }
    while (line < end && is_blank(*line))
        line++;
    while (line < end && is_blank(end[-1]))
        end--;
    *ret_line = line;
    return (size_t)(end - line);
}

/* The reader that inih calls instead of fgets. Every line that it gets is whole, without blanks at its beginning (they would make it the
 * continuation of the line before) and ends with a newline, also the last one. */
static char *read_line(char *buffer, int buffer_size, void *stream)
{
    struct parser *parser = stream;
    const char *line;

    if (parser->error != 0 || parser->next == parser->end)
        return NULL;
    size_t size = take_line(parser, &line);
    if (size > 0 && (line[0] == ';' || line[0] == '#'))
        size = 0; /* comments may be as long as they like */
    if (parser->error == 0 && size > 0 && line[0] == '[')
        check_heading(parser, line, size);
    if (parser->error == 0 && size + 2 > (size_t)buffer_size)
        refuse(parser, "the line has %zu bytes, more than the %d that can be read", size, buffer_size - 2);
    if (parser->error != 0)
        return NULL;
    memcpy(buffer, line, size);
    memcpy(buffer + size, "\n", 2);
    return buffer;
}

static void refuse_key(struct parser *parser, const char *section, const char *key)
{
    if (section[0] == '\0') {
        refuse(parser, "%.40s stands before the first [section]", key);
        return;
    }
    const char *nearest = options_nearest(key, get_key, section);
    if (nearest != NULL) {
        refuse(parser, "there is no key %.40s in [%s]; did you mean %s?", key, section, nearest);
        return;
    }
    for (int i = 0; get_section(NULL, i) != NULL; i++) {
        if (find(get_section(NULL, i), key) != NULL) {
            refuse(parser, "there is no key %.40s in [%s]; it belongs in [%s]", key, section, get_section(NULL, i));
            return;
        }
    }
    refuse(parser, "there is no key %.40s in [%s]; spated --help-config lists them", key, section);
}

/* What inih calls for each key. Returns 0 to refuse the line. */
static int take_key(void *user, const char *section, const char *key, const char *value)
{
    struct parser *parser = user;

    if (key == NULL) /* some builds of inih tell of sections too */
        return 1;
    if (value == NULL || parser->error != 0) /* some builds allow keys without a value; we take them as not understood */
        return 0;
    const struct setting *setting = find(section, key);
    if (setting == NULL) {
        refuse_key(parser, section, key);
        return 0;
    }
    unsigned *given_on = &parser->given_on[setting - settings];
    if (*given_on != 0) {
        refuse(parser, "%s was given on line %u already", setting->name, *given_on);
        return 0;
    }
    *given_on = parser->line;
    const int error = setting->set(setting, member_of(parser->config, setting), value);
    if (error != 0) {
        refuse(parser, "%s", spate_last_error());
        parser->error = error; /* or it is -ENOMEM */
    }
    return error == 0;
}

static int parse(const char *path, const char *text, size_t size, struct config *config)
{
    struct parser parser = {.path = path, .next = text, .end = text + size, .config = config};

    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        parser.next += 3; /* a byte order mark */
    if (&ini_max_line != NULL)
        ini_max_line = LINE_SIZE;
    const int status = ini_parse_stream(read_line, &parser, take_key, &parser);
    if (status < 0)
        return sp_fail(-ENOMEM, "no memory to parse %.200s", path);
    /* What inih itself does not understand it only counts; it may be on a line before the one that was refused here. */
    if (status > 0 && (parser.error == 0 || (unsigned)status < parser.line)) {
        parser.line = (unsigned)status;
        refuse(&parser, "this is neither key = value, nor a [section], nor a comment");
    }
    return parser.error;
}

/* Pipes are fine too. */
static int read_file(const char *path, char **ret_text, size_t *ret_size)
{
    int error = 0;
    size_t size = 0;
    char *text = malloc(FILE_SIZE_MAX + 1);

    if (text == NULL)
        return sp_fail(-ENOMEM, "no memory to read %.200s", path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && size <= FILE_SIZE_MAX) {
        const ssize_t got = read(fd, text + size, FILE_SIZE_MAX + 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            error = -errno;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    if (fd < 0)
        error = -errno;
    else
        close(fd);
    if (error == 0 && size > FILE_SIZE_MAX)
        error = -EFBIG;
    if (error != 0) {
        free(text);
        return sp_fail(error, "cannot read the configuration file %.200s: %s", path, strerror(-error));
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

int config_load(const char *path, struct config *config)
{
    struct config copy;
    char *text;
    size_t size;

    int error = read_file(path, &text, &size);
    if (error != 0)
        return error;
    error = copy_config(config, &copy);
    if (error == 0) {
        error = parse(path, text, size, &copy);
        if (error == 0 && (error = config_check(&copy)) != 0)
            sp_fail(error, "%.200s: %s", path, spate_last_error());
        if (error == 0) {
            config_free(config);
            *config = copy;
        } else {
            config_free(&copy);
        }
    }
    free(text);
    return error;
}

/* ----------------------------------------------------------------------------------------------------------- printing */

void config_print_help(FILE *file)
{
    char allowed[WORDS_SIZE], key[32];

    fputs("A file of [section] headings and key = value lines. Comments begin with ; or # on a line of their\n"
          "own, or with ; behind a blank. Sizes take K, M and G (of 1024), times ms, s, m, h and d.\n"
          "Keys with a * can be changed while spated runs (SIGHUP), the others take effect when it starts.\n",
          file);
    for (const struct setting *s = settings; s < SETTINGS_END; s++) {
        if (starts_section(s))
            fprintf(file, "\n[%s]\n", s->section);
        describe_allowed(s, allowed);
        snprintf(key, sizeof key, "%s%s", s->key, s->is_live ? "*" : "");
        const char *noun = is_text(s) ? s->noun : s->units != NULL ? s->units->noun : "word";
        fprintf(file, "  %-20s %s%s%s; default %s\n", key, noun, allowed[0] != '\0' ? ": " : "", allowed,
                s->value != NULL ? s->value : s->value_if_unset);
        fprintf(file, "  %-20s %s\n", "", s->help);
    }
}

void config_print(const struct config *config, FILE *file)
{
    char number[32];

    fputs("# The configuration in effect; spated --help-config explains it.\n", file);
    for (const struct setting *s = settings; s < SETTINGS_END; s++) {
        if (starts_section(s))
            fprintf(file, "\n[%s]\n", s->section);
        if (is_text(s)) {
            const char *text = text_of(config, s);
            if (text != NULL)
                fprintf(file, "%s = %s\n", s->key, text);
            else
                fprintf(file, "# %s is not set: %s\n", s->key, s->value_if_unset);
            continue;
        }
        const uint64_t value = value_of(config, s);
        const char *word = NULL;
        if (s->units == NULL || value < s->minimum)
            word = s->words[value];
        else
            format_quantity(s->units, value, number);
        fprintf(file, "%s = %s\n", s->key, word != NULL ? word : number);
    }
}
