/* A member: builds everything in order and tears it down in reverse. Nothing below it
 * knows libuv; the rim (main.c and env_uv.c in the daemon, tests/sim in the simulation)
 * owns the real loop and calls node_turn after whatever arrived, or when the deadline has
 * come. */
#ifndef KVD_NODE_NODE_H
#define KVD_NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "node/config.h"

struct metrics;
struct node;

/* Opens the data directory (made when missing, locked; refused when it belongs to another
 * cluster or member or was written by a newer version), state machine and log, binds the
 * listeners. On failure nothing on disk was changed and err is one line that says what is
 * wrong and what to do. */
int node_open(struct node **out, const struct config *config, struct env *env,
              struct err *err);

/* One turn (turn.c): the fixed order of work. */
void node_turn(struct node *node);

/* env_mono_ms at which node_turn wants to be called although nothing arrived. */
uint64_t node_deadline_ms(const struct node *node);

/* Clients are being answered (conns_accept was called); stays true. main.c then says so
 * in the log and to systemd. */
bool node_ready(const struct node *node);

/* Counters of this member, for the rim to add to and to show. */
struct metrics *node_metrics(struct node *node);

/* Graceful stop: hands leadership over, says goodbye to clients, drains; at most 5 s. */
void node_stop(struct node *node);
bool node_stopped(const struct node *node);

/* Frees everything, at once. Jobs under way must have ended: see node_idle. */
bool node_idle(const struct node *node);
void node_close(struct node *node);

/* Planted bugs, for tests only: see raftlog_set_plants and kv_set_plants. */
void node_set_plants(struct node *node, unsigned log_plants, unsigned kv_plants);

/* For tests only: see watch_set_ring, kv_set_lock_steps, state_server_set_chunk. */
void node_set_watch_ring(struct node *node, size_t bytes);
void node_set_lock_steps(struct node *node, size_t steps);
void node_set_state_chunk(struct node *node, size_t bytes);

#endif
