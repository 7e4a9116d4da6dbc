/* sim_io.c: the functions of io.h on the simulated disk: requests that take their time, the clock, faults and lies; see sim_disk.h.
 *
 * Called by the daemon's parts through the seam, on the one thread that there is. */
#include "sim_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "log/format.h"
#include "static_ring.h"

const char *const sim_kind_names[SIM_KINDS] = {"write", "flush",  "sync",   "allocate", "open",  "read", "put",     "truncate",
                                               "size",  "rename", "unlink", "mkdir",    "rmdir", "list", "is_named"};

static struct sim_disk *disk_of(struct io *io)
{
    return (struct sim_disk *)(void *)io;
}

static void violate(struct sim_disk *disk, const char *what)
{
    if (!disk->violation[0])
        snprintf(disk->violation, sizeof disk->violation, "%s", what);
}

/* Every operation comes through here. Returns 0, or why it fails. */
static int begin(struct sim_disk *disk, enum sim_kind kind)
{
    const struct sim_fault *fault = &disk->faults[kind];
    const bool is_change = kind != SIM_READ && kind != SIM_SIZE && kind != SIM_LIST && kind != SIM_NAMED;

    if (is_change && disk->on_operation)
        disk->on_operation(disk->context);
    disk->calls[kind]++;
    disk->operations++;
    disk->now += 1000 + (int64_t)sim_below(disk, 20000);
    if (disk->dead_at && disk->operations >= disk->dead_at)
        disk->is_dead = true;
    if (disk->is_dead)
        return -EIO;
    if (fault->at && disk->calls[kind] >= fault->at && disk->calls[kind] - fault->at < fault->times) {
        disk->failed[kind]++;
        return fault->error;
    }
    return 0;
}

static struct sim_handle *handle_of(struct sim_disk *disk, int file)
{
    const int index = file - SIM_FIRST_FILE;
    if (index < 0 || index >= SIM_HANDLES || !disk->handles[index].is_open) {
        violate(disk, "a file was used that is not open");
        return NULL;
    }
    return &disk->handles[index];
}

/* ------------------------------------------------------------------------------------------------------------ requests */

static uint64_t stale(const struct sim_disk *disk)
{
    uint64_t since = 0;
    for (uint32_t i = 0; i < 8; i++)
        if (disk->marked_at[i] && disk->marked_at[i] <= disk->now - 4 * SP_NS_PER_MS && disk->marks[i] > since)
            since = disk->marks[i];
    return since;
}

static void check_alignment(struct sim_disk *disk, const struct io_request *request, const struct sim_handle *handle)
{
    if (!disk->io.is_direct || request->kind != IO_WRITE)
        return;
    if (!(handle->flags & O_DIRECT))
        violate(disk, "a request writes a file that was not opened for direct I/O");
    if ((uintptr_t)request->data % SP_LOG_GRAIN || request->at % SP_LOG_GRAIN || request->size % SP_LOG_GRAIN)
        violate(disk, "direct I/O that is not aligned");
}

static void sim_submit(struct io *io, struct io_request *request)
{
    struct sim_disk *disk = disk_of(io);
    struct sim_handle *handle = handle_of(disk, request->file);
    const int64_t limit = sim_below(disk, 8) ? disk->delay_max / 16 : disk->delay_max;

    if (!handle || disk->requests_count == SIM_REQUESTS) {
        violate(disk, "more requests in flight than anybody needs");
        return;
    }
    check_alignment(disk, request, handle);
    for (uint32_t i = 0; i < disk->requests_count; i++)
        if (disk->requests[i].request == request)
            violate(disk, "a request was submitted while it was under way");
    struct sim_request *mine = &disk->requests[disk->requests_count++];
    *mine = (struct sim_request){.request = request,
                                 .kind = request->kind,
                                 .file = request->file,
                                 .node = handle->node,
                                 .at = request->at,
                                 .size = request->kind == IO_WRITE ? request->size : 0,
                                 .since = disk->lie == SIM_LIE_STALE_FLUSH ? stale(disk) : disk->sequence,
                                 .due = disk->now + 1000 + (int64_t)sim_below(disk, (uint64_t)limit + 1)};
    if (request->kind != IO_WRITE)
        return;
    mine->data = malloc(request->size + (size_t)1);
    if (!mine->data)
        abort();
    memcpy(mine->data, request->data, request->size);
}

/* How much of a write there is room for. */
static uint32_t room_for(struct sim_disk *disk, struct sim_node *node, uint64_t at, uint32_t size)
{
    if (at + size <= node->held)
        return size;
    const uint64_t used = sim_used(disk), left = disk->quota > used ? disk->quota - used : 0;
    const uint64_t end = sp_min(sp_align_up(at + size, SP_LOG_GRAIN), sp_align_up(node->held, SP_LOG_GRAIN) + left);

    if (end < at + size)
        disk->no_room_count++;
    if (end <= at)
        return 0;
    node->held = sp_max(node->held, end);
    return (uint32_t)sp_min(size, (end - at) / SP_LOG_GRAIN * SP_LOG_GRAIN);
}

/* Lies about what a frontier says. */
static void move_frontier(uint8_t *data, uint32_t size)
{
    struct sp_frontier *frontier = (struct sp_frontier *)(void *)data;

    if (size != SP_LOG_GRAIN || frontier->magic != SP_FRONTIER_MAGIC || frontier->at == 0)
        return;
    frontier->at += SP_LOG_GRAIN;
    frontier->offset++;
    frontier->position += 16;
    sp_frontier_seal(frontier);
}

static int do_write(struct sim_disk *disk, struct sim_request *mine)
{
    struct sim_node *node = disk->nodes[mine->node];
    uint32_t size = mine->size;
    uint64_t at = mine->at;

    if (disk->short_writes && sim_below(disk, disk->short_writes) == 0) {
        size = (uint32_t)(sim_below(disk, size) / disk->short_grain * disk->short_grain);
        size = size ? size : (uint32_t)sp_min(disk->short_grain, mine->size);
        disk->short_count += size < mine->size;
    }
    size = room_for(disk, node, at, size);
    if (size == 0)
        return -ENOSPC;
    if (disk->misdirected && sim_below(disk, disk->misdirected) == 0) {
        at = sim_below(disk, node->cached_size / SP_LOG_GRAIN + 1) * SP_LOG_GRAIN;
        disk->misdirected_count++;
    }
    if (disk->lie == SIM_LIE_MISSING_WRITE && sim_below(disk, 32) == 0)
        return (int)size;
    if (disk->lie == SIM_LIE_FRONTIER)
        move_frontier(mine->data, size);
    sim_change_write(disk, mine->node, at, mine->data,
                     disk->lie == SIM_LIE_LAST_SECTOR && size > SP_LOG_GRAIN ? size - SP_LOG_GRAIN : size);
    return (int)size;
}

static int do_allocate(struct sim_disk *disk, const struct sim_request *mine)
{
    struct sim_node *node = disk->nodes[mine->node];
    const uint64_t used = sim_used(disk) - node->held, size = sp_align_up(mine->at, SP_LOG_GRAIN);

    if (!disk->is_sparse && (used >= disk->quota || disk->quota - used < size)) {
        disk->no_room_count++;
        return -ENOSPC;
    }
    node->is_sparse = disk->is_sparse;
    node->is_allocated = true;
    if (!disk->is_sparse)
        node->held = sp_max(node->held, size);
    if (mine->at > node->cached_size)
        sim_change_size(disk, mine->node, mine->at, false);
    return 0;
}

/* With direct I/O what was written over old blocks of other files waits in the same cache of the device. */
static void do_flush(struct sim_disk *disk, int node, uint64_t since)
{
    if (disk->lie == SIM_LIE_FLUSH || (disk->lie == SIM_LIE_DIRECTORY && disk->nodes[node]->is_directory))
        return;
    sim_make_durable(disk, node, since);
    for (int i = 0; disk->io.is_direct && i < disk->nodes_count; i++) {
        const struct sim_node *other = disk->nodes[i];
        bool has_sizes = !other || other->is_directory || other->is_allocated;
        for (uint32_t j = 0; !has_sizes && j < other->changes_count; j++)
            has_sizes = other->changes[j].is_size;
        if (!has_sizes)
            sim_make_durable(disk, i, since);
    }
}

static int perform(struct sim_disk *disk, struct sim_request *mine)
{
    static const enum sim_kind kinds[] = {
        [IO_WRITE] = SIM_WRITE, [IO_FLUSH] = SIM_FLUSH, [IO_SYNC] = SIM_SYNC, [IO_ALLOCATE] = SIM_ALLOCATE};
    const int error = begin(disk, kinds[mine->kind]);

    if (error && !disk->is_dead && (mine->kind == IO_FLUSH || mine->kind == IO_SYNC))
        sim_flush_failed(disk, mine->node, mine->since);
    if (error)
        return error;
    switch (mine->kind) {
    case IO_WRITE: return do_write(disk, mine);
    case IO_ALLOCATE: return do_allocate(disk, mine);
    default: do_flush(disk, mine->node, mine->since); return 0;
    }
}

static void complete(struct sim_disk *disk, uint32_t index)
{
    struct sim_request mine = disk->requests[index];
    struct io_request *request = mine.request;

    if (request && (request->kind != mine.kind || request->file != mine.file || request->at != mine.at))
        violate(disk, "a request was changed while it was under way");
    else if (request && mine.kind == IO_WRITE && memcmp(mine.data, request->data, request->size) != 0)
        violate(disk, "a buffer was changed while it was being written");
    if (request && mine.kind == IO_WRITE && disk->lie == SIM_LIE_EARLY_WRITE) {
        disk->requests[index].request = NULL;
        disk->requests[index].due = disk->now + (int64_t)sim_below(disk, 20 * SP_NS_PER_MS);
        request->done(request, (int)request->size);
        return;
    }
    if (disk->on_operation)
        disk->on_operation(disk->context); /* while it is still under way */
    disk->requests[index] = disk->requests[--disk->requests_count];
    const int result = perform(disk, &mine);
    free(mine.data);
    if (request)
        request->done(request, result);
}

static void mark_time(struct sim_disk *disk)
{
    const int64_t ms = disk->now / SP_NS_PER_MS;
    if (disk->marked_at[ms % 8] / SP_NS_PER_MS == ms)
        return;
    disk->marked_at[ms % 8] = disk->now;
    disk->marks[ms % 8] = disk->sequence;
}

static void sim_wait(struct io *io, int64_t timeout)
{
    struct sim_disk *disk = disk_of(io);
    int64_t until = disk->now + (timeout < 0 ? 0 : timeout);

    for (uint32_t i = 0; i < disk->requests_count; i++) {
        disk->requests[i].is_begun = true;
        if (disk->lie == SIM_LIE_EARLY_WRITE && disk->requests[i].request && disk->requests[i].kind == IO_WRITE)
            disk->requests[i].due = disk->now;
        if (disk->requests[i].due < until)
            until = disk->requests[i].due;
    }
    disk->now = until > disk->now ? until : disk->now;
    mark_time(disk);
    for (;;) { /* what these submit is for the next time */
        uint32_t due[SIM_REQUESTS], count = 0;
        for (uint32_t i = 0; i < disk->requests_count; i++)
            if (disk->requests[i].is_begun && disk->requests[i].due <= disk->now)
                due[count++] = i;
        if (count == 0)
            return;
        complete(disk, due[sim_below(disk, count)]);
    }
}

void sim_disk_settle(struct sim_disk *disk)
{
    while (disk->requests_count) {
        struct sim_request mine = disk->requests[disk->requests_count - 1];
        const uint64_t lot = sim_below(disk, 3);
        disk->requests_count--;
        if (mine.kind == IO_WRITE && lot == 1)
            mine.size = (uint32_t)(sim_below(disk, mine.size / SP_LOG_GRAIN + 1) * SP_LOG_GRAIN);
        if (lot && mine.size + (mine.kind != IO_WRITE))
            (void)perform(disk, &mine);
        free(mine.data);
    }
}

/* --------------------------------------------------------------------------------------------------------------- files */

static int open_handle(struct sim_disk *disk, int node, int flags)
{
    for (int i = 0; i < SIM_HANDLES; i++) {
        if (disk->handles[i].is_open)
            continue;
        disk->handles[i] = (struct sim_handle){node, flags, true};
        return SIM_FIRST_FILE + i;
    }
    violate(disk, "more files are open than anybody needs");
    return -EMFILE;
}

static int sim_open(struct io *io, const char *path, int flags)
{
    struct sim_disk *disk = disk_of(io);
    int parent;
    const char *name;
    const int error = begin(disk, SIM_OPEN);
    int node = sim_find(disk, path, &parent, &name);

    if (error)
        return error;
    if (node < 0) {
        if (!(flags & O_CREAT) || parent < 0)
            return -ENOENT;
        node = sim_node_new(disk, false);
        sim_link(disk, parent, name, node, NULL);
    }
    if (disk->nodes[node]->is_directory && (flags & O_ACCMODE) != O_RDONLY)
        return -EISDIR;
    if (!disk->nodes[node]->is_directory && flags & O_DIRECTORY)
        return -ENOTDIR;
    if (flags & O_TRUNC && disk->nodes[node]->cached_size) {
        sim_change_size(disk, node, 0, false);
        disk->nodes[node]->held = 0;
    }
    return open_handle(disk, node, flags);
}

static void sim_close(struct io *io, int file)
{
    struct sim_disk *disk = disk_of(io);
    struct sim_handle *handle = handle_of(disk, file);

    for (uint32_t i = 0; i < disk->requests_count; i++)
        if (disk->requests[i].file == file && !disk->requests[i].is_begun)
            violate(disk, "a file was closed with a request that was not handed over yet");
    if (handle)
        handle->is_open = false;
    sim_sweep(disk);
}

/* A block whose checksum passes, whatever is in it. */
static void make_right(const struct sim_node *node, uint64_t at, void *to, uint32_t size)
{
    const struct sp_segment_header *segment = (const struct sp_segment_header *)(const void *)node->cached;
    struct sp_block_header *header = to;

    if (size != sizeof *header || at % SP_LOG_GRAIN || (header->kind & ~(uint32_t)0xff) != SP_BLOCK_MAGIC ||
        at + sizeof *header + header->stored_size > node->cached_size)
        return;
    header->data_crc = sp_crc32c(0, node->cached + at + sizeof *header, header->stored_size);
    sp_block_seal(header, segment->salt);
}

static int sim_read(struct io *io, int file, uint64_t at, void *to, uint32_t size)
{
    struct sim_disk *disk = disk_of(io);
    const struct sim_handle *handle = handle_of(disk, file);
    const int error = begin(disk, SIM_READ);

    if (error || !handle)
        return error ? error : -EBADF;
    const struct sim_node *node = disk->nodes[handle->node];
    if (at > node->cached_size || node->cached_size - at < size)
        return -ENODATA;
    memcpy(to, node->cached + at, size);
    if (disk->lie == SIM_LIE_CHECKSUM)
        make_right(node, at, to, size);
    return 0;
}

static int sim_put(struct io *io, int file, uint64_t at, const void *from, uint32_t size)
{
    struct sim_disk *disk = disk_of(io);
    const struct sim_handle *handle = handle_of(disk, file);
    const int error = begin(disk, SIM_PUT);

    if (error || !handle)
        return error ? error : -EBADF;
    const uint32_t room = room_for(disk, disk->nodes[handle->node], at, size);
    sim_change_write(disk, handle->node, at, from, room);
    return room < size ? -ENOSPC : 0;
}

static int sim_truncate(struct io *io, int file, uint64_t size)
{
    struct sim_disk *disk = disk_of(io);
    const struct sim_handle *handle = handle_of(disk, file);
    const int error = begin(disk, SIM_TRUNCATE);

    if (error || !handle)
        return error ? error : -EBADF;
    if (disk->lie == SIM_LIE_CUT && size > 2 * SP_LOG_GRAIN)
        size -= SP_LOG_GRAIN;
    sim_change_size(disk, handle->node, size, false);
    disk->nodes[handle->node]->held = sp_min(disk->nodes[handle->node]->held, sp_align_up(size, SP_LOG_GRAIN));
    return 0;
}

static int64_t sim_size(struct io *io, int file)
{
    struct sim_disk *disk = disk_of(io);
    const struct sim_handle *handle = handle_of(disk, file);
    const int error = begin(disk, SIM_SIZE);
    return error ? error : handle ? (int64_t)disk->nodes[handle->node]->cached_size : -EBADF;
}

static int sim_named(struct io *io, int file)
{
    struct sim_disk *disk = disk_of(io);
    const struct sim_handle *handle = handle_of(disk, file);
    const int error = begin(disk, SIM_NAMED);
    return error ? error : handle && sim_is_named(disk, handle->node);
}

static int sim_rename(struct io *io, const char *from, const char *to, bool replaces)
{
    struct sim_disk *disk = disk_of(io);
    int parent, other;
    const char *name, *new_name;
    const int error = begin(disk, SIM_RENAME), node = sim_find(disk, from, &parent, &name);

    if (error)
        return error;
    const int there = sim_find(disk, to, &other, &new_name);
    if (node < 0 || other < 0)
        return -ENOENT;
    if (there >= 0 && !replaces)
        return -EEXIST;
    if (other != parent)
        violate(disk, "a rename into another directory");
    sim_link(disk, parent, new_name, node, name);
    sim_sweep(disk);
    return 0;
}

static int sim_unlink(struct io *io, const char *path)
{
    struct sim_disk *disk = disk_of(io);
    int parent;
    const char *name;
    const int error = begin(disk, SIM_UNLINK), node = sim_find(disk, path, &parent, &name);

    if (error)
        return error;
    if (node < 0)
        return -ENOENT;
    if (disk->nodes[node]->is_directory)
        return -EISDIR;
    disk->nodes[node]->held = 0;
    sim_link(disk, parent, name, -1, NULL);
    return 0;
}

static int sim_mkdir(struct io *io, const char *path)
{
    struct sim_disk *disk = disk_of(io);
    int parent;
    const char *name;
    const int error = begin(disk, SIM_MKDIR), node = sim_find(disk, path, &parent, &name);

    if (error)
        return error;
    if (parent < 0)
        return -ENOENT;
    if (node < 0)
        sim_link(disk, parent, name, sim_node_new(disk, true), NULL);
    return 0;
}

static int sim_rmdir(struct io *io, const char *path)
{
    struct sim_disk *disk = disk_of(io);
    int parent;
    const char *name;
    const int error = begin(disk, SIM_RMDIR), node = sim_find(disk, path, &parent, &name);

    if (error)
        return error;
    if (node < 0)
        return -ENOENT;
    if (disk->nodes[node]->entries_count)
        return -ENOTEMPTY;
    sim_link(disk, parent, name, -1, NULL);
    return 0;
}

static int sim_sync(struct io *io, const char *path)
{
    struct sim_disk *disk = disk_of(io);
    int parent;
    const char *name;
    const int error = begin(disk, SIM_SYNC), node = sim_find(disk, path, &parent, &name);

    if (node < 0)
        return error ? error : -ENOENT;
    if (error && !disk->is_dead)
        sim_flush_failed(disk, node, disk->sequence);
    if (!error)
        do_flush(disk, node, disk->sequence);
    return error;
}

static int sim_list(struct io *io, const char *path, int (*visit)(void *context, const char *name), void *context)
{
    struct sim_disk *disk = disk_of(io);
    int parent;
    const char *name;
    int result = begin(disk, SIM_LIST);
    const int node = sim_find(disk, path, &parent, &name);

    if (result)
        return result;
    if (node < 0 || !disk->nodes[node]->is_directory)
        return node < 0 ? -ENOENT : -ENOTDIR;
    /* from the last, so that what is visited may be removed */
    for (uint32_t i = disk->nodes[node]->entries_count; result == 0 && i > 0; i--) {
        char copy[32];
        if (i > disk->nodes[node]->entries_count)
            continue;
        memcpy(copy, disk->nodes[node]->entries[i - 1].name, sizeof copy);
        result = visit(context, copy);
    }
    return result;
}

static int64_t sim_monotonic(struct io *io)
{
    return disk_of(io)->now += 200; /* so that whoever spins gets somewhere */
}

static int64_t sim_realtime(struct io *io)
{
    return disk_of(io)->now + disk_of(io)->realtime_ahead;
}

static void sim_random(struct io *io, void *to, size_t size)
{
    struct sim_disk *disk = disk_of(io);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = disk->lie == SIM_LIE_SALT ? 0x77 : (uint8_t)static_ring_random(&disk->seed);
}

void sim_io_init(struct sim_disk *disk)
{
    disk->functions = (struct io_functions){
        .submit = sim_submit,
        .wait = sim_wait,
        .open = sim_open,
        .close = sim_close,
        .read = sim_read,
        .write = sim_put,
        .truncate = sim_truncate,
        .size = sim_size,
        .is_named = sim_named,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .mkdir = sim_mkdir,
        .rmdir = sim_rmdir,
        .sync = sim_sync,
        .list = sim_list,
        .monotonic = sim_monotonic,
        .realtime = sim_realtime,
        .random = sim_random,
    };
    disk->io.f = &disk->functions;
    disk->io.name = "simulated";
}
