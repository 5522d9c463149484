/* A client that changes several keys at once, for those who watch: puts, deletes, deletes
 * of ranges, transactions, values up to some KiB. Its answers are not recorded; it keeps
 * to the order within a revision that chronicle.h asks for. */
#ifndef KVD_SIM_BULK_WRITER_H
#define KVD_SIM_BULK_WRITER_H

#include "tests/sim/sim_actor.h"

#define BULK_PREFIX "/sim/w/" /* its keys: this and a number of two digits */

struct bulk_writer;

struct bulk_writer_options {
    struct sim_place place;
    uint64_t *next_value; /* shared: values are unique */
    uint32_t n_keys;
    uint32_t value_bytes_max;
    uint64_t think_ms_max; /* pause between two calls */
};

struct bulk_writer *bulk_writer_open(const struct bulk_writer_options *options);

extern const struct sim_actor bulk_writer_actor;

/* The text of a key; returns its length. */
size_t bulk_key(uint32_t number, char *text, size_t size);

#endif
