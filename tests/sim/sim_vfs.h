/* SQLite on a struct disk: a VFS over its calls, for databases on simulated disks, WAL
 * mode included. Shared memory and locks live in this process, per disk and file, and
 * allow several connections. One thread.
 *
 * SQLite draws its random numbers from one place for the whole process, so a run that is
 * to be repeatable begins with sim_vfs_seed. */
#ifndef KVD_SIM_VFS_H
#define KVD_SIM_VFS_H

#include <stdint.h>

#include "base/env.h"

/* Registers a VFS that sees the disk's files; its name is then disk->sqlite_vfs. */
void sim_vfs_attach(struct disk *disk);

/* All its databases must be closed. */
void sim_vfs_detach(struct disk *disk);

/* From here on SQLite's random numbers follow from the seed. At least one VFS of ours
 * must be attached. */
void sim_vfs_seed(uint64_t seed);

#endif
