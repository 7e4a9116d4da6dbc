/* catalog.c: see catalog.h.
 *
 * A topic that is removed first loses its file `topic`: a directory without one is nobody's, and is removed when it is met. */
#include "spill/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define PATH_SIZE (SPATE_TOPIC_NAME_MAX + 96)

int catalog_load(struct io *io, const char *directory, struct sp_log_topic *ret)
{
    char path[PATH_SIZE];
    struct sp_log_topic topic;
    struct spate_topic_config ignored;

    snprintf(path, sizeof path, "%s/topic", directory);
    const int file = io->f->open(io, path, O_RDONLY);
    if (file < 0)
        return file;
    int error = io->f->read(io, file, 0, &topic, sizeof topic);
    io->f->close(io, file);
    const char *reason = error == -ENODATA ? "it is too short" : error ? NULL : sp_log_topic_take(&topic, &ignored);
    if (reason)
        return sp_fail(-EBADMSG, "%s in the log directory: %s; restore it from a copy, or move the directory away", path, reason);
    if (!error)
        *ret = topic;
    return error;
}

int catalog_store(struct io *io, const struct spill_topic *spill)
{
    const char *directory = spill->directory;
    char path[PATH_SIZE], unfinished[PATH_SIZE];
    struct sp_log_topic topic;

    sp_log_topic_make(&topic, &spill->info);
    snprintf(path, sizeof path, "%s/topic", directory);
    snprintf(unfinished, sizeof unfinished, "%s/topic.new", directory);
    int error = io->f->mkdir(io, directory);
    const int file = error ? error : io->f->open(io, unfinished, O_RDWR | O_CREAT | O_TRUNC);
    if (file < 0)
        return file;
    error = io->f->write(io, file, 0, &topic, sizeof topic);
    io->f->close(io, file);
    spill_give(io, spill, unfinished, false);
    if (!error)
        error = io->f->sync(io, unfinished);
    if (!error)
        error = io->f->rename(io, unfinished, path, true);
    if (!error)
        error = io->f->sync(io, directory);
    return error ? error : io->f->sync(io, ".");
}

struct removal {
    struct io *io;
    const char *path;
    int error;
};

static int remove_file(void *context, const char *name)
{
    struct removal *removal = context;
    char path[2 * PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", removal->path, name);
    removal->error = removal->io->f->unlink(removal->io, path);
    return removal->error;
}

static int remove_entry(void *context, const char *name)
{
    struct removal *removal = context;
    char path[2 * PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", removal->path, name);
    int error = removal->io->f->unlink(removal->io, path);
    if (error == -EISDIR || error == -EPERM) {
        struct removal inner = {removal->io, path, 0};
        error = removal->io->f->list(removal->io, path, remove_file, &inner);
        if (!error)
            error = removal->io->f->rmdir(removal->io, path);
    }
    removal->error = error;
    return error;
}

int catalog_remove(struct io *io, const char *directory)
{
    struct removal removal = {io, directory, 0};
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/topic", directory);
    int error = io->f->unlink(io, path);
    if (error && error != -ENOENT)
        return error;
    error = io->f->sync(io, directory);
    if (!error)
        error = io->f->list(io, directory, remove_entry, &removal);
    if (!error)
        error = io->f->rmdir(io, directory);
    return error ? error : io->f->sync(io, ".");
}

struct listing {
    int (*visit)(void *context, const char *directory);
    void *context;
};

static int is_directory(void *context, const char *name)
{
    const struct listing *listing = context;
    return name[0] == '~' || strcmp(name, "lost+found") == 0 ? 0 : listing->visit(listing->context, name);
}

int catalog_list(struct io *io, int (*visit)(void *context, const char *directory), void *context)
{
    struct listing listing = {visit, context};
    return io->f->list(io, ".", is_directory, &listing);
}
