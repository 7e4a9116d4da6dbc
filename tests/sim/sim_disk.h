/* sim_disk.h: a disk, a clock and random bytes in memory, behind the seam io.h: what the log's tests run on.
 *
 * It owns all files and everything that was begun and is not done. One thread; the same seed and the same calls give the same run.
 *
 * WHAT A CRASH LEAVES. Each file has what reads see (cached) and what the device holds (durable), and between them the changes in their
 * order. A flush makes durable what was done when it began. A crash of the host takes each 512-byte sector of a write that is not
 * durable or not: also of one that was under way, and so it may be torn anywhere. Changes of a file's size are kept up to one
 * of them, and
 * a size that a write extended never without its data (ext4, data=ordered). The entries of a directory (create, rename, unlink,
 * mkdir) are
 * kept up to one of them too, each directory for itself; an fsync of the directory is what makes them durable, not one of the file. With
 * direct I/O a flush of any file reaches what was written over old blocks of others, for it is the device's cache that is flushed.
 *
 * A KILL of the daemon loses nothing that was done; of what was under way each may be done, in part, or not.
 *
 * A FLUSH THAT FAILS leaves the pages clean: reads may see what was written, or again what was there before; a later flush does not try
 * again. Overwriting makes them dirty anew. */
#ifndef SP_TESTS_SIM_SIM_DISK_H
#define SP_TESTS_SIM_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "io/io.h"
#include "layout/log_layout.h"

#define SIM_SECTOR 512u
#define SIM_HANDLES 64
#define SIM_REQUESTS 64
#define SIM_FIRST_FILE 100

enum sim_kind {
    SIM_WRITE,
    SIM_FLUSH,
    SIM_SYNC,
    SIM_ALLOCATE,
    SIM_OPEN,
    SIM_READ,
    SIM_PUT, /* the synchronous write */
    SIM_TRUNCATE,
    SIM_SIZE,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_MKDIR,
    SIM_RMDIR,
    SIM_LIST,
    SIM_NAMED,
    SIM_KINDS
};
extern const char *const sim_kind_names[SIM_KINDS];

/* One thing done to a file that is not durable yet. */
struct sim_change {
    bool is_size, is_extension; /* a size; one that a write made, the change before */
    bool is_lost;               /* a flush of it failed: only a new write will bring it to the device */
    uint64_t at;                /* of a size: the new one */
    uint32_t size;
    uint8_t *data;
    uint64_t sequence;
};

struct sim_entry {
    char name[32];
    int node; /* -1 in an operation: the name is removed */
};

struct sim_operation {
    struct sim_entry entry;
    char removed[32]; /* a rename: the other name */
    uint64_t sequence;
};

struct sim_node {
    bool is_directory, is_allocated, is_sparse;
    uint8_t *cached, *durable;
    uint64_t room, cached_size, durable_size; /* room: of both; zero behind the size */
    uint64_t held;                            /* bytes of the quota */
    struct sim_change *changes;
    uint32_t changes_count, changes_room;
    struct sim_entry *entries, *durable_entries;
    uint32_t entries_count, durable_count;
    struct sim_operation *operations;
    uint32_t operations_count;
};

struct sim_handle {
    int node;
    int flags;
    bool is_open;
};

struct sim_request {
    struct io_request *request; /* NULL: it was reported already, which is a lie */
    enum io_kind kind;
    int file, node;
    uint64_t at;
    uint32_t size;
    uint8_t *data;  /* as it was when it was submitted */
    uint64_t since; /* everything up to this sequence was done when it began */
    int64_t due;
    bool is_begun; /* a wait has seen it */
};

/* Fails the calls number `at`, `at` + 1, ... `at` + `times` - 1 of a kind, counted from 1. */
struct sim_fault {
    uint64_t at, times;
    int error;
};

/* Lies: bugs planted below the seam (planted_test.c), off everywhere else. */
enum sim_lie {
    SIM_HONEST,
    SIM_LIE_FLUSH,         /* a flush is reported, and does nothing */
    SIM_LIE_DIRECTORY,     /* an fsync of a directory does nothing */
    SIM_LIE_EARLY_WRITE,   /* a write is reported when it is submitted, and done later or not */
    SIM_LIE_LAST_SECTOR,   /* the last sector of a write is not written */
    SIM_LIE_SALT,          /* random bytes are always the same */
    SIM_LIE_FRONTIER,      /* the frontier says one block more than is durable */
    SIM_LIE_CHECKSUM,      /* what is read of a block has the right checksum, whatever is in it */
    SIM_LIE_CUT,           /* truncating takes 4096 bytes more */
    SIM_LIE_MISSING_WRITE, /* one write in 32 goes nowhere */
    SIM_LIE_STALE_FLUSH,   /* a flush covers only what was done 4 ms before it began */
    SIM_LIES
};

struct sim_disk {
    struct io io;
    struct io_functions functions;
    uint64_t seed; /* the state of the generator */
    int64_t now, realtime_ahead;
    uint64_t sequence;
    struct sim_node **nodes; /* [0]: the root */
    int nodes_count;
    struct sim_handle handles[SIM_HANDLES];
    struct sim_request requests[SIM_REQUESTS];
    uint32_t requests_count;
    int64_t delay_max;     /* ns an operation takes at most */
    uint32_t short_writes; /* one write in so many is short; 0: none */
    uint32_t short_grain;  /* to a multiple of this */
    bool is_sparse;        /* allocating only sets the size: room is found when it is written */
    uint64_t quota;        /* bytes; UINT64_MAX: no end */
    uint32_t misdirected;  /* one write in so many goes elsewhere */
    struct sim_fault faults[SIM_KINDS];
    uint64_t dead_at; /* from this operation on nothing has an effect: the host is about to crash; 0: never */
    bool is_dead;
    enum sim_lie lie;
    int64_t marked_at[8]; /* for SIM_LIE_STALE_FLUSH: the latest change at times 1 ms apart */
    uint64_t marks[8];
    uint64_t calls[SIM_KINDS], failed[SIM_KINDS], operations, short_count, misdirected_count, no_room_count;
    void (*on_operation)(void *context); /* before each operation that changes something, and each completion */
    void *context;
    char violation[200]; /* what the caller did that it must not; empty: nothing */
};

/* sim_disk_new: an empty disk. sim_disk_free: and all that is in it. */
struct sim_disk *sim_disk_new(uint64_t seed, bool is_direct);
void sim_disk_free(struct sim_disk *disk);

/* How a crash decides what stays. */
enum sim_crash_mode {
    SIM_CRASH_OLD,    /* nothing that is not durable */
    SIM_CRASH_NEW,    /* everything, what was under way too */
    SIM_CRASH_ONE,    /* of all writes only number `index`; names and sizes all */
    SIM_CRASH_RANDOM, /* each sector, and each directory, by lot */
};
struct sim_crash {
    enum sim_crash_mode mode;
    uint64_t index, seed;
};

/* sim_disk_image: a new disk, as this one is after a crash now. sim_disk_unflushed: how many writes are not durable. */
struct sim_disk *sim_disk_image(const struct sim_disk *disk, struct sim_crash crash);
uint64_t sim_disk_unflushed(const struct sim_disk *disk);

/* sim_disk_settle: the daemon was killed: what was under way is done, in part, or not; nothing is reported. */
void sim_disk_settle(struct sim_disk *disk);

/* sim_disk_flip: change one bit of a file's content, for good. Returns false when there is nothing. sim_disk_remove_all: take all entries
 * of a directory away, as rm -r does. */
bool sim_disk_flip(struct sim_disk *disk);
void sim_disk_remove_all(struct sim_disk *disk, const char *path);

/* sim_disk_heal: no faults, no quota, from now on. sim_disk_files: how many are open. */
void sim_disk_heal(struct sim_disk *disk);
uint32_t sim_disk_files(const struct sim_disk *disk);

/* sim_disk_print: the files, for who looks for the cause of a violation. */
void sim_disk_print(const struct sim_disk *disk);

/* Within tests/sim: the parts that sim_disk.c and sim_io.c share. */
uint64_t sim_below(struct sim_disk *disk, uint64_t limit); /* 0 .. limit - 1 */
void sim_io_init(struct sim_disk *disk);
int sim_node_new(struct sim_disk *disk, bool is_directory);
int sim_find(const struct sim_disk *disk, const char *path, int *ret_parent, const char **ret_name);
void sim_link(struct sim_disk *disk, int directory, const char *name, int node, const char *removed);
void sim_change_write(struct sim_disk *disk, int node, uint64_t at, const uint8_t *data, uint32_t size);
void sim_change_size(struct sim_disk *disk, int node, uint64_t size, bool is_extension);
void sim_make_durable(struct sim_disk *disk, int node, uint64_t since);
void sim_flush_failed(struct sim_disk *disk, int node, uint64_t since);
bool sim_is_named(const struct sim_disk *disk, int node);
uint64_t sim_used(const struct sim_disk *disk);
void sim_sweep(struct sim_disk *disk);

#endif
