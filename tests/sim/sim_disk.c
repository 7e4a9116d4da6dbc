/* sim_disk.c: what is on the simulated disk: files, directories, changes that are not durable, crashes; see sim_disk.h.
 *
 * Used by sim_io.c, which is the seam, and by the tests. Nothing here knows of time or faults. */
#include "sim_disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "static_ring.h"

static void *grown(void *memory, uint64_t size)
{
    void *larger = realloc(memory, size);
    if (!larger)
        abort();
    return larger;
}

uint64_t sim_below(struct sim_disk *disk, uint64_t limit)
{
    return static_ring_random(&disk->seed) % limit;
}

/* --------------------------------------------------------------------------------------------------------------- nodes */

int sim_node_new(struct sim_disk *disk, bool is_directory)
{
    struct sim_node *node = grown(NULL, sizeof *node);
    int index = 0;

    *node = (struct sim_node){.is_directory = is_directory};
    while (index < disk->nodes_count && disk->nodes[index])
        index++;
    if (index == disk->nodes_count)
        disk->nodes = grown(disk->nodes, (uint64_t)(++disk->nodes_count) * sizeof *disk->nodes);
    disk->nodes[index] = node;
    return index;
}

static void drop_changes(struct sim_node *node)
{
    for (uint32_t i = 0; i < node->changes_count; i++)
        free(node->changes[i].data);
    node->changes_count = 0;
}

static void node_free(struct sim_node *node)
{
    if (!node)
        return;
    drop_changes(node);
    free(node->changes);
    free(node->cached);
    free(node->durable);
    free(node->entries);
    free(node->durable_entries);
    free(node->operations);
    free(node);
}

static void make_room(struct sim_node *node, uint64_t size)
{
    if (size <= node->room)
        return;
    const uint64_t room = sp_max(size, node->room + node->room / 2);
    node->cached = grown(node->cached, room);
    node->durable = grown(node->durable, room);
    memset(node->cached + node->room, 0, room - node->room);
    memset(node->durable + node->room, 0, room - node->room);
    node->room = room;
}

struct sim_disk *sim_disk_new(uint64_t seed, bool is_direct)
{
    struct sim_disk *disk = grown(NULL, sizeof *disk);

    *disk = (struct sim_disk){.seed = seed, .quota = UINT64_MAX, .delay_max = 2000000, .now = 1000000000};
    disk->realtime_ahead = INT64_C(1700000000000000000);
    disk->io.is_direct = is_direct;
    disk->short_grain = SP_LOG_GRAIN;
    sim_io_init(disk);
    (void)sim_node_new(disk, true);
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->requests_count; i++)
        free(disk->requests[i].data);
    for (int i = 0; i < disk->nodes_count; i++)
        node_free(disk->nodes[i]);
    free(disk->nodes);
    free(disk);
}

static void mark(const struct sim_disk *disk, const struct sim_entry *entries, uint32_t count, bool *is_used)
{
    for (uint32_t i = 0; i < count; i++) {
        const int at = entries[i].node;
        if (at < 0 || is_used[at])
            continue;
        const struct sim_node *node = disk->nodes[at];
        is_used[at] = true;
        mark(disk, node->entries, node->entries_count, is_used);
        mark(disk, node->durable_entries, node->durable_count, is_used);
        for (uint32_t j = 0; j < node->operations_count; j++)
            mark(disk, &node->operations[j].entry, 1, is_used);
    }
}

/* Forget files that nothing names any more, now or after a crash. */
void sim_sweep(struct sim_disk *disk)
{
    bool *is_used = grown(NULL, (uint64_t)disk->nodes_count);
    const struct sim_entry root = {.node = 0};

    memset(is_used, 0, (size_t)disk->nodes_count);
    mark(disk, &root, 1, is_used);
    for (uint32_t i = 0; i < disk->requests_count; i++)
        is_used[disk->requests[i].node] = true;
    for (int i = 0; i < SIM_HANDLES; i++)
        if (disk->handles[i].is_open)
            is_used[disk->handles[i].node] = true;
    for (int i = 0; i < disk->nodes_count; i++) {
        if (is_used[i])
            continue;
        node_free(disk->nodes[i]);
        disk->nodes[i] = NULL;
    }
    free(is_used);
}

/* ---------------------------------------------------------------------------------------------------------- directories */

static int entry_find(const struct sim_entry *entries, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(entries[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void entry_set(struct sim_entry **entries, uint32_t *count, const char *name, int node)
{
    const int found = entry_find(*entries, *count, name);

    if (node < 0) {
        if (found >= 0) {
            (*count)--;
            memmove(&(*entries)[found], &(*entries)[found + 1], (*count - (uint32_t)found) * sizeof **entries);
        }
        return;
    }
    if (found >= 0) {
        (*entries)[found].node = node;
        return;
    }
    *entries = grown(*entries, (*count + 1) * sizeof **entries);
    struct sim_entry *entry = &(*entries)[(*count)++];
    *entry = (struct sim_entry){.node = node};
    snprintf(entry->name, sizeof entry->name, "%s", name);
}

/* The node of a path, -1 when there is none; its directory, -1 when even that is not there; and its name in it. */
int sim_find(const struct sim_disk *disk, const char *path, int *ret_parent, const char **ret_name)
{
    int at = 0;

    *ret_parent = 0;
    *ret_name = path;
    if (strcmp(path, ".") == 0)
        return 0;
    for (;;) {
        const char *slash = strchr(path, '/');
        char name[64];
        snprintf(name, sizeof name, "%.*s", slash ? (int)(slash - path) : 60, path);
        *ret_parent = at;
        *ret_name = path;
        const struct sim_node *node = disk->nodes[at];
        const int found = node->is_directory ? entry_find(node->entries, node->entries_count, name) : -1;
        at = found < 0 ? -1 : node->entries[found].node;
        if (!slash)
            return at;
        if (at < 0) {
            *ret_parent = -1;
            return -1;
        }
        path = slash + 1;
    }
}

/* Name a node in a directory (-1: take the name away); `removed`: a rename takes that name away in the same step. */
void sim_link(struct sim_disk *disk, int directory, const char *name, int node, const char *removed)
{
    struct sim_node *parent = disk->nodes[directory];

    parent->operations = grown(parent->operations, (parent->operations_count + 1) * sizeof *parent->operations);
    struct sim_operation *operation = &parent->operations[parent->operations_count++];
    *operation = (struct sim_operation){.entry = {.node = node}, .sequence = ++disk->sequence};
    snprintf(operation->entry.name, sizeof operation->entry.name, "%s", name);
    snprintf(operation->removed, sizeof operation->removed, "%s", removed ? removed : "");
    if (removed)
        entry_set(&parent->entries, &parent->entries_count, removed, -1);
    entry_set(&parent->entries, &parent->entries_count, name, node);
}

static void persist_operations(struct sim_node *node, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_operation *operation = &node->operations[i];
        if (operation->removed[0])
            entry_set(&node->durable_entries, &node->durable_count, operation->removed, -1);
        entry_set(&node->durable_entries, &node->durable_count, operation->entry.name, operation->entry.node);
    }
    node->operations_count -= count;
    if (node->operations_count)
        memmove(node->operations, node->operations + count, node->operations_count * sizeof *node->operations);
}

bool sim_is_named(const struct sim_disk *disk, int node)
{
    for (int i = 0; i < disk->nodes_count; i++) {
        const struct sim_node *directory = disk->nodes[i];
        for (uint32_t j = 0; directory && j < directory->entries_count; j++)
            if (directory->entries[j].node == node)
                return true;
    }
    return node == 0;
}

/* ------------------------------------------------------------------------------------------------------------- changes */

uint64_t sim_used(const struct sim_disk *disk)
{
    uint64_t used = 0;
    for (int i = 0; i < disk->nodes_count; i++)
        used += disk->nodes[i] ? disk->nodes[i]->held : 0;
    return used;
}

static struct sim_change *change_new(struct sim_disk *disk, struct sim_node *node)
{
    if (node->changes_count == node->changes_room) {
        node->changes_room = node->changes_room ? 2 * node->changes_room : 16;
        node->changes = grown(node->changes, node->changes_room * sizeof *node->changes);
    }
    struct sim_change *change = &node->changes[node->changes_count++];
    *change = (struct sim_change){.sequence = ++disk->sequence};
    return change;
}

static void set_size(uint8_t *bytes, uint64_t *size, uint64_t new_size)
{
    if (new_size < *size)
        memset(bytes + new_size, 0, *size - new_size);
    *size = new_size;
}

void sim_change_size(struct sim_disk *disk, int index, uint64_t size, bool is_extension)
{
    struct sim_node *node = disk->nodes[index];
    struct sim_change *change = change_new(disk, node);

    change->is_size = true;
    change->is_extension = is_extension;
    change->at = size;
    make_room(node, size);
    set_size(node->cached, &node->cached_size, size);
}

void sim_change_write(struct sim_disk *disk, int index, uint64_t at, const uint8_t *data, uint32_t size)
{
    struct sim_node *node = disk->nodes[index];

    if (size == 0)
        return;
    struct sim_change *change = change_new(disk, node);
    change->at = at;
    change->size = size;
    change->data = grown(NULL, size);
    memcpy(change->data, data, size);
    make_room(node, at + size);
    memcpy(node->cached + at, data, size);
    if (at + size > node->cached_size)
        sim_change_size(disk, index, at + size, true);
}

/* An older write whose flush failed is nothing any more where it was written again. */
static void forget_lost(struct sim_node *node, const struct sim_change *newer)
{
    for (uint32_t i = 0; i < node->changes_count; i++) {
        struct sim_change *older = &node->changes[i];
        if (!older->is_lost || older->at >= newer->at + newer->size || newer->at >= older->at + older->size)
            continue;
        const uint64_t from = sp_max(older->at, newer->at), to = sp_min(older->at + older->size, newer->at + newer->size);
        memcpy(older->data + (from - older->at), newer->data + (from - newer->at), to - from);
    }
}

/* A flush that began when `since` was the latest change is over. */
void sim_make_durable(struct sim_disk *disk, int index, uint64_t since)
{
    struct sim_node *node = disk->nodes[index];
    uint32_t kept = 0, operations = 0;

    for (uint32_t i = 0; i < node->changes_count; i++) {
        struct sim_change *change = &node->changes[i];
        if (change->sequence <= since && !change->is_lost) {
            if (change->is_size) {
                set_size(node->durable, &node->durable_size, change->at);
            } else {
                memcpy(node->durable + change->at, change->data, change->size);
                const struct sim_change copy = *change;
                const uint32_t count = node->changes_count;
                node->changes_count = kept;
                forget_lost(node, &copy);
                node->changes_count = count;
                free(change->data);
            }
            continue;
        }
        node->changes[kept++] = *change;
    }
    node->changes_count = kept;
    while (operations < node->operations_count && node->operations[operations].sequence <= since)
        operations++;
    persist_operations(node, operations);
}

/* A flush of it failed. Its pages are clean now, and perhaps thrown away. */
void sim_flush_failed(struct sim_disk *disk, int index, uint64_t since)
{
    struct sim_node *node = disk->nodes[index];
    const bool is_evicted = sim_below(disk, 2) == 0;

    for (uint32_t i = 0; i < node->changes_count; i++) {
        struct sim_change *change = &node->changes[i];
        if (change->is_size || change->sequence > since)
            continue;
        change->is_lost = true;
        if (!is_evicted)
            continue;
        for (uint64_t at = 0; at < change->size; at += SIM_SECTOR) { /* reads see from now on what the device has */
            const uint64_t size = sp_min(SIM_SECTOR, change->size - at);
            if (sim_below(disk, 2))
                memcpy(node->durable + change->at + at, change->data + at, size);
            memcpy(node->cached + change->at + at, node->durable + change->at + at, size);
            memcpy(change->data + at, node->durable + change->at + at, size);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------- crashes */

struct lots {
    struct sim_crash crash;
    uint64_t writes; /* met so far */
    uint64_t bias;   /* of 16 sectors so many stay */
};

static bool keeps(struct lots *lots)
{
    switch (lots->crash.mode) {
    case SIM_CRASH_OLD: return false;
    case SIM_CRASH_NEW: return true;
    case SIM_CRASH_ONE: return lots->writes == lots->crash.index;
    default: return static_ring_random(&lots->crash.seed) % 16 < lots->bias;
    }
}

static uint32_t prefix(struct lots *lots, uint32_t count)
{
    return lots->crash.mode == SIM_CRASH_OLD      ? 0
           : lots->crash.mode == SIM_CRASH_RANDOM ? (uint32_t)(static_ring_random(&lots->crash.seed) % (count + (uint64_t)1))
                                                  : count;
}

static void crash_write(struct lots *lots, struct sim_node *to, uint64_t at, const uint8_t *data, uint32_t size, bool is_whole)
{
    make_room(to, at + size);
    for (uint32_t done = 0; done < size; done += SIM_SECTOR)
        if (is_whole || keeps(lots))
            memcpy(to->durable + at + done, data + done, sp_min(SIM_SECTOR, size - done));
    lots->writes++;
}

/* Whether the size that a write extended the file to is among those that stay. */
static bool extends(const struct sim_node *node, uint32_t change, uint32_t sizes_before, uint32_t sizes)
{
    return change + 1 < node->changes_count && node->changes[change + 1].is_extension && sizes_before < sizes;
}

static void crash_file(const struct sim_disk *disk, int index, struct lots *lots, struct sim_node *to)
{
    const struct sim_node *node = disk->nodes[index];
    uint32_t sizes = 0, met = 0;

    for (uint32_t i = 0; i < node->changes_count; i++)
        sizes += node->changes[i].is_size;
    sizes = prefix(lots, sizes);
    make_room(to, node->room);
    if (node->durable_size)
        memcpy(to->durable, node->durable, node->durable_size);
    to->durable_size = node->durable_size;
    for (uint32_t i = 0; i < node->changes_count; i++) {
        const struct sim_change *change = &node->changes[i];
        if (!change->is_size)
            crash_write(lots, to, change->at, change->data, change->size, extends(node, i, met, sizes));
        else if (met++ < sizes)
            set_size(to->durable, &to->durable_size, change->at);
    }
    for (uint32_t i = 0; i < disk->requests_count; i++) {
        const struct sim_request *request = &disk->requests[i];
        if (request->node == index && request->kind == IO_WRITE)
            crash_write(lots, to, request->at, request->data, request->size, false);
    }
    if (to->room > to->durable_size)
        memset(to->durable + to->durable_size, 0, to->room - to->durable_size);
    if (to->room)
        memcpy(to->cached, to->durable, to->room);
    to->cached_size = to->durable_size;
    to->held = node->held;
    to->is_allocated = node->is_allocated;
    to->is_sparse = node->is_sparse;
}

static void crash_directory(const struct sim_node *node, struct lots *lots, struct sim_node *to)
{
    for (uint32_t i = 0; i < node->durable_count; i++)
        entry_set(&to->durable_entries, &to->durable_count, node->durable_entries[i].name, node->durable_entries[i].node);
    const uint32_t count = prefix(lots, node->operations_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_operation *operation = &node->operations[i];
        if (operation->removed[0])
            entry_set(&to->durable_entries, &to->durable_count, operation->removed, -1);
        entry_set(&to->durable_entries, &to->durable_count, operation->entry.name, operation->entry.node);
    }
    for (uint32_t i = 0; i < to->durable_count; i++)
        entry_set(&to->entries, &to->entries_count, to->durable_entries[i].name, to->durable_entries[i].node);
}

struct sim_disk *sim_disk_image(const struct sim_disk *disk, struct sim_crash crash)
{
    struct sim_disk *image = sim_disk_new(crash.seed, disk->io.is_direct);
    struct lots lots = {.crash = crash, .bias = (uint64_t[]){1, 8, 14, 15}[crash.seed % 4]};

    image->now = disk->now;
    image->realtime_ahead = disk->realtime_ahead;
    while (image->nodes_count < disk->nodes_count)
        (void)sim_node_new(image, false);
    for (int i = 0; i < disk->nodes_count; i++) {
        if (!disk->nodes[i])
            continue;
        image->nodes[i]->is_directory = disk->nodes[i]->is_directory;
        if (disk->nodes[i]->is_directory)
            crash_directory(disk->nodes[i], &lots, image->nodes[i]);
        else
            crash_file(disk, i, &lots, image->nodes[i]);
    }
    sim_sweep(image);
    return image;
}

uint64_t sim_disk_unflushed(const struct sim_disk *disk)
{
    uint64_t count = 0;

    for (int i = 0; i < disk->nodes_count; i++)
        for (uint32_t j = 0; disk->nodes[i] && j < disk->nodes[i]->changes_count; j++)
            count += !disk->nodes[i]->changes[j].is_size;
    for (uint32_t i = 0; i < disk->requests_count; i++)
        count += disk->requests[i].kind == IO_WRITE;
    return count;
}

/* -------------------------------------------------------------------------------------------------------------- damage */

bool sim_disk_flip(struct sim_disk *disk)
{
    for (int tries = 0; tries < 64; tries++) {
        struct sim_node *node = disk->nodes[sim_below(disk, (uint64_t)disk->nodes_count)];
        if (!node || node->is_directory || node->cached_size == 0)
            continue;
        /* blocks begin at multiples of the grain: there the headers are, and most of what matters */
        uint64_t at = sim_below(disk, node->cached_size);
        if (sim_below(disk, 2))
            at = at / SP_LOG_GRAIN * SP_LOG_GRAIN + at % 128;
        if (at >= node->cached_size)
            continue;
        const uint8_t bit = (uint8_t)(1u << sim_below(disk, 8));
        node->cached[at] ^= bit;
        node->durable[at] ^= bit;
        return true;
    }
    return false;
}

void sim_disk_remove_all(struct sim_disk *disk, const char *path)
{
    int parent;
    const char *name;
    const int index = sim_find(disk, path, &parent, &name);

    while (index >= 0 && disk->nodes[index]->entries_count) {
        char victim[32];
        memcpy(victim, disk->nodes[index]->entries[0].name, sizeof victim);
        sim_link(disk, index, victim, -1, NULL);
    }
    if (index > 0)
        sim_link(disk, parent, name, -1, NULL);
}

static void print_node(const struct sim_disk *disk, int index, const char *path)
{
    const struct sim_node *node = disk->nodes[index];

    if (!node->is_directory)
        printf("  %-48s node %3d: %8llu bytes, durable %8llu, %u changes\n", path, index, (unsigned long long)node->cached_size,
               (unsigned long long)node->durable_size, node->changes_count);
    const struct sp_frontier *frontier = (const struct sp_frontier *)(const void *)node->cached;
    for (uint32_t i = 0; i < 2 && node->cached_size == 2 * (uint64_t)SP_LOG_GRAIN; i++, frontier += SP_LOG_GRAIN / sizeof *frontier)
        if (frontier->magic == SP_FRONTIER_MAGIC)
            printf("    frontier %llu: segment %llu at %llu, offset %llu\n", (unsigned long long)frontier->sequence,
                   (unsigned long long)frontier->segment, (unsigned long long)frontier->at, (unsigned long long)frontier->offset);
    for (uint32_t i = 0; i < node->entries_count; i++) {
        char name[96];
        snprintf(name, sizeof name, "%.60s/%s", path, node->entries[i].name);
        print_node(disk, node->entries[i].node, name);
    }
}

void sim_disk_print(const struct sim_disk *disk)
{
    print_node(disk, 0, ".");
}

void sim_disk_heal(struct sim_disk *disk)
{
    memset(disk->faults, 0, sizeof disk->faults);
    disk->quota = UINT64_MAX;
    disk->short_writes = disk->misdirected = 0;
    disk->dead_at = 0;
    disk->is_dead = false;
    disk->delay_max = 2000000;
}

uint32_t sim_disk_files(const struct sim_disk *disk)
{
    uint32_t count = 0;
    for (int i = 0; i < SIM_HANDLES; i++)
        count += disk->handles[i].is_open;
    return count;
}
