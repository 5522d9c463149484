/* A client that watches: a few watchers on one stream, resumed on another member when the
 * stream ends, with everything that clients do: starts in the past and in the future,
 * filters, previous pairs, fragments, requests for progress, cancels; and with pauses in
 * which it reads nothing. */
#ifndef KVD_SIM_WATCH_CLIENT_H
#define KVD_SIM_WATCH_CLIENT_H

#include "tests/checkers/chronicle.h"
#include "tests/checkers/watch_check.h"
#include "tests/sim/sim_actor.h"

struct watch_client;

struct watch_client_options {
    struct sim_place place;
    uint32_t number;
    struct chronicle *chronicle; /* names the keys; its last revision is a hint */
    uint32_t n_keys;             /* of node_client.h */
    uint32_t n_bulk_keys;        /* of bulk_writer.h */
    uint64_t act_ms_max;         /* pause between two of its acts */
};

struct watch_client *watch_client_open(const struct watch_client_options *options);

/* To be stopped when the chronicle is complete: idle once all watchers were told all. */
extern const struct sim_actor watch_client_actor;

/* ERR_CORRUPT with the reason. */
int watch_client_check(const struct watch_client *client, struct err *err);

uint64_t watch_client_events(const struct watch_client *client);

#endif
