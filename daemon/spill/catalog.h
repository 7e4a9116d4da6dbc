/* catalog.h: the topics of a log directory: what each one is, so that a bus can be made anew from its log.
 *
 * One file `topic` in each topic's directory, written whole and renamed into place. Called by the supervisor, on its thread. */
#ifndef SPATED_CATALOG_H
#define SPATED_CATALOG_H

#include "spill/writer.h"

/* catalog_load: what a topic's file says. Returns 0, -ENOENT, -EBADMSG (with a text), -errno. */
int catalog_load(struct io *io, const char *directory, struct sp_log_topic *ret);

/* catalog_store: write it, durable when it returns. Returns 0 or -errno. */
int catalog_store(struct io *io, const struct spill_topic *spill);

/* catalog_remove: take a topic's directory away, with all in it. May be cut short, and called again. Returns 0 or -errno. */
int catalog_remove(struct io *io, const char *directory);

/* catalog_list: call `visit` with the name of each directory that may be a topic's, or one whose removal was cut short. */
int catalog_list(struct io *io, int (*visit)(void *context, const char *directory), void *context);

#endif
