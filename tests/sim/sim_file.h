/* The content of one simulated file: what a reader sees, and what would be left of it
 * after a crash.
 *
 * The disk writes sectors of 512 bytes whole, in any order, until a sync: a crash keeps
 * any subset of the sectors written since. A sector written more than once may also keep
 * an earlier state, as if the system had written it back in between. A new size is kept
 * or not; a file that shrank lost what was behind its new end for good, or not at all. */
#ifndef KVD_SIM_FILE_H
#define KVD_SIM_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/sim/sim_rng.h"

struct sim_file;

struct sim_file *sim_file_new(void);
void sim_file_free(struct sim_file *file);

uint64_t sim_file_size(const struct sim_file *file);
size_t sim_file_read(const struct sim_file *file, void *bytes, size_t len,
                     uint64_t offset);
void sim_file_write(struct sim_file *file, struct sim_rng *rng, const void *bytes,
                    size_t len, uint64_t offset);
void sim_file_resize(struct sim_file *file, struct sim_rng *rng, uint64_t size);

void sim_file_sync(struct sim_file *file);
void sim_file_crash(struct sim_file *file, struct sim_rng *rng);

/* Bit rot: changes a byte on the disk itself. */
void sim_file_flip(struct sim_file *file, uint64_t offset, uint8_t mask);

#endif
