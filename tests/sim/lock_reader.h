/* An operator: looks at lines, at all locks and at who leads an election, and now and
 * then releases by force something that it saw. */
#ifndef KVD_SIM_LOCK_READER_H
#define KVD_SIM_LOCK_READER_H

#include "tests/checkers/lock_check.h"
#include "tests/sim/sim_actor.h"

struct lock_reader;

struct lock_reader_options {
    struct sim_place place;
    struct chronicle *chronicle; /* names the keys */
    struct lock_log *log;        /* shared by all */
    uint32_t n_names;            /* of locks that are exclusive or shared */
    uint64_t act_ms_max;         /* pause between two of its acts */
};

struct lock_reader *lock_reader_open(const struct lock_reader_options *options);

extern const struct sim_actor lock_reader_actor;

#endif
