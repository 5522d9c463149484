/* The next segment, made ahead: a file of zeros that a roll only has to name.
 *
 * Overwriting zeros that are on disk needs no change of metadata, which halves the time
 * of an fdatasync; so the zeros are written, not merely allocated, in steps on the work
 * lane, at the pace at which the current segment fills. What can fail: the disk; the file
 * is then given up and the roll makes its own. Loop thread. */
#ifndef KVD_RAFTLOG_SPARE_H
#define KVD_RAFTLOG_SPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"

struct spare {
    struct env *env;
    char *log_dir;
    uint64_t number; /* of the file in the making; each has its own name */
    uint64_t size;   /* when complete */
    uint64_t filled;
    uint64_t wanted;
    bool busy;     /* a job is under way: the fields below are its own */
    bool given_up; /* until the next roll, or for good when stopped */
    bool stopped;
    struct env_job job;
    struct disk_file *file;
    uint64_t job_from;
    int job_rc;
};

void spare_init(struct spare *spare, struct env *env, const char *log_dir, uint64_t size);

/* Has at least this much made, some time soon. */
void spare_want(struct spare *spare, uint64_t bytes);

/* For a roll: the number of a file to use; true when it is there and complete. */
bool spare_take(struct spare *spare, uint64_t *number);

/* Starts no more jobs. */
void spare_stop(struct spare *spare);

/* No job may be under way. The file stays; the next start removes it. */
void spare_close(struct spare *spare);

#endif
