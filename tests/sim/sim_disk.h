/* A simulated disk in memory: struct disk with crashes and failures, from one seed.
 *
 * Files lose what was not synced as sim_file.h says. A name that was created, renamed or
 * removed is durable only after sync_dir of its directory; until then a crash keeps the
 * first few such changes of each directory, in order, as a journal would. (Real file
 * systems often keep more: syncing a new file there keeps its name, too.)
 *
 * Every call that does I/O counts; a call can be made to fail, or to be the last one
 * before the power goes. Handles from before a crash only fail and can be closed. */
#ifndef KVD_SIM_DISK_H
#define KVD_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/limits.h"

#define SIM_DISK_CAPACITY (300 * MIB)

struct sim_disk;

struct sim_disk *sim_disk_new(uint64_t seed);
/* All files must be closed. */
void sim_disk_free(struct sim_disk *sim);

struct disk *sim_disk_as_disk(struct sim_disk *sim);

/* ---- power ---- */

/* The power goes and comes back: what was not durable is lost in part. */
void sim_disk_crash(struct sim_disk *sim);

/* While dead, every call fails with -EIO and changes nothing. */
void sim_disk_set_dead(struct sim_disk *sim, bool dead);

/* Lets this many more calls pass, then the disk is dead, until sim_disk_crash. */
void sim_disk_die_after(struct sim_disk *sim, uint64_t calls);

/* The same with a small random number: the work under way is done in part. */
void sim_disk_die_soon(struct sim_disk *sim);

/* ---- failures ---- */

uint64_t sim_disk_calls(const struct sim_disk *sim);   /* so far */
uint64_t sim_disk_changes(const struct sim_disk *sim); /* those that changed something */

/* Lets this many more calls pass; the next one fails once with error, a negative errno.
 */
void sim_disk_fail_after(struct sim_disk *sim, uint64_t calls, int error);

/* Chance, in a million, that a read or write ends early, at a sector's boundary. */
void sim_disk_set_short(struct sim_disk *sim, uint32_t per_million);

/* Bytes that fit; at first SIM_DISK_CAPACITY. */
void sim_disk_set_capacity(struct sim_disk *sim, uint64_t bytes);
uint64_t sim_disk_used(const struct sim_disk *sim);

/* Of a file that there is. */
uint64_t sim_disk_file_size(const struct sim_disk *sim, const char *path);

/* A planted bug: once a file of that name is durable, syncs of its directory forget what
 * happens to the name. NULL: they do not. */
void sim_disk_forget_sync(struct sim_disk *sim, const char *path);

/* Bit rot in a file: the disk gives back another byte than was written. */
void sim_disk_flip(struct sim_disk *sim, const char *path, uint64_t offset, uint8_t mask);

#endif
