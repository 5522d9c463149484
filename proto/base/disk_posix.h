/* The real disk: struct disk over POSIX files. Any thread. */
#ifndef KVD_BASE_DISK_POSIX_H
#define KVD_BASE_DISK_POSIX_H

#include "base/env.h"

/* The one instance; never freed. */
struct disk *disk_posix(void);

#endif
