/* config.h: the daemon's configuration: what can be set, reading it from a file and from the command line, printing it.
 *
 *     [log]
 *     dir = /var/lib/spate
 *     memory = 64M            ; for each thread
 *
 * WHY INI, BY INIH. It has sections, as the parts of the daemon need them ([bus], [log], later [kafka] and [cluster]), and nothing needs
 * more nesting than that; people write it without looking anything up. inih is small, maintained and packaged everywhere. It passes over
 * in silence what an administrator would want to hear of, so the file goes to it line by line through a reader of ours (config.c), and
 * these are refused with the number of the line: what is not `key = value`, [section] or comment; unknown sections and keys, also in
 * sections without keys; keys given twice; text behind a [section]; lines too long for inih, which cuts them in two; control characters,
 * NUL among them; files that are not UTF-8 or another 8-bit text.
 *
 * THE FORMAT. Comments begin with ; or # on a line of their own, or with ; behind a blank. `key: value` is the same as `key = value`.
 * Blanks around lines, keys and values do not count, neither do a byte order mark, the CR of a CRLF and a missing newline at the end; a
 * value ends with its line. There are no quotes and no escapes. A section may come several times.
 *
 * One table in config.c drives all of this. Called by main, on one thread; inih's settings are the process's. */
#ifndef SPATED_CONFIG_H
#define SPATED_CONFIG_H

#include <stdint.h>
#include <stdio.h>

enum config_io { CONFIG_IO_AUTO, CONFIG_IO_URING, CONFIG_IO_PLAIN };
enum config_direct { CONFIG_DIRECT_AUTO, CONFIG_DIRECT_YES, CONFIG_DIRECT_NO };

/* A member is named as its key is, in a struct named as its section is. All text belongs to the struct. */
struct config {
    struct {
        char *name; /* NULL: $SPATE_BUS, or "default" */
        char *dir;  /* NULL: $SPATE_DIR, or /dev/shm/spate */
    } bus;
    struct {
        char *dir;                  /* NULL: the daemon's default */
        uint32_t threads;           /* 0: auto */
        uint64_t memory;            /* bytes for the block buffers of each thread */
        uint32_t block_size;        /* bytes, a power of two */
        uint32_t io;                /* enum config_io */
        uint32_t direct;            /* enum config_direct */
        int64_t retention_interval; /* ns */
        uint64_t keys_memory;       /* bytes */
        int64_t scan_interval;      /* ns */
    } log;
};

/* config_init: all defaults. config_free: free its text; it may be given to config_init again. */
void config_init(struct config *config);
void config_free(struct config *config);

/* config_load: set what a file says; what it does not mention stays as it is.
 * Returns      0
 *              -EINVAL   the file is refused: spate_last_error names its line, what is wrong and what is allowed
 *              -ENOENT, -EACCES, -EISDIR and the like   it cannot be read
 *              -EFBIG    it is far larger than a configuration can be
 *              -ENOMEM   no memory
 *              on an error *config is untouched */
int config_load(const char *path, struct config *config);

/* config_set: set one key, for the command line.
 *   key        with its section: "log.threads"
 * Returns      0, -EINVAL (spate_last_error says what is allowed), -ENOMEM; on an error *config is untouched */
int config_set(struct config *config, const char *key, const char *value);

/* config_check: whether the values go together; config_load has asked this already, so it is for after the last config_set.
 * Returns      0, -EINVAL */
int config_check(const struct config *config);

/* config_print_help: every key with what is allowed, its default, and what it is for; at most 100 columns. */
void config_print_help(FILE *file);

/* config_print: what is in effect, as a file that config_load reads back to the same (if config_check had no objection). */
void config_print(const struct config *config, FILE *file);

/* config_needs_restart: the first key ("log.dir") that differs and is only looked at when the daemon starts; NULL when there is none, so
 * that the running daemon can go on with the loaded configuration. */
const char *config_needs_restart(const struct config *running, const struct config *loaded);

#endif
