/* topic_config.c: a topic's configuration: defaults, settings from text, and whether all of it together is one that a topic can have.
 *
 * Called by whoever creates topics; `spate topic create --config k=v` comes here. What is wrong with a value by itself is said when it
 * is set. Pure functions but for user and group names. */
#include "bus/topic_config.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/error.h"

#define DAY (86400 * SP_NS_PER_S)

void spate_topic_config_init(struct spate_topic_config *config)
{
    *config = (struct spate_topic_config){
        .size = sizeof *config,
        .partitions = 1,
        .ring_capacity = 8u << 20,
        .mode = SPATE_MODE_CONCURRENT,
        .alignment = 64,
        .timestamp = SPATE_TIMESTAMP_CLOCK,
        .producers_max = 64,
        .consumers_max = 32,
        .numa_node = SPATE_ANY,
        .huge_pages = SPATE_HUGE_NONE,
        .uid = -1,
        .gid = -1,
        .flush_interval = 100 * SP_NS_PER_MS,
        .cleanup = SPATE_CLEANUP_DELETE,
        .segment_size = (uint64_t)256 << 20,
        .segment_age = -1,
        .retention_size = -1,
        .retention_time = 7 * DAY,
        .tombstone_delay = DAY,
    };
}

/* A whole number with an optional K, M or G (binary, also KiB, MB...). base 8 for file modes. */
static int parse_number(const char *key, const char *text, int base, int64_t *ret)
{
    char *end;
    errno = 0;
    int64_t value = strtoll(text, &end, base);
    int shift = 0;

    if (end != text && *end) {
        const char *units = "KMG";
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (unit && base == 10) {
            shift = 10 * (int)(unit - units + 1);
            end++;
            if (*end == 'i')
                end++;
            if (*end == 'B' || *end == 'b')
                end++;
        }
    }
    if (end == text || *end || errno || isspace((unsigned char)*text) || value > (INT64_MAX >> shift) || value < (shift ? 0 : -1))
        return sp_fail(-EINVAL, "%s=%s: not a number%s", key, text, base == 8 ? " in octal, e.g. 0660" : ", e.g. 64K, 8M, 1G");
    *ret = value * ((int64_t)1 << shift);
    return 0;
}

static int parse_word(const char *key, const char *text, const char *const *words, uint32_t *ret)
{
    for (uint32_t i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return 0;
        }
    }
    return sp_fail(-EINVAL, "%s=%s: allowed are %s, %s%s%s", key, text, words[0], words[1], words[2] ? ", " : "",
                   words[2] ? words[2] : "");
}

static int parse_uint32(const char *key, const char *text, int base, uint32_t *ret)
{
    int64_t value;
    int error = parse_number(key, text, base, &value);
    if (error)
        return error;
    if (value < 0 || value > UINT32_MAX)
        return sp_fail(-EINVAL, "%s=%s is out of range", key, text);
    *ret = (uint32_t)value;
    return 0;
}

/* A number within bounds; `allowed` is how people write these. */
static int parse_within(const char *key, const char *text, uint64_t least, uint64_t most, const char *allowed, uint64_t *ret)
{
    int64_t value;
    int error = parse_number(key, text, 10, &value);
    if (!error && (value < 0 || (uint64_t)value < least || (uint64_t)value > most))
        error = sp_fail(-EINVAL, "%s=%s: allowed are %s", key, text, allowed);
    if (!error)
        *ret = (uint64_t)value;
    return error;
}

static int parse_count(const char *key, const char *text, uint32_t most, const char *allowed, uint32_t *ret)
{
    uint64_t value;
    const int error = parse_within(key, text, 1, most, allowed, &value);
    if (!error)
        *ret = (uint32_t)value;
    return error;
}

static int set_partitions(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_count(k, v, SPATE_PARTITIONS_MAX, "1 to 1024", &c->partitions);
}

static int set_ring(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_within(k, v, SPATE_RING_MIN, SPATE_RING_MAX, "64K to 64G", &c->ring_capacity);
}

static int set_mode(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_word(k, v, (const char *const[]){"concurrent", "exclusive", NULL}, &c->mode);
}

static bool is_alignment(uint32_t alignment)
{
    return sp_is_power_of_two(alignment) && alignment >= 8 && alignment <= 128;
}

static int set_alignment(struct spate_topic_config *c, const char *k, const char *v)
{
    static const char allowed[] = "8, 16, 32, 64 and 128";
    const int error = parse_count(k, v, 128, allowed, &c->alignment);
    return error || is_alignment(c->alignment) ? error : sp_fail(-EINVAL, "%s=%s: allowed are %s", k, v, allowed);
}

static int set_timestamp(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_word(k, v, (const char *const[]){"clock", "caller", "none", NULL}, &c->timestamp);
}

static int set_producers(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_count(k, v, 1024, "1 to 1024", &c->producers_max);
}

static int set_consumers(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_count(k, v, 4096, "1 to 4096", &c->consumers_max);
}

static int set_numa(struct spate_topic_config *c, const char *k, const char *v)
{
    int64_t value = -1;
    int error = strcmp(v, "any") == 0 ? 0 : parse_number(k, v, 10, &value);
    if (error || value > 1023)
        error = sp_fail(-EINVAL, "%s=%s: allowed are any, or a node's number", k, v);
    if (!error)
        c->numa_node = (int32_t)value;
    return error;
}

static int set_huge(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_word(k, v, (const char *const[]){"none", "try", "require", NULL}, &c->huge_pages);
}

static int set_user(struct spate_topic_config *c, const char *k, const char *v)
{
    struct passwd buffer, *entry = NULL;
    char text[4096];

    (void)getpwnam_r(v, &buffer, text, sizeof text, &entry);
    c->uid = entry ? (int64_t)entry->pw_uid : -1;
    if (entry || (parse_number(k, v, 10, &c->uid) == 0 && c->uid <= UINT32_MAX))
        return 0;
    return sp_fail(-EINVAL, "%s=%s: neither a user's name nor a number", k, v);
}

static int set_group(struct spate_topic_config *c, const char *k, const char *v)
{
    struct group buffer, *entry = NULL;
    char text[16384]; /* its members' names are in there */

    (void)getgrnam_r(v, &buffer, text, sizeof text, &entry);
    c->gid = entry ? (int64_t)entry->gr_gid : -1;
    if (entry || (parse_number(k, v, 10, &c->gid) == 0 && c->gid <= UINT32_MAX))
        return 0;
    return sp_fail(-EINVAL, "%s=%s: neither a group's name nor a number", k, v);
}

/* What is wrong with a file mode; NULL: nothing. A class with w and without r would write blindly. */
static const char *mode_fault(uint32_t mode)
{
    if (mode & ~0666u)
        return "only read and write bits are allowed, e.g. 0660";
    return (mode >> 1 & ~(mode >> 2) & 0111) != 0 ? "a class (user, group, others) takes rw, r (to look) or nothing" : NULL;
}

static int parse_mode(const char *key, const char *text, uint32_t *ret)
{
    const int error = parse_uint32(key, text, 8, ret);
    const char *fault = error ? NULL : mode_fault(*ret);
    return fault ? sp_fail(-EINVAL, "%s=%s: %s", key, text, fault) : error;
}

static int set_producer_mode(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_mode(k, v, &c->producer_mode);
}

static int set_consumer_mode(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_mode(k, v, &c->consumer_mode);
}

/* A time with its unit. */
static int parse_time(const char *key, const char *text, int64_t *ret)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ms", SP_NS_PER_MS}, {"s", SP_NS_PER_S}, {"m", 60 * SP_NS_PER_S}, {"h", 3600 * SP_NS_PER_S}, {"d", DAY}};
    char *end;

    errno = 0;
    const int64_t value = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const bool is_zero = value == 0 && *end == 0; /* that needs no unit */
        if (end == text || errno || !isdigit((unsigned char)*text) || (!is_zero && strcmp(end, units[i].name) != 0) ||
            value > INT64_MAX / units[i].ns)
            continue;
        *ret = value * units[i].ns;
        return 0;
    }
    return sp_fail(-EINVAL, "%s=%s: not a time; give a number and ms, s, m, h or d, e.g. 500ms, 7d", key, text);
}

static bool is_none(const char *text)
{
    return strcmp(text, "none") == 0;
}

static int parse_time_or_none(const char *key, const char *text, int64_t *ret)
{
    if (!is_none(text))
        return parse_time(key, text, ret);
    *ret = -1;
    return 0;
}

static int set_durable(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_word(k, v, (const char *const[]){"no", "yes", NULL}, &c->durable);
}

static int set_flush(struct spate_topic_config *c, const char *k, const char *v)
{
    static const char interval[] = "interval:";
    int64_t ms;

    if (strncmp(v, interval, strlen(interval)) != 0) {
        if (parse_word(k, v, (const char *const[]){"none", "", "each", NULL}, &c->flush) == 0 && *v)
            return 0;
        return sp_fail(-EINVAL, "%s=%s: allowed are none, interval:MS, each", k, v);
    }
    if (parse_number(k, v + strlen(interval), 10, &ms) != 0 || ms < 1 || ms > 86400000)
        return sp_fail(-EINVAL, "%s=%s: the interval is a number of milliseconds, 1 to 86400000", k, v);
    c->flush = SPATE_FLUSH_INTERVAL;
    c->flush_interval = ms * SP_NS_PER_MS;
    return 0;
}

static int set_compression(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_word(k, v, (const char *const[]){"none", "lz4", NULL}, &c->compression);
}

static int set_cleanup(struct spate_topic_config *c, const char *k, const char *v)
{
    uint32_t value;
    if (strcmp(v, "delete,compact") == 0)
        v = "compact,delete";
    if (parse_word(k, v, (const char *const[]){"", "delete", "compact", "compact,delete", NULL}, &value) != 0 || value == 0)
        return sp_fail(-EINVAL, "%s=%s: allowed are delete, compact, and compact,delete", k, v);
    c->cleanup = value;
    return 0;
}

static int set_segment_size(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_within(k, v, SPATE_SEGMENT_MIN, SPATE_SEGMENT_MAX, "1M to 16G", &c->segment_size);
}

static int set_segment_age(struct spate_topic_config *c, const char *k, const char *v)
{
    const int error = parse_time_or_none(k, v, &c->segment_age);
    return error || c->segment_age != 0 ? error : sp_fail(-EINVAL, "%s=%s: allowed are none, and a time above 0", k, v);
}

static int set_retention_size(struct spate_topic_config *c, const char *k, const char *v)
{
    int64_t value = -1;
    int error = is_none(v) ? 0 : parse_number(k, v, 10, &value);
    if (!error)
        c->retention_size = value;
    return error;
}

static int set_retention_time(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_time_or_none(k, v, &c->retention_time);
}

static int set_tombstone_delay(struct spate_topic_config *c, const char *k, const char *v)
{
    return parse_time(k, v, &c->tombstone_delay);
}

static const struct {
    const char *key;
    int (*set)(struct spate_topic_config *config, const char *key, const char *value);
} settings[] = {
    {"partitions", set_partitions},
    {"ring", set_ring},
    {"mode", set_mode},
    {"alignment", set_alignment},
    {"timestamp", set_timestamp},
    {"producers", set_producers},
    {"consumers", set_consumers},
    {"numa", set_numa},
    {"huge", set_huge},
    {"user", set_user},
    {"group", set_group},
    {"producer_mode", set_producer_mode},
    {"consumer_mode", set_consumer_mode},
    {"durable", set_durable},
    {"flush", set_flush},
    {"compression", set_compression},
    {"cleanup", set_cleanup},
    {"segment_size", set_segment_size},
    {"segment_age", set_segment_age},
    {"retention_size", set_retention_size},
    {"retention_time", set_retention_time},
    {"tombstone_delay", set_tombstone_delay},
};

/* Levenshtein distance, for suggestions. Words longer than the table are simply far away. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[32];
    size_t length = strlen(b);
    if (length >= sizeof row / sizeof row[0])
        return 99;
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned change = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            unsigned least = diagonal < row[j - 1] ? diagonal + 1 : row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[length];
}

int spate_topic_config_set(struct spate_topic_config *config, const char *key, const char *value)
{
    size_t nearest = 0;

    if (!config || !key || !value)
        return sp_fail(-EINVAL, "config, key or value is NULL");
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (strcmp(settings[i].key, key) == 0) {
            struct spate_topic_config changed = *config;
            int error = settings[i].set(&changed, key, value);
            if (!error)
                *config = changed;
            return error;
        }
        if (distance(key, settings[i].key) < distance(key, settings[nearest].key))
            nearest = i;
    }
    if (distance(key, settings[nearest].key) <= (strlen(key) + 2) / 3)
        return sp_fail(-EINVAL, "there is no topic setting \"%.40s\"; did you mean \"%s\"?", key, settings[nearest].key);
    char all[400] = "";
    size_t size = 0;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0] && size < sizeof all; i++)
        size += (size_t)snprintf(all + size, sizeof all - size, "%s%s", i ? ", " : "", settings[i].key);
    return sp_fail(-EINVAL, "there is no topic setting \"%.40s\"; there are %s", key, all);
}

/* ------------------------------------------------------------------------------------------------------- altogether */

/* The first setting of the log that is not as it is by default; NULL: there is none. */
static const char *log_setting(const struct spate_topic_config *config)
{
    struct spate_topic_config defaults;

    spate_topic_config_init(&defaults);
    return config->flush != defaults.flush || config->flush_interval != defaults.flush_interval ? "flush"
           : config->compression != defaults.compression                                        ? "compression"
           : config->cleanup != defaults.cleanup                                                ? "cleanup"
           : config->segment_size != defaults.segment_size                                      ? "segment_size"
           : config->segment_age != defaults.segment_age                                        ? "segment_age"
           : config->retention_size != defaults.retention_size                                  ? "retention_size"
           : config->retention_time != defaults.retention_time                                  ? "retention_time"
           : config->tombstone_delay != defaults.tombstone_delay                                ? "tombstone_delay"
                                                                                                : NULL;
}

static int take_log_config(const struct spate_topic_config *config)
{
    const char *setting = config->durable ? NULL : log_setting(config);

    if (setting)
        return sp_fail(-EINVAL, "%s is a setting of the log, and the topic is to have none: make it durable as well", setting);
    if (config->durable > 1 || config->flush > SPATE_FLUSH_EACH || config->compression > SPATE_COMPRESSION_LZ4 ||
        config->cleanup < 1 || config->cleanup > (SPATE_CLEANUP_DELETE | SPATE_CLEANUP_COMPACT))
        return sp_fail(-EINVAL, "durable %u, flush %u, compression %u or cleanup %u is out of range: see their enums",
                       config->durable, config->flush, config->compression, config->cleanup);
    if (config->segment_size < SPATE_SEGMENT_MIN || config->segment_size > SPATE_SEGMENT_MAX)
        return sp_fail(-EINVAL, "segment_size is %llu bytes, allowed are 1M..16G", (unsigned long long)config->segment_size);
    if (config->flush_interval < SP_NS_PER_MS || config->segment_age < -1 || config->segment_age == 0 ||
        config->retention_size < -1 || config->retention_time < -1 || config->tombstone_delay < 0)
        return sp_fail(-EINVAL,
                       "flush_interval %lld ns (at least 1 ms), segment_age %lld, retention_size %lld, retention_time %lld (-1: "
                       "without limit) or tombstone_delay %lld is out of range",
                       (long long)config->flush_interval, (long long)config->segment_age, (long long)config->retention_size,
                       (long long)config->retention_time, (long long)config->tombstone_delay);
    return 0;
}

/* A caller compiled against an older, shorter struct keeps the defaults of the fields it does not know. */
int sp_topic_config_take(const struct spate_topic_config *given, struct spate_topic_config *ret)
{
    spate_topic_config_init(ret);
    if (given) {
        if (given->size < offsetof(struct spate_topic_config, ring_capacity) || given->size > sizeof *ret)
            return sp_fail(-EINVAL, "topic configuration of %zu bytes: set it up with spate_topic_config_init", given->size);
        memcpy(ret, given, given->size);
    }
    if (ret->partitions < 1 || ret->partitions > SPATE_PARTITIONS_MAX)
        return sp_fail(-EINVAL, "partitions is %u, allowed are 1..%d", ret->partitions, SPATE_PARTITIONS_MAX);
    if (ret->ring_capacity < SPATE_RING_MIN || ret->ring_capacity > SPATE_RING_MAX)
        return sp_fail(-EINVAL, "ring is %llu bytes, allowed are 64K..64G", (unsigned long long)ret->ring_capacity);
    ret->ring_capacity = sp_round_up_power_of_two(ret->ring_capacity);
    if (ret->mode > SPATE_MODE_EXCLUSIVE || ret->timestamp > SPATE_TIMESTAMP_NONE || ret->huge_pages > SPATE_HUGE_REQUIRE)
        return sp_fail(-EINVAL, "mode %u, timestamp %u or huge_pages %u is out of range: see their enums", ret->mode,
                       ret->timestamp, ret->huge_pages);
    if (!is_alignment(ret->alignment))
        return sp_fail(-EINVAL, "alignment is %u, allowed are 8, 16, 32, 64 and 128", ret->alignment);
    if (ret->producers_max < 1 || ret->producers_max > 1024 || ret->consumers_max < 1 || ret->consumers_max > 4096)
        return sp_fail(-EINVAL, "producers is %u (allowed 1..1024), consumers %u (allowed 1..4096)", ret->producers_max,
                       ret->consumers_max);
    const char *fault = mode_fault(ret->producer_mode);
    if (!fault)
        fault = mode_fault(ret->consumer_mode);
    if (fault)
        return sp_fail(-EINVAL, "producer_mode %o, consumer_mode %o: %s", ret->producer_mode, ret->consumer_mode, fault);
    if (ret->uid < -1 || ret->uid > UINT32_MAX || ret->gid < -1 || ret->gid > UINT32_MAX || ret->numa_node < -1)
        return sp_fail(-EINVAL, "uid %lld, gid %lld or numa_node %d is out of range", (long long)ret->uid, (long long)ret->gid,
                       ret->numa_node);
    return take_log_config(ret);
}
