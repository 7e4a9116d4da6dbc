/* remove.h: taking directories of the bus away, and listing them.
 *
 * A directory is first renamed to a name that no topic can have and that carries the remover's owner word, so that a topic
 * vanishes at once and gc can tell a removal in progress from one whose remover died. */
#ifndef SP_BUS_REMOVE_H
#define SP_BUS_REMOVE_H

#include "bus/internal.h"

#define SP_UNFINISHED_PREFIX "~topic." /* ~topic.<owner word, hex>.<random, hex>: being created or removed by that participant */

/* ~deleted.<topic id, hex>: a durable topic was deleted while its log was there; the daemon removes that, then this. */
#define SP_TOMBSTONE_PREFIX "~deleted."
void sp_tombstone_name(const uint8_t id[16], char name[64]);

/* sp_unfinished_name: a fresh name of that kind. */
int sp_unfinished_name(const struct spate_bus *bus, char name[64]);

/* sp_topic_delete: delete the topic that was opened, not another that has its name by now. Also finishes a deletion whose
 * deleter died. Returns 0, -ENOENT (it is gone), -EBUSY, -EACCES, ... */
int sp_topic_delete(struct spate_topic *topic, bool force);

/* sp_topic_open_once: one attempt to open; also a topic whose deletion is not finished. -EAGAIN: it vanished meanwhile. */
int sp_topic_open_once(struct spate_bus *bus, const char *name, struct spate_topic **ret_topic);

/* sp_topic_directory_is: whether the open directory is still the one of that name. */
bool sp_topic_directory_is(const struct spate_bus *bus, const char *topic, int dir_fd);

/* sp_remove_topic_directory: rename away, then remove; but not another topic's that has the name by now.
 *   dir_fd     the directory that is meant
 * Returns 0, -ENOENT, -EACCES, ... */
int sp_remove_topic_directory(struct spate_bus *bus, const char *topic, int dir_fd);

/* sp_remove_directory: remove a directory of plain files, pipes and such directories, two levels deep. Returns 0 or -errno. */
int sp_remove_directory(int dir_fd, const char *name);

/* sp_list_directory: sorted names of the entries that `is_entry` accepts (and renames, into `name`). */
int sp_list_directory(int dir_fd, bool (*is_entry)(int dir_fd, const char *entry, char name[SPATE_TOPIC_NAME_MAX + 1]),
                      int (*visit)(void *context, const char *name), void *context);

#endif
