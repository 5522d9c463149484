/* What the kernel knows about this process, for the metrics. */
#ifndef KVD_NODE_PROCESS_H
#define KVD_NODE_PROCESS_H

#include <stdint.h>

struct process_facts {
    double cpu_seconds;        /* user and system */
    double start_time_seconds; /* since 1970 */
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_files;
    uint64_t open_files_max;
};

/* What /proc does not tell stays 0. */
void process_read(struct process_facts *out);

#endif
