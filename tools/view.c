/* view.c: turns what inspect.h reports into JSON rows (see view.h).
 *
 * Owns nothing: rows belong to the lists of the caller. Names come from other processes and go through json_text. */
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"

static const char *find_name(const char *const *names, size_t count, uint32_t value)
{
    return value < count ? names[value] : "?"; /* from shared memory: a newer build may know more */
}

void view_lists_init(struct view_lists *lists)
{
    *lists = (struct view_lists){json_array(), json_array(), json_array(), json_array(), json_array(), json_array(), 0};
}

void view_lists_free(struct view_lists *lists)
{
    json_decref(lists->topics);
    json_decref(lists->rings);
    json_decref(lists->producers);
    json_decref(lists->cursors);
    json_decref(lists->stalled);
    json_decref(lists->logs);
}

/* ------------------------------------------------------------------------------------------- the configuration of a log */

/* set_time_setting: as `spate topic create` takes it: "none", "500ms", "7d"; and as a number of milliseconds. */
static void set_time_setting(json_t *row, const char *name, int64_t ns)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    char ms_name[64];
    int64_t ms = ns / NS_PER_MS;
    size_t unit = 0;
    snprintf(ms_name, sizeof(ms_name), "%s_ms", name);
    json_set(row, ms_name, ns < 0 ? json_null() : json_integer(ms));
    while (units[unit].ms > 1 && (ms == 0 || ms % units[unit].ms != 0))
        unit++;
    json_set(row, name, ns < 0 ? json_string("none") : json_sprintf("%lld%s", (long long)(ms / units[unit].ms), units[unit].name));
}

static void set_log(json_t *row, const struct spate_topic_info *info)
{
    static const char *const compressions[] = {"none", "lz4"};
    static const char *const cleanups[] = {"?", "delete", "compact", "compact,delete"};
    json_set_boolean(row, "durable", info->durable != 0);
    if (info->durable == 0)
        return;
    json_set(row, "flush",
             info->flush == SPATE_FLUSH_INTERVAL ? json_sprintf("interval:%lld", (long long)(info->flush_interval / NS_PER_MS))
                                                 : json_string(info->flush == SPATE_FLUSH_NONE   ? "none"
                                                               : info->flush == SPATE_FLUSH_EACH ? "each"
                                                                                                 : "?"));
    json_set_text(row, "compression", find_name(compressions, 2, info->compression));
    json_set_text(row, "cleanup", find_name(cleanups, 4, info->cleanup));
    json_set_size(row, "segment_size", info->segment_size);
    set_time_setting(row, "segment_age", info->segment_age);
    json_set(row, "retention_size", info->retention_size < 0 ? json_string("none") : json_integer(info->retention_size));
    set_time_setting(row, "retention_time", info->retention_time);
    set_time_setting(row, "tombstone_delay", info->tombstone_delay);
}

json_t *view_topic(const struct spate_topic_info *info)
{
    static const char *const modes[] = {"concurrent", "exclusive"};
    static const char *const timestamps[] = {"clock", "caller", "none"};
    static const char *const huge[] = {"none", "try", "require"};
    json_t *row = json_new();
    json_set_text(row, "topic", info->name);
    json_set_id(row, "id", info->id);
    json_set_time(row, "created", info->created);
    json_set_number(row, "partitions", info->partitions);
    json_set_size(row, "ring_capacity", info->ring_capacity);
    json_set_size(row, "record_size_max", info->value_size_max);
    json_set_text(row, "mode", find_name(modes, 2, info->mode));
    json_set_number(row, "alignment", info->alignment);
    json_set_text(row, "timestamp", find_name(timestamps, 3, info->timestamp));
    json_set_number(row, "producers_max", info->producers_max);
    json_set_number(row, "consumers_max", info->consumers_max);
    json_set(row, "numa_node", info->numa_node < 0 ? json_null() : json_integer(info->numa_node));
    json_set_text(row, "huge_pages", find_name(huge, 3, info->huge_pages));
    json_set_number(row, "uid", info->uid);
    json_set_number(row, "gid", info->gid);
    char mode[16];
    snprintf(mode, sizeof(mode), "%04o", info->ring_file_mode);
    json_set_text(row, "ring_file_mode", mode);
    snprintf(mode, sizeof(mode), "%04o", info->cursors_file_mode);
    json_set_text(row, "cursors_file_mode", mode);
    set_log(row, info);
    return row;
}

json_t *view_participant(const struct spate_participant_info *info)
{
    json_t *row = json_new();
    json_set_number(row, "slot", info->slot);
    json_set_text(row, "name", info->name);
    json_set_number(row, "pid", info->pid);
    json_set_text(row, "state", info->alive ? "alive" : "dead");
    json_set_number(row, "uid", info->uid);
    json_set_time(row, "joined", info->joined);
    json_set_size(row, "pid_namespace", info->pid_namespace);
    json_set_size(row, "generation", info->generation);
    return row;
}

/* ---------------------------------------------------------------------------------------------------------- one ring */

struct ring_walk { /* the context of the callbacks */
    struct view_lists *lists;
    const char *topic;
    int32_t partition;
    int64_t lag_max;
};

static json_t *claim_row(const struct ring_walk *walk, const struct spate_producer_info *info)
{
    static const char *const states[] = {"idle", "intent", "claimed"};
    json_t *row = json_new();
    json_set_text(row, "topic", walk->topic);
    json_set_number(row, "partition", walk->partition);
    json_set_number(row, "slot", info->slot);
    json_set_text(row, "name", info->name);
    json_set_number(row, "pid", info->pid);
    json_set_text(row, "state", info->alive ? "alive" : "dead");
    json_set_text(row, "claim", find_name(states, 3, info->claim_state));
    if (info->claim_state != SPATE_CLAIM_IDLE)
        json_set_size(row, "claim_position", info->claim_position);
    if (info->claim_state == SPATE_CLAIM_CLAIMED) {
        json_set_number(row, "claim_offset", info->claim_offset);
        json_set_number(row, "claim_count", info->claim_count);
        json_set_size(row, "claim_size", info->claim_size);
    }
    return row;
}

static int visit_producer(void *context, const struct spate_producer_info *info)
{
    struct ring_walk *walk = context;
    json_array_append_new(walk->lists->producers, claim_row(walk, info));
    if (!info->stalled)
        return 0;
    json_t *row = claim_row(walk, info);
    json_t *how = info->alive
                      ? json_sprintf("alive but not moving: stopped (`kill -CONT %lld`), in a debugger or hung: ending it helps",
                                     (long long)info->pid)
                      : json_string("died with its claim open: the next producer here repairs it, or `spate gc`");
    json_set(row, "how", how);
    json_array_append_new(walk->lists->stalled, row);
    return 0;
}

static int visit_cursor(void *context, const struct spate_cursor_info *info)
{
    static const char *const policies[] = {"gate", "skip", "spill"};
    struct ring_walk *walk = context;
    json_t *row = json_new();
    json_set_text(row, "topic", walk->topic);
    json_set_number(row, "partition", walk->partition);
    json_set_number(row, "slot", info->slot);
    json_set_text(row, "name", info->name);
    json_set_number(row, "pid", info->pid);
    json_set_text(row, "state", info->alive ? "alive" : "dead");
    json_set_text(row, "policy", find_name(policies, 3, info->policy));
    json_set_number(row, "offset", info->offset);
    json_set_number(row, "lag", info->lag);
    json_set_boolean(row, "evicted", info->evicted != 0);
    json_set_boolean(row, "asleep", info->asleep != 0);
    json_set_size(row, "position", info->position);
    json_set(row, "gate_timeout_ms", info->gate_timeout < 0 ? json_null() : json_integer(info->gate_timeout / NS_PER_MS));
    json_array_append_new(walk->lists->cursors, row);
    if (info->alive && info->lag > walk->lag_max)
        walk->lag_max = info->lag;
    return 0;
}

static json_t *ring_row(const struct ring_walk *walk, const struct spate_ring_info *info, json_t *mode)
{
    json_t *row = json_new();
    json_set_text(row, "topic", walk->topic);
    json_set_number(row, "partition", walk->partition);
    json_set(row, "mode", json_incref(mode));
    json_set_size(row, "capacity", info->capacity);
    json_set_size(row, "used", info->used);
    json_set_number(row, "used_percent",
                    (json_int_t)(info->capacity != 0 ? (double)info->used * 100.0 / (double)info->capacity : 0));
    json_set_number(row, "oldest_offset", info->oldest_offset);
    json_set_number(row, "next_offset", info->claimed_offset);
    json_set(row, "lag_max", info->consumers != 0 ? json_integer(walk->lag_max) : json_null());
    json_set_number(row, "producers", info->producers);
    json_set_number(row, "consumers", info->consumers);
    json_set_size(row, "claimed_position", info->claimed_position);
    json_set_size(row, "published_position", info->published_position);
    json_set_size(row, "oldest_position", info->oldest_position);
    json_set_boolean(row, "huge_pages", info->huge_pages);
    return row;
}

static json_t *log_row(const struct ring_walk *walk, const struct spate_ring_log *log)
{
    static const char *const states[] = {"no daemon", "open", "FULL", "FAILED"};
    const char *state = find_name(states, 4, log->marks.state);
    json_t *row = json_new();
    json_set_text(row, "topic", walk->topic);
    json_set_number(row, "partition", walk->partition);
    if (log->marks.state >= SPATE_LOG_FULL && log->marks.error != 0)
        json_set(row, "state", json_sprintf("%s: %s", state, strerror(log->marks.error)));
    else
        json_set_text(row, "state", state);
    json_set_number(row, "error", log->marks.error);
    json_set(row, "pid", log->alive ? json_integer(log->pid) : json_null());
    json_set_number(row, "start", log->marks.start);
    json_set_number(row, "durable", log->marks.durable);
    json_set_number(row, "written", log->marks.written);
    json_set_number(row, "published", log->marks.published);
    json_set_number(row, "lag_records", log->lag_records);
    json_set_size(row, "lag_bytes", log->lag_bytes);
    json_set_size(row, "bytes", log->bytes);
    json_set_size(row, "blocks", log->blocks);
    json_set_size(row, "flushes", log->flushes);
    bool has_flushed = log->flushes != 0;
    json_set(row, "flush_p50_us", has_flushed ? json_integer(log->flush_p50 / 1000) : json_null());
    json_set(row, "flush_p99_us", has_flushed ? json_integer(log->flush_p99 / 1000) : json_null());
    json_set(row, "flush_max_us", has_flushed ? json_integer(log->flush_max / 1000) : json_null());
    return row;
}

int view_rings(spate_topic *topic, struct view_lists *lists)
{
    struct spate_topic_info info;
    int first_error = spate_topic_describe(topic, &info);
    if (first_error != 0)
        return first_error;
    json_t *topic_row = view_topic(&info);
    json_array_append_new(lists->topics, topic_row);
    for (int32_t partition = 0; partition < (int32_t)info.partitions; partition++) {
        struct ring_walk walk = {.lists = lists, .topic = info.name, .partition = partition};
        struct spate_ring_info ring;
        int error = spate_inspect_ring(topic, partition, &ring, visit_producer, visit_cursor, &walk);
        if (error == 0)
            json_array_append_new(lists->rings, ring_row(&walk, &ring, json_object_get(topic_row, "mode")));
        else if (first_error == 0)
            first_error = error;
        if (error == 0 && ring.log.durable) {
            json_array_append_new(lists->logs, log_row(&walk, &ring.log));
            lists->logs_stopped += ring.log.marks.state >= SPATE_LOG_FULL;
        }
    }
    return first_error;
}
