/* A progress line on stderr for work that takes long: only on a terminal, only after half
 * a second, and gone when the work is done. */
#ifndef KVD_CLI_PROGRESS_H
#define KVD_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "storing" */
    uint64_t total;
    int64_t started_ms; /* private */
    int64_t drawn_ms;   /* private */
    bool visible;       /* private */
    bool terminal;      /* private */
};

void progress_start(struct progress *progress, const char *what, uint64_t total);
void progress_show(struct progress *progress, uint64_t done);
void progress_stop(struct progress *progress);

#endif
