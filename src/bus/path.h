/* path.h: where buses are: names, roots and the environment variables behind them; and what can be a name.
 *
 * One place for the rules, so that the library and every tool find the same bus. Any thread. */
#ifndef SP_BUS_PATH_H
#define SP_BUS_PATH_H

#define SP_PATH_SIZE 4096
#define SP_DEFAULT_ROOT "/dev/shm/spate" /* shared by all users of the machine */

/* sp_bus_root: the directory of buses: `dir`, else $SPATE_DIR, else /dev/shm/spate. Returns 0, -EINVAL (too long). */
int sp_bus_root(const char *dir, char path[SP_PATH_SIZE]);

/* sp_bus_path: the directory of one bus. name: NULL ($SPATE_BUS, else "default"), a bus name, or a path (with a '/'). Returns
 * 0, -EINVAL. */
int sp_bus_path(const char *name, const char *dir, char path[SP_PATH_SIZE]);

/* sp_topic_name_check: 0 or -EINVAL. */
int sp_topic_name_check(const char *name);

#endif
