/* Simulated time and machines. One queue of events, ordered by time, drives every host;
 * from one seed the same run follows, event by event.
 *
 * A host has a clock of its own (offset and drift), a disk, job lanes whose work takes
 * simulated time, and a place in the simulated network (sim_net.c). What arrives for a
 * host causes, a few microseconds later, one turn of the program that runs on it. */
#ifndef KVD_SIM_WORLD_H
#define KVD_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/list.h"
#include "tests/sim/sim_rng.h"

#define SIM_US 1000ull
#define SIM_MS 1000000ull
#define SIM_S  1000000000ull

#define SIM_HOST_DRIFT_PPM 200 /* of a new host's clock, at most */

struct sim_world;
struct sim_host;

/* ---- the world ---- */

struct sim_world *sim_world_new(uint64_t seed);
void sim_world_free(struct sim_world *world);

uint64_t sim_world_now(const struct sim_world *world); /* ns */
struct sim_rng *sim_world_rng(struct sim_world *world);

/* Runs run(owner, number) at a time that is not in the past. */
void sim_world_at(struct sim_world *world, uint64_t time,
                  void (*run)(void *owner, uint64_t number), void *owner,
                  uint64_t number);

/* The next event; false when there is none before limit (the time is then limit). */
bool sim_world_step(struct sim_world *world, uint64_t limit);

/* Changes with everything that happens: equal for equal runs. */
uint64_t sim_world_trace(const struct sim_world *world);
void sim_world_note(struct sim_world *world, uint64_t fact);
uint64_t sim_world_steps(const struct sim_world *world);

/* ---- hosts ---- */

/* The program of a host: turn is called after something arrived and at the deadline (its
 * own env_mono_ms), which deadline tells after each turn. */
struct sim_program {
    void (*turn)(void *owner);
    uint64_t (*deadline_ms)(void *owner);
    void (*fatal)(void *owner, const char *text);
};

/* Number from 1; its address is "10.0.0.<number>". The disk is borrowed and may be NULL.
 */
struct sim_host *sim_host_new(struct sim_world *world, uint32_t number,
                              struct disk *disk);
struct env *sim_host_env(struct sim_host *host);
uint32_t sim_host_number(const struct sim_host *host);

/* Its clock gains so many seconds in a million, or loses them. */
void sim_host_set_drift(struct sim_host *host, int64_t ppm);

/* Its clock shows the world's time: for observers, whose notes are compared. */
void sim_host_keep_true_time(struct sim_host *host);

/* The program begins to run (owner is its argument) or ended; without one nothing is
 * called. */
void sim_host_run(struct sim_host *host, const struct sim_program *program, void *owner);

/* A turn soon. */
void sim_host_wake(struct sim_host *host);

/* Pauses the program, as SIGSTOP does: what arrives waits until the given time. */
void sim_host_freeze(struct sim_host *host, uint64_t until);

/* Latency of the log lane (an fdatasync) and of the others, uniform between the two. */
void sim_host_set_latency(struct sim_host *host, uint64_t low, uint64_t high);

/* The program is gone from one instant to the next; its streams break (see
 * sim_net_break_host). What it leaves behind is cleared away in this order: perhaps
 * sim_host_run_half; the disk loses what was not synced and is dead from then on;
 * sim_host_abandon; then the program's memory may be freed. */
void sim_host_kill(struct sim_host *host, bool silent);

/* Runs one pending log job's work without its end: the write that was under way. */
void sim_host_run_half(struct sim_host *host);

/* Finishes all pending jobs (on a dead disk) so that their owners may be freed. */
void sim_host_abandon(struct sim_host *host);

#endif
